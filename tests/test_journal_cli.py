"""`quell journal`: stats, verify and export, of journals that are whole and that are not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from quell.engine.journal import Journal, read
from quell.engine.journal_pack import pack
from quell.engine.service_types import Entry
from quell.engine.sources import SourceError, open_source
from tests.cli_support import run
from tests.journal_entries import WALL, event, events, put

ACTED = (
    b'{"event":"quell.label","seq":6,"at":1700000000000006,"action":"set","entity":"User","id":"u1",'
    b'"label":"spammer","by":"ana","was":false,"on":true}'
)
HISTORY = [
    Entry("version", 1, 0, 0, 1, WALL, b"", b'{"number":1}'),
    event(2),
    Entry("admitted", 3, 0, WALL + 3, 1, WALL + 3, b'{"n":\n3}', b""),
    event(4),
    Entry("decided", 3, 5, WALL + 3, 1, WALL + 5, b"", b'{"event":"message","seq":3,"verdict":"block"}'),
    Entry("acted", 6, 6, WALL + 6, 1, WALL + 6, b"", ACTED),
    Entry("version", 7, 0, 0, 2, WALL + 7, b"", b'{"number":2}'),
    Entry("admitted", 8, 0, WALL + 8, 2, WALL + 8, b'{"n":8}', b""),
    event(9)._replace(version=2),
]
SECOND = 1_000_000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data folder of a server, with a journal in it."""
    write(tmp_path / "data" / "journal", HISTORY)
    return tmp_path / "data"


def write(folder: Path, entries: list[Entry], segment_bytes: int = 1 << 20) -> None:
    journal = Journal.open(folder, durability="off", packs=False, segment_bytes=segment_bytes)
    for entry in entries:
        assert put(journal, entry)
    journal.close()


def parted(folder: Path, count: int = 30, packed: bool = True) -> list[Path]:
    """A journal of small segments, the first ones packed; gives its files in order."""
    write(folder, events(1, count), 700)
    for path in sorted(folder.glob("*.qj"))[: 3 if packed else 0]:
        pack(path)
    return sorted(p for p in folder.iterdir() if p.name != "lock")


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x40
    path.write_bytes(content)


def asked(*arguments: Any, status: int = 0) -> Any:
    done = run("journal", *arguments, "--json")
    assert done.exit_code == status, done.output
    return json.loads(done.stdout)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# ------------------------------------------------------------------------ stats


def test_stats(data: Path) -> None:
    found = asked("stats", data)
    assert found["kinds"] == {"event": 3, "admitted": 2, "decided": 1, "acted": 1, "version": 2}
    assert (found["entries"], found["first"], found["last"]) == (9, 1, 9)
    assert (found["oldest"], found["newest"]) == (WALL + 2, WALL + 9)
    assert (found["began"], found["ended"]) == (WALL, WALL + 9)
    assert found["versions"] == {"1": 6, "2": 3}
    assert found["bytes"] == sum(p.stat().st_size for p in (data / "journal").glob("*.qj"))
    assert found["per_second"] == SECOND
    shown = run("journal", "stats", data / "journal").stdout
    assert "9 entries in" in shown
    assert "by version of the policies: 1 6, 2 3" in shown


def test_stats_of_packed_segments_are_the_same(tmp_path: Path) -> None:
    parted(tmp_path / "plain", packed=False)
    parted(tmp_path / "packed")
    plain, packed = asked("stats", tmp_path / "plain"), asked("stats", tmp_path / "packed")
    assert packed.pop("packed") == 3
    for name in ("folder", "bytes", "id"):
        del plain[name], packed[name]
    assert plain == packed


