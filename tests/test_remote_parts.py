"""The small parts of the client of remote models: breaker, cache, reading of answers, secrets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.grammar.types import BOOL, DURATION, IP, NUMBER, TEXT, TIME, Type, entity, list_of
from quell.signals.remote_answers import MAX_ITEMS, MAX_TEXT, reader
from quell.signals.remote_breaker import Breaker
from quell.signals.remote_cache import Cache
from quell.signals.remote_secrets import MissingSecret, fill
from quell.signals.remote_types import RemoteSpec, Target


def spec(*gives: tuple[str, Type]) -> RemoteSpec:
    return RemoteSpec("scam", "scam-classifier", ("text",), gives, 800_000)


# ---------------------------------------------------------------------- breaker


def test_a_breaker_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(3, 10)
    for good in (False, False, True, False, False):
        assert not breaker.outcome(breaker.round, good, 0)
    assert breaker.state(0) == "closed"
    assert breaker.outcome(breaker.round, False, 5)
    assert (breaker.state(5), breaker.state(14.9), breaker.state(15)) == ("open", "open", "half-open")
    assert breaker.enter(14.9) is None


def test_a_half_open_breaker_lets_one_call_through() -> None:
    breaker = Breaker(1, 10)
    breaker.outcome(breaker.round, False, 0)
    probe = breaker.enter(10)
    assert probe is not None
    assert breaker.enter(10) is None
    assert breaker.enter(1_000) is None
    assert breaker.outcome(probe, False, 20)
    assert (breaker.state(29), breaker.state(30)) == ("open", "half-open")
    probe = breaker.enter(30)
    assert probe is not None
    assert not breaker.outcome(probe, True, 31)
    assert breaker.state(31) == "closed"
    assert breaker.enter(31) is not None


def test_a_probe_that_is_never_sent_leaves_room_for_another() -> None:
    breaker = Breaker(1, 10)
    breaker.outcome(breaker.round, False, 0)
    probe = breaker.enter(10)
    assert probe is not None
    breaker.leave(probe)
    assert breaker.enter(10) is not None


def test_calls_of_an_earlier_round_are_no_evidence() -> None:
    breaker = Breaker(1, 10)
    early = breaker.round
    assert breaker.outcome(early, False, 0)
    assert not breaker.outcome(early, False, 9)  # else it would stay open longer
    assert breaker.state(10) == "half-open"
    assert not breaker.outcome(early, True, 10)
    assert breaker.state(10) == "half-open"


def test_a_breaker_of_no_failures_never_opens() -> None:
    breaker = Breaker(0, 10)
    assert not any(breaker.outcome(breaker.round, False, now) for now in range(100))
    assert breaker.enter(100) is not None


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans(), st.booleans()), max_size=60), st.integers(1, 3))
def test_a_breaker_never_stays_shut_for_good(steps: list[tuple[float, bool, bool]], limit: int) -> None:
    """Whatever happened before: `rest` later somebody may enter, and a good call closes it."""
    breaker, now = Breaker(limit, 2), 0.0
    for later, good, leaves in steps:
        now += later
        entered = breaker.enter(now)
        if entered is None:
            continue
        if leaves:
            breaker.leave(entered)
        else:
            breaker.outcome(entered, good, now)
    now += 2
    entered = breaker.enter(now)
    assert entered is not None
    breaker.outcome(entered, True, now)
    assert breaker.state(now) == "closed"


# ---------------------------------------------------------------------- cache


def test_a_cache_keeps_what_was_used_last() -> None:
    cache = Cache(10, 2)
    cache.put(b"a", 1, 0)
    cache.put(b"b", 2, 1)
    assert cache.get(b"a", 2) == (10, 1)
    cache.put(b"c", 3, 3)
    assert [cache.get(key, 4) is None for key in (b"a", b"b", b"c")] == [False, True, False]
    assert len(cache) == 2


def test_a_cache_forgets_after_its_time() -> None:
    cache = Cache(10, 2)
    cache.put(b"a", 1, 0)
    assert cache.get(b"a", 9.9) is not None
    assert cache.get(b"a", 10) is None
    assert len(cache) == 0
    cache.put(b"a", 1, 20)
    cache.put(b"a", 2, 25)
    assert cache.get(b"a", 34) == (35, 2)


def test_a_cache_of_no_time_keeps_nothing() -> None:
    cache = Cache(0, 10)
    cache.put(b"a", 1, 0)
    assert cache.get(b"a", 0) is None


# ---------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (0.5, 0.5),
        (1, 1.0),
        ({"score": 0.5}, 0.5),
        ({"score": 0.5, "more": "not asked for"}, 0.5),
        (np.float32(0.5), 0.5),
        ({"score": np.int64(3)}, 3.0),
    ],
)
def test_a_score(answer: Any, value: float) -> None:
    found, wrong = reader(spec())(answer)
    assert (found, wrong) == (value, "")
    assert type(found) is float


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ("0.5", "`score` is not a number"),
        (True, "`score` is not a number"),
        ([0.5], "`score` is not a number"),
        ({"scoore": 0.5}, "answered without `score`"),
        ({"score": None}, "`score` is not in the answer"),
        ({"score": math.nan}, "`score` is not a finite number"),
        (math.inf, "`score` is not a finite number"),
        (10**400, "`score` is not a finite number"),
        (object(), "`score` is not a number"),
    ],
)
def test_what_is_no_score(answer: Any, wrong: str) -> None:
    assert reader(spec())(answer) == (None, wrong)


EVERYTHING = spec(
    ("likely", NUMBER),
    ("sure", BOOL),
    ("reason", TEXT.maybe()),
    ("seen", TIME),
    ("age", DURATION),
    ("address", IP),
    ("who", entity("User")),
    ("kind", Type("enum", values=("spam", "scam"))),
    ("tags", list_of(TEXT)),
)
WHOLE: dict[str, Any] = {
    "likely": 0.25,
    "sure": True,
    "reason": "asks for a code",
    "seen": "2024-05-01T12:00:00Z",
    "age": "1h30m",
    "address": "::ffff:10.0.0.1",
    "who": 77,
    "kind": "scam",
    "tags": ["a", "b"],
}


def test_every_type() -> None:
    found, wrong = reader(EVERYTHING)(WHOLE)
    assert wrong == ""
    assert found == {
        "likely": 0.25,
        "sure": True,
        "reason": "asks for a code",
        "seen": 1_714_564_800_000_000,
        "age": 5_400_000_000,
        "address": "10.0.0.1",
        "who": "77",
        "kind": "scam",
        "tags": ["a", "b"],
    }


def test_what_may_be_missing_may_be_left_out() -> None:
    found, wrong = reader(EVERYTHING)({k: v for k, v in WHOLE.items() if k != "reason"})
    assert (found["reason"], wrong) == (None, "")


@pytest.mark.parametrize(
    ("column", "given", "words"),
    [
        ("likely", "high", "a number"),
        ("sure", 1, "true or false"),
        ("reason", ["x"], "text or an integer"),
        ("reason", "\ud800", "text without half surrogate pairs"),
        ("reason", "x" * (MAX_TEXT + 1), "a text of at most 10,000 characters"),
        ("seen", "yesterday", "an ISO 8601 time such as 2024-05-01T12:00:00Z, or a number since 1970"),
        ("seen", 10**30, "a time in the years 1 to 9999"),
        ("age", "long", "a number of seconds, or text such as 1h30m or PT1H30M"),
        ("address", "10.0.0", "an IP address"),
        ("who", "", "an id, as text or an integer"),
        ("kind", "ham", 'one of "spam", "scam"'),
        ("tags", "a", "a list"),
        ("tags", ["a", ["b"]], "text or an integer"),
        ("tags", ["a"] * (MAX_ITEMS + 1), "a list of at most 1,000 elements"),
    ],
)
def test_a_wrong_value_is_missing_and_the_others_stay(column: str, given: Any, words: str) -> None:
    found, wrong = reader(EVERYTHING)({**WHOLE, column: given})
    assert wrong == f"`{column}` is not {words}"
    right, _ = reader(EVERYTHING)(WHOLE)
    assert found == {**right, column: None}


def test_nothing_right_is_no_value() -> None:
    read = reader(spec(("likely", NUMBER), ("reason", TEXT)))
    assert read({"likely": "x", "reason": None}) == (None, "`likely` is not a number")
    assert read({"likely": None}) == (None, "`likely` is not in the answer")
    assert read({}) == (None, "answered without `likely` or `reason`")
    maybe = reader(spec(("likely", NUMBER.maybe()), ("reason", TEXT.maybe())))
    assert maybe({"likely": None}) == ({"likely": None, "reason": None}, "")
    assert maybe({"scoore": 0.5}) == (None, "answered without `likely` or `reason`")
    assert read([0.5, "x"]) == (None, "answered something else than an object")
    assert read(0.5) == (None, "answered something else than an object")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([name for name, _ in EVERYTHING.gives]), _JSON) | _JSON)
def test_reading_any_answer_says_what_is_wrong_and_raises_nothing(answer: Any) -> None:
    found, wrong = reader(EVERYTHING)(answer)
    required = [name for name, type_ in EVERYTHING.gives if not type_.optional]
    assert (wrong == "") == (found is not None and all(found[name] is not None for name in required))


# ---------------------------------------------------------------------- secrets


def with_headers(**headers: str) -> Target:
    return Target("scam", url="http://x.test", headers=tuple(headers.items()))


def test_secrets_are_filled_in() -> None:
    target = with_headers(Authorization="Bearer env:TOKEN", Key="env:KEY", Team="abuse")
    assert fill([target], {"TOKEN": "t0k", "KEY": " k3y\n"}) == {
        "scam": {"Authorization": "Bearer t0k", "Key": "k3y", "Team": "abuse"}
    }


def test_every_missing_secret_is_named_and_none_is_shown() -> None:
    targets = [with_headers(Authorization="env:TOKEN", Key="env:KEY", Other="env:EMPTY")]
    with pytest.raises(MissingSecret) as caught:
        fill(targets, {"KEY": "s3cr\r\net", "EMPTY": "  "})
    assert str(caught.value) == (
        "the environment has no `TOKEN`, which the header `Authorization` of [remote.scam] needs; "
        "`KEY` in the environment holds characters that the header `Key` of [remote.scam] cannot carry; "
        "the environment has no `EMPTY`, which the header `Other` of [remote.scam] needs"
    )
