"""What each type takes from an event, which events are refused, and in what words."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pytest

from quell.engine.event_code import LeafCode
from quell.engine.event_layout import MAX_LIST
from quell.engine.event_pick import MAX_DEPTH
from quell.engine.event_plan import Plan
from quell.engine.events import KINDS, Decoded, Decoder, Refusal
from quell.engine.schema import EventSchema, Field
from quell.grammar import types as t

NOON = 1_714_564_800_000_000
AT = Field("at", t.TIME, ("at",))
HALF = '"\\ud83d"'


def decoder_of(*fields: Field, **more: Any) -> Decoder:
    schema = EventSchema("event", None, (), (AT, *fields), "at")
    return Decoder([schema], {"event": {f.name for f in fields}}, **more)


def read(decoder: Decoder, got: Decoded | Refusal, name: str) -> Any:
    assert isinstance(got, Decoded), str(got)
    code = decoder.loader(got.event, name)
    return eval(code.source, {**code.helpers, "e": got.e, "at": got.at})


def value(kind: t.Type, written: str) -> Any:
    """What a field of a type has when the JSON holds `written`; the refusal when it is required."""
    decoder = decoder_of(Field("x", kind, ("x",)))
    got = decoder.decode(f'{{"at": 1714564800, "x": {written}}}')
    return got if isinstance(got, Refusal) else read(decoder, got, "x")


def refusal(decoder: Decoder, data: bytes | str) -> Refusal:
    got = decoder.decode(data)
    assert isinstance(got, Refusal)
    assert got.kind in KINDS
    assert got.message == got.message.strip()
    assert "\n" not in str(got)
    assert msgspec.json.decode(msgspec.json.encode(got), type=Refusal) == got
    return got


USER = t.entity("User")
KIND = t.Type("enum", values=("a", "7"))


@pytest.mark.parametrize(
    ("kind", "written", "expected"),
    [
        (t.TEXT, '"x"', "x"),
        (t.TEXT, '""', ""),
        (t.TEXT, "9223372036854775809", "9223372036854775809"),
        (t.TEXT, "9" * 4300, "9" * 4300),
        (t.TEXT, "-0", "0"),
        (USER, "0", "0"),
        (USER, "18446744073709551616", "18446744073709551616"),
        (t.NUMBER, "3", 3.0),
        (t.NUMBER, "9007199254740993", 2.0**53),
        (t.NUMBER, "1e-400", 0.0),
        (t.BOOL, "true", True),
        (KIND, '"a"', "a"),
        (KIND, "7", "7"),
        (t.IP, '"2001:0DB8::0001"', "2001:db8::1"),
        (t.IP, '"::ffff:192.0.2.1"', "192.0.2.1"),
        (t.DURATION, "0.25", 250_000),
        (t.DURATION, "-3", -3_000_000),
        (t.DURATION, '"1h30m"', 5_400_000_000),
        (t.DURATION, '"PT1H30M"', 5_400_000_000),
        (t.DURATION, '"P1W2DT0.5S"', 9 * 86_400_000_000 + 500_000),
        (t.list_of(t.TEXT), '[1, null, "b"]', ["1", "b"]),
        (t.list_of(USER), '["", 1]', ["1"]),
        (t.list_of(t.list_of(t.NUMBER)), "[[1, 2], null, []]", [[1, 2], []]),
        (t.list_of(t.TIME), '["2024-05-01T12:00:00Z", 0]', [NOON, 0]),
    ],
)
def test_values(kind: t.Type, written: str, expected: Any) -> None:
    assert value(kind, written) == expected
    assert type(value(kind, written)) is type(expected)
    assert value(kind.maybe(), written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('"2024-05-01T12:00:00Z"', NOON),
        ('"2024-05-01T12:00:00"', NOON),
        ('"2024-05-01 14:00:00+02:00"', NOON),
        ('"2024-05-01 14:00+02"', NOON),
        ('"2024-05-01T06:30:00-0530"', NOON),
        ('"2024-05-01T12:00:00 UTC"', NOON),
        ('"2024-05-01"', NOON - 43_200_000_000),
        ('"2024-05-01T12:00:00.1234565Z"', NOON + 123_457),
        ('"2024-05-01T12:00:00,5"', NOON + 500_000),
        ('"2024-05-01 12:00:00.1234565+00"', NOON + 123_457),
        ('"2024-05-01 12:00:00.12345649+00"', NOON + 123_456),
        ('"2024-05-01T11:59:59.9999999Z"', NOON),
        ("1714564800", NOON),
        ("1714564800.25", NOON + 250_000),
        ("1714564800000", NOON),
        ("1714564800000000", NOON),
        ("1714564800000000999", NOON),
        ("-1", -1_000_000),
        ("99999999999", 99_999_999_999_000_000),
        ("100000000000", 100_000_000_000_000),
        ("100000000000000", 100_000_000_000_000),
        ("100000000000000000", 100_000_000_000_000),
        ("99999999999999999999", 99_999_999_999_999_999),
    ],
)
def test_times(written: str, expected: int) -> None:
    assert value(t.TIME, written) == expected


@pytest.mark.parametrize(
    ("kind", "written", "slug"),
    [
        (t.TEXT, "1.0", "wrong-type"),
        (t.TEXT, "true", "wrong-type"),
        (t.TEXT, "{}", "wrong-type"),
        (t.TEXT, "9" * 4301, "too-large"),
        (t.TEXT, "9" * 10_000, "too-large"),
        (USER, '""', "missing-field"),
        (USER, "null", "missing-field"),
        (USER, "1e3", "wrong-type"),
        (t.NUMBER, '"1"', "wrong-type"),
        (t.NUMBER, "true", "wrong-type"),
        (t.NUMBER, "1e400", "not-finite"),
        (t.NUMBER, "9" * 400, "not-finite"),
        (t.BOOL, "1", "wrong-type"),
        (t.BOOL, '"true"', "wrong-type"),
        (KIND, '"b"', "not-a-member"),
        (KIND, "8", "not-a-member"),
        (KIND, "7.0", "wrong-type"),
        (t.IP, '"1.2.3.4:80"', "bad-ip"),
        (t.IP, '"01.2.3.4"', "bad-ip"),
        (t.IP, '"fe80::1%eth0"', "bad-ip"),
        (t.IP, "16909060", "wrong-type"),
        (t.TIME, '"yesterday"', "bad-time"),
        (t.TIME, '"1714564800"', "bad-time"),
        (t.TIME, '"2024-02-30T00:00:00Z"', "bad-time"),
        (t.TIME, '"2024-05-01T24:00:00Z"', "bad-time"),
        (t.TIME, '"2024-06-30T23:59:60Z"', "bad-time"),
        (t.TIME, '"2024-05-01T12:00:00+24:00"', "bad-time"),
        (t.TIME, '"0001-01-01T00:00:00+05:00"', "bad-time"),
        (t.TIME, '"9999-12-31T23:59:59.9999999Z"', "bad-time"),
        (t.TIME, "-62135596801", "bad-time"),
        (t.TIME, "1e20", "bad-time"),
        (t.TIME, "1e400", "not-finite"),
        (t.TIME, "true", "wrong-type"),
        (t.DURATION, '"P1M"', "bad-duration"),
        (t.DURATION, '"PT"', "bad-duration"),
        (t.DURATION, '"5"', "bad-duration"),
        (t.DURATION, "1e300", "bad-duration"),
        (t.DURATION, '"100001d"', "bad-duration"),
        (t.list_of(t.TEXT), '"a"', "wrong-type"),
        (t.list_of(t.TEXT), "[1, true]", "wrong-type"),
        (t.list_of(t.IP), '["x"]', "bad-ip"),
        (t.list_of(t.TEXT), json.dumps(["a"] * (MAX_LIST + 1)), "too-many"),
    ],
)
def test_a_wrong_value_refuses_where_required_and_is_missing_where_not(
    kind: t.Type, written: str, slug: str
) -> None:
    got = value(kind, written)
    assert isinstance(got, Refusal)
    assert got.kind == slug
    assert got.path.startswith("$.x")
    optional = Field("x", kind.maybe(), ("x",))
    fallback = replace(optional, type=kind, default="d", has_default=True)
    cases: tuple[tuple[Field, str | None], ...] = ((optional, None), (fallback, "d"))
    for field, left in cases:
        decoder = decoder_of(field)
        kept = decoder.decode(f'{{"at": 0, "x": {written}}}')
        assert isinstance(kept, Decoded)
        found = read(decoder, kept, "x")
        if slug == "missing-field":
            assert (found, kept.problems) == (left, ())
        else:
            assert [p.kind for p in kept.problems] == [slug]
            assert found == left or (kind.kind == "list" and len(found) < 2)


def test_wrong_elements_of_an_optional_list_are_dropped_and_told_one_by_one() -> None:
    decoder = decoder_of(Field("x", t.list_of(t.NUMBER).maybe(), ("a", None, "n")))
    got = decoder.decode('{"at": 0, "a": [{"n": 1}, {"n": "2"}, 3, null, {}, {"n": 4}]}')
    assert isinstance(got, Decoded)
    assert read(decoder, got, "x") == [1, 4]
    assert [p.message for p in got.problems] == [
        '`x` at `$.a[1].n`: expected a number, got "2"',
        "`x` at `$.a[2]`: expected an object, got 3",
    ]


def test_records() -> None:
    inner = (
        Field("url", t.TEXT, ("href",)),
        Field("size", t.NUMBER.maybe(), ("meta", "size")),
        Field("seen", t.TIME, ("seen",), default=5, has_default=True),
    )
    links = Field("links", t.list_of(t.record("link")), ("links",), record=inner)
    written = '{"at": 0, "links": [{"href": 1, "seen": 1}, null, {"href": "b", "meta": {"size": %s}}%s]}'
    good: list[dict[str, Any]] = [
        {"url": "1", "size": None, "seen": 1_000_000},
        {"url": "b", "size": 2, "seen": 5},
    ]
    decoder = decoder_of(links)
    assert read(decoder, decoder.decode(written % (2, "")), "links") == good
    assert refusal(decoder, written % (2, ", {}")).path == "$.links[3].href"
    kept = decoder.decode(written % ("true", ""))
    assert read(decoder, kept, "links") == [good[0], {**good[1], "size": None}]
    assert isinstance(kept, Decoded)
    assert [p.path for p in kept.problems] == ["$.links[2].meta.size"]
    decoder = decoder_of(replace(links, type=links.type.maybe()))
    kept = decoder.decode(written % (2, ", {}"))
    assert read(decoder, kept, "links") == good
    assert isinstance(kept, Decoded)
    assert [(p.kind, p.path) for p in kept.problems] == [("missing-field", "$.links[3].href")]


def test_a_record_needs_what_its_fields_require() -> None:
    inner = (Field("by", USER, ("by",)), Field("first", t.TEXT, ("names", 0)))
    decoder = decoder_of(Field("x", t.list_of(t.record("r")).maybe(), ("x",), record=inner))
    for wrong, kind, path in (
        ('{"by": "", "names": ["a"]}', "missing-field", "$.x[0].by"),
        ('{"by": 1, "names": []}', "missing-field", "$.x[0].names[0]"),
    ):
        got = decoder.decode(f'{{"at": 0, "x": [{wrong}, {{"by": 0, "names": [2]}}]}}')
        assert read(decoder, got, "x") == [{"by": "0", "first": "2"}]
        assert isinstance(got, Decoded)
        assert [(p.kind, p.path) for p in got.problems] == [(kind, path)]


def test_a_list_collected_twice_is_bounded_as_a_whole() -> None:
    decoder = decoder_of(Field("x", t.list_of(t.NUMBER), ("a", None, "b", None)))
    half = [0] * (MAX_LIST // 2 + 1)
    assert refusal(decoder, json.dumps({"at": 0, "a": [{"b": half}, {"b": half}]})).kind == "too-many"
    assert len(read(decoder, decoder.decode(json.dumps({"at": 0, "a": [{"b": half}]})), "x")) == len(half)


def test_a_wrong_parent_is_told_at_its_own_place() -> None:
    decoder = decoder_of(Field("x", t.TEXT, ("a", "b", "c")))
    assert str(refusal(decoder, '{"at": 0, "a": {"b": 5}}')) == (
        "`event` refused: `x` at `$.a.b`: expected an object, got 5"
    )
    assert refusal(decoder, '{"at": 0, "a": null}').path == "$.a.b.c"


def test_all_problems_of_an_event_come_at_once() -> None:
    decoder = decoder_of(Field("x", t.TEXT, ("x",)), Field("y", t.NUMBER, ("y",)), Field("z", t.IP, ("z",)))
    got = refusal(decoder, '{"at": "?", "x": [], "z": "localhost"}')
    assert [(p.kind, p.field) for p in got.problems] == [
        ("bad-time", "at"),
        ("wrong-type", "x"),
        ("missing-field", "y"),
        ("bad-ip", "z"),
    ]
    assert str(got) == (
        "`event` refused: `at` at `$.at`: expected an ISO 8601 time such as 2024-05-01T12:00:00Z, or a number"
        ' since 1970, got "?" (and 3 more)'
    )


def test_a_missing_field_is_told_with_what_to_try() -> None:
    assert str(refusal(decoder_of(), "{}")).endswith(
        "got nothing (if `at` may be absent, put `?` after its type or give it a `default`)"
    )


@pytest.mark.parametrize(
    ("data", "slug", "words"),
    [
        (b"", "empty", "nothing in the line"),
        (b" \t\r\n", "empty", "nothing in the line"),
        (b"{", "not-json", "ends too early"),
        (b'{"at": 1', "not-json", "ends too early"),
        (b'{"at": 1}}', "not-json", "one event per line"),
        (b'{"at": 1}{"at": 2}', "not-json", "one event per line"),
        (b"{'at': 1}", "not-json", "double quotes"),
        (b'{"at": NaN}', "not-json", "NaN"),
        (b'{"at": 01}', "not-json", "invalid number, at byte 8"),
        (b'{"other": [1 2], "at": 0}', "not-json", "at byte"),
        (b"at: 1", "not-json", "invalid character"),
        (b"[1]", "not-object", "a list"),
        (b'"x"', "not-object", "a text"),
        (b"null", "not-object", "null"),
        (b"12", "not-object", "a number"),
        (b"1e999", "not-object", "a number"),
        (b'{"at": 0, "other": "\xff"}', "not-utf8", "from byte 20"),
        (b"\x00\x01", "not-json", "invalid character"),
        (b'{"at": 0, "other": "\\ud83d"}', "bad-text", "half of a surrogate pair"),
        (b'{"at": 0, "other": "\\ude00x"}', "bad-text", "half of a surrogate pair"),
        (b'{"at": 0, "other": "\\ud83dxxxxxx"}', "bad-text", "half of a surrogate pair"),
        (b"[" * 100_000, "too-deep", "400 deep"),
        (b'{"at": 0, "other": ' + b'{"a":' * 100_000, "too-deep", "400 deep"),
        (b"\\", "not-json", "invalid character"),
    ],
)
def test_bytes_that_are_no_event(data: bytes, slug: str, words: str) -> None:
    got = refusal(decoder_of(), data)
    assert (got.kind, words in str(got)) == (slug, True), str(got)
    assert not any(word in str(got) for word in ("msgspec", "object at 0x", "Error", "codec"))


def test_half_a_surrogate_pair_in_a_python_text() -> None:
    assert refusal(decoder_of(), '{"at": 0, "x": "\ud83d"}').kind == "bad-text"


def test_depth_is_ours_not_pythons() -> None:
    decoder = decoder_of()
    for depth, ok in ((MAX_DEPTH, True), (MAX_DEPTH + 1, False)):
        inner = "[" * (depth - 1) + "]" * (depth - 1)
        got = decoder.decode(f'{{"at": 0, "text": "[[[{{\\"[", "deep": {inner}}}')
        assert isinstance(got, Decoded) == ok
    wide = json.dumps({"at": 0, "x": [["[" * 5, {}]] * 5000})
    assert isinstance(decoder.decode(wide), Decoded)


def test_an_unfinished_text_of_quotes_is_refused_in_linear_time() -> None:
    assert refusal(decoder_of(), '{"at": "' + '\\"[' * 300_000).kind in ("not-json", "too-deep")


def test_size_is_bounded() -> None:
    decoder = decoder_of(max_bytes=100)
    assert isinstance(decoder.decode('{"at": 0}' + " " * 91), Decoded)
    assert str(refusal(decoder, '{"at": 0}' + " " * 92)) == "the event has 101 bytes, and 100 are the most"


def test_what_no_policy_reads_may_hold_anything() -> None:
    decoder = decoder_of()
    got = decoder.decode('{"at": 0, "other": 1e999, "more": {"at": "x"}, "long": ' + "9" * 9999 + "}")
    assert isinstance(got, Decoded)
    got = decoder_of(Field("x", t.IP.maybe(), ("x",))).decode(
        '{"at": 0, "x": "?", "other": 1e999, "long": ' + "9" * 9999 + "}"
    )
    assert isinstance(got, Decoded)
    assert [p.kind for p in got.problems] == ["bad-ip"]


def test_ten_thousand_links_are_taken_and_more_are_not() -> None:
    decoder = decoder_of(Field("links", t.list_of(t.TEXT), ("links",)))
    for count, ok in ((MAX_LIST, True), (MAX_LIST + 1, False)):
        got = decoder.decode(json.dumps({"at": 0, "links": ["http://a.test/"] * count}))
        assert isinstance(got, Decoded) == ok


def test_the_last_of_equal_keys_counts() -> None:
    decoder = decoder_of(Field("x", t.TEXT.maybe(), ("a", "x")))
    assert read(decoder, decoder.decode('{"at": 0, "a": {"x": 1}, "a": {"x": 2}}'), "x") == "2"
    assert read(decoder, decoder.decode('{"at": 0, "a": {"x": []}, "a": {"x": 2}}'), "x") == "2"
    assert read(decoder, decoder.decode('{"at": 0, "a": {"x": 1}, "a": null}'), "x") is None
    told = Decoder([message("m", "a"), message("n", "b")], {})
    got = told.decode('{"type": "a", "at": 0, "type": "b"}')
    assert isinstance(got, Decoded)
    assert got.event == "n"


def test_a_byte_order_mark_is_no_part_of_the_event() -> None:
    assert isinstance(decoder_of().decode(b'\xef\xbb\xbf{"at": 0}'), Decoded)


def test_keys_that_look_like_the_decoders_own_change_nothing() -> None:
    decoder = decoder_of(Field("x", t.list_of(t.TEXT).maybe(), ("tags",)), Field("y", t.TEXT.maybe(), ("y",)))
    attrs = [a for a in decoder.source("event").split() if a.startswith("e.s")]
    assert attrs, "the list is expected to have a spare attribute"
    for attr in {a[2:].strip("()") for a in attrs}:
        for written in ("null", '["evil"]', "5"):
            got = decoder.decode(f'{{"at": 0, "{attr}": {written}, "tags": ["good"]}}')
            assert read(decoder, got, "x") == ["good"]
            assert isinstance(got, Decoded)
            assert got.problems == ()


@pytest.mark.parametrize(
    "key", ["class", "", "a b", "é", "__init__", "e", 'a"b', "a\\b", "\n", "ﬁ", "1", "None"]
)
def test_any_key_can_be_read(key: str) -> None:
    fields = (Field("x", t.TEXT, (key, "id")), Field("y", t.list_of(t.TEXT).maybe(), ("o", key)))
    decoder = decoder_of(*fields)
    got = decoder.decode(json.dumps({"at": 0, key: {"id": 5}, "o": {key: ["v"]}}))
    assert (read(decoder, got, "x"), read(decoder, got, "y")) == ("5", ["v"])


@pytest.mark.parametrize("name", ["from", "a b", "é", 'x"y', "e", "at_", "default"])
def test_any_name_can_be_used(name: str) -> None:
    fields = (
        Field(name, t.TEXT, ("a",), default=["odd"], has_default=True),
        Field(name + "2", t.list_of(t.TEXT).maybe(), ("b",)),
    )
    decoder = decoder_of(*fields)
    got = decoder.decode('{"at": 0, "b": [1]}')
    assert (read(decoder, got, name), read(decoder, got, name + "2")) == (["odd"], ["1"])


def test_two_fields_may_want_one_place_as_different_kinds() -> None:
    fields = (Field("x", t.TEXT.maybe(), ("v",)), Field("y", t.NUMBER.maybe(), ("v",)))
    decoder = decoder_of(*fields)
    got = decoder.decode('{"at": 0, "v": 5}')
    assert (read(decoder, got, "x"), read(decoder, got, "y")) == ("5", 5.0)
    assert "value by value" in decoder.source("event")
    got = decoder.decode('{"at": 0, "v": "a"}')
    assert (read(decoder, got, "x"), read(decoder, got, "y")) == ("a", None)


@pytest.mark.parametrize("texts", [("word",), ("word", "x_id"), ("x_id", "word")])
def test_a_text_and_an_id_may_want_one_place(texts: tuple[str, ...]) -> None:
    both = [Field("text", t.TEXT.maybe(), texts), Field("user", USER.maybe(), texts)]
    for fields in (both, both[::-1]):
        decoder = decoder_of(*fields)
        for written, expected in (("5", ("5", "5")), ('"u"', ("u", "u")), ('""', ("", None))):
            data = f'{{"at": 0, "{texts[0]}": {written}}}'
            if len(texts) == 2:
                data = f'{{"at": 0, "{texts[0]}": {{"{texts[1]}": {written}}}}}'
            got = decoder.decode(data)
            assert (read(decoder, got, "text"), read(decoder, got, "user")) == expected


def test_only_used_fields_are_looked_at() -> None:
    schema = EventSchema("event", None, (), (AT, Field("x", t.TEXT, ("x",))), "at")
    decoder = Decoder([schema], {})
    assert isinstance(decoder.decode('{"at": 0}'), Decoded)
    with pytest.raises(KeyError):
        decoder.loader("event", "x")
    assert decoder.columns() == {"at"}


def test_a_leaf_says_what_it_is() -> None:
    decoder = decoder_of(Field("x", t.NUMBER, ("a", "b")), Field("y", USER.maybe(), ("y",)))
    assert decoder.loader("event", "x") == LeafCode("e.a.b", {}, True)
    assert decoder.loader("event", "at") == LeafCode("at", {}, True)
    assert not decoder.loader("event", "y").raw


# -- which event it is ------------------------------------------------------------------------------


def message(name: str, wire: str | None, *when: Any, extra: tuple[Field, ...] = ()) -> EventSchema:
    return EventSchema(name, wire, tuple(when), (AT, *extra), "at")


def kind_of(decoder: Decoder, record: dict[str, Any]) -> str:
    """The name of the event, or the refusal's slug: the same from JSON and from Python values."""
    got, same = decoder.decode(json.dumps({"at": 0, **record})), decoder.convert({"at": 0, **record})
    names = [g.event if isinstance(g, Decoded) else g.kind for g in (got, same)]
    assert names[0] == names[1]
    return names[0]


