"""`quell features`: values as the engine saw them, and nothing decided or counted otherwise for it."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quell.engine.bundle import Files, Settings, read_bundle
from quell.engine.compile import Analysis, analyse, build
from quell.engine.decision import Decision
from quell.engine.events import Decoded
from quell.engine.interpret import FieldReaders, Interpreter
from quell.engine.settle import Hit
from quell.engine.stepper import Stepper
from quell.grammar import tree
from quell.grammar.diagnostics import Report
from quell.grammar.source import Source
from quell.replay.demo import bare
from quell.replay.features import BATCH
from quell.replay.named_values import NotAValue, Tap, Tapped, nameable, tap, wanted
from quell.replay.simulate import simulate
from tests.cli_support import EVENTS, make_bundle, run, write_events

KINDS = """
entity User labels "spammer"
entity Server

shape person
  name text = $.name
  age number? = $.age

event message from "message"
  id       text = $.id
  at       time = $.at
  author   User = $.author
  joined   time? = $.joined
  address  ip? = $.ip
  kind     one of ["a", "b"] = $.kind default "a"
  score    number? = $.score
  others   list<User> = $.others default []
  people   list<person> = $.people default []

event reaction from "reaction"
  id       text = $.id
  at       time = $.at
  author   User = $.author

let age        = at - joined
let joined_at  = joined
let many       = count(message by author within 1m)
let others_1h  = count(message by others within 1h)
let reactions  = count(reaction by author within 1h)
let known      = author labelled "spammer"
let label_old  = label_age(author, "spammer")
let third      = fired flood
let nobody     = [o of others where false]
let half       = score / 2
let usual      = mean(score of message by author within 1h)
let gap        = since_last(message by author within 1h)
let earlier    = last(message by author ever).kind
let kinds_1h   = values(kind of message by author within 1h)
let double(x: number) = 2 * x

rule flood on message
  when many >= 2
  then block
       label author "spammer" for 1h

rule quiet on message
  when many >= 1
  then flag
  mode shadow
