"""An engine as a service loads it: who answers remote models, late answers, what is held, a full memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quell.engine.asking import SetupError
from quell.engine.compile import analyse
from quell.engine.decision import Decision, Refused
from quell.engine.engine import MOST_ECHOES, Engine
from quell.engine.stepper import Stepper
from quell.grammar.diagnostics import PolicyError, Report
from tests.test_engine import START, decided, run

POLICY = """
entity User

event message from "message"
  id       text = $.id
  at       time = $.at
  author   User = $.author
  content  text = $.content

event answer from "scam_answer"
  id      text = $.id
  at      time = $.at
  about   text = $.inputs.content
  author  User = $.inputs.author
  likely  number = $.answer.score

model scam from remote "classifier"
  content = content
  author  = author
  when length(content) > 1
  wait 20ms

rule slow on message
  when scam > 0.5
  then block

rule later on answer
  when likely > 0.5 and count(message by author within 1h) >= 1
  then block
"""
PATIENT = POLICY.replace("wait 20ms", "wait 60s")
"""The same, but nobody who answers is too late, however slow the machine."""
SETTINGS = '[remote.classifier]\ncallable = true\nlate = "scam_answer"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p.quell").write_text(POLICY, encoding="utf-8")
    (tmp_path / "quell.toml").write_text(SETTINGS, encoding="utf-8")
    return tmp_path


def message(i: int = 1, content: str = "hello", author: str = "u") -> bytes:
    text = {"type": "message", "id": str(i), "at": START + i, "author": author, "content": content}
    return json.dumps(text).encode()


def sure(inputs: list[dict[str, Any]]) -> list[float]:
    """Answers at once."""
    return [0.9 for _ in inputs]


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.002)


def test_a_function_of_the_service_answers(folder: Path) -> None:
    (folder / "p.quell").write_text(PATIENT, encoding="utf-8")

    async def work() -> None:
        async with Engine.load(folder, functions={"classifier": sure}) as engine:
            decision = decided(await engine.decide(message()))
            assert decision.verdict == "block"
            assert [(a.model, a.status, a.value) for a in decision.asked] == [("scam", "answered", 0.9)]
            assert engine.figures().remote["classifier"].answered == 1
            assert engine.version == engine.stepper.version

    run(work)


def test_a_late_answer_enters_history_as_an_event_of_its_own(folder: Path) -> None:
    async def work() -> None:
        seen: list[object] = []
        given_up = asyncio.Event()

        async def late(inputs: list[dict[str, Any]]) -> list[float]:
            await given_up.wait()
            return sure(inputs)

        async with Engine.load(folder, functions={"classifier": late}, on_decision=seen.append) as engine:
            decision = decided(await engine.decide(message()))
            assert decision.verdict == "allow"
            assert [a.status for a in decision.asked] == ["late"]
            given_up.set()
            await until(lambda: len(seen) == 2)
        assert isinstance(seen[1], Decision)
        assert (seen[1].event, seen[1].id, seen[1].at) == ("answer", "1/scam", START + 1)
        assert [f.rule for f in seen[1].fired] == ["later"]

    run(work)


def test_a_late_answer_is_dropped_where_no_event_is_named(folder: Path) -> None:
    (folder / "quell.toml").write_text("[remote.classifier]\ncallable = true\n", encoding="utf-8")

    async def work() -> None:
        seen: list[object] = []
        given_up = asyncio.Event()

        async def late(inputs: list[dict[str, Any]]) -> list[float]:
            await given_up.wait()
            return sure(inputs)

        async with Engine.load(folder, functions={"classifier": late}, on_decision=seen.append) as engine:
            await engine.decide(message())
            given_up.set()
            await until(lambda: not engine.figures().remote["classifier"].in_flight)
        assert len(seen) == 1

    run(work)


def test_whoever_changes_a_decision_changes_no_answer_in_the_cache(folder: Path) -> None:
    text = PATIENT.replace(
        "  when length(content) > 1\n", "  gives words list<text>\n  when length(content) > 1\n"
    )
    (folder / "p.quell").write_text(text.replace("scam > 0.5", '"bad" in scam.words'), encoding="utf-8")
    (folder / "quell.toml").write_text(SETTINGS + 'cache = "1h"\n', encoding="utf-8")

    def words(inputs: list[dict[str, Any]]) -> list[Any]:
        return [{"words": ["bad"]} for _ in inputs]

    async def work() -> None:
        async with Engine.load(folder, functions={"classifier": words}) as engine:
            for status in ("answered", "cached"):
                made = decided(await engine.decide(message()))
                assert [(a.status, a.value) for a in made.asked] == [(status, {"words": ["bad"]})]
                assert made.verdict == "block"
                made.asked[0].value["words"].clear()
                made.asked[0].value.clear()

    run(work)


def test_late_answers_do_not_ask_for_themselves_for_ever(folder: Path) -> None:
    policy = POLICY.replace("about   text = $.inputs", "content text = $.inputs")
    rule = "rule again on answer\n  when scam > 0.5\n  then block\n"
    (folder / "p.quell").write_text(policy + rule, encoding="utf-8")
    asked = 0

    async def late(inputs: list[dict[str, Any]]) -> list[float]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.03)  # longer than is waited for it, by the same clock
        return sure(inputs)

    async def work() -> None:
        seen: list[object] = []
        async with Engine.load(folder, functions={"classifier": late}, on_decision=seen.append) as engine:
            await engine.decide(message())
            await until(lambda: asked == 1 + MOST_ECHOES)
            await until(lambda: not engine.figures().remote["classifier"].in_flight)
            await asyncio.sleep(0.1)  # for one more, if there were one
        assert len(seen) == asked == 1 + MOST_ECHOES

    run(work)


def test_what_is_registered_amiss_is_told_at_the_start(folder: Path) -> None:
    told = "classifier: no function is registered under this name, only under `clasifier`"
    with pytest.raises(SetupError, match=told):
        Engine.load(folder, functions={"clasifier": len})
    with pytest.raises(SetupError, match="classifier: what is registered under this name is no function"):
        Engine.load(folder, functions={"classifier": "classify"})  # type: ignore[dict-item]


def test_who_cannot_answer_is_told_at_the_start(folder: Path) -> None:
    with pytest.raises(SetupError, match="classifier: no function is registered under this name"):
        Engine.load(folder)
    (folder / "quell.toml").write_text("", encoding="utf-8")
    with pytest.raises(SetupError, match=r"classifier: quell.toml has no \[remote.classifier\]"):
        Engine.load(folder)
    (folder / "quell.toml").write_text(
        '[remote.classifier]\nurl = "http://127.0.0.1:1/"\nheaders = { Authorization = "env:NO_SUCH" }\n',
        encoding="utf-8",
    )
    with pytest.raises(SetupError, match="NO_SUCH"):
        Engine.load(folder, environ={})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("late = 3", "has a `late` that is no type of event"),
        ('late = "quell.label"', "has a `late` that is no type of event"),
    ],
)
def test_wrong_settings_of_late_answers_are_told(folder: Path, line: str, said: str) -> None:
    (folder / "quell.toml").write_text(f"[remote.classifier]\ncallable = true\n{line}\n", encoding="utf-8")
    with pytest.raises(PolicyError, match=said):
        Engine.load(folder)


@pytest.mark.parametrize("value", ["0", "-3", "1.5", '"many"', "true"])
def test_a_cap_that_is_none_is_told(folder: Path, value: str) -> None:
    (folder / "quell.toml").write_text(f"[counters]\nmax_keys = {value}\n", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"`max_keys` in .* must be a whole number"):
        Engine.load(folder)


@pytest.mark.parametrize("value", ["0s", "-1h", "367d", "99999999d", "soon"])
def test_a_lateness_that_is_none_is_told(folder: Path, value: str) -> None:
    (folder / "quell.toml").write_text(f'[events]\nlateness = "{value}"\n', encoding="utf-8")
    with pytest.raises(PolicyError, match=r"`lateness` in .* must be a duration"):
        Engine.load(folder)


def test_the_linter_tells_of_models_and_targets_that_do_not_meet(folder: Path) -> None:
    from quell.engine.bundle import read_bundle

    (folder / "quell.toml").write_text("[remote.clasifier]\ncallable = true\n", encoding="utf-8")
    report = Report()
    found = analyse(read_bundle(folder, report), report).diagnostics
    told = [d.message for d in found if d.code == "no-target"]
    assert sorted(told) == [
        "no model is from remote `clasifier`, which quell.toml configures",
        "quell.toml does not say who answers `scam`: it has no [remote.classifier]",
    ]


CAPPED = """
entity User labels "busy"

