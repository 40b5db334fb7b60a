"""Histories in columns: whatever way they are read, they hold what the decoder makes of each record."""

from __future__ import annotations

import csv
import gzip
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.bundle import read_bundle
from quell.engine.compile import Build, analyse, build
from quell.engine.event_problems import Refusal
from quell.engine.events import Decoded
from quell.engine.sources import SourceError, decoded, open_source, read_record
from quell.engine.stepper import Stepper
from quell.grammar.diagnostics import Report
from quell.replay.database import Database
from quell.replay.history import History
from quell.replay.history_coverage import source_of
from quell.replay.history_ingest import check_usable, ingest
from quell.replay.stepping import entries
from tests.bundles import sound
from tests.history_oracle import Tables, expected, found_in, records
from tests.strategies_tables import COLUMNS, NOON, SCALARS, Thrown, awkward, table

POLICY = """
entity User labels "spammer"
entity Server

shape item
  k    text    = $.k
  w    number  = $.w default 2.5
  who  User?   = $.who.id

event message from "message" when $.v == 1
  id        text       = $.id
  at        time       = $.ts
  author    User       = $.author.id
  server    Server?    = $.server
  n         number?    = $.n
  m         number     = $.m default 1.5
  flag      bool?      = $.flag
  joined    time?      = $.joined
  pause     duration?  = $.pause
  address   ip?        = $.address
  kind      one of ["a", "b", "7"] = $.kind default "a"
  tags      list<text> = $.tags default ["x"]
  mentions  list<User> = $.mentions[*].id default []
  head      text?      = $.tags[0]
  items     list<item> = $.items default []
  content   text       = $.content default "nothing"

event join from "join"
  at        time       = $.ts
  who       User?      = $.author.id
  room      Server     = $.server default "lobby"
  code      text?      = $.n
  wire      text       = $.type

rule a on message when length(content) > 3 and author labelled "spammer" then block
rule b on join when code is present then flag
"""
WHOLE = build(sound(POLICY), all_fields=True)
FEW = build(sound(POLICY))
EXTRAS = {"the text": ("content",), "n": ("n",), "deep": ("author", "id"), "none": ("nowhere", "x")}


@pytest.fixture
def db() -> Iterator[Database]:
    with Database() as made:
        yield made


def both(bundle: Build, path: Path, order: Any, extras: Any) -> tuple[Tables, Tables, History]:
    """What the tables of a history hold, and what they must."""
    found = records([path], bundle)
    wanted = expected(bundle, found, order, extras)
    with Database() as db:
        history = ingest(db, "h", bundle, [path], order=order, extras=extras)
        assert history.late == late(bundle, found)
        assert history.records == len(found)
        assert history.events == len(wanted["all"])
        assert history.refused == len(wanted["refused"])
        assert history.problems == len(wanted["problems"])
        return found_in(history), wanted, history


def late(bundle: Build, found: list[Any]) -> int:
    """How many were taken after later ones."""
    count, newest = 0, None
    for place in found:
        entry = read_record(place[3], bundle.decoder)
        if not isinstance(entry, Refusal):
            count += newest is not None and entry.at < newest
            newest = entry.at if newest is None else max(newest, entry.at)
    return count


@given(st.integers(0, 2**32))
@settings(max_examples=40)
def test_sql_and_decoder_make_the_same_of_a_table(seed: int) -> None:
    dice = Thrown(seed)
    bundle = dice.pick((WHOLE, FEW))
    made = table(dice, dice.between(1, 12))
    old = dice.chance(10)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "e.parquet"
        pq.write_table(made, path, row_group_size=dice.pick((5, 100)), use_deprecated_int96_timestamps=old)
        found, wanted, _ = both(bundle, path, dice.pick(("time", "given")), dice.pick((None, EXTRAS)))
    assert found == wanted