"""


def analysis_of(text: str, settings: Settings | None = None) -> Analysis:
    files = Files("test", {"p.quell": Source("p.quell", text)}, settings or Settings())
    made = analyse(files, lints=False)
    assert not made.report.errors, made.diagnostics
    return made


def message(second: int, author: str = "ann", **more: Any) -> dict[str, Any]:
    at = f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}Z"
    return {"type": "message", "id": f"m{second}", "at": at, "author": author, **more}


def rows_of(tapped: Tapped, events: list[dict[str, Any]]) -> list[tuple[Any, ...] | None]:
    """The values that each event has."""
    stepper, tapping, out = Stepper(tapped.build), Tap(tapped), list[tuple[Any, ...] | None]()
    for event in events:
        decoded = stepper.decode(event)
        assert isinstance(decoded, Decoded), decoded
        stepper.decide_decoded(decoded, tapping.observe)
        out.append(tapping.row)
    return out


def values_of(names: list[str], events: list[dict[str, Any]], event: str | None = None) -> list[Any]:
    analysis = analysis_of(KINDS)
    return rows_of(tap(analysis, wanted(analysis, names), event), events)


# ---------------------------------------------------------------------------------- what the values are


def test_counters_count_the_event_and_labels_are_as_they_were_before_it() -> None:
    events = [message(0), message(10), message(20), message(90), message(100, "bob")]
    rows = values_of(["many", "known", "label_old", "third"], events, "message")
    assert rows == [
        (1, False, None, False),
        (2, False, None, True),  # fires and labels: seen from the next event on
        (3, True, 10_000_000, True),
        (1, True, 80_000_000, False),
        (1, False, None, False),
    ]


def test_what_counters_give_beside_counts() -> None:
    events = [message(0, score=1, kind="b"), message(10, score=2), message(30)]
    rows = values_of(["usual", "gap", "earlier", "kinds_1h"], events, "message")
    assert rows == [
        (1, None, None, ["b"]),
        (1.5, 10_000_000, "b", ["a", "b"]),
        (1.5, 20_000_000, "a", ["a", "b"]),
    ]


def test_labels_by_hand_are_part_of_the_history(kinds: Path, tmp_path: Path) -> None:
    by_hand = {"type": "quell.label", "at": "2026-01-01T00:00:05Z", "entity": "User", "id": "ann"}
    by_hand |= {"label": "spammer", "action": "set", "by": "mod"}
    events = write_events(tmp_path / "e.jsonl", [message(0), by_hand, message(10)])
    out = tmp_path / "f.parquet"
    done = run("features", kinds, "--events", events, "--values", "known", "--event", "message", "--out", out)
    assert done.exit_code == 0, done.output
    assert pq.read_table(out).select(["seq", "known"]).to_pylist() == [
        {"seq": 1, "known": False},
        {"seq": 3, "known": True},
    ]
    only = write_events(tmp_path / "h.jsonl", [by_hand])
    done = run("features", kinds, "--events", only, "--values", "known", "--event", "message", "--out", out)
    assert done.exit_code == 3
    assert "the history holds no event" in done.stderr


def test_a_counter_that_no_rule_reads_is_kept_for_its_values() -> None:
    events: list[dict[str, Any]] = [message(0)]
    events += [{**message(s), "type": "reaction"} for s in (1, 2)]
    events += [message(3)]
    assert values_of(["reactions"], events, "message") == [(0,), None, None, (2,)]


def test_without_an_event_type_every_event_that_has_the_values_gives_a_row() -> None:
    events: list[dict[str, Any]] = [message(0), {**message(1), "type": "reaction"}]
    analysis = analysis_of(KINDS)
    tapped = tap(analysis, wanted(analysis, ["reactions", "author"]))
    assert tapped.events == ("message", "reaction")
    assert rows_of(tapped, events) == [(0, "ann"), (1, "ann")]
    tapped = tap(analysis, wanted(analysis, ["many", "score"]))
    assert (tapped.events, dict(tapped.without)) == (("message",), {"reaction": "score"})


def test_a_bundle_without_rules_gives_values_too() -> None:
    analysis = analysis_of(KINDS.split("let third")[0])
    assert rows_of(tap(analysis, wanted(analysis, ["many"]), "message"), [message(0), message(1)]) == [
        (1,),
        (2,),
    ]


def test_a_counted_event_is_no_value_and_does_no_harm() -> None:
    text = KINDS.replace("let third", "let latest = last(message by author ever)\nlet third")
    analysis = analysis_of(text)
    with pytest.raises(NotAValue) as found:
        tap(analysis, wanted(analysis, ["latest"]), "message")
    assert "a value is needed here" in found.value.message
    assert "take something of it" in (found.value.hint or "")
    assert not analysis.report.found
    assert rows_of(tap(analysis, wanted(analysis, ["many"]), "message"), [message(0)]) == [(1,)]


@pytest.fixture(scope="module")
def day() -> list[bytes]:
    encode = msgspec.json.Encoder().encode
    return [encode(bare(event)) for event in simulate(3, 8_000)]


@pytest.fixture(scope="module")
def starter(root: Path) -> Analysis:
    return analyse(read_bundle(root / "policies", Report()), lints=False)


def decided(build_: Any, day: list[bytes], observe: Any = None) -> list[bytes]:
    stepper, out = Stepper(build_), []
    for line in day:
        decoded = stepper.decode(line)
        answer = (
            stepper.decide_decoded(decoded, observe)
            if isinstance(decoded, Decoded)
            else stepper.reply(decoded)
        )
        if isinstance(answer, Decision):
            answer.late = ()  # the counters that are kept for the values alone may be told late too
        out.append(msgspec.json.encode(answer))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("event", ["message", "direct", "signup"])
def test_every_value_is_what_the_interpreter_says_and_no_decision_changes(
    starter: Analysis, day: list[bytes], event: str
) -> None:
    """Two witnesses over a simulated day: the reference interpreter, and the decisions without values."""
    names = [n for n in nameable(starter) if _has(starter, n, event)]
    assert len(names) >= 8
    tapped = tap(starter, wanted(starter, names), event)
    readers, tapping = FieldReaders(tapped.build), Tap(tapped)
    seen = 0

    def observe(decoded: Decoded, hits: list[Hit]) -> None:
        nonlocal seen
        tapping.observe(decoded, hits)
        if decoded.event != event:
            assert tapping.row is None
            return
        seen += 1
        if seen % 7 and not hits:
            return  # the interpreter is slow
        interpreter = Interpreter(tapped.build, stepper_state(), decoded, hits, {}, readers)
        expected = tuple(interpreter.value(node) for node in tapped.nodes[event])
        assert tapping.row == expected

    stepper = Stepper(tapped.build)

    def stepper_state() -> Any:
        return stepper.state

    with_values = []
    for line in day:
        decoded = stepper.decode(line)
        answer = (
            stepper.decide_decoded(decoded, observe)
            if isinstance(decoded, Decoded)
            else stepper.reply(decoded)
        )
        if isinstance(answer, Decision):
            answer.late = ()
        with_values.append(msgspec.json.encode(answer))
    assert seen > 20
    assert with_values == decided(build(starter), day)


def _has(analysis: Analysis, name: str, event: str) -> bool:
    try:
        tap(analysis, wanted(analysis, [name]), event)
    except NotAValue:
        return False
    return True


# ------------------------------------------------------------------------------------------- the table


@pytest.fixture
def kinds(tmp_path: Path) -> Path:
    folder = tmp_path / "kinds"
    folder.mkdir()
    (folder / "p.quell").write_text(KINDS, encoding="utf-8")
    return folder


def test_the_types_of_the_columns(kinds: Path, tmp_path: Path) -> None:
    full = message(
        1,
        joined="2025-12-31T23:59:00.5Z",
        ip="::0001",
        kind="b",
        score=3,
        others=["bob", "cid"],
        people=[{"name": "x", "age": 4}, {"name": "y"}],
    )
    events = write_events(tmp_path / "e.jsonl", [message(0), full])
    names = "age,joined_at,address,kind,score,half,others,others_1h,people,known,nobody,gap,kinds_1h"
    out = tmp_path / "f.parquet"
    done = run("features", kinds, "--events", events, "--event", "message", "--values", names, "--out", out)
    assert done.exit_code == 0, done.output
    table = pq.read_table(out)
    assert dict(zip(table.schema.names, map(str, table.schema.types), strict=True)) == {
        "seq": "int64",
        "event": "string",
        "id": "string",
        "at": "timestamp[us, tz=UTC]",
        "age": "double",
        "joined_at": "timestamp[us, tz=UTC]",
        "address": "string",
        "kind": "string",
        "score": "double",
        "half": "double",
        "others": "list<element: string>",
        "others_1h": "list<element: double>",
        "people": "list<element: struct<name: string, age: double>>",
        "known": "bool",
        "nobody": "list<element: string>",
        "gap": "double",
        "kinds_1h": "list<element: string>",
    }
    empty, filled = table.to_pylist()
    assert [empty[n] for n in ("age", "joined_at", "address", "score", "half")] == [None] * 5
    assert (empty["others"], empty["people"], empty["kind"], empty["known"]) == ([], [], "a", False)
    assert (filled["age"], filled["gap"], empty["gap"]) == (60.5, 1.0, None)
    assert filled["kinds_1h"] == ["b", "a"]
    assert filled["joined_at"] == datetime(2025, 12, 31, 23, 59, 0, 500_000, tzinfo=UTC)
    assert (filled["address"], filled["kind"], filled["score"], filled["half"]) == ("::1", "b", 3.0, 1.5)
    assert (filled["others"], filled["others_1h"]) == (["bob", "cid"], [1.0, 1.0])
    assert filled["people"] == [{"name": "x", "age": 4.0}, {"name": "y", "age": None}]
    assert (filled["seq"], filled["event"], filled["id"]) == (2, "message", "m1")
    assert filled["at"] == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_numbers_beyond_what_a_double_counts_are_the_engines(kinds: Path, tmp_path: Path) -> None:
    scores = [2**53, 2**63, 1e300, -0.5]
    events = write_events(tmp_path / "e.jsonl", [message(i, score=s) for i, s in enumerate(scores)])
    out = tmp_path / "f.parquet"
    run("features", kinds, "--events", events, "--values", "score", "--out", out)
    assert pq.read_table(out)["score"].to_pylist() == [float(s) for s in scores]


def test_more_rows_than_are_held(kinds: Path, tmp_path: Path) -> None:
    number = BATCH + 300
    lines = "".join(
        json.dumps({"type": "message", "id": str(i), "at": 1_767_225_600 + i, "author": "ann"}) + "\n"
        for i in range(number)
    )
    (tmp_path / "e.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    out = tmp_path / "f.parquet"
    asked = ("--events", tmp_path / "e.jsonl.gz", "--values", "many", "--event", "message", "--out", out)
    done = json.loads(run("features", kinds, *asked, "--json").stdout)
    table = pq.read_table(out)
    assert (done["rows"], table.num_rows) == (number, number)
    assert table["seq"].to_pylist() == list(range(1, number + 1))
    assert set(table["many"].to_pylist()[60:]) == {60.0}
    (column,) = done["columns"]
    assert (column["least"], column["most"], column["missing"]) == (1, 60, 0)
    assert pq.ParquetFile(out).num_row_groups == 2


# -------------------------------------------------------------------------------------- command line


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return write_events(tmp_path / "events.jsonl")


def test_refused_events_are_counted_and_told(bundle: Path, events: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.parquet"
    done = run("features", bundle, "--events", events, "--values", "burst, score", "--out", out)
    assert done.exit_code == 0
    assert done.stdout.startswith(f"5 events decided, 2 refused, 5 rows written to {out} in ")
    for part in ("burst", "number?", "100.0%", "refused 1 (14.29%) bad-time", "missing 1 × message.score"):
        assert part in done.stdout, part
    assert pq.read_table(out)["burst"].to_pylist() == [1, 1, 2, 3, 4]
    data = json.loads(
        run("features", bundle, "--events", events, "--values", "burst", "--out", out, "--json").stdout
    )
    assert (data["rows"], data["decided"], data["refused"]) == (5, 5, 2)
    assert [r["kind"] for r in data["refusals"]] == ["bad-time", "unmatched"]


def test_the_default_output_and_a_limit(
    bundle: Path, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("features", bundle, "--events", events, "--values", "burst", "--limit", "2").exit_code == 0
    assert pq.read_table(tmp_path / "features.parquet").num_rows == 2


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ("brst", "nothing is called `brst` (did you mean `burst`?)"),
        ("bad_word", "`bad_word` is a rule, not a value"),
        ("bad_words", "`bad_words` is a list file, not a value"),
        ("message", "nothing is called `message`"),
        ("burst,id", "`id` is a column already"),
        (" , ", "`--values` names no value"),
    ],
)
def test_names_that_are_no_values(bundle: Path, events: Path, tmp_path: Path, values: str, says: str) -> None:
    out = tmp_path / "f.parquet"
    done = run("features", bundle, "--events", events, "--values", values, "--out", out)
    assert done.exit_code == 2
    assert says in done.stderr
    assert not out.exists()


def test_values_of_different_events(kinds: Path, tmp_path: Path) -> None:
    events = write_events(tmp_path / "e.jsonl", [message(0)])
    asked: list[tuple[list[str], str]] = [
        (["--values", "double"], "`double` is a function, not a value"),
        (
            ["--values", "score", "--event", "reaction"],
            "`reaction` has no `score` (it is a field of `message`",
        ),
        (["--values", "many", "--event", "mesage"], "there is no event `mesage` (did you mean `message`?)"),
        ([], "either `--values` or `--model` says which values are meant"),
        (["--model", "spam"], "the policies declare no model `spam`"),
    ]
    for args, says in asked:
        done = run("features", kinds, "--events", events, *args, "--out", tmp_path / "f.parquet")
        assert done.exit_code == 2
        assert says in done.stderr


def test_one_name_with_two_types_asks_for_an_event(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    text = KINDS.replace("$.author\n\nlet age", "$.author\n  score text = $.s\n\nlet age")
    (folder / "p.quell").write_text(text.split("let third")[0], encoding="utf-8")
    events = write_events(tmp_path / "e.jsonl", [message(0)])
    out = tmp_path / "f.parquet"
    done = run("features", folder, "--events", events, "--values", "score", "--out", out)
    assert done.exit_code == 2
    assert "`score` is a number on `message` and a text on `reaction` (ask for one event" in done.stderr
    more = ["--event", "message"]
    assert (
        run("features", folder, "--events", events, "--values", "score", "--out", out, *more).exit_code == 0
    )


def test_a_history_without_rows(kinds: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.parquet"
    reaction = {**message(0), "type": "reaction"}
    for records, says in (
        ([], "the history holds no event"),
        ([{"type": "other"}], "no event could be decided: no event type matches"),
        ([reaction], "the history has no `message` event"),
    ):
        events = write_events(tmp_path / "e.jsonl", records)
        done = run("features", kinds, "--events", events, "--values", "score", "--out", out)
        assert done.exit_code == 3
        assert says in done.stderr
        assert not out.exists()


def test_events_without_the_values_are_told(kinds: Path, tmp_path: Path) -> None:
    events = write_events(tmp_path / "e.jsonl", [message(0), {**message(1), "type": "reaction"}])
    done = run("features", kinds, "--events", events, "--values", "score", "--out", tmp_path / "f.parquet")
    assert "no rows of `reaction`, which has no `score`" in done.stdout


def test_a_file_that_ends_early_leaves_what_was_there(kinds: Path, tmp_path: Path) -> None:
    lines = "".join(json.dumps(message(i % 3_000, str(i))) + "\n" for i in range(3_000))
    packed = gzip.compress(lines.encode())
    (tmp_path / "e.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    out = tmp_path / "f.parquet"
    out.write_text("before", encoding="utf-8")
    done = run("features", kinds, "--events", tmp_path / "e.jsonl.gz", "--values", "many", "--out", out)
    assert done.exit_code == 3
    assert done.stderr.startswith("error: ")
    assert out.read_text(encoding="utf-8") == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.jsonl.gz", "f.parquet", "kinds"]


def test_places_that_cannot_be_written(bundle: Path, events: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.parquet").mkdir()
    for out, code in (
        (tmp_path / "gone" / "f.parquet", 3),
        (tmp_path / "folder.parquet", 3),
        (tmp_path / "f.csv", 2),
    ):
        done = run("features", bundle, "--events", events, "--values", "burst", "--out", out)
        assert done.exit_code == code
        assert done.stderr.startswith("error: ")
    table = tmp_path / "e.parquet"
    pq.write_table(pa.Table.from_pylist(EVENTS[:1]), table)
    done = run("features", bundle, "--events", table, "--values", "burst", "--out", table)
    assert done.exit_code == 2
    assert "would overwrite the events" in done.stderr


def test_the_rule_that_hands_values_out_has_a_name_nobody_can_write() -> None:
    from quell.grammar.parser import parse_expression
    from quell.replay.named_values import TAP

    report = Report()
    assert not isinstance(parse_expression(TAP, report=report), tree.Name)
    assert max([TAP, "\U0010fffe", "\uffff", "zz"]) == TAP
