"""`[remote.NAME]` in quell.toml: what it may say, and what is said about mistakes."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.engine.bundle import read_settings
from quell.grammar.diagnostics import Report
from quell.grammar.source import Span
from quell.signals.remote import Target

HERE = Span("quell.toml", 0, 0)


def read(text: str) -> tuple[dict[str, Target], list[str]]:
    """The targets, and each finding with its hint."""
    report = Report()
    settings = read_settings(tomllib.loads(text), HERE, report)
    assert {d.code for d in report.found} <= {"bad-settings"}
    return dict(settings.remote), [d.message + (f" ({d.hint})" if d.hint else "") for d in report.found]


def one(text: str) -> list[str]:
    """The findings about one target with an address."""
    targets, found = read(f'[remote.scam]\nurl = "http://x.test"\n{text}')
    assert list(targets) == ["scam"]
    return found


def test_a_service() -> None:
    targets, found = read(
        """
        [remote.scam-classifier]
        url = "https://scam.internal:8443/score?kind=chat"
        timeout = "5s"
        concurrency = 50
        queue = 200
        batch = 16
        linger = "5ms"
        cache = "10m"
        cache_size = 5000
        version = "2026-03"
        late = "scam_answer"
        breaker = { failures = 5, seconds = 30 }
        headers = { Authorization = "Bearer env:SCAM_TOKEN", X-Team = "abuse" }
        """
    )
    assert found == []
    assert targets == {
        "scam-classifier": Target(
            "scam-classifier",
            url="https://scam.internal:8443/score?kind=chat",
            timeout=5_000_000,
            concurrency=50,
            queue=200,
            batch=16,
            linger=5_000,
            cache=600_000_000,
            cache_size=5_000,
            version="2026-03",
            late="scam_answer",
            failures=5,
            rest=30_000_000,
            headers=(("Authorization", "Bearer env:SCAM_TOKEN"), ("X-Team", "abuse")),
        )
    }


def test_what_is_not_said() -> None:
    targets, found = read(
        '[remote.a]\nurl = "http://x.test"\n[remote.b]\ncallable = true\nbatch = 8\nbreaker = {failures = 0}'
    )
    assert found == []
    assert targets["a"] == Target("a", url="http://x.test", timeout=10_000_000, linger=0, cache=0)
    assert targets["b"] == Target("b", callable=True, batch=8, linger=2_000, failures=0)
    assert read("") == ({}, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tiemout = '5s'", "has no setting `tiemout` (did you mean `timeout`?)"),
        ("timeout = 5", 'needs a `timeout` that is a duration from 1ms to 10m (write timeout = "10s")'),
        (
            "timeout = '5 seconds'",
            'needs a `timeout` that is a duration from 1ms to 10m (write timeout = "10s")',
        ),
        ("timeout = '11m'", 'needs a `timeout` that is a duration from 1ms to 10m (write timeout = "10s")'),
        ("linger = '2s'", 'needs a `linger` that is a duration from 0s to 1s (write linger = "2ms")'),
        ("cache = true", 'needs a `cache` that is a duration from 0s to 366d (write cache = "5m")'),
        (
            "cache = '999999999999999999999d'",
            'needs a `cache` that is a duration from 0s to 366d (write cache = "5m")',
        ),
        ("concurrency = 0", "needs a `concurrency` that is a whole number from 1 to 10000"),
        ("queue = -1", "needs a `queue` that is a whole number from 0 to 1000000"),
        ("batch = true", "needs a `batch` that is a whole number from 1 to 1000"),
        ("batch = 1.5", "needs a `batch` that is a whole number from 1 to 1000"),
        ("cache_size = '5'", "needs a `cache_size` that is a whole number from 1 to 10000000"),
        ("late = true", 'has a `late` that is no type of event (write late = "scam_answer")'),
        ("version = 3", 'needs a `version` that is text (write version = "3")'),
        (
            "breaker = 5",
            (
                "needs a `breaker` of `failures` and `seconds` "
                "(write breaker = { failures = 10, seconds = 10 }; failures = 0 turns it off)"
            ),
        ),
        (
            "breaker = { failure = 5 }",
            (
                "needs a `breaker` of `failures` and `seconds` "
                "(write breaker = { failures = 10, seconds = 10 }; failures = 0 turns it off)"
            ),
        ),
        ("breaker = { failures = -1 }", "needs a `failures` that is a whole number from 0 to 10000"),
        ("breaker = { seconds = 0 }", "needs a `seconds` that is a whole number from 1 to 86400"),
        ("headers = 'x'", 'needs `headers` by name (write headers = { Authorization = "env:SCAM_TOKEN" })'),
        (
            "headers = { 'X Y' = 'z' }",
            'names a header that is none (write headers = { Authorization = "env:SCAM_TOKEN" })',
        ),
        ("headers = { Host = 'z' }", "sets the header `Host`, which Quell sets itself (leave it out)"),
        (
            "headers = { content-Length = '5' }",
            "sets the header `content-Length`, which Quell sets itself (leave it out)",
        ),
        ("headers = { a = 'z', A = 'z' }", "sets the header `A` twice (leave one out)"),
        ('headers = { a = "z\\r\\nb: c" }', "needs a header `a` that is text of one line, in ASCII"),
        ("headers = { a = 5 }", "needs a header `a` that is text of one line, in ASCII"),
        (
            "headers = { Authorization = 'Bearer hunter2' }",
            (
                "holds a secret in the header `Authorization` "
                '(put it into the environment and write Authorization = "env:NAME")'
            ),
        ),
        (
            "headers = { a = 'env:1X' }",
            (
                "names the environment in the header `a` in a way that is not read "
                '(write a = "env:NAME" or "Bearer env:NAME")'
            ),
        ),
        ("callable = 1", "has a `callable` that is neither true nor false"),
        (
            "callable = true",
            "has a `url` and is `callable` (a target is a service or a function: leave one out)",
        ),
    ],
)
def test_a_mistake_is_told_once(text: str, message: str) -> None:
    assert one(text) == [f"[remote.scam] {message}"]


EXAMPLE = 'write url = "https://scam.internal:8080/score"'


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", f"needs a `url` that is text ({EXAMPLE})"),
        (
            "scam.internal:8080",
            f"has a `url` that begins with neither http:// nor https:// ({EXAMPLE})",
        ),
        ("ftp://x.test", f"has a `url` that begins with neither http:// nor https:// ({EXAMPLE})"),
        ("file:///etc/passwd", f"has a `url` that begins with neither http:// nor https:// ({EXAMPLE})"),
        (
            "http://ann:hunter2@x.test/",
            "has a `url` with a name or password in it (write headers = ",
        ),
        ("http://x.test/#a", "has a `url` with a `#`, which is never sent (leave out what follows the #)"),
        ("http://", f"has a `url` that is no address ({EXAMPLE})"),
        ("http:///score", f"has a `url` that is no address ({EXAMPLE})"),
        ("http://x.test:0/", f"has a `url` that is no address ({EXAMPLE})"),
        ("http://x.test:99999/", f"has a `url` that is no address ({EXAMPLE})"),
        ("http://x.test:http/", f"has a `url` that is no address ({EXAMPLE})"),
        ("http://x.test\\\\@y.test/", "has a `url` with a name or password in it"),
        ("http://[::1/", f"has a `url` that is no address ({EXAMPLE})"),
        ("http://x test/", "has a `url` with spaces or letters that no address may hold"),
        ("http://x.test/\\r\\nX: y", "has a `url` with spaces or letters that no address may hold"),
        ("http://bücher.test/", "has a `url` with spaces or letters that no address may hold"),
    ],
)
def test_an_address_that_is_none(url: str, message: str) -> None:
    targets, (found,) = read(f'[remote.scam]\nurl = "{url}"')
    assert found.startswith(f"[remote.scam] {message}")
    assert "hunter2" not in found
    assert targets["scam"].url == ""


@pytest.mark.parametrize("url", ["http://x.test", "https://10.0.0.1:8080/a/b?c=d", "http://[::1]:80/"])
def test_an_address(url: str) -> None:
    targets, found = read(f'[remote.scam]\nurl = "{url}"')
    assert (targets["scam"].url, found) == (url, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "remote = 5",
            (
                "[remote] holds one section for each target (write [remote.scam-classifier] and below it "
                'url = "http://…")'
            ),
        ),
        (
            "[remote]\nurl = 'http://x.test'",
            (
                "[remote] holds one section for each target (write [remote.scam-classifier] and below it "
                'url = "http://…")'
            ),
        ),
        (
            "[remote.'a b']\nurl = 'http://x.test'",
            (
                "the name of a target in [remote] is made of letters, digits, `-`, `_` and `.` "
                "(write [remote.scam-classifier])"
            ),
        ),
        (
            "[remote.scam]",
            '[remote.scam] says not where it is (write url = "http://…", or callable = true for a function)',
        ),
        (
            "[remote.scam]\ncallable = true\nheaders = { a = 'b' }",
            "[remote.scam] is `callable` and has `headers` (a function is sent none: leave them out)",
        ),
        (
            "[remotes.scam]\nurl = 'http://x.test'",
            "quell.toml has no section [remotes] (did you mean `remote`?)",
        ),
    ],
)
def test_a_section_that_is_none(text: str, message: str) -> None:
    assert read(text)[1] == [message]


def test_all_mistakes_at_once() -> None:
    _, found = read("[remote.scam]\nurl = 'x'\nbatch = 0\n[remote.spam]\ncallable = 1\ncache = 1")
    assert len(found) == 4


_NAMES = "url callable timeout linger cache concurrency queue batch cache_size version breaker headers x"
_SAID = st.dictionaries(
    st.sampled_from(_NAMES.split(" ")),
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["http://x.test", "5s", "env:A", "http://[", "//"])
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(
        st.sampled_from(["failures", "seconds", "A", "b c"]), st.integers() | st.text(max_size=5), max_size=3
    ),
)


@given(_SAID | st.integers())
def test_whatever_it_says_is_read_or_reported(said: Any) -> None:
    report = Report()
    settings = read_settings({"remote": {"scam": said}}, HERE, report)
    for message in [d.message for d in report.found]:
        assert message.startswith("[remote")
    if not report.found:
        target = settings.remote["scam"]
        assert target.callable != bool(target.url)
