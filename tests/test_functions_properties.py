"""What holds of every function for any arguments, and that SQL can say the same where the rows say so."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quell.grammar.types import Type
from quell.signals import characters, exact, links, network, numbers, text, text_finders, times
from quell.signals.functions import REGISTRY
from quell.signals.registry import Function
from quell.signals.text_bands import bands
from quell.signals.text_measures import edit_distance, similarity
from quell.signals.text_normalise import fingerprint, normalise
from quell.signals.values import Unfit, micros

# Pieces that the functions look for, beside text of any kind.
PIECES = [
    *(
        "http://",
        "https://",
        "hxxp://",
        "www.",
        "bit.ly/",
        ".com",
        "[.]",
        "(dot)",
        "xn--80ak6aa92e",
        "@",
        "[at]",
    ),
    *(
        "#",
        "<@123>",
        "mailto:",
        "+44 20 7946 0958",
        "1.2.3.4",
        "::ffff:1.2.3.4",
        "2026-01-01T00:00:00Z",
        "12.5e3",
    ),
    *(
        "%41",
        "\u0440\u0430\u0443",
        "\u0391\u03a3",
        "\u0130\u0131",
        "\u00df\u1e9e",
        "\ufb03",
        "\u0345",
        "\u1fb3",
    ),
    *(
        "\u212a",
        "\U0001f469\u200d\U0001f467",
        "\U0001f1eb\U0001f1f7",
        "1\ufe0f\u20e3",
        "\u2764\ufe0f",
        "e\u0301\u0323",
    ),
    *(
        "\u200b",
        "\uff48\uff54\uff54\uff50",
        "\u3002",
        "\u0e33",
        "\uac00\u11a8",
        "\u1100\u1161",
        "\u3099",
        "\ufdfa",
    ),
    *("\x00", "\r\n", "fr33", "100k", "a1990", "c@sh", "!!1", "$$", "|", "\u20ac", "\u0661", "\u05d0\u05b8"),
    *("\u0928\u093f", "\u00ad", "\u1c82", "\u0189"),
]
CHARS = st.characters(exclude_categories=["Cs"])
TEXTS = st.one_of(
    st.text(CHARS, max_size=40),
    st.lists(
        st.one_of(st.sampled_from(PIECES), st.text("aA1 .:/@#-", max_size=4), st.text(CHARS, max_size=2))
    ).map("".join),
)
NUMBERS = st.one_of(
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.5, -0.0, 2.5]),
)
PATTERNS = st.sampled_from(
    ["a", "[a-z]+", "(a)|(b)", "^", "$", "x*", "", "\\b", "(?i)É", ".", "(.)(.)?", "\\pL+", "a.*z|b"]
)
IPS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(lambda a: network.ip(str(a)))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "entity": TEXTS,
    "enum": TEXTS,
    "number": NUMBERS,
    "bool": st.booleans(),
    "ip": IPS,
    "time": st.integers(times.EARLIEST, times.LATEST),
    "duration": st.integers(-(2**53), 2**53),
    "regex": st.tuples(PATTERNS, st.sampled_from(["", "i", "ms"])),
}
LITERALS: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("round", "digits"): st.integers(0, 15),
    ("replace", "new"): st.sampled_from(["", "x", "\\\\", "é\\0é", "日本"]),
    **{
        (f, "zone"): st.sampled_from(sorted(times.zone_names()))
        for f in ("hour_of_day", "day_of_week", "date")
    },
}
FUNCTIONS = [row for row in REGISTRY.rows() if not row.form]


def value_of(kind: Type, bound: dict[str, str], draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    """A value of a parameter's type; `bound` holds what its type variables stand for."""
    if kind.kind == "list":
        assert kind.element is not None
        return [value_of(kind.element, bound, draw) for _ in range(draw(st.integers(0, 4)))]
    if kind.kind == "var":
        chosen = bound.setdefault(kind.name, draw(st.sampled_from(list(kind.values) or ["text", "number"])))
        return draw(VALUES[chosen])
    return draw(VALUES[kind.kind])