@pytest.mark.parametrize("number", range(len(SCALARS)), ids=[str(kind) for kind, _ in SCALARS])
def test_every_value_of_every_type_in_every_field(number: int, tmp_path: Path) -> None:
    """Each awkward value of a type: in fields that may miss it, in lists, and where it is required."""
    kind, values = SCALARS[number]
    rows = len(values) + 1
    array = awkward((kind, values), [*values, None])
    tag, time = pa.array(["message"] * rows), pa.array(range(rows), pa.int64())
    whole = {"type": tag, "v": pa.array([1] * rows), "ts": time, "id": pa.array(["x"] * rows)}
    whole |= {"author": pa.array([{"id": f"u{i}"} for i in range(rows)])}
    optional = {n: array for n in COLUMNS if n not in ("tags", "mentions", "items")}
    required = [{**whole, name: array} for name in ("ts", "id", "type")]
    required.append({**{k: v for k, v in whole.items() if k != "author"}, "author.id": array})
    tables = [pa.table({**whole, **optional}), *map(pa.table, required)]
    if not pa.types.is_dictionary(kind) and not pa.types.is_map(kind):
        offsets = pa.array(range(rows + 1), pa.int32())
        lists = pa.ListArray.from_arrays(offsets, array)
        inside = pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([array], ["id"]))
        parts = pa.StructArray.from_arrays([pa.array(["k"] * rows), array], ["k", "w"])
        items = pa.ListArray.from_arrays(offsets, parts)
        tables.append(pa.table({**whole, "tags": lists, "mentions": inside, "items": items}))
    for i, made in enumerate(tables):
        path = tmp_path / f"{i}.parquet"
        pq.write_table(made, path)
        found, wanted, _ = both(WHOLE, path, "time", None)
        assert found == wanted, made.column_names


# ------------------------------------------------------------------ formats and files

EVENTS: list[dict[str, Any]] = [
    {"type": "message", "v": 1, "id": f"m{i}", "ts": NOON + i // 2 * 1_000_000, "author": {"id": f"u{i % 3}"},
     "n": i / 4, "flag": i % 2 == 0, "address": "1.2.3.4", "content": f"text {i}", "server": "s"}
    for i in range(10)
]  # fmt: skip
HAND = {"type": "quell.label", "at": NOON + 500_000, "entity": "User", "id": "u1", "label": "spammer",
        "action": "set", "by": "ana"}  # fmt: skip
FORMATS = ("jsonl", "jsonl.gz", "csv", "tsv", "parquet", "duckdb")


def flat(event: dict[str, Any]) -> dict[str, Any]:
    inner = {f"author.{k}": v for k, v in (event.get("author") or {}).items()}
    return {**{k: v for k, v in event.items() if k != "author"}, **inner}


def written(folder: Path, events: list[dict[str, Any]], kinds: tuple[str, ...]) -> dict[str, Path]:
    """The same events in files of several formats."""
    lines = "".join(json.dumps(e) + "\n" for e in events).encode()
    paths = {kind: folder / f"e.{kind}" for kind in kinds}
    if kinds == ("jsonl",):
        paths["jsonl"].write_bytes(lines)
        return paths
    rows = [flat(e) for e in events]
    names = list(dict.fromkeys(k for r in rows for k in r))
    cells = [{k: str(v).lower() if isinstance(v, bool) else v for k, v in r.items()} for r in rows]
    whole = list(dict.fromkeys(k for e in events for k in e))
    made = pa.Table.from_pylist([{k: e.get(k) for k in whole} for e in events])
    for kind, path in paths.items():
        if kind == "jsonl":
            path.write_bytes(lines)
        elif kind == "jsonl.gz":
            path.write_bytes(gzip.compress(lines))
        elif kind in ("csv", "tsv"):
            with path.open("w", newline="") as stream:
                writer = csv.DictWriter(stream, names, delimiter="\t" if kind == "tsv" else ",")
                writer.writeheader()
                writer.writerows(cells)
        elif kind == "parquet":
            pq.write_table(made, path)
        else:
            duck(path, made)
    return paths


