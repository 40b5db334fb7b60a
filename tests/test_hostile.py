"""Hostile policies, bundles, settings and events: a bounded answer or a clear refusal, never Python."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from quell.engine.bundle import read_bundle
from quell.engine.compile import analyse, build
from quell.engine.decision import Decision, Refused
from quell.engine.stepper import Stepper
from quell.grammar.diagnostics import PolicyError, Report
from tests.bundles import engine, files, findings

BASE = """entity U
event m from "m"
  at time = $.at
  u U = $.u
  t text? = $.t
  n number? = $.n
  ls list<text> = $.ls default []
"""
EVENT: dict[str, Any] = {"type": "m", "at": 1, "u": "a", "t": "hello", "n": 3}
ODD_NAMES = (
    "__class__", "import", "hits", "e", "UNSET", "None", "x0", "_t1", "decide_m", '"', "\\", '"""',
    '"""; PWN; """', "\\N{DASH}", "%s", "{x}", "a#b", "\x0c", "\u2028", "');PWN('",
)  # fmt: skip


def rule(condition: str, more: str = "") -> str:
    return f"{BASE}{more}rule r on m\n  when {condition}\n  then block\n"


def codes(text: str) -> set[str]:
    return {found.split(":")[0] for found in findings(text)}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_cannot_become_python(name: str) -> None:
    q = f"`{name}`"
    text = BASE.replace("event m ", f"event {q} ")
    text += f'rule `{name}2` on {q}\n  when n > 1 and count({q} by u within 1h where t != "\\n    PWN") > 0\n'
    text += "  then block\n"
    made = engine(text).decide(json.dumps(EVENT))
    assert isinstance(made, Decision), made
    assert made.verdict == "block"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_lets_and_lists_may_be_called_anything(name: str) -> None:
    text = BASE + f'let `{name}` = n + 1\nrule r on m\n  when `{name}` == 4 and t != "z"\n  then block\n'
    made = engine(text).decide(EVENT)
    assert isinstance(made, Decision), made
    assert made.verdict == "block"
    text = BASE + f'list `{name}` from "l" as exact\nrule r on m\n  when t in `{name}`\n  then block\n'
    made = engine(text, {"l": "hello"}).decide(EVENT)
    assert isinstance(made, Decision), made
    assert made.verdict == "block"
    text = BASE + f'list `{name}` from "l" as words\nrule r on m\n  when t matches `{name}`\n  then block\n'
    made = engine(text, {"l": "hello"}).decide(EVENT)
    assert isinstance(made, Decision), made
    assert made.verdict == "block"


@pytest.mark.parametrize(
    "condition",
    [
        "(" * 5000 + "n > 1" + ")" * 5000,
        "not " * 5000 + "n > 1",
        "size(" + "[" * 5000 + "1" + "]" * 5000 + ") > 1",
        "-" * 5000 + "n > 1",
        "+".join(["n"] * 5000) + " > 1",
        " ?? ".join(["n"] * 3000) + " > 1",
        "n in [" + ",".join(map(str, range(100_000))) + "]",
    ],
    ids=["parens", "not", "lists", "minus", "plus", "coalesce", "long"],
)
def test_deep_and_long_conditions_are_refused(condition: str) -> None:
    assert codes(rule(condition)) == {"too-deep"}


def test_functions_that_double_are_too_costly() -> None:
    doubling = "".join(f"let f{i}(x: number) = f{i - 1}(x) + f{i - 1}(x + 1)\n" for i in range(1, 41))
    assert codes(rule("f40(n) > 1", "let f0(x: number) = x + 1\n" + doubling)) == {"too-costly"}


def test_reasons_of_reasons_are_worked_out_once() -> None:
    scores = 'score s0\n  1 when n > 1 because "{t}"\n' + "".join(
        f'score s{i}\n  1 when n > {i} because "{{reasons(s{i - 1})}} {{reasons(s{i - 1})}}"\n'
        for i in range(1, 31)
    )
    assert codes(rule("size(reasons(s30)) > 1", scores)) <= {"too-deep"}


def test_texts_that_double_stay_bounded() -> None:
    lets = "let l0 = t\n" + "".join(f'let l{i} = "{{l{i - 1}}}{{l{i - 1}}}"\n' for i in range(1, 31))
    made = engine(rule("length(l30) <= 2000000", lets)).decide(EVENT)
    assert isinstance(made, Decision), made
    assert made.verdict == "block"


