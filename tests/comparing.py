"""What tests of a comparison share: two bundles over one history, and a naive judge of what changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from quell.engine.compile import Build
from quell.engine.decision import Acted, Decision, Refused
from quell.engine.event_problems import Refusal
from quell.engine.hand import HandAction
from quell.engine.sources import open_source, read_record
from quell.engine.stepper import Stepper
from quell.replay import compare_run
from quell.replay.backtest_report import Asked
from quell.replay.compare_run import Pair, histories
from quell.replay.compare_written import Written
from quell.replay.database import Database
from quell.replay.report_data import Comparison, Differences
from quell.replay.run import RunWay


def compared(before: Build, after: Build, events: Path, way: RunWay = "columns") -> Comparison:
    """Replay both bundles and compare them."""
    pair = Pair.of(before, after, Asked(samples=3, explained=False, policies="after"), "before")
    with Database(threads=1) as db:
        read = histories(db, pair, [events])
        return compare_run.compared(pair, *read, explained=False, way=way).comparison


@dataclass(slots=True)
class Naive:
    """What `judge` finds, as the figures of a comparison are called."""

    flows: Counter[tuple[str, str]] = field(default_factory=Counter)
    kinds: dict[str, int] = field(default_factory=dict)
    newly: Counter[str] = field(default_factory=Counter)
    no_longer: Counter[str] = field(default_factory=Counter)
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    newly_refused: int = 0
    no_longer_refused: int = 0


Reply = Decision | Acted | Refused


def decide(made: Build, events: Path) -> list[Reply]:
    """Every answer of the online engine, in the order of the file, decided in order of time."""
    decoder = made.decoder
    read: list[Any] = []
    with open_source(str(events), columns=decoder.columns(), max_bytes=decoder.max_bytes) as source:
        read = [read_record(payload, decoder) for _, payload in source]
    stepper = Stepper(made)
    answers: dict[int, Reply] = {}
    taken = [i for i, e in enumerate(read) if not isinstance(e, Refusal)]
    for i in sorted(taken, key=lambda i: read[i].at):
        entry = read[i]
        if isinstance(entry, HandAction):
            answers[i] = stepper.act(entry)
        else:
            answers[i] = stepper.decide_decoded(entry)
    return [answers[i] if i in answers else stepper.refuse(read[i]) for i in range(len(read))]


def judge(before: Sequence[Reply], after: Sequence[Reply], said: Written) -> Naive:
    """Compare two lists of answers one by one."""
    renamed = said.renamed
    modes = {r.name: (r.mode_before, r.mode_after) for r in said.rules}
    dressed = {r.name for r in said.rules if r.dressed}
    out = Naive()
    kinds: Counter[str] = Counter()
    for a, b in zip(before, after, strict=True):
        found = set()
        if isinstance(a, Refused) or isinstance(b, Refused):
            if a != b:
                found.add("refused")
            out.newly_refused += isinstance(b, Refused) and not isinstance(a, Refused)
            out.no_longer_refused += isinstance(a, Refused) and not isinstance(b, Refused)
        old, new = _seen(a, renamed), _seen(b, {})
        if isinstance(a, Decision) and isinstance(b, Decision):
            out.flows[a.verdict, b.verdict] += 1
            if a.verdict != b.verdict:
                found.add("verdict")
            if dressed & {rule for kind in ("rules", "shadow", "held") for rule, *_ in new[kind]}:
                found.add("names")
        found |= {kind for kind in old if old[kind] != new[kind] and kind != "messages"}
        for rule in old["messages"].keys() & new["messages"].keys():
            if old["messages"][rule] != new["messages"][rule]:
                found.add("messages")
        _count_rules(out, found, old, new, modes)
        kinds.update(found)
        kinds["events"] += bool(found)
    out.kinds = {f: kinds[f] for f in Differences.__struct_fields__}
    return out


def _count_rules(out: Naive, found: set[str], old: Any, new: Any, modes: Mapping[str, Any]) -> None:
    for rule, (was, now) in modes.items():
        shadow = "live" not in (was, now)
        one, other = ({r for r, *_ in side["shadow" if shadow else "rules"]} for side in (old, new))
        out.before[rule] += rule in one
        out.after[rule] += rule in other
        out.newly[rule] += rule in other and rule not in one
        out.no_longer[rule] += rule in one and rule not in other
    one, other = ({r for r, *_ in side["rules"]} for side in (old, new))
    if other - one:
        found.add("newly_hit")
    if one - other:
        found.add("no_longer_hit")


def _seen(reply: Reply, renamed: Mapping[str, str]) -> dict[str, Any]:
    """What a decision says, rules by their names of now."""

    def name(rule: str) -> str:
        return renamed.get(rule, rule)

    by = {f"exempt by {was}": f"exempt by {now}" for was, now in renamed.items()}
    by_hand: tuple[Any, ...] = ()
    if isinstance(reply, Acted) and reply.on != reply.was:
        by_hand = (reply.entity, reply.id, reply.label, reply.on, reply.until)
    d = reply if isinstance(reply, Decision) else Decision("", 0, 0, "")
    return {
        "rules": {(name(f.rule), f.verdict) for f in d.fired},
        "messages": {name(f.rule): f.message for f in d.fired},
        "shadow": {(name(f.rule), f.verdict, f.message) for f in d.shadow},
        "held": {(name(h.rule), by.get(h.by, h.by)) for h in d.held},
        "labels": (
            Counter((c.entity, c.id, c.label, c.on, name(c.rule), c.until) for c in d.labels),
            Counter((o.entity, o.id, o.label, o.on, name(o.rule), o.by) for o in d.outranked),
            by_hand,
        ),
        "sends": Counter((s.sink, name(s.rule), msgspec.json.encode(s.payload)) for s in d.sends),
    }
