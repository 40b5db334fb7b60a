"""The long run of the replay's parity: what it draws, and what it says of a difference."""

from __future__ import annotations

import pytest

from tests.replay_parity_long import FOCI, Example, hunt, main


def test_a_seed_draws_the_same_again(capsys: pytest.CaptureFixture[str]) -> None:
    drawn: list[list[str]] = []
    for seed in (3, 3, 4):
        examples: list[Example] = []

        def note(example: Example, examples: list[Example] = examples) -> list[str]:
            examples.append(example)
            return []

        assert hunt(0, seed, note) == 0
        assert {(e.focus, e.probed) for e in examples} == {(f, p) for f in FOCI for p in (True, False)}
        drawn.append([str(e) for e in examples])
    assert drawn[0] == drawn[1] != drawn[2]
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "seed 3"
    assert out[1].startswith(f"{len(drawn[0])} examples, no difference")


def test_a_difference_is_printed_with_its_bundle_and_seed(capsys: pytest.CaptureFixture[str]) -> None:
    def judge(example: Example) -> list[str]:
        return ["event 2 differs"] if len(example.case.events) > 1 else []

    assert hunt(0, 9, judge) == 1
    out = capsys.readouterr().out
    assert out.startswith("seed 9\n")
    assert "drawn with --seed 9" in out
    assert "\nevent " in out
    assert "\n--- events\n   1 {" in out
    assert out.endswith("--- differences\nevent 2 differs\n")


def test_what_raises_is_a_difference(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*given: object) -> list[str]:
        raise RuntimeError("a defect")

    monkeypatch.setattr("tests.replay_parity_long.replayed", broken)
    assert main(["0", "--seed", "1"]) == 1
    assert capsys.readouterr().out.endswith("RuntimeError: a defect\n\n")
