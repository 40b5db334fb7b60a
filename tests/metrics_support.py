"""What tests of metrics share: notes out of a stepper, metrics read back, parts that have everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families

from quell.engine.decision import Decision, Refused, Reply
from quell.engine.http_pressure import HttpFigures
from quell.engine.journal import JournalFigures
from quell.engine.metrics import Metrics
from quell.engine.metrics_parts import Parts
from quell.engine.once import OnceFigures
from quell.engine.outbox_types import OutboxFigures, SinkFigures
from quell.engine.service_types import Note, ReloadOutcome, VersionInfo
from quell.engine.snapshots import SnapshotFigures
from quell.engine.stepper import Stepper
from quell.signals.remote_types import Figures as RemoteFigures

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"

POLICY = """
entity User labels "spammer", "trusted"
event message from "message"
  id      text = $.id
  at      time = $.at
  author  User = $.author
  text    text = $.text default ""
  size    number? = $.size
let sent = count(message by author within 1m)
rule third on message
  when sent >= 3
  then block
       label author "spammer" for 1d
       send "queue" { why: "third" } limit 5 per author every 1h
rule second on message
  when sent == 2
  then review
  mode shadow
rule begins on message
  when author labelled "trusted"
  then exempt from third
rule part on message
  when text contains "buy"
  then flag
  rollout 0% by author
rule big on message
  when size > 10
  then flag
"""


JOURNAL = JournalFigures(2, 1_000, 1, 31, 30, 7, 70, "", "", 1_700_000_000_000_000)
SINKS = {
    "queue": SinkFigures(True, 3, 1, 2, 40, 5, 2, 1, 1_700_000_000_000_000, "refused", 1_700_000_000_000_000),
    "other": SinkFigures(True),
    "forgotten": SinkFigures(False),
}
OUTBOX = OutboxFigures(SINKS, 28, 31, 0, 0, "")
SNAPSHOTS = SnapshotFigures(28, 1_700_000_000_000_000, None, 12, 0, "")
HTTP = HttpFigures(3, 4, 0.001, False, 5, 6, 7, {"decide": {"200": 8, "503": 1}, "status": {"200": 2}})
REMOTE = RemoteFigures(9, 4, 1, 1, 1, 1, 1, 0, 6, 2, 1, "half-open", 0.75)
VERSION = VersionInfo(3, "0123456789abcdef", 1_700_000_000_000_000, "ada", "files changed")


def full_parts(stepper: Stepper) -> Parts:
    """Parts of a service that has everything, around a stepper."""
    return Parts(
        version=lambda: VERSION,
        waiting=lambda: 2,
        remotes=lambda: {"judge": REMOTE},
        stepper=lambda: stepper,
        journal=lambda: JOURNAL,
        outbox=lambda: OUTBOX,
        snapshots=lambda: SNAPSHOTS,
        http=lambda: HTTP,
        once=lambda: OnceFigures(9, 8, 7, 6),
    )


def full_metrics(stepper: Stepper) -> Metrics:
    """Metrics of a service that has everything, asked anew at each look."""
    return Metrics(full_parts(stepper), fresh=0)


def note(reply: Reply, seconds: float = 0.0002, version: int = 1) -> Note:
    """An answer as the service tells of it."""
    return Note(1_700_000_000_000_000, seconds, version, b"{}", reply)


def outcome(result: Any, errors: int = 0) -> ReloadOutcome:
    """What came of a reload."""
    return ReloadOutcome(result, 1_700_000_000_000_000, "ada", "files changed", VERSION, (), errors)


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(metrics: Metrics, accept: str = "") -> Samples:
    """Every sample of the text, by name and labels, as the library that reads it for Prometheus has them."""
    body, kind = metrics.text(accept)
    read = (
        open_families if kind.startswith("application/openmetrics-text") else text_string_to_metric_families
    )
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in read(body.decode()):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, f"{key} stands there twice"
            found[key] = sample.value
    return found


def of(found: Samples, name: str, *labels: str) -> dict[Any, float]:
    """The samples of a name by the values of those labels (one: bare); others are left out of the key."""
    out: dict[Any, float] = {}
    for (which, pairs), value in found.items():
        if which == name:
            known = dict(pairs)
            key = tuple(known[label] for label in labels)
            out[key[0] if len(key) == 1 else key] = value
    return out


def counted(notes: Iterable[Note]) -> dict[str, Counter[Any]]:
    """What the metrics of some answers must say, worked out the slow and obvious way."""
    out: dict[str, Counter[Any]] = {
        name: Counter() for name in ("verdicts", "refusals", "hits", "incomplete", "problems", "sends")
    }
    for one in notes:
        reply = one.reply
        if isinstance(reply, Decision):
            out["verdicts"][reply.event, reply.verdict] += 1
            for mode, rules in (("live", reply.fired), ("shadow", reply.shadow), ("held", reply.held)):
                out["hits"].update((rule.rule, mode) for rule in rules)
            for why, counters in (("late", reply.late), ("full", reply.full), ("cold", reply.cold)):
                out["incomplete"].update((counter, why) for counter in counters)
            out["problems"].update((reply.event, problem.field) for problem in reply.problems)
            out["sends"].update(sent.sink for sent in reply.sends)
        elif isinstance(reply, Refused):
            out["refusals"][reply.event or "", reply.kind] += 1
    return out
