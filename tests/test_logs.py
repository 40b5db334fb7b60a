"""The log of a service: what is written, what never is, and that no value forges a line."""

from __future__ import annotations

import ast
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.engine.logs import Logs, tell
from quell.engine.logs_events import EVENTS
from quell.engine.logs_thin import Thin
from quell.engine.service_settings import LogSettings


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(settings: LogSettings, *told: tuple[str, dict[str, Any]]) -> list[str]:
    """What is written of what is told."""
    stream = io.StringIO()
    with Logs(settings, stream):
        for name, fields in told:
            tell(name, **fields)
    return stream.getvalue().splitlines()


JSON = LogSettings("json", "debug")


def test_an_event_as_json() -> None:
    (line,) = lines(JSON, ("reload.live", {"version": 3, "by": "ada", "why": "files changed", "held": 0.01}))
    found = json.loads(line)
    assert found.pop("at").endswith("Z")
    assert found == {
        "level": "info",
        "event": "reload.live",
        "message": "version 3 decides now (files changed, by ada)",
        "version": 3,
        "by": "ada",
        "why": "files changed",
        "held": 0.01,
    }


def test_an_event_as_text_shows_the_rest_of_its_fields() -> None:
    told = ("journal.problem", {"problem": "no room", "unwritten": 9})
    (line,) = lines(LogSettings(format="text"), told)
    assert (
        line.split(" ", 1)[1]
        == "error   journal.problem  the journal cannot be written: no room  unwritten=9"
    )


def test_a_list_stands_in_a_message_as_names() -> None:
    told = ("counters.filled", {"counters": ["count(a by b)", "count(c)"], "held": 0.1})
    (line,) = lines(LogSettings(format="json"), told)
    assert json.loads(line)["message"].endswith("from the journal: `count(a by b)`, `count(c)`")
    assert json.loads(line)["counters"] == ["count(a by b)", "count(c)"]


def test_a_terminal_gets_text_and_a_pipe_gets_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    with Logs(LogSettings(), terminal):
        tell("journal.problem", problem="disk full")
    assert "\x1b[31merror" in terminal.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    with Logs(LogSettings(), plain):
        tell("journal.problem", problem="disk full")
    assert "\x1b" not in plain.getvalue()
    assert json.loads(lines(LogSettings(), ("journal.problem", {"problem": "x"}))[0])["problem"] == "x"


def test_levels() -> None:
    told: list[tuple[str, dict[str, Any]]]
    told = [("reload.unchanged", {}), ("serve.stopped", {}), ("reload.refused", {}), ("journal.problem", {})]
    for level, expected in (("debug", 4), ("info", 3), ("warning", 2), ("error", 1)):
        assert len(lines(LogSettings("json", level), *told)) == expected  # type: ignore[arg-type]


CONTENT = {"type": "message", "error": "KeyError", "times": 1, "detail": "KeyError: 'SECRET'"}


def test_content_is_written_only_when_asked_for() -> None:
    formats: tuple[Literal["json", "text"], ...] = ("json", "text")
    for format_ in formats:
        told = ("decide.failed", CONTENT)
        (quiet,) = lines(LogSettings(format=format_), told)
        assert "SECRET" not in quiet
        (loud,) = lines(LogSettings(format=format_, content=True), told)
        assert "SECRET" in loud


def test_fields_that_no_row_names_are_not_written() -> None:
    (line,) = lines(LogSettings("json", "debug", True), ("serve.stopped", {"payload": "SECRET"}))
    assert "SECRET" not in line
    (unknown,) = lines(JSON, ("no.such\nevent", {"payload": "SECRET"}))
    assert "SECRET" not in unknown
    assert json.loads(unknown)["event"] == "log.other"