def test_events_are_told_by_name() -> None:
    decoder = Decoder([message("m", "message"), message("n", "9")], {})
    assert kind_of(decoder, {"type": "message"}) == "m"
    assert kind_of(decoder, {"type": "9"}) == "n"
    assert kind_of(decoder, {"type": 9}) == "n"
    for other in ({}, {"type": None}, {"type": "Message"}, {"type": 9.0}, {"type": ["message"]}):
        assert kind_of(decoder, other) == "unmatched"
    assert str(refusal(decoder, '{"type": "mesage"}')) == (
        'no event type matches: `$.type` is "mesage" (did you mean "message"?)'
    )
    assert str(refusal(decoder, '{"type": "zebra"}')) == (
        'no event type matches: `$.type` is "zebra" (types are "9", "message")'
    )
    assert (
        str(refusal(decoder, "{}")) == 'no event type matches: `$.type` is missing (types are "9", "message")'
    )


def test_events_are_told_by_conditions() -> None:
    decoder = Decoder(
        [
            message("image", "post", (("media", 0, "kind"), "image")),
            message("big", "post", (("size",), 5), (("pinned",), True)),
            message("other", "reply"),
        ],
        {},
    )
    assert kind_of(decoder, {"type": "post", "media": [{"kind": "image"}]}) == "image"
    assert kind_of(decoder, {"type": "post", "size": 5.0, "pinned": True}) == "big"
    assert kind_of(decoder, {"type": "reply", "size": 5}) == "other"
    for size, pinned in ((5, 1), (True, True), ("5", True), (5, None)):
        assert kind_of(decoder, {"type": "post", "size": size, "pinned": pinned}) == "unmatched"
    both = {"type": "post", "size": 5, "pinned": True, "media": [{"kind": "image"}]}
    assert kind_of(decoder, both) == "ambiguous"
    assert str(refusal(decoder, json.dumps(both))) == (
        "more than one event type matches: `image` and `big`"
        " (tell them apart by their wire names or by `when`)"
    )
    assert str(refusal(decoder, '{"type": "post", "media": {}}')) == (
        'no event type matches: `image` is only for `$.media[0].kind` equal to "image",'
        " and here it is missing"
    )


