"""Files of events: what is read from them, what is refused, what they say when they cannot be read."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.engine.event_pick import MAX_DEPTH
from quell.engine.events import Decoded, Decoder, Refusal
from quell.engine.hand import HandAction
from quell.engine.schema import EventSchema, Field
from quell.engine.source_base import Payload
from quell.engine.source_columns import python_values
from quell.engine.source_tables import Row
from quell.engine.sources import SourceError, decoded, open_source, read
from quell.grammar import types as t

SCHEMA = EventSchema(
    "message",
    "message",
    (),
    (
        Field("id", t.entity("Message"), ("id",)),
        Field("at", t.TIME, ("at",)),
        Field("author", t.entity("User"), ("author", "id")),
        Field("joined", t.TIME.maybe(), ("author", "joined")),
        Field("size", t.NUMBER.maybe(), ("size",)),
        Field("bot", t.BOOL.maybe(), ("bot",)),
        Field("wait", t.DURATION.maybe(), ("wait",)),
        Field("ip", t.IP.maybe(), ("ip",)),
        Field("mentions", t.list_of(t.entity("User")).maybe(), ("mentions", None, "id")),
        Field("tags", t.list_of(t.TEXT).maybe(), ("tags",)),
        Field("text", t.TEXT, ("text",), default="", has_default=True),
    ),
    "at",
)
DECODER = Decoder([SCHEMA], {"message": {f.name for f in SCHEMA.fields}})
NOON = 1_714_564_800_000_000
EVENT = {"type": "message", "id": 2**63 + 1, "at": "2024-05-01T12:00:00Z", "author": {"id": 7}}
LINE = json.dumps(EVENT).encode()
LINES = b"".join(json.dumps({**EVENT, "n": n * 7919 % 10007}).encode() + b"\n" for n in range(60_000))
NUMBERS = b"".join(b"%d,%d\n" % (n, n * 7919 % 10007) for n in range(90_000))


def values(got: Decoded | HandAction | Refusal, decoder: Decoder = DECODER) -> dict[str, Any]:
    """The values of an event that are present."""
    assert isinstance(got, Decoded), str(got)
    found = {}
    for f in SCHEMA.fields:
        code = decoder.loader("message", f.name)
        found[f.name] = eval(code.source, {**code.helpers, "e": got.e, "at": got.at})
    return {name: value for name, value in found.items() if value is not None}


def payloads(path: Path | str, **how: Any) -> list[Payload]:
    return [payload for _, payload in read(path, **how)]


def kinds(path: Path | str, **how: Any) -> list[str]:
    """For each record its event's name or the refusal's slug."""
    with open_source(path, columns=DECODER.columns(), **how) as source:
        found = [got for _, got in decoded(source, DECODER)]
        return [
            got.event if isinstance(got, Decoded) else got.kind if isinstance(got, Refusal) else got.action
            for got in found
        ]


def trouble(path: Path | str, **how: Any) -> str:
    with pytest.raises(SourceError) as caught:
        payloads(path, **how)
    said = str(caught.value)
    assert "\n" not in said
    assert said[0] in "`abcdefghijklmnopqrstuvwxyzP"
    assert not said.endswith(".")
    return said


def write(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


# -- JSON -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ending", [".jsonl", ".ndjson", ".json", ".JSONL", ".jsonl.gz", ".json.gz", ".jsonl.zst"]
)
def test_json_lines(tmp_path: Path, ending: str) -> None:
    data = b"\xef\xbb\xbf" + LINE + b"\r\n\n  \n" + LINE + b"\n{\n" + LINE
    if ending.endswith(".gz"):
        data = gzip.compress(data[:40]) + gzip.compress(data[40:])
    if ending.endswith(".zst"):
        data = pa.compress(data, codec="zstd", asbytes=True)
    path = write(tmp_path / ("events" + ending), data)
    assert [place for place, _ in read(path)] == [f"events{ending}:{n}" for n in (1, 4, 5, 6)]
    assert payloads(path) == [LINE, LINE, b"{", LINE]
    assert kinds(path) == ["message", "message", "not-json", "message"]


def test_ids_beyond_doubles_stay_exact(tmp_path: Path) -> None:
    path = write(tmp_path / "events.jsonl", LINE)
    with open_source(path) as source:
        [(_, got)] = decoded(source, DECODER)
    assert values(got) == {"id": str(2**63 + 1), "at": NOON, "author": "7", "text": ""}


def test_a_line_too_long_is_refused_and_the_next_one_follows(tmp_path: Path) -> None:
    path = write(
        tmp_path / "events.jsonl", LINE + b"\n" + b"x" * 5_000_000 + b"\n" + LINE + b"\n" + b"y" * 2000
    )
    first, long, last, end = payloads(path, max_bytes=1000)
    assert first == last == LINE
    assert str(long) == "the event has 5,000,001 bytes, and 1,000 are the most"
    assert isinstance(end, Refusal)
    exact = write(tmp_path / "exact.jsonl", b"x" * 1000 + b"\r\n" + b"x" * 1001 + b"\n" + b"x" * 1000)
    assert [getattr(p, "kind", None) for p in payloads(exact, max_bytes=1000)] == [None, None, None]
    assert [isinstance(p, bytes) for p in payloads(exact, max_bytes=900)] == [False, False, False]


def test_one_list_of_events(tmp_path: Path) -> None:
    path = write(tmp_path / "events.json", json.dumps([EVENT, 5, EVENT], indent=2))
    assert kinds(path) == ["message", "not-object", "message"]
    assert [place for place, _ in read(path)] == ["events.json[0]", "events.json[1]", "events.json[2]"]
    with open_source(path) as source:
        assert (source.total, source.unit, source.position) == (3, "rows", 0)
        list(source)
        assert source.position == 3
    assert kinds(write(tmp_path / "one.json", json.dumps(EVENT, indent=2))) == ["message"]
    assert kinds(write(tmp_path / "line.json", LINE)) == ["message"]
    assert kinds(write(tmp_path / "none.json", "")) == []
    assert kinds(write(tmp_path / "empty.json", "[]")) == []


def test_a_json_file_whose_first_line_is_broken_is_still_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "events.json", b'{"a": \n' + LINE + b"\n" + LINE)
    assert kinds(path) == ["not-json", "message", "message"]
    path = write(tmp_path / "lists.json", b"[1]\n" + LINE)
    assert kinds(path) == ["not-object", "message"]


def test_a_broken_list_says_so(tmp_path: Path) -> None:
    assert trouble(write(tmp_path / "events.json", b"[\n" + LINE + b",\n")) == (
        "`events.json` begins as a JSON list and is none: it ends too early"
        " (write one event per line and name the file .jsonl)"
    )
    deep = b'[\n{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}]"
    assert "too deep" in trouble(write(tmp_path / "deep.json", deep))
    nested = write(tmp_path / "deep.jsonl", b"[" * 200_000 + b"\n" + LINE)
    assert kinds(nested) == ["too-deep", "message"]


def test_a_list_too_large_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quell.engine.source_lines.MAX_WHOLE", 1 << 20)
    data = json.dumps([EVENT] * 20_000, indent=1)
    assert trouble(write(tmp_path / "events.json", data)) == (
        "`events.json` is one JSON list of more than 1 MiB"
        " (turn it into JSON lines: jq -c '.[]' FILE > FILE.jsonl)"
    )
    lines = write(tmp_path / "lines.json", b"{\n" + (LINE + b"\n") * 20_000)
    assert kinds(lines)[:2] == ["not-json", "message"]
    assert len(kinds(lines)) == 20_001


@pytest.mark.parametrize("data", [LINE + b"\n" + LINE, gzip.compress(LINE + b"\n" + LINE)])
def test_standard_input(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    stream = io.TextIOWrapper(io.BytesIO(data))
    monkeypatch.setattr(sys, "stdin", stream)
    assert list(read("-")) == [("standard input:1", LINE), ("standard input:2", LINE)]
    assert not stream.buffer.closed
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"type,id\nmessage,1\n")))
    assert payloads("-", format="csv") == [{"type": "message", "id": "1"}]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"PAR1")))
    assert "Parquet cannot be read from standard input" in trouble("-", format="parquet")


def test_a_stream_is_read_as_it_comes(tmp_path: Path) -> None:
    class Slow(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            self.given += 1
            assert self.given <= 3, "read further than was asked for"
            buffer[: len(LINE) + 1] = LINE + b"\n"
            return len(LINE) + 1

    from quell.engine.source_lines import JsonLines
    from quell.engine.source_streams import unpack

    source = iter(JsonLines(unpack(io.BufferedReader(Slow()), "slow", owned=True), 1000))
    assert [next(source), next(source)] == [(1, LINE), (2, LINE)]


def test_position_tells_how_far_reading_has_come(tmp_path: Path) -> None:
    for name, data in (
        ("a.jsonl", LINES),
        ("a.jsonl.gz", gzip.compress(LINES, 0)),
        ("a.csv", b"a,b\n" + NUMBERS),
    ):
        with open_source(write(tmp_path / name, data)) as source:
            assert (source.total, source.unit) == (len(data), "bytes")
            seen = [source.position for _ in source]
            assert seen == sorted(seen)
            assert 0 < seen[0] < len(data)
            assert source.position == len(data)


# -- what cannot be read ----------------------------------------------------------------------------


def test_what_is_no_file(tmp_path: Path) -> None:
    write(tmp_path / "events.jsonl", LINE)
    assert trouble(tmp_path / "event.jsonl").endswith(f"(did you mean `{tmp_path / 'events.jsonl'}`?)")
    assert trouble(tmp_path / "nothing.parquet") == f"there is no file `{tmp_path / 'nothing.parquet'}`"
    assert trouble(tmp_path) == (
        f"`{tmp_path}` is a folder (name a file in it, such as `{tmp_path / 'events.jsonl'}`)"
    )
    (tmp_path / "folder.parquet").mkdir()
    assert "is a folder" in trouble(tmp_path / "folder.parquet")
    assert trouble(tmp_path / "none" / "events.csv").startswith("there is no file")
    assert "cannot be read: file name too long" in trouble("a" * 5000 + ".jsonl")
    assert "`a?b.jsonl`" in trouble("a\0b.jsonl")


def test_what_is_no_file_of_events(tmp_path: Path) -> None:
    assert trouble(write(tmp_path / "events.txt", LINE)) == (
        "`events.txt` does not say what it holds"
        " (name it with one of .jsonl .ndjson .json .csv .tsv .parquet .pq, or say its format with --format)"
    )
    assert payloads(tmp_path / "events.txt", format="json lines") == [LINE]
    assert "does not say" in trouble(write(tmp_path / "events", LINE))
    assert "does not say" in trouble(write(tmp_path / "events.gz", LINE))
    assert trouble(write(tmp_path / "a.jsonl", b"\x7fELF\0\0\0")) == (
        "`a.jsonl` is not text (events are read from JSON lines, CSV and Parquet)"
    )
    wide = write(tmp_path / "b.csv", "a,b\n".encode("utf-16"))
    assert trouble(wide) == "`b.csv` is UTF-16 text (save it as UTF-8)"
    assert "holds Parquet" in trouble(write(tmp_path / "c.jsonl", b"PAR1xxxx"))
    assert trouble(write(tmp_path / "d.parquet", LINE)) == (
        "`d.parquet` is not Parquet (give it the ending of what it is, such as .jsonl or .csv)"
    )


def test_packed_files_that_break_off(tmp_path: Path) -> None:
    for name, data in (
        ("a.jsonl.gz", gzip.compress(LINES)),
        ("a.jsonl.zst", pa.compress(LINES, codec="zstd", asbytes=True)),
        ("a.csv.gz", gzip.compress(b"a,b\n" + NUMBERS)),
    ):
        with open_source(write(tmp_path / name, data[: len(data) // 2])) as source:
            found: list[tuple[int, Payload]] = []
            with pytest.raises(SourceError, match=r"ends too early, after line \d+"):
                found.extend(source)
        assert len(found) > 1000
    middle = bytearray(gzip.compress(LINES))
    middle[len(middle) // 2 : len(middle) // 2 + 100] = b"\xff" * 100
    assert "`b.jsonl.gz` is damaged" in trouble(write(tmp_path / "b.jsonl.gz", bytes(middle)))
    assert "is damaged" in trouble(write(tmp_path / "c.jsonl.gz", b"\x1f\x8b" + b"x" * 100))


# -- CSV --------------------------------------------------------------------------------------------

HEADER = "type,id,at,author.id,author.joined,size,bot,wait,ip,mentions,tags,text,unused\n"


def test_csv(tmp_path: Path) -> None:
    rows = (
        "message,9223372036854775809,2024-05-01T12:00:00Z,u1,1714564800,1.5,TRUE,1h30m, ::1 ,"
        '"[{""id"": 1}, {""id"": ""u2""}]","[""a"", 3]","say ""hi"",\nthere",x\n'
        "message,2,1714564800,0,,,,,,,,,\n"
        "message,3,2024-05-01,u3,,-1e3,0,90,,null,,007,\n"
    )
    path = write(tmp_path / "events.csv", "\ufeff" + HEADER + "\n" + rows)
    with open_source(path, columns=DECODER.columns()) as source:
        numbered = list(decoded(source, DECODER))
    assert [number for number, _ in numbered] == [3, 5, 6]
    assert [values(got) for _, got in numbered] == [
        {
            "id": "9223372036854775809",
            "at": NOON,
            "author": "u1",
            "joined": NOON,
            "size": 1.5,
            "bot": True,
            "wait": 5_400_000_000,
            "ip": "::1",
            "mentions": ["1", "u2"],
            "tags": ["a", "3"],
            "text": 'say "hi",\nthere',
        },
        {"id": "2", "at": NOON, "author": "0", "text": ""},
        {
            "id": "3",
            "at": NOON - 43_200_000_000,
            "author": "u3",
            "size": -1000.0,
            "bot": False,
            "wait": 90_000_000,
            "text": "007",
        },
    ]
    assert all(isinstance(got, Decoded) and got.problems == () for _, got in numbered)
    row = payloads(path, columns={"author", "size"})[0]
    assert row == Row({"author": {"id": "u1", "joined": "1714564800"}, "size": "1.5"})


def test_csv_cells_of_the_wrong_kind(tmp_path: Path) -> None:
    rows = 'message,1,2024-05-01T12:00:00Z,u1,soon,many,yes,a while,localhost,[1,"{",,\n'.replace(
        "[1", '"[1"'
    )
    path = write(tmp_path / "events.csv", HEADER + rows + "message,1,soon,u1,,,,,,,,,\n")
    with open_source(path, columns=DECODER.columns()) as source:
        first, second = [got for _, got in decoded(source, DECODER)]
    assert isinstance(first, Decoded)
    assert [(p.field, p.kind) for p in first.problems] == [
        ("joined", "bad-time"),
        ("size", "wrong-type"),
        ("bot", "wrong-type"),
        ("wait", "bad-duration"),
        ("ip", "bad-ip"),
        ("mentions", "wrong-type"),
        ("tags", "wrong-type"),
    ]
    assert first.problems[5].message == '`mentions` at `$.mentions`: expected a list as JSON, got "[1"'
    assert isinstance(second, Refusal)
    assert second.kind == "bad-time"


def test_csv_rows_that_cannot_be_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "events.csv",
        "type,id,at,author.id\nmessage,1,0\nmessage,2,0,u\nmessage,3,0,u,v\n"
        'message,"4"5,0,u\nmessage,5,0,u\nmessage,'
        + "6" * 5000
        + ",0,u\nmessage,7,0,é\nmessage,8,0,u\n"
        + 'message,9,0,"u\n',
    )
    assert kinds(path, max_bytes=1000) == [
        "wrong-row", "message", "wrong-row", "wrong-row", "message", "too-large", "message", "message",
        "wrong-row",
    ]  # fmt: skip
    assert str(payloads(path)[0]) == (
        "the row has 3 cells, and the header names 4"
        " (put a cell that holds commas or line ends in double quotes)"
    )


def test_a_csv_row_that_never_ends_takes_no_memory(tmp_path: Path) -> None:
    path = write(
        tmp_path / "events.csv", 'type,id,at,author.id\nmessage,1,0,u\nmessage,"2,0,u\n' + "x\n" * 50_000
    )
    found = kinds(path, max_bytes=1000)
    assert found[:2] == ["message", "too-large"]
    assert set(found[2:]) <= {"wrong-row", "too-large"}
    path = write(tmp_path / "more.csv", "type,id,at,author.id\n" + '"a\n",' * 50_000 + "\nmessage,1,0,u\n")
    assert set(kinds(path, max_bytes=1000)) <= {"wrong-row", "too-large", "missing-field"}


def test_csv_bytes_that_are_not_utf8_refuse_only_what_reads_them(tmp_path: Path) -> None:
    path = write(
        tmp_path / "events.csv",
        b"type,id,at,author.id,unused,text\nmessage,1,0,u,\xff,a\nmessage,2,0,\xff,a,b\n",
    )
    assert kinds(path) == ["message", "bad-text"]


def test_csv_headers(tmp_path: Path) -> None:
    def said(data: str, name: str = "a.csv") -> str:
        return trouble(write(tmp_path / name, data))

    assert said("") == "`a.csv` has no header (the first row names the columns)"
    assert said("\n\n") == "`a.csv` has no header (the first row names the columns)"
    assert said("a,b,a\n") == "`a.csv` has two columns called `a`"
    assert "`author` and `author.id`" in said("author.id,author\n")
    assert (
        said("a;b;c\n1;2;3\n") == "the cells of `a.csv` seem to be separated by `;` (separate them by commas)"
    )
    assert "name it .tsv" in said("a\tb\n")
    assert "no header of a CSV file" in said('a,"b\n')
    assert payloads(write(tmp_path / "a.tsv", "a\tb\n1\t2\n")) == [{"a": "1", "b": "2"}]
    dotted = write(tmp_path / "b.csv", "$.a.b,a.c,\n1,2,3\n")
    assert payloads(dotted) == [{"a": {"b": "1", "c": "2"}}]
    assert payloads(dotted, columns={"a.c"}) == [{"a.c": "2"}]


# -- Parquet ----------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path: Path) -> Path:
    people = pa.struct([("id", pa.int64()), ("joined", pa.timestamp("ns"))])
    columns = {
        "type": pa.array(["message"] * 3).dictionary_encode(),
        "id": pa.array([2**64 - 1, 0, 2**53 + 1], pa.uint64()),
        "at": pa.array([NOON * 1000 + 1999, NOON * 1000, 0], pa.timestamp("ns", tz="Europe/Paris")),
        "author": pa.array(
            [{"id": 7, "joined": 1999}, {"id": 8, "joined": None}, {"id": 9, "joined": 0}], people
        ),
        "size": pa.array([Decimal("1.50"), None, Decimal("3.00")], pa.decimal128(9, 2)),
        "bot": pa.array([True, None, False]),
        "wait": pa.array([5_000_001, None, 0], pa.duration("ns")),
        "mentions": pa.array([[{"id": 1}, None], [], None], pa.list_(pa.struct([("id", pa.int32())]))),
        "tags": pa.array([["a", None], None, []], pa.large_list(pa.string())),
        "text": pa.array([b"caf\xc3\xa9", b"b", None], pa.binary()),
        "unused": pa.array([1, 2, 3]),
    }
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet(table: Path) -> None:
    with open_source(table, columns=DECODER.columns()) as source:
        assert (source.total, source.unit, source.position) == (3, "rows", 0)
        found = [values(got) for _, got in decoded(source, DECODER)]
        assert source.position == 3
    assert found == [
        {
            "id": str(2**64 - 1),
            "at": NOON + 1,
            "author": "7",
            "joined": 1,
            "size": 1.5,
            "bot": True,
            "wait": 5_000,
            "mentions": ["1"],
            "tags": ["a"],
            "text": "café",
        },
        {"id": "0", "at": NOON, "author": "8", "mentions": [], "text": "b"},
        {"id": str(2**53 + 1), "at": 0, "author": "9", "joined": 0, "size": 3.0, "bot": False, "wait": 0}
        | {"tags": [], "text": ""},
    ]  # fmt: skip
    row = payloads(table, columns={"id", "nothing"})[0]
    assert row == {"id": 2**64 - 1}
    assert next(place for place, _ in read(table, DECODER)) == "events.parquet row 1"


def test_parquet_with_dotted_columns_and_maps(tmp_path: Path) -> None:
    path = tmp_path / "events.pq"
    pq.write_table(
        pa.table(
            {
                "author.id": [7, None],
                "author.deep.x": ["a", None],
                "m": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
                "clash": [1, 2],
                "clash.x": [3, 4],
            }
        ),
        path,
    )
    assert payloads(path)[0] == {"author": {"id": 7, "deep": {"x": "a"}}, "m": {"k": 1}, "clash": 1}
    assert payloads(path, columns={"author.id"})[0] == {
        "author": {"deep": {"x": "a"}}, "author.id": 7, "m": {"k": 1}, "clash": 1
    }  # fmt: skip


def test_parquet_times_no_datetime_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    at = pa.array([NOON // 1000, 2**60], pa.timestamp("ms", tz="UTC"))
    joined = pa.array(
        [{"id": 1, "joined": 2**60}, {"id": 1, "joined": 0}],
        pa.struct([("id", pa.int64()), ("joined", pa.timestamp("us"))]),
    )
    pq.write_table(pa.table({"type": ["message"] * 2, "id": [1, 2], "at": at, "author": joined}), path)
    with open_source(path, columns=DECODER.columns()) as source:
        first, second = [got for _, got in decoded(source, DECODER)]
    assert isinstance(first, Decoded)
    [problem] = first.problems
    assert (problem.kind, problem.path) == ("bad-time", "$.author.joined")
    assert problem.got == "a time outside the years 1 to 9999"
    assert isinstance(second, Refusal)
    assert (second.kind, second.path) == ("bad-time", "$.at")


VALUES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int8": (pa.int8(), st.integers(-128, 127)),
    "uint16": (pa.uint16(), st.integers(0, 2**16 - 1)),
    "int32": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "float32": (pa.float32(), st.floats(width=32, allow_nan=False)),
    "float64": (pa.float64(), st.floats(allow_nan=False)),
    "bool": (pa.bool_(), st.booleans()),
    "text": (pa.string(), st.text(st.characters(exclude_categories=["Cs"]), max_size=4)),
    "ascii": (pa.large_string(), st.text("abc", max_size=4)),
    "bytes": (pa.binary(), st.binary(max_size=4)),
    "us": (pa.timestamp("us"), st.datetimes()),
    "s": (pa.timestamp("s"), st.datetimes().map(lambda at: at.replace(microsecond=0))),
    "date": (pa.date32(), st.dates()),
    "null": (pa.null(), st.none()),
}


@st.composite
def columns(draw: st.DrawFn) -> tuple[pa.Array, list[Any]]:
    """An Arrow array of some type, perhaps a slice of one, with the values it was made of."""
    kind, values = VALUES[draw(st.sampled_from(sorted(VALUES)))]
    for wrap in draw(st.lists(st.sampled_from(["list", "large", "object"]), max_size=2)):
        values = st.none() | values
        if wrap == "object":
            inner, other = values, VALUES["ascii"]
            values = st.fixed_dictionaries({"a": inner, "b": st.none() | other[1]})
            kind = pa.struct([("a", kind), ("b", other[0])])
        else:
            values = st.lists(values, max_size=3)
            kind = pa.list_(kind) if wrap == "list" else pa.large_list(kind)
    made = draw(st.lists(st.none() | values if draw(st.booleans()) else values, max_size=9))
    start, end = draw(st.integers(0, 3)), draw(st.integers(3, 9))
    return pa.array(made, kind)[start:end], made[start:end]


@given(column=columns())
def test_columns_become_what_they_were_made_of(column: tuple[pa.Array, list[Any]]) -> None:
    array, made = column
    assert with_types(python_values(array)) == with_types(made)


def with_types(value: Any) -> Any:
    """A value such that True is not 1, nor 1 the same as 1.0."""
    if isinstance(value, dict):
        return {key: with_types(inner) for key, inner in value.items()}
    return [with_types(inner) for inner in value] if isinstance(value, list) else (type(value), value)


def test_parquet_texts_that_are_not_utf8(tmp_path: Path) -> None:
    bad = pa.array([b"a", b"\xff", None, "é".encode()], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 4, bad.buffers())
    first, second, third, fourth = python_values(texts)
    assert (first, third, fourth) == ("a", None, "é")
    assert (second.kind, second.shown) == ("not-utf8", "1 bytes that are not UTF-8")
    path = tmp_path / "events.parquet"
    at = [NOON, NOON, NOON, NOON]
    users = pa.StructArray.from_arrays([texts], ["id"])
    pq.write_table(pa.table({"type": ["message"] * 4, "id": at, "at": at, "author": users}), path)
    assert kinds(path) == ["message", "not-utf8", "missing-field", "message"]


def test_parquet_texts_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    texts = pa.array([{"a": ["x" * 5000]}, {"a": ["x"]}])
    pq.write_table(pa.table({"n": [1, 2], "t": texts}), path)
    first, second = payloads(path, max_bytes=1000)
    assert isinstance(first, Refusal)
    assert first.kind == "too-large"
    assert second == {"n": 2, "t": {"a": ["x"]}}


def test_parquet_that_is_damaged(table: Path) -> None:
    whole = table.read_bytes()
    assert trouble(write(table, whole[:-20])) == (
        "`events.parquet` is Parquet, but ends too early or is damaged (copy or make it again)"
    )
    assert "ends too early or is damaged" in trouble(write(table, whole[:4]))
    assert "is not Parquet" in trouble(write(table, b""))
    broken = bytearray(whole)
    broken[8:400] = bytes(392)
    assert "`events.parquet` is damaged, after row 0" in trouble(write(table, bytes(broken)))


def test_parquet_in_batches(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table({"n": list(range(5000))}), path)
    with open_source(path) as source:
        rows: Iterator[tuple[int, Payload]] = iter(source)
        assert next(rows) == (1, {"n": 0})
        assert source.position == 1
        assert [n for n, _ in rows] == list(range(2, 5001))
    empty = tmp_path / "empty.parquet"
    pq.write_table(pa.table({"n": pa.array([], pa.int64())}), empty)
    assert payloads(empty) == []


def test_real_histories_are_read(shared_data: Path) -> None:
    fields = (
        Field("at", t.TIME, ("received_at",)),
        Field("ip", t.IP.maybe(), ("sender_ip",)),
        Field("sent", t.TIME.maybe(), ("sent_at",)),
    )
    decoder = Decoder([EventSchema("mail", None, (), fields, "at")], {"mail": {"ip", "sent"}})
    with open_source(shared_data / "email_spam_events.parquet", columns=decoder.columns()) as source:
        found = [got for _, got in decoded(source, decoder)]
    assert len(found) == 5911
    taken = [got for got in found if isinstance(got, Decoded)]
    assert len(taken) == len(found)
    assert {dt.datetime.fromtimestamp(got.at // 1_000_000, dt.UTC).year for got in taken} == {2001, 2002}
    assert {p.kind for got in taken for p in got.problems} <= {"bad-ip"}
