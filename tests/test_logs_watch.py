"""What turns is logged once: a part that begins to fail, another reason, and that it is well again."""

from __future__ import annotations

import io
import json
from typing import Any

from msgspec.structs import replace

from quell.engine.carry import SnapshotReport
from quell.engine.checkpoint import Checkpoint
from quell.engine.drift import Drift
from quell.engine.logs import Logs
from quell.engine.logs_events import EVENTS
from quell.engine.logs_watch import MOST_FINDINGS, LogWatch
from quell.engine.outbox_types import OutboxFigures, SinkFigures
from quell.engine.service_settings import LogSettings
from quell.engine.service_types import Finding
from tests.metrics_support import HTTP, JOURNAL, REMOTE, VERSION, outcome


class Heard:
    """A watch at a clock that is turned by hand, and what it has logged since the last look."""

    def __init__(self, content: bool = False) -> None:
        self.now = 0.0
        self.watch = LogWatch(lambda: self.now)
        self._content = content

    def of(self, look: Any, *figures: Any) -> list[dict[str, Any]]:
        """What a look logs."""
        stream = io.StringIO()
        with Logs(LogSettings("json", "debug", self._content), stream):
            look(*figures)
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    def names(self, look: Any, *figures: Any) -> list[str]:
        """The same, the names alone."""
        return [line["event"] for line in self.of(look, *figures)]


def test_a_journal_that_gets_stuck_and_well() -> None:
    heard = Heard()
    stuck = replace(JOURNAL, problem="no space left on device")
    look = heard.watch.journal
    assert heard.names(look, JOURNAL) == []
    (line,) = heard.of(look, stuck)
    assert (line["event"], line["level"], line["problem"]) == ("journal.problem", "error", stuck.problem)
    assert heard.names(look, stuck) == []
    heard.now = 5.0
    assert heard.names(look, replace(JOURNAL, problem="the folder is gone")) == ["journal.problem"]
    heard.now = 7.25
    (line,) = heard.of(look, JOURNAL)
    assert (line["event"], line["seconds"]) == ("journal.well", 7.2)
    assert heard.names(look, JOURNAL) == []
    assert heard.names(look, replace(JOURNAL, trouble="cannot pack")) == ["journal.trouble"]
    assert heard.names(look, JOURNAL) == []


def outbox(problem: str = "", **sinks: SinkFigures) -> OutboxFigures:
    return OutboxFigures(sinks, 0, 0, 0, 0, problem)


def test_sinks() -> None:
    heard = Heard()
    look = heard.watch.outbox
    failing = SinkFigures(True, waiting=1, trouble="it answers 500")
    assert heard.names(look, outbox(a=SinkFigures(True), b=SinkFigures(False))) == ["sink.unknown"]
    assert heard.names(look, outbox(a=failing, b=SinkFigures(False))) == ["sink.failed"]
    assert heard.names(look, outbox(a=failing, b=SinkFigures(True))) == []
    (dead,) = heard.of(look, outbox(a=replace(failing, died=3, dead=3, given_up="answered 401")))
    assert dead["message"] == "sends to `a` were given up: 3, the last: answered 401"
    assert (dead["event"], dead["times"], dead["sink"]) == ("sink.dead", 3, "a")
    assert heard.names(look, outbox(a=SinkFigures(True, died=3))) == ["sink.well"]
    assert heard.names(look, outbox("no room")) == ["outbox.problem"]
    assert heard.names(look, outbox()) == ["outbox.well"]


def test_a_check_that_failed_is_no_refusal() -> None:
    heard = Heard()
    found = (Finding("", 0, "the check was killed", "", "see that there is memory"),)
    (line,) = heard.of(heard.watch.reloaded, replace(outcome("failed"), findings=found))
    assert (line["event"], line["problem"]) == ("reload.failed", "the check was killed")
    assert line["hint"] == "see that there is memory"


def test_sinks_that_nobody_set_up_are_told_once_and_again_after_a_reload() -> None:
    heard = Heard()
    look = heard.watch.outbox
    named = replace(outbox(), sinks={"a b": SinkFigures(False, rules=("flood", "raid"))})
    (line,) = heard.of(look, named)
    assert (line["event"], line["level"], line["rules"]) == ("sink.unknown", "warning", "`flood` and `raid`")
    assert "the sink `a b` of `flood` and `raid` is not set up" in line["message"]
    assert '[sinks."a b"]' in line["write"]
    assert heard.names(look, named) == []
    heard.of(heard.watch.reloaded, outcome("refused"))
    assert heard.names(look, named) == []
    heard.of(heard.watch.reloaded, outcome("live"))
    assert heard.names(look, named) == ["sink.unknown"]
    assert heard.names(look, outbox(a=SinkFigures(False, rules=()))) == []  # nothing sends to it any more
    assert heard.names(look, outbox(a=SinkFigures(False, dead=1, rules=()))) == ["sink.unknown"]