@pytest.mark.parametrize("more", [[], [EventSchema("other", "other", (), (AT,), "at")]])
def test_conditions_tell_kinds_apart(more: list[EventSchema]) -> None:
    cases: tuple[tuple[Any, tuple[Any, ...], tuple[Any, ...]], ...] = (
        (1, (1, 1.0), (True, "1", 1.5, [1], None)),
        (0.5, (0.5,), (0, "0.5", False)),
        (True, (True,), (1, "true", False)),
        ("1", ("1", 1), (1.0, True, "01")),
        ("a", ("a",), ("A", ["a"], {"a": "a"}, 0)),
    )
    for want, same, others in cases:
        decoder = Decoder([message("m", "m", (("a", "b"), want)), *more], {})
        for given in same:
            assert kind_of(decoder, {"type": "m", "a": {"b": given}}) == "m"
        for given in others:
            assert kind_of(decoder, {"type": "m", "a": {"b": given}}) == "unmatched"


def test_an_event_alone_still_has_its_name() -> None:
    for path in (("type",), ("meta", "type")):
        decoder = Decoder([message("m", "message")], {}, type_path=path)
        nested: dict[str, Any] = {"type": "message"} if len(path) == 1 else {"meta": {"type": "message"}}
        assert kind_of(decoder, nested) == "m"
        assert kind_of(decoder, {}) == "unmatched"