def duck(path: Path, made: pa.Table, name: str = "events") -> None:
    with duckdb.connect(str(path)) as con:
        con.register("given", made)
        con.execute(f'CREATE TABLE "{name}" AS SELECT * FROM given')


@pytest.mark.parametrize("hands", [False, True], ids=["events", "with labels by hand"])
def test_every_format_gives_the_same(hands: bool, tmp_path: Path) -> None:
    events = [*EVENTS[5:], *([HAND] if hands else []), *EVENTS[:5]]
    found = {}
    for kind, path in written(tmp_path, events, FORMATS).items():
        with Database() as db:
            history = ingest(db, "h", WHOLE, [path], extras={"c": ("content",)})
            kept = found_in(history)
            columns = 'n, event, "at", id, entity, c'
            everything = db.rows(f"SELECT {columns} FROM {history.table('all')} ORDER BY n")
            kept["all"] = [repr(row) for row in everything]
            kept["hands"] = [repr(row[:3]) for row in db.rows(f"SELECT * FROM {history.table('hands')}")]
            found[kind] = kept
            assert history.late == 5 + hands
            assert history.hands == hands
    assert len(found["jsonl"]["all"]) == 10
    for kind, other in found.items():
        assert other == found["jsonl"], kind


def test_several_files_are_one_history(tmp_path: Path) -> None:
    """Rows of all formats, in order of time, equal times in the order of the files."""
    paths = written(tmp_path, EVENTS, FORMATS)
    with Database() as db:
        history = ingest(db, "h", WHOLE, list(paths.values()))
        rows = db.rows(f'SELECT n, "at", id, file FROM {history.table("all")} ORDER BY n')
        assert [n for n, *_ in rows] == list(range(1, 61))
        assert rows == sorted(rows, key=lambda r: (r[1], r[3], r[2]))
        assert history.late == 8 * 5
        assert sorted(history.scans) == [4, 5]
        assert history.told([1, 2, 60]) == {1: "e.jsonl:1", 2: "e.jsonl:2", 60: "e.duckdb row 10"}
        assert history.place(60) == "e.duckdb row 10"
        assert history.origins([60])[60] == (5, 10)


def test_files_in_order_stay_where_they_are(db: Database, tmp_path: Path) -> None:
    for i in range(3):
        later = [{**e, "ts": e["ts"] + i * 10**9} for e in EVENTS]
        pq.write_table(pa.Table.from_pylist(later), tmp_path / f"{i}.parquet")
    history = ingest(db, "h", WHOLE, [tmp_path / "*.parquet"])
    assert [n for (n,) in db.rows(f"SELECT n FROM {history.of('message')} ORDER BY n")] == list(range(1, 31))
    assert history.origins([21])[21] == (2, 1)
    assert history.place(21) == "2.parquet row 1"
    assert "_rows" not in {name for (name,) in db.rows("SELECT table_name FROM duckdb_tables()")}


def test_gaps_in_a_duckdb_table_and_views_of_it(db: Database, tmp_path: Path) -> None:
    path = tmp_path / "e.duckdb"
    duck(path, pa.Table.from_pylist(EVENTS))
    with duckdb.connect(str(path)) as con:
        con.execute("DELETE FROM events WHERE id = 'm3'")
        con.execute("CREATE VIEW part AS SELECT * FROM events WHERE n > 1")
    history = ingest(db, "h", WHOLE, [f"{path}:events"])
    ids = [i for (i,) in db.rows(f"SELECT id FROM {history.table('all')} ORDER BY n")]
    assert ids == [e["id"] for e in EVENTS if e["id"] != "m3"]
    assert history.place(4) == "e.duckdb:events row 4"
    assert ingest(db, "g", WHOLE, [f"{path}:part"]).events == 5
    with pytest.raises(SourceError, match="holds several tables: `events`, `part`"):
        ingest(db, "x", WHOLE, [path])
    with pytest.raises(SourceError, match="has no table `evnts`"):
        ingest(db, "y", WHOLE, [f"{path}:evnts"])


