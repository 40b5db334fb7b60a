"""Sinks that policies send to and nobody has set up are told before anything is sent."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from quell.engine.sinks_named import section, sinks_named, unset, unused, who
from tests.bundles import sound
from tests.cli_support import run

POLICY = """
event message from "message"
  id   text = $.id
  at   time = $.at
  text text = $.text default ""
rule hello on message
  when text contains "hello"
  then review
       send "queue" { id: id }
       send "two words" { id: id }
rule again on message
  when text contains "again"
  then review
       send "queue" { id: id }
  mode shadow
rule never on message
  when text contains "never"
  then review
       send "nowhere" { id: id }
  mode off
"""
NAMED = {"queue": ("again", "hello"), "two words": ("hello",)}


def test_the_sinks_of_rules_by_name() -> None:
    assert sinks_named(sound(POLICY)) == NAMED


def test_what_is_not_set_up_is_told_with_what_to_write() -> None:
    assert [one.sink for one in unset(NAMED, ("queue", "idle"))] == ["two words"]
    first, second = unset(NAMED, ())
    assert first.message == (
        "the sink `queue` of `again` and `hello` is not set up: what is sent there becomes dead letters"
    )
    assert "write [sinks.queue] into service.toml" in first.hint
    assert '[sinks."two words"]' in second.hint
    assert unused(NAMED, ("queue", "idle")) == ["idle"]


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ((), "an earlier version"),
        (("b",), "`b`"),
        (("c", "a", "b"), "`a`, `b` and `c`"),
        ("edcba", "`a`, `b`, `c` and 2 more rules"),
    ],
    ids=["none", "one", "three", "five"],
)
def test_who_sends(rules: tuple[str, ...], told: str) -> None:
    assert who(rules) == told


@pytest.mark.parametrize("name", ["mod-queue", "two words", "a.b", 'quo"te', "Schlüssel", "back\\slash"])
def test_any_name_can_be_written_as_a_section(name: str) -> None:
    assert tomllib.loads(f"{section(name)}\nurl = 1\n") == {"sinks": {name: {"url": 1}}}


def test_checking_only_tells_them(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.quell").write_text(POLICY)
    (tmp_path / "service.toml").write_text(
        '[sinks.queue]\nfile = "q.jsonl"\n[sinks.idle]\nfile = "i.jsonl"\n'
    )
    made = run("serve", tmp_path / "policies", "--data", tmp_path, "--check-only")
    assert made.exit_code == 0
    assert "warning: the sink `two words` of `hello` is not set up" in made.stderr
    assert 'hint: write [sinks."two words"] into service.toml' in made.stderr
    assert "`queue`" not in made.stderr
    assert "no rule sends to `idle`" in made.stderr