def test_one_shared_name_alone_is_still_asked_for() -> None:
    decoder = Decoder([message("m", "x", (("a",), 1)), message("n", "x", (("a",), 2))], {})
    assert kind_of(decoder, {"type": "x", "a": 2}) == "n"
    assert kind_of(decoder, {"a": 2}) == "unmatched"
    assert kind_of(decoder, {"type": "x?", "a": 2}) == "unmatched"


def test_an_event_without_name_takes_everything() -> None:
    decoder = Decoder([message("m", None), message("n", "x")], {})
    assert kind_of(decoder, {"type": "y"}) == "m"
    assert kind_of(decoder, {"type": "x"}) == "ambiguous"


@pytest.mark.parametrize("schemas", [1, 2])
def test_a_field_may_be_what_tells_the_event(schemas: int) -> None:
    extra = (
        Field("type", t.TEXT, ("type",)),
        Field("who", t.TEXT, ("who",)),
        Field("number", t.NUMBER.maybe(), ("type",)),
    )
    first = message("m", "message", (("who",), "bot"), extra=extra)
    for used in ({"type", "who"}, {"type", "who", "number"}):
        decoder = Decoder([first, message("n", "other")][:schemas], {"m": used})
        got = decoder.decode('{"type": "message", "who": "bot", "at": 0}')
        assert (read(decoder, got, "type"), read(decoder, got, "who")) == ("message", "bot")
        if "number" in used:
            assert isinstance(got, Decoded)
            assert [p.field for p in got.problems] == ["number"]