HIVE = """
entity User
event e from "e"
  at    time    = $.ts
  day   time    = $.day
  shard number? = $.shard
  who   User?   = $.who
rule r on e when day < at and shard > 1 and who is present then block
"""


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_hive_folders(kind: str, db: Database, tmp_path: Path) -> None:
    """What folders say is a value where a field asks for it, and a value of the record outranks it."""
    for day, shard in (("2024-05-02", "2"), ("2024-05-01", "__HIVE_DEFAULT_PARTITION__")):
        folder = tmp_path / f"day={day}" / f"shard={shard}"
        folder.mkdir(parents=True)
        events = [{"type": "e", "ts": NOON, "who": "u"}, {"type": "e", "ts": NOON + 1, "who": "v"}]
        if day == "2024-05-02":
            events[1]["shard"] = 7
            events[0]["shard"] = 7
        written(folder, events, (kind,))
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".e.jsonl").write_text("nothing")
    history = ingest(db, "h", build(sound(HIVE)), [tmp_path])
    assert [Path(f).parts[-3] for f in history.files] == ["day=2024-05-01", "day=2024-05-02"]
    rows = db.rows(f"SELECT n, f1, f2, f3 FROM {history.of('e')} ORDER BY n")
    first, second = 1_714_521_600_000_000, 1_714_608_000_000_000
    assert rows == [
        (1, first, None, "u"),
        (2, second, 7.0, "u"),
        (3, first, None, "v"),
        (4, second, 7.0, "v"),
    ]


def test_event_types_that_no_policy_declares_are_counted_and_told(db: Database, tmp_path: Path) -> None:
    events = [{**e, "type": "mesage" if i % 2 else "message"} for i, e in enumerate(EVENTS)]
    for path in written(tmp_path, events, ("parquet", "jsonl")).values():
        history = ingest(db, path.suffix, WHOLE, [path])
        refused = db.rows(f"SELECT DISTINCT kind, path, message FROM {history.table('refused')}")
        assert (history.events, history.refused) == (5, 5)
        assert [tuple(r) for r in refused] == [
            ("unmatched", "$.type", 'no event type matches: `$.type` is "mesage" (did you mean "message"?)')
        ]


# ------------------------------------------------------------------ what cannot be read


def refusal(db: Database, *files: Any) -> str:
    db.con.execute("DROP SCHEMA IF EXISTS h CASCADE")
    with pytest.raises(SourceError) as caught:
        check_usable(ingest(db, "h", FEW, list(files)))
    return str(caught.value)