@st.composite
def calls(draw: Any, row: Function) -> tuple[Callable[..., Any], list[Any], dict[str, str]]:
    """A function ready to be called, with its literal arguments bound as the compiler binds them."""
    bound: dict[str, str] = {}
    literals: list[Any] = []
    rest: list[Any] = []
    for parameter in row.parameters:
        own = LITERALS.get((row.name, parameter.name))
        drawn = draw(own) if own is not None else value_of(parameter.type, bound, draw)
        (literals if parameter.literal else rest).append(drawn)
    if row.variadic:
        rest += [value_of(row.parameters[-1].type, bound, draw) for _ in range(draw(st.integers(0, 2)))]
    if row.prepare is None:
        assert row.call is not None
        return row.call, rest, bound
    if row.name == "replace" and literals[0] == "":
        literals[0] = "a"  # the empty text is refused, see test_functions
    return row.prepare(*literals), rest, bound


def check(value: Any, kind: Type, bound: dict[str, str]) -> None:
    """Fail unless the value is one of the type."""
    if value is None:
        assert kind.optional
        return
    name = bound.get(kind.name, kind.kind) if kind.kind == "var" else kind.kind
    if name == "list":
        assert type(value) is list
        assert kind.element is not None
        for element in value:
            check(element, kind.element, bound)
    elif name in ("text", "entity", "enum", "ip"):
        assert type(value) is str
        value.encode()  # no half surrogate pairs
        assert name != "ip" or network.ip(value) == value
    elif name == "bool":
        assert type(value) is bool
    elif name in ("time", "duration"):
        assert type(value) is int
    else:
        assert name == "number"
        assert type(value) in (int, float)
        assert math.isfinite(value)
        assert isinstance(value, float) or abs(value) <= 2**53, "whole numbers past 2**53 are doubles"


@pytest.mark.parametrize("row", FUNCTIONS, ids=lambda r: r.name)
@given(data=st.data())
def test_every_function_gives_a_value_of_its_type(row: Function, data: st.DataObject) -> None:
    function, arguments, bound = data.draw(calls(row))
    found = function(*arguments)
    check(found, row.result, bound)
    assert function(*arguments) == found
    if found is not None and row.bounds is not None:
        assert row.bounds[0] <= found <= row.bounds[1]
    if row.inline is not None:
        names = [f"a{place}" for place in range(len(arguments))]
        inline = eval(row.inline.format(*names), dict(zip(names, arguments, strict=True)))
        assert inline == found


# ------------------------------------------------------------ one another, and twice


@given(TEXTS)
def test_doing_it_twice_changes_nothing(given_text: str) -> None:
    for function in (characters.lower, characters.upper, text.trim, normalise):
        once = function(given_text)
        assert function(once) == once, function


@given(TEXTS)
def test_a_fingerprint_is_that_of_the_normalised_text(given_text: str) -> None:
    plain = normalise(given_text)
    assert fingerprint(given_text) == fingerprint(plain)
    assert bands(given_text) == bands(plain)


@given(TEXTS, TEXTS)
def test_case_is_one_character_at_a_time(one: str, other: str) -> None:
    for function in (characters.lower, characters.upper):
        assert function(one + other) == function(one) + function(other)
        assert len(function(one)) == len(one)


@given(TEXTS, TEXTS)
def test_likeness_is_symmetric(one: str, other: str) -> None:
    assert similarity(one, other) == similarity(other, one)
    assert (similarity(one, other) == 1) == (one == other)
    assert (edit_distance(one, other) == 0) == (one == other)


@given(TEXTS)
def test_a_host_is_its_own_host(given_text: str) -> None:
    host = links.host(given_text)
    if host is not None and ("." in host or ":" in host):
        assert links.host(host) == host
        domain = links.domain(given_text)
        if domain is not None:
            assert links.domain(domain) == domain
            assert host == domain or host.endswith("." + domain)


@given(TEXTS)
def test_what_is_found_stands_in_the_text(given_text: str) -> None:
    at = 0
    for link in links.urls(given_text):
        at = given_text.index(link, at) + len(link)
    at = 0
    for one in text_finders.emojis(given_text):
        at = given_text.index(one, at) + len(one)
    plain = characters.visible(given_text)
    assert all(characters.visible(word) in plain for word in text_finders.words(given_text))
    assert set(map(links.domain, links.urls(given_text))) - {None} <= set(links.domains(given_text))


