"""Whichever way an event is decoded, it has the same values, the same problems, the same refusal."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.engine.events import Decoded, Decoder, Refusal
from quell.engine.schema import EventSchema, Field
from quell.grammar import types as t

LINK = (
    Field("url", t.TEXT, ("url",)),
    Field("owner", t.entity("User"), ("by", "id")),
    Field("size", t.NUMBER.maybe(), ("size",)),
    Field("seen", t.TIME.maybe(), ("meta", "seen")),
    Field("labels", t.list_of(t.TEXT).maybe(), ("labels",)),
    Field("first", t.TEXT.maybe(), ("labels", 0)),
)
SURE = (*LINK[:2], Field("label", t.TEXT, ("labels", 0)))
KIND = t.Type("enum", values=("a", "b", "1", "-7"))


def optional(name: str, kind: t.Type, *path: str | int | None, **more: Any) -> Field:
    return Field(name, kind.maybe(), path, **more)


SCALARS = (
    Field("at", t.TIME, ("ts",)),
    Field("author", t.entity("User"), ("author", "id")),
    optional("joined", t.TIME, "author", "joined"),
    optional("server", t.entity("Server"), "guild", "id"),
    Field("content", t.TEXT, ("msg", "text"), default="", has_default=True),
    Field("also", t.TEXT.maybe(), ("msg", "text")),
    Field("score", t.NUMBER, ("score",)),
    optional("points", t.NUMBER, "points"),
    optional("bot", t.BOOL, "author", "bot"),
    Field("kind", KIND, ("kind",)),
    optional("mood", KIND, "mood"),
    optional("ip", t.IP, "ip"),
    optional("wait", t.DURATION, "wait"),
    Field("stamp", t.TIME.maybe(), ("ts",)),
)
LISTS = (
    Field("at", t.TIME, ("ts",)),
    Field("mentions", t.list_of(t.entity("User")), ("mentions", None, "id")),
    optional("names", t.list_of(t.TEXT), "mentions", None, "who", "name"),
    optional("first", t.TEXT, "mentions", 0, "who", "name"),
    optional("last", t.entity("User"), "mentions", -1, "id"),
    optional("tags", t.list_of(t.TEXT), "tags"),
    Field("nums", t.list_of(t.NUMBER), ("nums",), default=[1], has_default=True),
    optional("times", t.list_of(t.TIME), "times"),
    optional("ips", t.list_of(t.IP), "hops", None, "ip"),
    optional("deep", t.list_of(t.TEXT), "a", None, "b", None, "c"),
    optional("grid", t.list_of(t.list_of(t.NUMBER)), "grid"),
    optional("links", t.list_of(t.record("link")), "links", record=LINK),
    Field("sure", t.list_of(t.record("link")), ("sure", "links"), record=SURE),
    optional("urls", t.list_of(t.TEXT), "links", None, "url"),
    Field("top", t.TIME, ("times", 0)),
)
SCALAR_EVENT = EventSchema("scalars", "scalars", (), SCALARS, "at")
LIST_EVENT = EventSchema("lists", "lists", (), LISTS, "at")
CLASHING = EventSchema(
    "clashing",
    "clashing",
    (),
    (*SCALARS, Field("raw", t.NUMBER.maybe(), ("msg", "text")), Field("odd", t.TEXT.maybe(), ('a"b', "\n"))),
    "at",
)
PINNED = EventSchema("pinned", "scalars", ((("points",), 0), (("deep", "er"), True)), SCALARS, "at")
TOLD = EventSchema("told", "lists", ((("kind",), "a"),), LISTS, "at")
TOLD_TOO = EventSchema("told_too", "lists", ((("kind",), 5), (("deep", "er"), True)), SCALARS, "at")

_TIME = st.sampled_from(["2024-05-01T12:00:00Z", "2024-05-01 12:00:00.1234567", 1_700_000_000, 1.25, None])
_ID = st.sampled_from([5, "u", 2**64 + 1, "é"])
_NUMBER = st.sampled_from([1.5, 0, -3, 10**25, None])
_TEXT = st.sampled_from(["", "x", "a b", 7, "é", None])
_PERSON = st.fixed_dictionaries({"id": _ID}, optional={"joined": _TIME, "bot": st.booleans(), "more": _TEXT})
_LINK = st.fixed_dictionaries(
    {"url": st.just("u"), "by": st.fixed_dictionaries({"id": _ID | st.just("")})},
    optional={
        "size": _NUMBER,
        "meta": st.fixed_dictionaries({}, optional={"seen": _TIME}) | st.none(),
        "labels": st.lists(_TEXT, max_size=2) | st.none(),
    },
)
_IP = st.sampled_from(["10.0.0.1", "::ffff:10.0.0.1", "2001:DB8::1", None])
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "ts": st.sampled_from(["2024-05-01T12:00:00Z", 1_700_000_000, 1_700_000_000_123, 1_700_000_000.25]),
    "author": _PERSON,
    "guild": st.fixed_dictionaries({}, optional={"id": _ID | st.just("")}) | st.none(),
    "msg": st.fixed_dictionaries({}, optional={"text": _TEXT}) | st.none(),
    "score": st.sampled_from([1.5, 0, -3]),
    "points": _NUMBER,
    "kind": st.sampled_from(["a", 1, "-7", "a"]),
    "mood": st.sampled_from(["b", -7, None]),
    "ip": _IP,
    "wait": st.sampled_from([5, 0.25, "1h30m", "PT1H30M", "-2d", None]),
    "mentions": st.lists(
        st.none()
        | st.fixed_dictionaries(
            {}, optional={"id": _ID, "who": st.fixed_dictionaries({}, optional={"name": _TEXT}) | st.none()}
        ),
        max_size=3,
    ),
    "tags": st.lists(_TEXT, max_size=3) | st.none(),
    "nums": st.lists(_NUMBER, max_size=3) | st.none(),
    "times": st.lists(_TIME, max_size=2).map(lambda more: [1_700_000_000, *more]),
    "hops": st.lists(st.fixed_dictionaries({}, optional={"ip": _IP}) | st.none(), max_size=3),
    "a": st.lists(
        st.fixed_dictionaries(
            {}, optional={"b": st.lists(st.fixed_dictionaries({"c": _TEXT}) | st.none(), max_size=2)}
        ),
        max_size=3,
    ),
    "grid": st.lists(st.lists(_NUMBER, max_size=2) | st.none(), max_size=2),
    "links": st.lists(_LINK | st.none(), max_size=3) | st.none(),
    "sure": st.fixed_dictionaries({"links": st.lists(_LINK, max_size=2)}),
}
KEYS = ["id", "joined", "bot", "text", "name", "who", "url", "by", "size", "meta", "seen", "labels", "ip"]
KEYS += ["b", "c", "links", "er"]
TIMES = [
    "2024-05-01",
    "2024-05-01T12:00",
    "2024-05-01 12:00:00.1234567+02",
    "2024-05-01T12:00:00.1234565-0330",
    "0001-01-01T00:00:00+05:00",
    "9999-12-31T23:59:59.9999999Z",
    "2024-02-30T00:00:00Z",
    "2024-05-01T24:00:00Z",
    "2024-05-01T23:59:60Z",
    "2024-05-01T12:00:00 UTC",
    "1h30m",
    "PT1H30M",
    "-2d",
    "P1Y",
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from([2**53 + 1, 2**64 + 1, -(10**30), 10**25, -62135596800, 10**19, 10**4299]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(TIMES),
    st.sampled_from(["", "a", "1", "-7", "é", "😀", "10.0.0.1", "x" * 70]),
    st.text(max_size=3).filter(lambda s: s.isascii() or _encodable(s)),
)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=8,
)


NEEDED = {"ts", "author", "score", "kind", "mentions", "times", "sure"}


@st.composite
def records(draw: st.DrawFn, types: tuple[object, ...] = ("scalars", "lists", "clashing")) -> dict[str, Any]:
    """Mostly good records; in some a few values are spoilt, in some all may be."""
    spoilt = draw(st.sampled_from([0, 0, 0, 1, 2, 5]))
    types = types if draw(st.integers(0, 9)) else (*types, "other", 5, None)
    record: dict[str, Any] = {"type": draw(st.sampled_from(types))}
    for key, good in GOOD.items():
        if key in NEEDED or draw(st.booleans()):
            record[key] = draw(good)
    for _ in range(spoilt):
        record[draw(st.sampled_from(list(GOOD)))] = draw(VALUES)
    if draw(st.booleans()):
        record["deep"] = {"er": draw(st.just(True) | LEAVES)}
    if draw(st.booleans()):
        record["msg"] = {"text": draw(st.just(5) | _TEXT)}
    keys = draw(st.permutations(list(record)))
    return {key: record[key] for key in keys}


def everything(decoder: Decoder, schemas: list[EventSchema], got: Decoded | Refusal) -> object:
    """All there is to know of an outcome, such that equal outcomes compare equal."""
    if isinstance(got, Refusal):
        return got
    schema = next(s for s in schemas if s.name == got.event)
    return got.event, got.index, got.at, values_of(decoder, schema, got), got.problems


def values_of(decoder: Decoder, schema: EventSchema, got: Decoded) -> dict[str, Any]:
    found = {}
    for f in schema.fields:
        code = decoder.loader(schema.name, f.name)
        found[f.name] = eval(code.source, {**code.helpers, "e": got.e, "at": got.at})
    return found


def used(schemas: list[EventSchema]) -> dict[str, set[str]]:
    return {s.name: {f.name for f in s.fields} for s in schemas}


WAYS = {
    "alone": [SCALAR_EVENT],
    "alone, lists": [LIST_EVENT],
    "alone, no name": [replace(SCALAR_EVENT, wire=None)],
    "alone, told by text": [TOLD],
    "alone, told by other values": [PINNED],
    "alone, clashing": [CLASHING],
    "a union": [SCALAR_EVENT, LIST_EVENT, CLASHING],
    "a union with a shared name": [SCALAR_EVENT, TOLD, TOLD_TOO],
    "a shared name only": [TOLD, TOLD_TOO],
    "looked at first": [SCALAR_EVENT, LIST_EVENT, replace(CLASHING, wire=None, when=((("type",), 5),))],
}


@pytest.mark.parametrize("way", WAYS)
@given(data=st.data())
def test_every_way_gives_the_same(way: str, data: st.DataObject) -> None:
    schemas = WAYS[way]
    record = data.draw(records(tuple(s.wire or "any" for s in schemas)))
    decoder = Decoder(schemas, used(schemas))
    written = json.dumps(record).encode()
    got = everything(decoder, schemas, decoder.decode(written))
    assert got == everything(decoder, schemas, decoder._slow(written))
    assert got == everything(decoder, schemas, decoder.decode(json.dumps(record, ensure_ascii=False)))
    assert got == everything(decoder, schemas, decoder.convert(json.loads(written)))


@pytest.mark.parametrize("way", ["alone", "a union", "alone, clashing", "alone, lists"])
@given(data=st.data())
def test_run_time_values_come_back_as_they_are(way: str, data: st.DataObject) -> None:
    schemas = WAYS[way]
    record = data.draw(records(tuple(s.wire or "any" for s in schemas)))
    decoder = Decoder(schemas, used(schemas))
    got = decoder.decode(json.dumps(record))
    if isinstance(got, Refusal):
        return
    schema = next(s for s in schemas if s.name == got.event)
    values = values_of(decoder, schema, got)
    again = decoder.from_values(got.event, values)
    assert isinstance(again, Decoded)
    assert (again.at, values_of(decoder, schema, again)) == (got.at, values)


@given(data=st.binary(max_size=60) | st.text(max_size=60).map(lambda s: s.encode("utf-8", "surrogatepass")))
def test_no_bytes_raise_anything(data: bytes) -> None:
    schemas = WAYS["a union"]
    decoder = Decoder(schemas, used(schemas))
    assert isinstance(decoder.decode(data), Refusal)


@given(record=records(), cut=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_no_damage_raises_anything(record: dict[str, Any], cut: int, byte: int) -> None:
    schemas = WAYS["a union"]
    decoder = Decoder(schemas, used(schemas))
    data = json.dumps(record).encode()
    cut %= len(data)
    assert isinstance(decoder.decode(data[:cut]), Refusal)
    damaged = data[:cut] + bytes([byte]) + data[cut + 1 :]
    assert everything(decoder, schemas, decoder.decode(damaged)) == everything(
        decoder, schemas, decoder._slow(damaged) if damaged.isascii() else decoder.decode(damaged)
    )