def test_files_that_are_not_there(db: Database, tmp_path: Path) -> None:
    written(tmp_path, EVENTS, ("jsonl", "duckdb"))
    assert refusal(db) == "no history is named (name a file, a folder or a glob such as `logs/*.parquet`)"
    assert "standard input can be read only once" in refusal(db, "-")
    assert refusal(db, tmp_path / "*.parquet").startswith(f"no file matches `{tmp_path}/*.parquet`")
    assert "there is no folder" in refusal(db, tmp_path / "no" / "*.parquet")
    for name, meant in (("f.jsonl", "e.jsonl"), ("f.duckdb", "e.duckdb")):
        assert refusal(db, tmp_path / name).endswith(f"(did you mean `{tmp_path / meant}`?)")
    (tmp_path / "empty").mkdir()
    assert "holds no file of events" in refusal(db, tmp_path / "empty")
    assert refusal(db, "a\0b.jsonl") == "there is no file `a?b.jsonl`"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("e.parquet", b"PAR1 and no more", "`e.parquet` is Parquet, but ends too early or is damaged"),
        ("e.parquet", b"{}", "`e.parquet` is not Parquet"),
        ("e.duckdb", b"{}", "`e.duckdb` is no DuckDB file"),
        ("e.duckdb", b"12345678DUCK" + bytes(5000), "`e.duckdb` cannot be read as a DuckDB file"),
        ("e.jsonl", b"", "e.jsonl` holds no event (it is empty)"),
        ("e.jsonl", b"\n\n", "e.jsonl` holds no event (it is empty)"),
        ("e.csv", b"type,ts\n", "e.csv` holds no event (it is empty)"),
        ("e.csv", b"", "`e.csv` has no header"),
        ("e.xlsx", b"PK", "`e.xlsx` does not say what it holds"),
        ("e.jsonl.gz", gzip.compress(b"{}\n" * 999, mtime=0)[:-9], "`e.jsonl.gz` ends too early"),
        ("e.jsonl", b'{"type": "other"}\n' * 3, "none of the 3 records of"),
        ("e.jsonl", json.dumps(HAND).encode(), "it holds labels by hand, and nothing to decide"),
    ],
)
def test_files_that_hold_no_history(
    name: str, content: bytes, said: str, db: Database, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert said in refusal(db, tmp_path / name)


def test_a_parquet_file_that_is_cut(db: Database, tmp_path: Path) -> None:
    path = written(tmp_path, [{**EVENTS[0], "content": f"{i * 7919}"} for i in range(3000)], ("parquet",))[
        "parquet"
    ]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert "ends too early or is damaged" in refusal(db, path)
    path.write_bytes(data[:200] + bytes(9000) + data[9200:])
    assert "`e.parquet` is damaged" in refusal(db, path)


def test_text_that_is_not_utf8_is_the_decoders_to_refuse(tmp_path: Path) -> None:
    made = pa.Table.from_pylist(EVENTS)
    place = made.column_names.index("content")
    broken = pa.array([b"ok", b"\xff", *[b"fine"] * 8], pa.binary()).view(pa.string())
    path = tmp_path / "e.parquet"
    pq.write_table(made.set_column(place, "content", broken), path)
    found, wanted, history = both(WHOLE, path, "time", None)
    assert found == wanted
    assert history.problems == 1


def test_rows_that_are_too_long(tmp_path: Path) -> None:
    """A row's size is that of the columns which policies read, whatever else is looked at."""
    long = "x" * (WHOLE.decoder.max_bytes + 1)
    events = [{**e, "content": long if i == 3 else "short", "unread": long} for i, e in enumerate(EVENTS)]
    path = written(tmp_path, events, ("parquet",))["parquet"]
    found, wanted, history = both(WHOLE, path, "time", {"u": ("unread",)})
    assert found == wanted
    assert history.refused == 1


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_reading_the_entity_changes_no_refusal(kind: str, db: Database, tmp_path: Path) -> None:
    """Where no rule reads whom an event is about, it may be missing or wrong."""
    whom: list[Any] = [{"id": "u1"}, {"id": "7"}, {}, None, {"id": ""}]
    whom += ["nobody", {"id": [1]}] if kind == "jsonl" else []
    events = [{**EVENTS[0], "author": w} for w in whom]
    text = POLICY[: POLICY.index("rule a")] + "rule a on message when length(content) > 3 then block"
    path = written(tmp_path, events, (kind,))[kind]
    history = ingest(db, "h", build(sound(text)), [path])
    assert history.problems == history.refused == 0
    found = [e for (e,) in db.rows(f"SELECT entity FROM {history.table('all')} ORDER BY n")]
    assert found == ["u1", "7", *[None] * (len(whom) - 2)]


# ------------------------------------------------------------------ what is told


def test_what_is_told_of_a_history(db: Database, tmp_path: Path) -> None:
    events = [{**e, "flag": None if i < 4 else True, "n": "x" if i == 9 else i} for i, e in enumerate(EVENTS)]
    events += [{**EVENTS[0], "id": None}, {"type": "nothing"}]
    path = written(tmp_path, events, ("jsonl",))["jsonl"]
    told = source_of(ingest(db, "h", FEW, [path]))
    fields = {(c.event, c.field): c for c in told.coverage}
    assert (told.records, told.events, told.refused, told.hands) == (12, 10, 2, 0)
    assert told.by_type == {"message": 10, "join": 0}
    assert (told.first, told.last) == ("2024-05-01T12:00:00Z", "2024-05-01T12:00:04Z")
    flag, content, tags = (fields["message", f] for f in ("flag", "content", "tags"))
    assert (flag.present, flag.of, flag.read, flag.sampled) == (6, 10, False, True)
    assert (content.present, content.of, content.read, content.sampled) == (10, 10, True, False)
    assert (tags.present, tags.wrong) == (0, 0)
    assert fields["message", "n"].wrong == 1
    assert [(r.kind, r.count) for r in told.refusals] == [("missing-field", 1), ("unmatched", 1)]
    assert told.refusals[0].samples[0][0] == "e.jsonl:11"


def test_fields_that_nothing_reads_are_counted_in_tables(db: Database, tmp_path: Path) -> None:
    events = [{**e, "flag": None if i < 4 else True} for i, e in enumerate(EVENTS)]
    path = written(tmp_path, events, ("parquet",))["parquet"]
    fields = {(c.event, c.field): c for c in source_of(ingest(db, "h", FEW, [path])).coverage}
    flag, address = fields["message", "flag"], fields["message", "address"]
    assert (flag.present, flag.of, flag.wrong, flag.read, flag.sampled) == (6, 10, 0, False, False)
    assert (address.present, address.sampled) == (10, False)


def test_defaults_are_no_values(db: Database, tmp_path: Path) -> None:
    events = [{k: v for k, v in e.items() if k != "content" or i % 2} for i, e in enumerate(EVENTS)]
    for path in written(tmp_path, events, ("jsonl", "parquet")).values():
        history = ingest(db, path.suffix, WHOLE, [path])
        fields = {(c.event, c.field): c for c in source_of(history).coverage}
        assert (fields["message", "content"].present, fields["message", "content"].sampled) == (5, False)
        column = {f.name: c for c, f in history.columns["message"]}["content"]
        kept = db.rows(f"SELECT {column} FROM {history.of('message')} ORDER BY n")
        assert [v for (v,) in kept] == [f"text {i}" if i % 2 else "nothing" for i in range(10)]


def test_progress_is_told(db: Database, tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(b"".join(json.dumps(e).encode() + b"\n" for e in EVENTS) * 1000)
    heard: list[tuple[int, int | None]] = []
    ingest(db, "h", FEW, [path], tell=lambda done, of: heard.append((done, of)))
    assert heard == sorted(heard)
    assert all(of is not None and 0 <= done <= of for done, of in heard)
    assert len(heard) > 1


def test_an_interrupt_ends_a_query_and_leaves_nothing_behind() -> None:
    def stop(share: float) -> None:
        raise KeyboardInterrupt

    def work() -> None:
        with Database() as db:
            folders.append(Path(db.folder))
            db.run("SELECT count(*) FROM range(100000000000) r(i) WHERE hash(i) % 7 = 1", stop)

    folders: list[Path] = []
    with pytest.raises(KeyboardInterrupt):
        work()
    assert not folders[0].exists()


# ------------------------------------------------------------------ end to end


@pytest.mark.parametrize(("name", "file"), [("email", "email_spam_events"), ("wiki", "wiki_edit_events")])
def test_a_real_history_is_decided_as_by_the_engine(
    name: str, file: str, shared_data: Path, root: Path, db: Database
) -> None:
    path = shared_data / f"{file}.parquet"
    bundle = build(analyse(read_bundle(root / "tests" / "histories" / name, report := Report()), report))
    stepper, other = Stepper(bundle), Stepper(bundle)
    with open_source(path) as source:
        found = [e for _, e in decoded(source, bundle.decoder) if isinstance(e, Decoded)]
    found.sort(key=lambda e: e.at)
    history = ingest(db, "h", bundle, [path])
    assert list(history.scans) == [0]
    assert history.events == len(found)
    for (n, entry), wanted in zip(entries(history), found, strict=True):
        assert isinstance(entry, Decoded)
        assert other.decide_decoded(entry) == stepper.decide_decoded(wanted), n
