"""The starter bundle's model: what its card says it was made of, and that it can be made again."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quell.engine.bundle import read_bundle
from quell.engine.compile import analyse
from quell.grammar.diagnostics import Report
from quell.replay.cli_demo import SEED
from quell.replay.demo import bare
from quell.replay.simulate import simulate
from tests.cli_support import run

OTHER_SEED = 11
"""The day it was made from, which is not the one that the demonstration shows."""


@pytest.fixture(scope="module")
def card(root: Path) -> Any:
    return json.loads((root / "policies/models/spam.card.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def command(root: Path) -> list[str]:
    """The command that the bundle's README gives, without the making of the day."""
    (line,) = [
        line
        for line in (root / "policies/README.md").read_text(encoding="utf-8").splitlines()
        if "quell train policies" in line
    ]
    demo, train = line.strip().split(" && ")
    assert demo == f"quell demo --seed {OTHER_SEED} --keep day"
    return shlex.split(train)


def test_it_is_small_and_has_the_inputs_of_its_card(root: Path, card: Any) -> None:
    file = root / "policies/models/spam.lgb"
    assert file.stat().st_size < 200_000
    analysis = analyse(read_bundle(root / "policies", Report()), lints=False)
    assert not analysis.report.errors
    model = analysis.models["spam"]
    assert model.probability
    assert sorted(f.name for f in model.features) == sorted(f["name"] for f in card["features"])
    assert card["warnings"] == []
    assert OTHER_SEED != SEED


def day() -> Iterator[tuple[bytes, bytes]]:
    """The lines of the day's events and of their truth, as `quell demo --keep` writes them."""
    encode = msgspec.json.Encoder().encode
    for event in simulate(OTHER_SEED):
        yield encode(bare(event)) + b"\n", encode(event["truth"]) + b"\n"


@pytest.mark.slow
def test_made_again_it_is_as_good(root: Path, card: Any, command: list[str], tmp_path: Path) -> None:
    """The documented command, on the day that the card names by its digest. Another processor may add up in
    another way, so that a split falls elsewhere: the measures must agree, not the bytes."""
    (tmp_path / "day").mkdir()
    digests = hashlib.sha256(), hashlib.sha256()
    with (
        (tmp_path / "day/events.jsonl").open("wb") as events,
        (tmp_path / "day/truth.jsonl").open("wb") as truths,
    ):
        for event, truth in day():
            digests[0].update(event)
            digests[1].update(truth)
            events.write(event)
            truths.write(truth)
    assert [d["sha256"] for d in card["data"]] == [d.hexdigest() for d in digests]
    shutil.copytree(root / "policies", tmp_path / "policies")
    placed = [str(tmp_path / a) if a == "policies" or a.startswith("day/") else a for a in command[1:]]
    done = run(*placed, "--json")
    assert done.exit_code == 0, done.output
    again = json.loads(done.stdout)
    for part in ("label", "events", "split"):
        assert again[part] == card[part]
    assert again["test"]["auc"] == pytest.approx(card["test"]["auc"], abs=0.003)
    assert again["test"]["log_loss"] == pytest.approx(card["test"]["log_loss"], abs=0.003)
    assert again["training"]["parameters"] == card["training"]["parameters"]
    made = (tmp_path / "policies/models/spam.lgb").read_bytes()
    told = "the same" if made == (root / "policies/models/spam.lgb").read_bytes() else "another"
    print(f"starter model, made again: {told} to the byte")
