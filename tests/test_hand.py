"""Labels by hand: through the engine and as entries of a history, what is refused, and who outranks whom."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.engine import Acted, Decision, LabelError, Refused, Stepper
from quell.engine.compile import build
from quell.engine.explain import Explainer
from quell.engine.explanation import Explanation
from quell.engine.hand import entry_of
from tests.bundles import findings, sound
from tests.cli_support import make_bundle, run

NOON = 1_767_268_800_000_000
HOUR = 3_600_000_000
POLICY = """
entity User labels "spammer", "trusted"
entity Server
event message from "message"
  id text = $.id
  at time = $.at
  author User = $.author
  content text = $.content
rule nitro on message
  when content contains "nitro"
  then label author "spammer" for 1h
rule ads on message
  when content contains "ads"
  then label author "spammer" for 3h
  formerly adverts
rule pardon on message
  when content contains "pardon"
  then unlabel author "spammer"
rule seen on message
  when author labelled "spammer"
  then review
"""


@pytest.fixture
def engine() -> Stepper:
    return Stepper(build(sound(POLICY), all_fields=True))


def message(content: str, hours: float = 0, author: str = "u1") -> dict[str, Any]:
    at = NOON + round(hours * HOUR)
    return {"type": "message", "id": content, "at": at, "author": author, "content": content}


def decide(engine: Stepper, content: str, hours: float = 0, author: str = "u1") -> Decision:
    made = engine.decide(message(content, hours, author))
    assert isinstance(made, Decision)
    return made


def test_a_label_by_hand_stays_whatever_rules_take_away(engine: Stepper) -> None:
    done = engine.label("User", "u1", "spammer", at=NOON, by="ana", for_="2h", why="ticket 77")
    assert done == Acted(
        "quell.label", 1, NOON, "set", "User", "u1", "spammer", "ana", False, True,
        "2026-01-01T14:00:00Z", "ticket 77",
    )  # fmt: skip
    made = decide(engine, "pardon", 1)
    assert (made.seq, made.labels) == (2, ())
    (told,) = made.outranked
    assert (told.id, told.label, told.on, told.rule, told.by) == ("u1", "spammer", False, "pardon", "ana")
    assert decide(engine, "x", 1.99).verdict == "review"
    assert decide(engine, "x", 2).verdict == "allow"


def test_a_removal_by_hand_hides_what_rules_put_on_until_it_is_released(engine: Stepper) -> None:
    decide(engine, "nitro")
    done = engine.unlabel("User", "u1", "spammer", at=NOON + HOUR // 2, by="bo")
    assert (done.was, done.on, done.cleared, done.until) == (True, False, ("nitro",), None)
    made = decide(engine, "nitro ads", 1)
    assert made.labels == ()
    assert [(o.on, o.rule, o.by) for o in made.outranked] == [(True, "ads", "bo")]
    assert decide(engine, "x", 1.5).verdict == "allow"
    (one,) = engine.labels_of("User", "u1", NOON + 2 * HOUR - 1)
    assert (one.label, one.on, [r.rule for r in one.reasons]) == ("spammer", False, ["adverts", "nitro"])
    assert one.removed is not None
    assert (one.removed.by, one.removed.since, one.removed.until) == ("bo", "2026-01-01T12:30:00Z", None)
    done = engine.release("User", "u1", "spammer", at=NOON + 2 * HOUR, by="bo")
    assert (done.was, done.on, done.until) == (False, True, None)
    assert decide(engine, "x", 3).verdict == "review"
    (one,) = engine.labels_of("User", "u1", NOON + 3 * HOUR)
    assert (one.on, one.since, one.until) == (True, "2026-01-01T14:00:00Z", "2026-01-01T16:00:00Z")
    assert engine.labels_of("User", "u1", NOON + 4 * HOUR) == []


def test_a_release_says_that_nothing_changed_where_nothing_stood(engine: Stepper) -> None:
    done = engine.release("User", "u1", "spammer", at=NOON, by="bo")
    assert (done.was, done.on) == (False, False)
    decide(engine, "ads")
    done = engine.release("User", "u1", "spammer", at=NOON, by="bo")
    assert (done.was, done.on, done.until) == (True, True, None)


def test_labels_are_listed_with_all_their_reasons(engine: Stepper) -> None:
    decide(engine, "nitro ads")
    engine.label("User", "u1", "spammer", at=NOON + 1, by="ana", why="seen elsewhere")
    engine.label("User", "u1", "trusted", at=datetime(2026, 1, 1, 13), by="bo", for_=timedelta(hours=1))
    listed = msgspec.json.decode(msgspec.json.encode(engine.labels_of("User", "u1", NOON + HOUR)))
    assert listed == [
        {
            "label": "spammer",
            "on": True,
            "since": "2026-01-01T12:00:00Z",
            "reasons": [
                {"since": "2026-01-01T12:00:00Z", "until": "2026-01-01T15:00:00Z", "rule": "adverts"},
                {"since": "2026-01-01T12:00:00.000001Z", "by": "ana", "why": "seen elsewhere"},
            ],
        },
        {
            "label": "trusted",
            "on": True,
            "since": "2026-01-01T13:00:00Z",
            "until": "2026-01-01T14:00:00Z",
            "reasons": [{"since": "2026-01-01T13:00:00Z", "until": "2026-01-01T14:00:00Z", "by": "bo"}],
        },
    ]
    assert engine.labels_of("User", "nobody", NOON) == []


@pytest.mark.parametrize(
    "at", [NOON, NOON // 1_000, NOON // 1_000_000, float(NOON // 1_000_000), "2026-01-01T12:00:00Z"]
)
def test_a_time_is_read_as_those_of_events_are(engine: Stepper, at: Any) -> None:
    assert engine.label("User", "u1", "spammer", at=at, by="ana", for_="1h").at == NOON


GIVEN: dict[str, Any] = {"entity": "User", "id": "u1", "label": "spammer", "at": NOON, "by": "ana"}
TIMES = "must be a datetime, ISO 8601 text, or a time since 1970 in seconds or less"
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("label", {"entity": "Usr"}, "there is no entity `Usr` (did you mean `User`?)"),
    ("unlabel", {"label": "spamer"}, "`User` has no label `spamer` (did you mean `spammer`?)"),
    ("release", {"label": "zzz"}, "`User` has no label `zzz` (it can carry `spammer`, `trusted`)"),
    ("label", {"entity": "Server"}, "`Server` has no label `spammer` (it can carry none)"),
    ("label", {"id": ""}, "`id` is empty"),
    ("label", {"by": " "}, "`by` is empty"),
    ("label", {"id": "u\ud800"}, "`id` holds half of a surrogate pair, which no text may"),
    ("label", {"by": "a" * 201}, "`by` is longer than 200 characters"),
    ("label", {"why": "a" * 2_001}, "`why` is longer than 2,000 characters"),
    ("label", {"id": 7}, "`id` must be text"),
    ("label", {"at": "now"}, f"`at` {TIMES}"),
    ("label", {"at": 2**70}, f"`at` {TIMES}"),
    ("label", {"at": True}, f"`at` {TIMES}"),
    ("label", {"at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))}, f"`at` {TIMES}"),
    ("unlabel", {"until": [NOON]}, f"`until` {TIMES}"),
    ("unlabel", {"until": NOON}, "`until` lies before the action itself"),
    ("label", {"for_": 0}, "`for` must be longer than nothing"),
    ("label", {"for_": "soon"}, "`for_` must be text such as 30d, microseconds, or a timedelta"),
    ("label", {"for_": "1d", "until": NOON + 1}, "say until when or for how long, not both"),
]


@pytest.mark.parametrize(("call", "changes", "message"), WRONG, ids=[m for _, _, m in WRONG])
def test_what_cannot_be_is_an_error_and_changes_nothing(
    engine: Stepper, call: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(LabelError) as caught:
        getattr(engine, call)(**{**GIVEN, **changes})
    assert str(caught.value) == message
    assert isinstance(caught.value, ValueError)
    assert engine.seq == 0
    assert engine.labels_of("User", "u1", NOON) == []


def test_labels_of_an_entity_that_there_is_not_is_an_error(engine: Stepper) -> None:
    with pytest.raises(LabelError, match="did you mean `User`"):
        engine.labels_of("user", "u1", NOON)


@pytest.mark.parametrize("who", [("User", 7), ("User", []), (None, "u1"), ([], "u1"), ("User", "\ud800")])
def test_what_is_no_text_has_no_labels_and_says_so(engine: Stepper, who: tuple[Any, Any]) -> None:
    with pytest.raises(LabelError):
        engine.labels_of(who[0], who[1], NOON)


def test_texts_and_numbers_of_other_classes_become_pythons_own(engine: Stepper) -> None:
    """A snapshot can hold no others."""

    class Id(str):
        pass

    class Micros(int):
        pass

    made = engine.label(
        Id("User"), Id("u1"), Id("spammer"), at=Micros(NOON), by=Id("ana"), for_=Micros(10), why=Id("so")
    )
    parts = (made.entity, made.id, made.label, made.by, made.why, made.at)
    assert {type(part) for part in parts} == {str, int}
    (held,) = (labels.dump() for labels in engine.state.labels.values() if labels.keys())
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(held)) == held


SAID = {
    "type": "quell.label", "at": "2026-01-01T12:00:00Z", "entity": "User", "id": "u1", "label": "spammer",
    "action": "set", "by": "ana",
}  # fmt: skip
HOSTILE: list[tuple[dict[str, Any], str, str]] = [
    ({"by": None}, "missing-field", "`by` at `$.by`"),
    ({"id": ""}, "missing-field", "`id` at `$.id`"),
    ({"id": ["u1"]}, "wrong-type", "`id` at `$.id`"),
    ({"action": "delete"}, "not-a-member", "`action` at `$.action`"),
    ({"at": None}, "missing-field", "`at` at `$.at`"),
    ({"until": "never"}, "bad-time", "`until` at `$.until`"),
    ({"until": {}}, "wrong-type", "`until` at `$.until`"),
    ({"for": "a while"}, "bad-duration", "`for` at `$.for`"),
    ({"for": -1}, "bad-label", "`for` must be longer than nothing"),
    ({"until": "2026-01-01T11:00:00Z"}, "bad-label", "`until` lies before the action itself"),
    ({"for": "1d", "until": "2027-01-01"}, "bad-label", "say until when or for how long, not both"),
    ({"action": "release", "for": "1d"}, "bad-label", "what is released has no end: leave `until` and `for`"),
    ({"entity": "Usr"}, "bad-label", "there is no entity `Usr` (did you mean `User`?)"),
    ({"label": "x" * 5_000}, "bad-label", "`label` is longer than 200 characters"),
    ({"by": "   "}, "bad-label", "`by` is empty"),
    ({"why": "x" * 2_001}, "bad-label", "`why` is longer than 2,000 characters"),
]


def test_no_schema_is_blamed_for_a_label_by_hand(engine: Stepper) -> None:
    reply = engine.decide({**SAID, "by": None})
    assert isinstance(reply, Refused)
    assert reply.message == "`quell.label` refused: `by` at `$.by`: expected text or an integer, got nothing"


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(("change", "kind", "message"), HOSTILE, ids=[str(c)[:40] for c, _, _ in HOSTILE])
def test_an_entry_that_cannot_be_is_refused(
    engine: Stepper, change: dict[str, Any], kind: str, message: str, as_json: bool
) -> None:
    record = {**SAID, **change}
    made = engine.decide(json.dumps(record).encode() if as_json else record)
    assert isinstance(made, Refused)
    assert made.message.startswith(f"`quell.label` refused: {message}")
    assert (made.kind, made.verdict) == (kind, "allow")
    assert engine.seq == 0
    assert engine.labels_of("User", "u1", NOON) == []


def test_half_a_character_is_refused_either_way(engine: Stepper) -> None:
    record = {**SAID, "id": "u\ud800"}
    for event in (record, json.dumps(record)):
        made = engine.decide(event)
        assert isinstance(made, Refused)
        assert made.kind == "bad-text"


WORDS = ("quell.label", "User", "spammer", "set", "remove", "release", "1d", "2027-01-01")
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers())
)


@given(st.dictionaries(st.sampled_from([*SAID, "until", "for", "why"]), VALUES | st.sampled_from(WORDS)))
def test_no_entry_raises(changes: dict[str, Any]) -> None:
    engine = Stepper(build(sound(POLICY)))
    for record in (changes, {**SAID, **changes}):
        made = engine.decide(record)
        msgspec.json.encode(made)
        if isinstance(made, Acted):
            engine.labels_of(made.entity, made.id, made.at)
        assert isinstance(made, Acted) or (isinstance(made, Refused) and made.kind != "internal")


def test_a_type_of_quells_own_cannot_be_an_events() -> None:
    (found,) = findings('event e from "quell.label"\n  at time = $.at\n')
    assert found.startswith('bad-event: "quell.label" cannot be an event\'s type')


def test_where_events_have_their_type_elsewhere_so_has_the_entry(tmp_path: Path) -> None:
    (tmp_path / "p.quell").write_text(POLICY)
    (tmp_path / "quell.toml").write_text('[events]\ntype = "$.meta.kind"\n')
    engine = Stepper.load(tmp_path)
    assert isinstance(engine.decide(SAID), Refused)
    assert isinstance(engine.decide({**SAID, "type": 3, "meta": {"kind": "quell.label"}}), Acted)
    assert isinstance(engine.decide(json.dumps({**SAID, "meta": {"kind": "quell.label"}})), Acted)


@pytest.mark.parametrize("at", [-5_000_001, 0, 7, 99_999_999_999_999, NOON + 1, 200_000_000_000_000_123])
def test_an_entry_says_its_time_whatever_that_is(engine: Stepper, at: int) -> None:
    """A number would be read as seconds, milliseconds or nanoseconds where it is small or great."""
    acted = engine.label("User", "u1", "spammer", at=at, by="ana", for_=1_000_001)
    again = Stepper(engine.bundle)
    assert again.decide(json.dumps(entry_of(acted))) == acted
    assert again.state.label("User", "spammer").dump() == engine.state.label("User", "spammer").dump()


def test_a_history_with_labels_by_hand_is_decided_again_as_it_was(engine: Stepper) -> None:
    steps: list[Callable[[Stepper], object]] = [
        lambda e: e.decide(message("nitro")),
        lambda e: e.unlabel("User", "u1", "spammer", at=NOON + HOUR, by="bo", until=NOON + 3 * HOUR),
        lambda e: e.decide(message("ads", 2)),
        lambda e: e.label("User", "u2", "spammer", at=NOON + 2 * HOUR, by="ana", for_=HOUR),
        lambda e: e.decide(message("pardon", 2.5, "u2")),
        lambda e: e.decide(message("x", 3.5)),
        lambda e: e.release("User", "u1", "spammer", at=NOON + 4 * HOUR, by="bo"),
        lambda e: e.decide(message("x", 4.5)),
    ]
    live = [step(engine) for step in steps]
    history = [
        message("nitro"),
        {**SAID, "at": NOON + HOUR, "action": "remove", "by": "bo", "until": NOON + 3 * HOUR},
        message("ads", 2),
        {**SAID, "at": NOON + 2 * HOUR, "id": "u2", "for": 3600},
        message("pardon", 2.5, "u2"),
        message("x", 3.5),
        {**SAID, "at": NOON + 4 * HOUR, "action": "release", "by": "bo"},
        message("x", 4.5),
    ]
    again = list(Stepper(build(sound(POLICY))).decide_many(history))
    assert again == live
    assert [a.verdict if isinstance(a, Decision) else "" for a in again if not isinstance(a, Acted)] == [
        "allow", "allow", "review", "review", "review",
    ]  # fmt: skip


def test_explain_says_whose_word_outranks_a_rule(engine: Stepper) -> None:
    engine.unlabel("User", "u1", "spammer", at=NOON, by="bo")
    explainer = Explainer(engine)
    made = explainer.decide(message("nitro"))
    assert isinstance(made, Explanation)
    (effect,) = next(r for r in made.rules if r.rule == "nitro").effects
    assert (effect.done, effect.why) == (False, 'what a person said outranks it: bo took it off "u1"')
    seen = next(r for r in made.rules if r.rule == "seen")
    assert seen.condition.note == 'User "u1", taken off by hand, by "bo"'
    assert isinstance(explainer.decide(SAID), Acted)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_file_of_events_may_hold_labels_by_hand(tmp_path: Path, ending: str) -> None:
    import pyarrow as pa

    bundle = make_bundle(tmp_path / "bundle")
    rows: list[dict[str, str]] = [
        {**SAID, "why": "a, b"},
        {"type": "message", "id": "1", "at": "2026-01-01T12:01:00Z", "author": "u1"},
        {**SAID, "action": "remove", "for": "1h"},
        {**SAID, "label": "spam"},
    ]
    columns = sorted({name for row in rows for name in row})
    path = tmp_path / f"events.{ending}"
    if ending == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif ending == "csv":
        cells = [[f'"{row.get(c, "")}"' for c in columns] for row in rows]
        path.write_text("\n".join([",".join(columns), *map(",".join, cells)]))
    else:
        pq.write_table(
            pa.Table.from_pylist(rows, schema=pa.schema([(c, pa.string()) for c in columns])), path
        )
    out = tmp_path / "out.jsonl"
    done = run("decide", bundle, "--events", path, "--out", out, "--json")
    summary = json.loads(done.stdout)
    assert (summary["events"], summary["decided"], summary["by_hand"]) == (4, 1, {"remove": 1, "set": 1})
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert written[0] == {
        "event": "quell.label", "seq": 1, "at": NOON, "action": "set", "entity": "User", "id": "u1",
        "label": "spammer", "by": "ana", "was": False, "on": True, "why": "a, b",
    }  # fmt: skip
    assert (written[2]["action"], written[2]["until"]) == ("remove", "2026-01-01T13:00:00Z")
    place = {"jsonl": "events.jsonl:4", "csv": "events.csv:5", "parquet": "events.parquet row 4"}[ending]
    assert (written[3]["kind"], written[3]["place"]) == ("bad-label", place)
    run("decide", bundle, "--events", path, "--out", tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert (table[0]["event"], table[0]["verdict"], table[0]["message"]) == (
        "quell.label",
        None,
        "set by ana: a, b",
    )
    assert table[0]["labels"] == [
        {"entity": "User", "id": "u1", "label": "spammer", "on": True, "rule": None, "until": None}
    ]
    table_text = run("decide", bundle, "--events", path).stdout
    assert "labels by hand: 1 × remove, 1 × set" in table_text
