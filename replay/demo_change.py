"""The end of the demonstration: a change to the starter bundle, backtested on the day that was just decided.

The change asks less certainty of the model before a person looks. What it buys and what it costs is found
out as an analyst would: both versions replay the same events, and the truth is their labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from quell.engine.cli_files import read_text, write_text
from quell.engine.compile import Build
from quell.engine.decision import Reply
from quell.replay.backtest_report import Asked
from quell.replay.compare_run import Pair, compared, histories
from quell.replay.database import Database
from quell.replay.demo import Sink
from quell.replay.report_data import Backtest, Comparison, Quality
from quell.replay.run import Tell

FILE, RULE = "model.quell", "model_and_signs"
BEFORE, AFTER = "spam >= 95%", "spam >= 80%"
"""The change: in a file of the starter bundle, in the condition of a rule, one text becomes another."""
EVENTS, TRUTH = "events.jsonl", "truth.jsonl"
POLICIES, CHANGED = "policies", "changed"
POSITIVE = "label=abuse"
_LARGEST = 1_000_000
"""Bytes of a policy file."""


@contextmanager
def beginning(folder: Path, most: int) -> Iterator[Sink]:
    """Takes the day as it is decided, and writes its first `most` events and their truth into files."""
    encode, left = msgspec.json.Encoder().encode, most
    with (folder / EVENTS).open("wb") as events, (folder / TRUTH).open("wb") as truths:

        def write(line: bytes, truth: dict[str, str], answer: Reply) -> None:
            nonlocal left
            if left:
                left -= 1
                events.write(line + b"\n")
                truths.write(encode(truth) + b"\n")

        yield write


def make_change(policies: Path) -> None:
    """Put the change into a copy of the starter bundle."""
    path = policies / FILE
    write_text(path, read_text(path, _LARGEST).replace(BEFORE, AFTER))


def backtest_change(
    before: Build, after: Build, folder: Path, name: str, db: Database, tell: Tell
) -> Comparison:
    """Replay both bundles on what `beginning` wrote into `folder`. The report names files and policies as if
    they lay in the folder `name`, where `quell demo --keep` puts them. Raises SourceError."""
    asked = Asked(
        explained=False, policies=f"{name}/{CHANGED}", labels=str(folder / TRUTH), positive=(POSITIVE,)
    )
    other = f"{name}/{POLICIES}"
    pair = Pair.of(before, after, asked, other)
    read = histories(db, pair, [folder / EVENTS], tell)
    made = compared(pair, *read, against=other, tell=tell).comparison
    there, here = (msgspec.json.encode(text)[1:-1] for text in (str(folder), name))
    return msgspec.json.decode(msgspec.json.encode(made).replace(there, here), type=Comparison)


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """What the change comes to: events newly acted on and no longer, and how well both versions act. `until`
    is the time of the last event, ISO 8601."""

    events: int
    until: str
    newly: int
    no_longer: int
    before: Quality
    after: Quality


def change_result(made: Comparison, positive: Sequence[str]) -> ChangeResult:
    """The main figures of a comparison with labels; `positive` are the verdicts that act, mildest first."""
    turned = [(f.before in positive, f.after in positive, f.count) for f in made.flows]
    return ChangeResult(
        made.events,
        made.after.source.last or "",
        sum(n for was, now, n in turned if now and not was),
        sum(n for was, now, n in turned if was and not now),
        _quality(made.before, positive[0]),
        _quality(made.after, positive[0]),
    )


def _quality(report: Backtest, verdict: str) -> Quality:
    found = next(row.quality for row in report.verdicts if row.verdict == verdict)
    assert found is not None  # there are labels
    return found


def command_words(name: str, events: int) -> list[str]:
    """The command that compares both versions on the same events of a day kept in the folder `name`."""
    return [
        "quell", "replay", f"{name}/{CHANGED}", "--against", f"{name}/{POLICIES}",
        "--events", f"{name}/{EVENTS}", "--limit", str(events),
        "--labels", f"{name}/{TRUTH}", "--positive", POSITIVE,
    ]  # fmt: skip