@given(st.text(), st.sampled_from(["json", "text"]))
def test_no_value_forges_a_line(text: str, format_: Any) -> None:
    """Newlines of any kind, escapes of terminals, marks that turn text around, halves of characters."""
    (line,) = lines(LogSettings(format=format_), ("journal.problem", {"problem": text, "unwritten": text}))
    assert line.isprintable()
    if format_ == "json":
        assert json.loads(line)["event"] == "journal.problem"


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(), st.lists)
)
def test_any_value_can_be_told(value: Any) -> None:
    (line,) = lines(JSON, ("journal.problem", {"problem": value}))
    json.loads(line)


def test_a_value_that_raises_when_looked_at_stops_nothing() -> None:
    class Bad:
        def __str__(self) -> str:
            raise RuntimeError

    assert (
        lines(JSON, ("journal.problem", {"problem": Bad()}), ("serve.stopped", {}))[-1].count("stopped") >= 1
    )


def test_a_stream_that_is_closed_stops_nothing() -> None:
    stream = io.StringIO()
    with Logs(JSON, stream):
        stream.close()
        tell("serve.stopped")


def test_repeated_messages_are_thinned_and_counted() -> None:
    told = [("sink.failed", {"sink": "a", "problem": str(n)}) for n in range(40)]
    told += [("sink.failed", {"sink": "b", "problem": "x"})]
    found = [json.loads(line) for line in lines(JSON, *told)]
    assert [f.get("problem") for f in found[:-1]] == ["0", "1", "2", "3", "4", "x"]
    assert (found[-1]["event"], found[-1]["of"], found[-1]["left_out"]) == ("log.left_out", "sink.failed", 35)