def test_stats_of_a_damaged_journal(tmp_path: Path) -> None:
    files = parted(tmp_path)
    flip(files[0], 30)
    flip(files[-1], files[-1].stat().st_size // 2)
    found = asked("stats", tmp_path)
    assert found["unreadable"] == 2
    assert found["entries"] < 30
    assert "2 places cannot be read" in run("journal", "stats", tmp_path).stderr


def test_what_is_no_journal(tmp_path: Path) -> None:
    for command in (["stats"], ["verify"], ["export", "--out", "-"]):
        name, *rest = command
        done = run("journal", name, tmp_path / "none", *rest)
        assert done.exit_code == 3
        assert f"there is no folder `{tmp_path / 'none'}`" in done.stderr
        done = run("journal", name, tmp_path, *rest)
        assert done.exit_code == 3
        assert f"there is no journal in `{tmp_path}`" in done.stderr


# ----------------------------------------------------------------------- verify


def test_a_whole_journal(data: Path, tmp_path: Path) -> None:
    found = asked("verify", data)
    assert (found["entries"], found["first"], found["last"]) == (9, 1, 9)
    assert "wrong" not in found
    parted(tmp_path / "packed")
    assert "wrong" not in asked("verify", tmp_path / "packed")
    done = run("journal", "verify", data)
    assert done.exit_code == 0
    assert done.stdout == "9 entries in 1 segment, numbers 1 to 9: all of it is whole\n"


@pytest.mark.parametrize("where", ["head", "record", "parquet", "footer"])
def test_a_flipped_byte(tmp_path: Path, where: str) -> None:
    files = parted(tmp_path)
    file = files[1] if where in ("parquet", "footer") else files[4]
    at = {"head": 20, "record": 400, "footer": file.stat().st_size - 2}.get(where, 0)
    if where == "parquet":
        chunk = pq.ParquetFile(file).metadata.row_group(0).column(12)
        at = chunk.dictionary_page_offset + chunk.total_compressed_size // 2
    flip(file, at)
    found = asked("verify", tmp_path, status=1)
    assert found["wrong"] >= 1
    (segment,) = [segment for segment in found["segments"] if segment.get("wrong")]
    assert segment["file"] == file.name
    done = run("journal", "verify", tmp_path)
    assert done.exit_code == 1
    assert f"wrong {file.name}: " in done.stdout
    assert f"hint: put {file.name} back from a copy" in done.stdout


def test_a_missing_segment(tmp_path: Path) -> None:
    files = parted(tmp_path)
    files[2].unlink()
    found = asked("verify", tmp_path, status=1)
    assert [s["wrong"] for s in found["segments"] if s.get("wrong")] == [["the segment before it is missing"]]
    files[0].unlink()  # the oldest are dropped for their age
    files[1].unlink()
    assert "wrong" not in asked("verify", tmp_path)


def test_a_renamed_segment_and_one_of_another_journal(tmp_path: Path) -> None:
    files = parted(tmp_path / "one")
    others = parted(tmp_path / "other")
    files[4].write_bytes(others[4].read_bytes())
    told = [w for s in asked("verify", tmp_path / "one", status=1)["segments"] for w in s.get("wrong", ())]
    assert "it belongs to another journal" in told
    files[5].rename(files[5].with_name("000000000000999-00006.qj"))
    told = [w for s in asked("verify", tmp_path / "one", status=1)["segments"] for w in s.get("wrong", ())]
    assert "the name is not that of the segment in it" in told


def test_numbers_out_of_order_and_a_decision_without_its_event(tmp_path: Path) -> None:
    write(tmp_path / "order", [event(1), event(3), event(2)])
    found = asked("verify", tmp_path / "order", status=1)
    assert found["segments"][0]["wrong"] == ["the number 2 stands behind 3"]
    write(tmp_path / "event", [event(1), HISTORY[4]])
    found = asked("verify", tmp_path / "event", status=1)
    assert found["segments"][0]["wrong"] == ["the event 3 of the decision 5 is missing"]


def test_a_torn_tail_is_no_loss(tmp_path: Path) -> None:
    write(tmp_path, events(1, 5))
    (file,) = tmp_path.glob("*.qj")
    os.truncate(file, file.stat().st_size - 10)
    found = asked("verify", tmp_path)
    assert "are no whole entry" in found["notes"][0]
    assert found["entries"] == 4
    journal = Journal.open(tmp_path)
    assert "notes" not in asked("verify", tmp_path)
    journal.close()


def test_a_journal_that_is_written_is_verified(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, durability="off", packs=False, segment_bytes=700)
    for entry in events(1, 30):
        put(journal, entry)
        assert asked("verify", tmp_path)["entries"] == entry.seq
    journal.close()


# ----------------------------------------------------------------------- export


def test_events_come_with_their_decisions(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert asked("export", data, "--out", out) == {"entries": 8, "without_event": 0, "unreadable": []}
    rows = lines(out)
    assert [row["number"] for row in rows] == [1, 2, 4, 5, 6, 7, 9, 8]
    waited = rows[3]
    assert waited == {
        "number": 5,
        "kind": "decided",
        "seq": 3,
        "at": "2023-11-14T22:13:20.000003Z",
        "wall": "2023-11-14T22:13:20.000005Z",
        "version": 1,
        "event": {"n": 3},
        "reply": {"event": "message", "seq": 3, "verdict": "block"},
    }
    assert "reply" not in rows[-1]  # it waits still
    done = run("journal", "export", data, "--out", "-")
    assert done.stdout == out.read_text()
    assert done.stderr == "wrote 8 entries to -\n"


def test_the_same_as_a_table(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    assert run("journal", "export", data, "--out", out).exit_code == 0
    rows = pq.read_table(out).to_pylist()
    assert [row["number"] for row in rows] == [1, 2, 4, 5, 6, 7, 9, 8]
    assert (rows[3]["event"], rows[3]["verdict"]) == ('{"n":\n3}', "block")


def test_events_alone_are_a_history(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = run("journal", "export", data, "--out", out, "--events-only")
    assert done.stderr == f"wrote 6 events to {out}\n"
    rows = lines(out)
    assert [row.get("n") for row in rows] == [2, 3, 4, None, 8, 9]
    assert rows[3] == {
        "type": "quell.label",
        "at": WALL + 6,
        "entity": "User",
        "id": "u1",
        "label": "spammer",
        "action": "set",
        "by": "ana",
    }


@pytest.mark.parametrize(
    ("bounds", "numbers"),
    [
        (("--from", "4"), [4, 6, 7, 9, 8]),
        (("--from", "4", "--until", "7"), [4, 6]),
        (("--until", "6"), [1, 2, 4, 5]),
        (("--from", "2023-11-14T22:13:20.000003Z", "--until", "2023-11-14T22:13:20.000006Z"), [4, 5]),
        (("--until", "2023-11-14"), []),
    ],
)
def test_a_part_is_taken(data: Path, tmp_path: Path, bounds: tuple[str, ...], numbers: list[int]) -> None:
    out = tmp_path / "out.jsonl"
    assert run("journal", "export", data, "--out", out, *bounds).exit_code == 0
    assert [row["number"] for row in lines(out)] == numbers


def test_a_decision_whose_event_stands_before_is_told(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert asked("export", data, "--out", out, "--from", "4")["without_event"] == 1
    done = run("journal", "export", data, "--out", out, "--from", "4")
    assert "left out 1 decision of events that stand before --from" in done.stderr


def test_what_cannot_be_read_is_told_and_the_rest_taken(tmp_path: Path) -> None:
    files = parted(tmp_path)
    flip(files[4], 400)
    out = tmp_path.parent / "out.jsonl"
    done = run("journal", "export", tmp_path, "--out", out)
    assert done.exit_code == 1
    assert "what stands there is not what was written" in done.stderr
    assert len(lines(out)) == 29


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--out", "x.txt"), "does not say what to write"),
        (("--out", "x.parquet", "--events-only"), "events alone are written as JSON lines"),
        (("--out", "-", "--from", "soon"), "is neither the number of an entry nor a time"),
    ],
)
def test_wrong_arguments(data: Path, arguments: tuple[str, ...], told: str) -> None:
    done = run("journal", "export", data, *arguments)
    assert done.exit_code == 2
    assert told in done.stderr


def test_what_reads_files_alone_says_how_to_get_one(data: Path) -> None:
    with pytest.raises(SourceError) as refused, open_source(data):
        pass
    assert f"`{data}` holds a journal: {data / 'journal'}" in refused.value.message
    assert "`quell journal export --events-only`" in refused.value.hint


def test_the_journal_is_not_overwritten(data: Path) -> None:
    link = data / "link.jsonl"
    (file,) = (data / "journal").glob("*.qj")
    link.symlink_to(file)
    done = run("journal", "export", data, "--out", link)
    assert done.exit_code == 2
    assert len(list(read(data / "journal"))) == 9