@given(st.integers(times.EARLIEST, times.LATEST), st.sampled_from(sorted(times.zone_names())))
def test_parts_of_a_time_fit_together(at: int, zone: str) -> None:
    midnight = times.time(times.date_in(zone)(at))
    assert midnight is not None
    assert times.day_of_week("UTC")(midnight) == times.day_of_week(zone)(at)


@given(
    st.one_of(
        TEXTS,
        st.from_regex(
            r"[0-9]{4}-[01][0-9]-[0-3][0-9](T[0-2][0-9]:[0-5][0-9](:[0-9]{2}(\.[0-9]{1,8})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?",
            fullmatch=True,
        ),
    )
)
def test_time_reads_text_as_an_event_field_does(written: str) -> None:
    try:
        expected: int | None = micros(written)
    except Unfit:
        expected = None
    assert times.time(written) == expected


@given(st.floats(min_value=5e-324, allow_nan=False, allow_infinity=False))
def test_logarithms(x: float) -> None:
    assert exact.ln(x) == pytest.approx(math.log(x), rel=1e-15, abs=1e-300)
    assert exact.log2(x) == pytest.approx(math.log2(x), rel=1e-15, abs=1e-300)


@given(st.floats(-180, 180), st.floats(0, 1))
def test_angles(degrees: float, t: float) -> None:
    assert exact.sin_degrees(degrees) == pytest.approx(math.sin(math.radians(degrees)), abs=1e-15)
    assert exact.cos_degrees(degrees / 2) == pytest.approx(math.cos(math.radians(degrees / 2)), abs=1e-15)
    assert exact.atan(t) == pytest.approx(math.atan(t), abs=1e-15)


# --------------------------------------------------------------------- DuckDB


@pytest.fixture(scope="module")
def sql() -> Callable[..., Any]:
    connection = duckdb.connect()

    def ask(expression: str, *values: Any) -> Any:
        row = connection.execute(f"SELECT {expression}", values).fetchone()
        assert row is not None
        return row[0]

    return ask


def test_lower_and_upper_are_duckdbs_for_every_character(sql: Callable[..., Any]) -> None:
    every = "".join(chr(p) for p in range(1, 0x110000) if not 0xD800 <= p < 0xE000)
    assert characters.lower(every) == sql("lower(?)", every)
    assert characters.upper(every) == sql("upper(?)", every)


@given(given_text=TEXTS.filter(lambda t: "\0" not in t))
def test_duckdb_says_the_same_of_texts(sql: Callable[..., Any], given_text: str) -> None:
    assert text.hash_of(given_text) == sql("('0x' || left(sha256(?), 13))::BIGINT", given_text)
    assert characters.lower(given_text) == sql("lower(?)", given_text)
    assert characters.upper(given_text) == sql("upper(?)", given_text)
    assert text.trim(given_text) == sql("trim(?, ?)", given_text, characters.SPACES)
    assert len(given_text) == sql("length(?)", given_text)


@given(x=st.floats(-1e16, 1e16) | st.sampled_from([0.5, 1.5, 2.5, -0.5, 0.49999999999999994]))
def test_duckdb_rounds_as_round_does(sql: Callable[..., Any], x: float) -> None:
    assert numbers.rounder(0)(x) == sql("round(?::DOUBLE)", x)
    assert numbers.floor(x) == sql("floor(?::DOUBLE)", x)
    assert numbers.ceil(x) == sql("ceil(?::DOUBLE)", x)
    scaled = "CASE WHEN abs(x * 100) < 4503599627370496 THEN round(x * 100) / 100 ELSE x END"
    assert numbers.rounder(2)(x) == sql(f"{scaled} FROM (SELECT ?::DOUBLE AS x)", x)


@given(
    pattern=PATTERNS,
    given_text=TEXTS.filter(lambda t: "\0" not in t),
    new=st.sampled_from(["", "-", "<\\0>", "日"]),
)
@example(pattern="x*", given_text="abxd", new="-")
@example(pattern="", given_text="日本", new="-")
@example(pattern="\\b", given_text="é a", new="-")
def test_duckdb_replaces_what_replace_does(
    sql: Callable[..., Any], pattern: str, given_text: str, new: str
) -> None:
    assert text.replacer((pattern, ""), new)(given_text) == sql(
        "regexp_replace(?, ?, ?, 'g')", given_text, pattern, new
    )