@pytest.mark.parametrize(
    ("schemas", "used", "path", "words"),
    [
        ([], {}, ("type",), "needs events"),
        ([message("m", "a"), message("m", "b")], {}, ("type",), "another name"),
        ([message("m", "a")], {"n": {"x"}}, ("type",), "no event is called n"),
        ([message("m", "a")], {"m": {"x"}}, ("type",), "no field x"),
        ([EventSchema("m", None, (), (), "at")], {}, ("type",), "at among them"),
        ([message("m", "a")], {}, ("types", None), r"\[\*\]"),
        (
            [message("m", "a", extra=(Field("x", t.TEXT, ("x", None)),))],
            {"m": {"x"}},
            ("type",),
            "needs a list",
        ),
        ([message("m", "a", extra=(Field("x", t.REGEX, ("x",)),))], {"m": {"x"}}, ("type",), "carry a regex"),
    ],
)
def test_schemas_that_cannot_be(schemas: Any, used: Any, path: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Decoder(schemas, used, type_path=path)


# -- the fast path ----------------------------------------------------------------------------------


class Watched(Decoder):
    """Counts the events that did not take the fast path."""

    slow = 0

    def _slow(self, data: bytes) -> Decoded | Refusal:
        self.slow += 1
        return super()._slow(data)

    def _read(self, plan: Plan, record: Mapping[str, Any]) -> Decoded | Refusal:
        self.slow += 1
        return super()._read(plan, record)


def test_ordinary_events_take_the_fast_path() -> None:
    fields = (
        Field("author", USER, ("author", "id")),
        Field("joined", t.TIME.maybe(), ("author", "joined")),
        Field("parent", USER.maybe(), ("parent",)),
        Field("ip", t.IP.maybe(), ("ip",)),
        Field("tags", t.list_of(t.TEXT).maybe(), ("tags",)),
        Field("users", t.list_of(USER).maybe(), ("mentions", None, "id")),
        Field("text", t.TEXT, ("text",), default="", has_default=True),
    )
    record = {
        "author": {"id": 2**63, "joined": 1},
        "parent": "",
        "ip": "2001:DB8::1",
        "tags": ["é", None],
        "mentions": [{"id": 3}, None, {"id": ""}],
        "text": None,
        "at": "2024-05-01T12:00:00Z",
    }
    schemas = [message("m", "m", extra=fields), message("n", "n"), message("o", "o", (("a",), 1))]
    for chosen in (schemas[:1], schemas[:2], schemas):
        decoder = Watched(chosen, {"m": {f.name for f in fields}})
        for got in (
            decoder.decode(json.dumps({"type": "m", **record})),
            decoder.convert({"type": "m", **record, "at": dt.datetime(2024, 5, 1, 12)}),
        ):
            assert {f.name: read(decoder, got, f.name) for f in (AT, *fields)} == {
                "at": NOON,
                "author": str(2**63),
                "joined": 1_000_000,
                "parent": None,
                "ip": "2001:db8::1",
                "tags": ["é"],
                "users": ["3"],
                "text": "",
            }
        assert decoder.slow == 0
        assert isinstance(decoder.decode('{"type": "m", "author": {"id": 1}, "at": "2024-05-01"}'), Decoded)
        assert decoder.slow == 2


# -- Python values ----------------------------------------------------------------------------------

FIELDS = (
    Field("text", t.TEXT.maybe(), ("text",)),
    Field("user", USER.maybe(), ("user",)),
    Field("number", t.NUMBER.maybe(), ("number",)),
    Field("bool", t.BOOL.maybe(), ("bool",)),
    Field("time", t.TIME.maybe(), ("time",)),
    Field("wait", t.DURATION.maybe(), ("wait",)),
    Field("ip", t.IP.maybe(), ("ip",)),
    Field("kind", KIND.maybe(), ("kind",)),
    Field("list", t.list_of(t.TEXT).maybe(), ("list",)),
    Field("times", t.list_of(t.TIME).maybe(), ("o", "times")),
)
PLUS_TWO = dt.timezone(dt.timedelta(hours=2))


class Label(str):
    """A text that is not quite one, as enumerations make them."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("text", "a", "a"),
        ("text", 2**70, str(2**70)),
        ("text", Decimal("12345678901234567890"), "12345678901234567890"),
        ("text", b"caf\xc3\xa9", "café"),
        ("text", UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ("text", np.int64(5), "5"),
        ("text", np.str_("x"), "x"),
        ("text", Label("x"), "x"),
        ("user", Label(""), None),
        ("number", 5, 5.0),
        ("number", Decimal("0.25"), 0.25),
        ("number", np.float32(0.5), 0.5),
        ("bool", np.bool_(True), True),
        ("time", dt.datetime(2024, 5, 1, 12), NOON),
        ("time", dt.datetime(2024, 5, 1, 14, tzinfo=PLUS_TWO), NOON),
        ("time", dt.date(2024, 5, 1), NOON - 43_200_000_000),
        ("time", np.datetime64("2024-05-01T12:00:00.123456789", "ns"), NOON + 123_456),
        ("time", np.datetime64("NaT", "us"), None),
        ("time", Decimal("1714564800.5"), NOON + 500_000),
        ("wait", dt.timedelta(days=1, microseconds=1), 86_400_000_001),
        ("wait", np.timedelta64(5, "ms"), 5_000),
        ("wait", Decimal("0.5"), 500_000),
        ("ip", ip_address("::ffff:1.2.3.4"), "1.2.3.4"),
        ("kind", np.int8(7), "7"),
        ("list", ("a", 1, None), ["a", "1"]),
        ("list", np.array(["a", "b"]), ["a", "b"]),
    ],
)
def test_python_values(name: str, given: Any, expected: Any) -> None:
    decoder = decoder_of(*FIELDS)
    got = decoder.convert({"at": 0, name: given})
    assert isinstance(got, Decoded)
    assert got.problems == ()
    found = read(decoder, got, name)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("name", "given", "slug"),
    [
        ("text", 1.0, "wrong-type"),
        ("text", Decimal("1.5"), "wrong-type"),
        ("text", "\ud800", "bad-text"),
        ("text", "é\udfff", "bad-text"),
        ("text", b"\xff", "not-utf8"),
        pytest.param("text", 10**4300, "too-large", id="text of too many digits"),
        ("text", object(), "wrong-type"),
        ("text", dt.date(2024, 5, 1), "wrong-type"),
        ("number", math.nan, "not-finite"),
        ("number", np.float64("inf"), "not-finite"),
        pytest.param("number", 10**400, "not-finite", id="number of 400 digits"),
        ("number", Decimal("NaN"), "not-finite"),
        ("number", np.bool_(True), "wrong-type"),
        ("bool", 1, "wrong-type"),
        ("time", math.nan, "bad-time"),
        ("time", math.inf, "bad-time"),
        ("time", dt.time(12), "wrong-type"),
        ("time", dt.datetime(1, 1, 1, tzinfo=PLUS_TWO), "bad-time"),
        ("wait", math.nan, "bad-duration"),
        ("ip", b"1.2.3.4", "wrong-type"),
        ("kind", Label("b"), "not-a-member"),
        ("list", {"a", "b"}, "wrong-type"),
        ("list", iter(["a"]), "wrong-type"),
        ("list", ["a"] * (MAX_LIST + 1), "too-many"),
        ("list", ["a", "\ud800"], "bad-text"),
        ("list", "abc", "wrong-type"),
    ],
)
def test_python_values_that_are_wrong(name: str, given: Any, slug: str) -> None:
    decoder = decoder_of(*FIELDS)
    got = decoder.convert({"at": 0, name: given})
    assert isinstance(got, Decoded)
    assert [(p.kind, p.field) for p in got.problems] == [(slug, name)]
    assert read(decoder, got, name) in (None, ["a"])
    assert msgspec.json.encode(got.problems)


def test_python_records_that_are_none() -> None:
    decoder = decoder_of(*FIELDS)
    assert isinstance(decoder.convert(["at", 0]), Refusal)  # type: ignore[arg-type]  # what a caller may do
    assert isinstance(decoder.convert({"at": 0, 5: 6, "o": {None: 1}}), Decoded)  # type: ignore[dict-item]  # as above
    circle: dict[str, Any] = {"at": 0}
    circle["o"] = circle["list"] = circle["text"] = circle
    got = decoder.convert(circle)
    assert isinstance(got, Decoded)
    assert [p.got for p in got.problems] == ["an object", "an object"]


def test_sets_have_no_order_and_so_are_no_lists_wherever_they_stand() -> None:
    inner = (Field("tags", t.list_of(t.TEXT).maybe(), ("tags",)),)
    links = Field("links", t.list_of(t.record("link")).maybe(), ("links",), record=inner)
    decoder = decoder_of(links)
    got = decoder.convert({"at": 0, "links": [{"tags": {"a", "b"}}]})
    assert read(decoder, got, "links") == [{"tags": None}]


# -- run-time values --------------------------------------------------------------------------------


def test_an_event_from_run_time_values() -> None:
    fields = (
        *FIELDS,
        Field("top", t.NUMBER, ("a", "b")),
        Field("same", t.TEXT.maybe(), ("text",)),
        Field("word", t.TEXT, ("word",), default="none", has_default=True),
        Field("unused", t.TEXT, ("unused",)),
    )
    schema = EventSchema("event", "e", (), (AT, *fields), "at")
    decoder = Decoder([schema], {"event": {f.name for f in fields} - {"unused"}})
    values = {
        "at": 7,
        "time": 5,
        "wait": 6,
        "ip": "::1",
        "list": ["x"],
        "times": [1, 2],
        "top": 1.5,
        "same": "s",
    }
    got = decoder.from_values("event", {**values, "extra": 1})
    assert isinstance(got, Decoded)
    assert got.at == 7
    for name, expected in values.items():
        assert read(decoder, got, name) == expected
    assert read(decoder, got, "text") is None
    assert read(decoder, got, "word") == "none"
    refused = decoder.from_values("event", {"at": 7})
    assert isinstance(refused, Refusal)
    assert [p.field for p in refused.problems] == ["top"]
    refused = decoder.from_values("event", {"top": 7})
    assert isinstance(refused, Refusal)
    assert [p.field for p in refused.problems] == ["at"]
    with pytest.raises(KeyError):
        decoder.from_values("other", {})


def test_an_optional_time_of_an_event_is_required_all_the_same() -> None:
    schema = EventSchema("event", None, (), (replace(AT, type=t.TIME.maybe()),), "at")
    decoder = Decoder([schema], {})
    assert refusal(decoder, '{"at": null}').kind == "missing-field"
    assert isinstance(decoder.convert({}), Refusal)


def test_long_and_odd_values_are_shown_short_and_visible() -> None:
    decoder = decoder_of(Field("x", t.NUMBER, ("x",)))
    got = refusal(decoder, json.dumps({"at": 0, "x": 'a"\n\u202e' + "b" * 500}))
    assert got.got == '"a\\"\\n\\u202e' + "b" * 56 + '…"'
    assert refusal(decoder, '{"at": 0, "x": [1]}').got == "a list"


def test_a_flood_of_problems_is_told_in_part() -> None:
    decoder = decoder_of(Field("x", t.list_of(t.NUMBER).maybe(), ("x",)))
    got = decoder.decode(json.dumps({"at": 0, "x": ["no"] * MAX_LIST}))
    assert isinstance(got, Decoded)
    assert len(got.problems) == 50