def record(name: str = "sink.failed", **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("quell", logging.WARNING, "", 0, "", (), None)
    made.quell_event, made.quell_fields = name, fields
    return made


def test_the_next_message_of_a_kind_tells_what_was_left_out() -> None:
    now = [0.0]
    thin = Thin(first=2, period=10, clock=lambda: now[0])
    assert [thin.filter(record(sink="a")) for _ in range(5)] == [True, True, False, False, False]
    assert list(thin.ended()) == []
    now[0] = 10.0
    after = record(sink="a")
    assert thin.filter(after)
    assert after.left_out == 3  # type: ignore[attr-defined]
    now[0] = 30.0
    assert list(thin.ended()) == []


def test_what_is_left_out_is_told_though_nothing_follows() -> None:
    now = [0.0]
    thin = Thin(first=1, period=10, clock=lambda: now[0])
    for sink in ("a", "b", "b", "b"):
        thin.filter(record(sink=sink))
    now[0] = 10.0
    assert list(thin.ended()) == [("sink.failed", 2)]
    assert list(thin.ended(everything=True)) == []


@given(st.lists(st.integers(0, 900), max_size=300))
def test_every_message_is_written_or_counted(sinks: list[int]) -> None:
    """With more kinds than are told apart, too."""
    now = [0.0]
    thin = Thin(first=1, period=5, clock=lambda: now[0])
    written, told = 0, 0
    for n, sink in enumerate(sinks):
        now[0] = n / 20
        made = record(sink=str(sink % 7 if n % 2 else sink))
        written += thin.filter(made)
        told += getattr(made, "left_out", 0) + sum(count for _, count in thin.ended())
    told += sum(count for _, count in thin.ended(everything=True))
    assert written + told == len(sinks)


# ------------------------------------------------------------------------------- what others log


def other(
    settings: LogSettings, logger: str, message: str, *args: Any, level: int = logging.ERROR, **more: Any
) -> Any:
    stream = io.StringIO()
    with Logs(settings, stream):
        logging.getLogger(logger).log(level, message, *args, **more)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_another_librarys_words_are_written_and_not_what_it_put_in() -> None:
    (found,) = other(JSON, "lib", "cannot take %s\nSECRET", "SECRET")
    assert (found["event"], found["logger"], found["said"]) == ("log.other", "lib", "cannot take %s")
    assert "SECRET" not in str(found)
    (loud,) = other(LogSettings("json", "info", True), "lib", "cannot take %s", "SECRET")
    assert "SECRET" in loud["detail"]
    assert other(JSON, "lib", "starting", level=logging.INFO) == []


def test_an_exception_is_its_type_and_its_places() -> None:
    def fail() -> None:
        raise KeyError("SECRET")

    found: Any = None
    try:
        fail()
    except KeyError:
        (found,) = other(JSON, "quell", "asking `judge` failed", exc_info=True)
    assert found["error"] == "KeyError"
    assert found["where"][-1].endswith("in fail")
    assert "SECRET" not in str(found)


def test_uvicorn_speaks_in_the_same_format() -> None:
    (found,) = other(JSON, "uvicorn.error", "Started server process [%d]", 7, level=logging.INFO)
    assert found["said"] == "Started server process [7]"
    line = ('%s - "%s %s HTTP/%s" %d', "127.0.0.1:5", "GET", "/v1/labels/User/SECRET?q=SECRET", "1.1", 200)
    (request,) = other(JSON, "uvicorn.access", *line, level=logging.INFO)
    assert (request["event"], request["route"], request["status"]) == ("http.request", "/v1/labels", 200)
    assert "SECRET" not in str(request)
    whole = LogSettings("json", "info", True)
    assert other(whole, "uvicorn.access", *line, level=logging.INFO)[0]["path"].endswith("q=SECRET")


@pytest.mark.parametrize(
    ("path", "route"),
    [("/", "/"), ("", "/"), ("/metrics", "/metrics"), ("/u1/u2", "/u1"), ("/v1/a\nb", "/v1/…"), ("//x", "/")],
)
def test_a_route_holds_no_id(path: str, route: str) -> None:
    args = ("c", "GET", path, "1.1", 200)
    (found,) = other(JSON, "uvicorn.access", '%s - "%s %s HTTP/%s" %d', *args, level=logging.INFO)
    assert found["route"] == route


def test_logging_is_given_back_as_it_was() -> None:
    root = logging.getLogger()
    before = list(root.handlers), root.level, logging.getLogger("quell").level
    stream = io.StringIO()
    with Logs(JSON, stream), warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("look at this", stacklevel=1)
    assert (list(root.handlers), root.level, logging.getLogger("quell").level) == before
    assert "log.other" in stream.getvalue()


def test_an_embedding_service_gets_records_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "quell"):
        tell("reload.live", version=3, by="ada", why="x")
        tell("decide.failed", **CONTENT)
    failed = "deciding a `message` failed inside Quell, please report it"
    assert caplog.messages == ["version 3 decides now (x, by ada)", failed]


# -------------------------------------------------------------------------------------- the table


def test_texts_show_only_what_is_always_written() -> None:
    for row in EVENTS.values():
        named = {name for _, name, _, _ in Formatter().parse(row.text) if name}
        assert named <= set(row.fields), row.name
        assert set(row.apart) <= set(row.fields), row.name
        assert not {"at", "level", "event", "message"} & {*row.fields, *row.content}, row.name


def told_in(module: ast.Module) -> Iterator[ast.Call]:
    """The calls of `tell`, in a module that has it from the log."""
    nodes = list(ast.walk(module))
    has = any(isinstance(n, ast.ImportFrom) and n.module == "quell.engine.logs" for n in nodes)
    for node in nodes if has else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tell":
            yield node


def test_what_the_code_tells_is_in_the_table(root: Path) -> None:
    for file in sorted((root / "engine").glob("*.py")):
        for call in told_in(ast.parse(file.read_text(encoding="utf-8"))):
            assert isinstance(call.args[0], ast.Constant), f"{file.name}:{call.lineno}: no plain name"
            name = str(call.args[0].value)
            where = f"{file.name}:{call.lineno}: {name}"
            assert name in EVENTS, where
            row = EVENTS[name]
            assert {k.arg for k in call.keywords} <= {*row.fields, *row.content, None}, where