event message from "message"
  id       text = $.id
  at       time = $.at
  author   User = $.author
  content  text = $.content

rule busy on message
  when count(message by author within 1h) >= 2
  then label author "busy"
       flag limit 1 per author every 1h
"""


def test_figures_tell_what_is_held(tmp_path: Path) -> None:
    (tmp_path / "p.quell").write_text(CAPPED, encoding="utf-8")
    stepper = Stepper.load(tmp_path)
    for i in range(30):
        stepper.decide(message(i, author=f"u{i % 10}"))
    figures = stepper.figures()
    (counter,) = figures.counters
    assert (counter.counter, counter.back) == ("count(message by author)", "1h")
    assert (counter.keys, counter.entries) == (10, 30)
    assert 500 < counter.bytes < 20_000
    assert [(f.entity, f.label, f.keys) for f in figures.labels] == [("User", "busy", 10)]
    assert [f.keys for f in figures.limits] == [10]
    assert figures.seq == 30
    assert figures.bytes >= counter.bytes
    assert figures.keys_left == 5_000_000 - 10


def test_a_full_memory_makes_what_it_cannot_tell_missing_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "p.quell").write_text(CAPPED, encoding="utf-8")
    (tmp_path / "quell.toml").write_text("[counters]\nmax_keys = 3\n", encoding="utf-8")
    stepper = Stepper.load(tmp_path)
    for author in "abc":
        assert decided(stepper.decide(message(1, author=author))).full == ()
    told = [decided(stepper.decide(message(2, author=author))) for author in "da"]
    assert [(d.verdict, d.full) for d in told] == [
        ("allow", ("count(message by author)",)),  # nothing is known of `d`
        ("flag", ()),  # `a` was held all along
    ]
    again = decided(stepper.decide(message(3, author="d")))
    assert (again.verdict, again.full) == ("allow", ("count(message by author)",))
    assert not isinstance(again, Refused)