def test_a_sink_that_no_rule_sends_to_is_mentioned() -> None:
    heard = Heard()
    look = heard.watch.outbox
    (line,) = heard.of(look, outbox(a=SinkFigures(True, rules=()), b=SinkFigures(True, rules=("flood",))))
    assert (line["event"], line["level"], line["sink"]) == ("sink.unused", "info", "a")
    assert heard.names(look, outbox(a=SinkFigures(True, rules=()))) == []


def test_snapshots() -> None:
    from quell.engine.snapshots import SnapshotFigures

    heard = Heard()
    look = heard.watch.snapshots
    assert heard.names(look, SnapshotFigures()) == []
    made = SnapshotFigures(9, 1, Checkpoint(9, 5, 0, (), 100, 0.5))
    assert heard.names(look, made) == ["snapshot.made"]
    assert heard.names(look, made) == []
    differing = SnapshotFigures(12, 1, Checkpoint(12, 5, 2, (11, 12), 100, 0.5))
    assert heard.names(look, differing) == ["snapshot.made", "remade.different"]
    assert heard.names(look, replace(differing, problem="it was killed")) == ["snapshot.failed"]
    assert heard.names(look, differing) == []


def test_requests() -> None:
    heard = Heard()
    look = heard.watch.http
    quiet = replace(HTTP, wrong_keys=0, forbidden=0, shed=0)
    assert heard.names(look, quiet) == []
    wrong = replace(quiet, wrong_keys=4, forbidden=1)
    assert heard.names(look, wrong) == ["key.refused", "key.forbidden"]
    assert heard.names(look, replace(wrong, overloaded=True, shed=10)) == ["http.overloaded"]
    heard.now = 3.0
    (line,) = heard.of(look, replace(wrong, shed=25))
    assert (line["event"], line["times"], line["seconds"]) == ("http.well", 15, 3.0)


def test_remote_models_and_local_ones() -> None:
    heard = Heard()
    open_, closed = (replace_breaker(state) for state in ("open", "closed"))
    assert heard.names(heard.watch.remotes, {"judge": closed}) == []
    assert heard.names(heard.watch.remotes, {"judge": open_}) == ["remote.open"]
    assert heard.names(heard.watch.remotes, {"judge": REMOTE}) == []  # half-open
    assert heard.names(heard.watch.remotes, {"judge": closed}) == ["remote.well"]

    def models(psi: float | None) -> list[Drift]:
        return [Drift("spam", 500, 0.1, 0, (), psi)]

    said = [heard.names(heard.watch.drift, models(psi)) for psi in (None, 0.24, 0.25, 0.3, 0.22, 0.19, 0.1)]
    assert said == [[], [], ["model.drifted"], [], [], ["model.well"], []]


def replace_breaker(state: str) -> Any:
    return replace(REMOTE, breaker=state)


def test_defects_are_told_by_their_kind_alone() -> None:
    message = "deciding failed inside Quell, please report it: KeyError: 'SECRET'"
    heard = Heard()
    (line,) = heard.of(heard.watch.defects, {"message": 2}, {"message": message})
    assert (line["event"], line["error"], line["times"]) == ("decide.failed", "KeyError", 2)
    assert "SECRET" not in str(line)
    assert heard.of(heard.watch.defects, {"message": 2}, {"message": message}) == []
    loud = Heard(content=True)
    assert "SECRET" in str(loud.of(loud.watch.defects, {"message": 2}, {"message": message}))


def test_reloads() -> None:
    heard = Heard()
    told = heard.watch.reloaded
    live = replace(outcome("live"), state=SnapshotReport("x", cold=("count(message by author)",)))
    (line,) = heard.of(told, live)
    assert (line["event"], line["version"], line["cold"]) == (
        "reload.live",
        VERSION.number,
        ["count(message by author)"],
    )
    assert heard.names(told, outcome("unchanged")) == ["reload.unchanged"]
    findings = tuple(Finding("p.quell", n, f"wrong {n}", "code", "hint") for n in range(30))
    refused = replace(outcome("refused", 30), findings=findings)
    names = heard.names(told, refused)
    assert names == ["reload.refused", *["reload.finding"] * MOST_FINDINGS]


def test_every_event_of_the_table_is_told_somewhere(root: Any) -> None:
    code = "".join(
        file.read_text(encoding="utf-8")
        for file in sorted((root / "engine").glob("*.py"))
        if file.name != "logs_events.py"
    )
    elsewhere = {"serve.started", "serve.stopping", "serve.stopped"}  # by `quell serve`
    assert {name for name in EVENTS if f'"{name}"' not in code} <= elsewhere
