"""`quell journal verify --decisions`: every decision made again, and a changed one found."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from quell.engine.checkpoint import Data, checkpoint, greatest_version, snapshots
from quell.engine.explain_past import explain_past
from quell.engine.explanation import Explanation
from quell.engine.journal import Journal, read
from quell.engine.redecide import redecide
from quell.engine.remake import RemakeError
from quell.engine.service_types import Entry
from quell.engine.serving import serving
from quell.replay.cli import main
from tests.service_here import unwatched
from tests.test_fill import local
from tests.test_remake import FIRST, SECOND, event


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a service that decided some events by two versions."""
    folder = tmp_path_factory.mktemp("served")
    policies = folder / "policies"
    policies.mkdir()
    (policies / "p.quell").write_text(local(FIRST))

    async def serve() -> None:
        async with serving(policies, folder / "data") as running:
            for number in range(20):
                await running.service.decide(event(number, "a", f"text {number % 4}", number))
            await running.snapshots.make()
            (policies / "p.quell").write_text(local(SECOND))
            assert (await running.reloader.reload("test")).result == "live"
            for number in range(20, 30):
                await running.service.decide(event(number, "a", f"text {number % 4}", number))

    with pytest.MonkeyPatch.context() as patched:
        unwatched(patched)
        asyncio.run(serve())
    return folder / "data"


def rewrite(data: Path, entries: Sequence[Entry]) -> None:
    """Put another journal in the place of the one that is there."""
    shutil.rmtree(data / "journal")
    written = Journal.open(data / "journal")
    for entry in entries:
        written.append(*entry)
    assert written.flush()
    written.close()


def changed(entries: Sequence[Entry], place: int) -> list[Entry]:
    """Entries, with another verdict in one of them."""
    told = entries[place].reply.replace(b'"verdict":"review"', b'"verdict":"allow"')
    return [*entries[:place], entries[place]._replace(reply=told), *entries[place + 1 :]]


def test_every_decision_comes_out_the_same(served: Path) -> None:
    found = redecide(Data(served))
    assert (found.made, found.began, found.differing, found.told) == (30, 0, 0, ())
    done = CliRunner().invoke(main, ["journal", "verify", str(served), "--decisions"])
    assert done.exit_code == 0
    assert "30 decisions made again: every one came out the same" in done.output


def test_a_decision_that_was_changed_is_found(served: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(served, data)
    entries = list(read(data / "journal"))
    place = max(n for n, e in enumerate(entries) if b'"verdict":"review"' in e.reply)
    rewrite(data, changed(entries, place))
    done = CliRunner().invoke(main, ["journal", "verify", str(data), "--decisions"])
    assert done.exit_code == 1
    assert "1 came out otherwise" in done.output
    assert f"numbers {entries[place].decided}" in done.output


def test_an_explanation_of_what_was_decided_otherwise_says_so(served: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(served, data)
    entries = list(read(data / "journal"))
    last = max(n for n, e in enumerate(entries) if e.kind == "event")
    place = max(n for n, e in enumerate(entries[:last]) if b'"verdict":"review"' in e.reply)
    rewrite(data, changed(entries, place))
    said = warnings(data, entries[place].seq)
    assert said == ["made again, the decision came out otherwise than the journal has it"]
    assert warnings(data, entries[last].seq) == ["1 decisions before it came out otherwise, made again"]
    assert warnings(served, entries[place].seq) == []
    rewrite(data, entries[: last - 5])
    shutil.rmtree(data / "snapshots")
    remembered = checkpoint(Data(data)).number
    rewrite(data, entries[last - 2 :])
    assert warnings(data, entries[last].seq) == [
        f"3 numbers after the snapshot of {remembered} are not in the journal",
        "made again, the decision came out otherwise than the journal has it",
    ]


def warnings(data: Path, seq: int) -> list[str]:
    """What the explanation of a decision is in doubt about."""
    explained = explain_past(Data(data), seq)
    assert isinstance(explained, Explanation)
    return explained.warnings


def test_what_is_gone_is_begun_after(served: Path, tmp_path: Path) -> None:
    """Where the journal's beginning was dropped, from the oldest snapshot."""
    data = tmp_path / "data"
    shutil.copytree(served, data)
    entries = list(read(data / "journal"))
    rewrite(data, entries[10:])
    first = min(s.number for s in snapshots(Data(data)))
    found = redecide(Data(data))
    assert (found.began, found.differing) == (first, 0)
    assert found.made == sum(e.kind == "event" and e.decided > first for e in entries)
    shutil.rmtree(data / "snapshots")
    with pytest.raises(RemakeError, match="is gone"):
        redecide(Data(data))


def test_a_journal_alone_does_not_say_what_decided(served: Path, tmp_path: Path) -> None:
    shutil.copytree(served / "journal", tmp_path / "journal")
    done = CliRunner().invoke(main, ["journal", "verify", str(tmp_path / "journal"), "--decisions"])
    assert done.exit_code == 2
    assert "lies in no data folder" in done.output


def test_numbers_of_versions_are_not_given_again(served: Path, tmp_path: Path) -> None:
    """Where the history of versions is lost, the journal still says which numbers were given."""
    data = tmp_path / "data"
    shutil.copytree(served, data)
    (data / "versions" / "history.jsonl").unlink()
    assert greatest_version(Data(data)) == 2
    shutil.rmtree(data / "journal")
    assert greatest_version(Data(data)) == 2
    assert greatest_version(Data(tmp_path)) == 0