def test_a_score_sees_its_event_not_the_parameters_of_its_reader() -> None:
    more = 'score s\n  1 when n > 5 because "many"\nlet f(n: number) = s + size(reasons(s))\n'
    made = engine(rule("f(100) > 0", more)).decide(EVENT)
    assert isinstance(made, Decision), made
    assert made.verdict == "allow"


def errors(folder: Path) -> set[str]:
    report = Report()
    return {d.code for d in analyse(read_bundle(folder, report), report).diagnostics if d.severity == "error"}


def test_special_files_and_links_are_refused_without_reading_them(tmp_path: Path) -> None:
    (tmp_path / "p.quell").write_text(rule("n > 1"), encoding="utf-8")
    os.mkfifo(tmp_path / "fifo.quell")
    (tmp_path / "self.quell").symlink_to("self.quell")
    assert errors(tmp_path) == {"unreadable-file"}
    (tmp_path / "zero.quell").symlink_to("/dev/zero")
    assert errors(tmp_path) == {"unreadable-file", "outside-bundle"}


def test_a_file_name_with_a_line_break_is_no_python(tmp_path: Path) -> None:
    (tmp_path / "a\n    PWN\n#.quell").write_text(rule("n > 1"), encoding="utf-8")
    made = Stepper.load(tmp_path).decide(EVENT)
    assert isinstance(made, Decision), made
    assert made.verdict == "block"


def test_a_file_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    try:
        (tmp_path / "\udcff.quell").write_text("# x\n", encoding="utf-8")
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(PolicyError, match="not UTF-8"):
        Stepper.load(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [b"a = " + b"[" * 5000, b"a = " + b"{a=" * 5000, b".".join([b"a"] * 200_000) + b" = 1", b"\xff", b"[[["],
    ids=["lists", "tables", "keys", "bytes", "broken"],
)
def test_hostile_settings_are_one_finding(tmp_path: Path, settings: bytes) -> None:
    (tmp_path / "p.quell").write_text(rule("n > 1"), encoding="utf-8")
    (tmp_path / "quell.toml").write_bytes(settings)
    assert errors(tmp_path) == {"bad-settings"}


def test_settings_outside_the_bundle_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "secret").write_text("x", encoding="utf-8")
    (tmp_path / "b" / "p.quell").write_text(rule("n > 1"), encoding="utf-8")
    (tmp_path / "b" / "quell.toml").symlink_to(tmp_path / "secret")
    assert errors(tmp_path / "b") == {"outside-bundle"}


class Evil:
    """An object that raises whatever is asked of it."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("eq")

    def __hash__(self) -> int:
        raise ValueError("hash")

    def __str__(self) -> str:
        raise ValueError("str")


class EvilInt(int):
    """A number that cannot be compared or written."""

    def __gt__(self, other: object) -> bool:
        raise ValueError("gt")

    def __str__(self) -> str:
        raise ValueError("str")


def test_odd_python_values_are_decided_or_refused() -> None:
    decider = Stepper(build(analyse(files(rule("n > 1 or any ls contains t")))))
    ring: dict[str, Any] = {}
    ring["t"] = ring
    odd: list[Any] = [
        Evil(), EvilInt(3), ring, (x for x in [1]), 10**5000, float("nan"), float("inf"), "\ud800", b"\xff",
        range(10**9), "a" * 1_000_000, [None] * 9_999, "9999-12-31T23:59:60Z", 1e308, -1, object(), {1: 2},
    ]  # fmt: skip
    for value in odd:
        for key in ("type", "at", "u", "t", "n", "ls"):
            made = decider.decide({**EVENT, key: value})
            assert not isinstance(made, Refused) or made.kind != "internal", (key, made)


def test_hostile_json_is_decided_or_refused() -> None:
    decider = Stepper(build(analyse(files(rule("n > 1 or any ls contains t")))))
    for raw in (
        b"", b"\xff", b"null", b"[" * 900_000, b'{"a":' * 200_000, '"\ud800"',
        b'{"type":"m","at":NaN,"u":"a"}', b'{"type":"m","at":1,"u":"\\ud800"}',
        b'{"type":"m","at":1,"u":"a","n":' + b"9" * 900_000 + b"}",
        b'{"type":"m","at":1,"u":"a","z":' + b"[" * 400_000 + b"]" * 400_000 + b"}",
    ):  # fmt: skip
        made = decider.decide(raw)
        assert not isinstance(made, Refused) or made.kind != "internal", made
