"""Events to look at: for each rule a few on which it fired, the same at every run, with their reasons."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from shlex import quote
from typing import Any

import msgspec

from quell.engine.explanation import Explanation, Part
from quell.replay.backtest_frame import Frame
from quell.replay.history import History, order_of
from quell.replay.report_data import Sample
from quell.signals.show import show_time

_SHOWN = ("fired", "shadow", "held")


def chosen(frame: Frame, most: int) -> dict[str, list[int]]:
    """For each rule that fired the places `n` of up to `most` of its events: those whose digest with the
    rule's name is least. So they lie all over the history, and a change of another rule moves none."""
    if not most:
        return {}
    rows = frame.db.rows(
        f"SELECT rule, arg_min(n, md5(rule || ' ' || place), {most}) FROM {frame.hits} "
        f"WHERE outcome != 'held' GROUP BY rule ORDER BY rule"
    )
    return {rule: sorted(ns) for rule, ns in rows}


def samples(frame: Frame, ns: Collection[int], policies: str = "") -> dict[int, Sample]:
    """What the tables say of some events. `policies` is the bundle as a command line names it."""
    if not ns:
        return {}
    outcome, history = frame.outcome, frame.outcome.history
    among = "n IN (" + ", ".join(str(int(n)) for n in sorted(set(ns))) + ")"
    fired: dict[int, list[tuple[str, str | None, str | None]]] = {}
    for n, rule, verdict, message in frame.db.rows(
        f"SELECT n, rule, verdict, message FROM {outcome.table('hits')} WHERE outcome != 'held' AND {among} "
        f"ORDER BY n, outcome, rule"
    ):
        fired.setdefault(n, []).append((rule, verdict, message))
    rows = frame.db.rows(
        'SELECT n, v.event, v."at", v.verdict, v.label, a.id, a.entity FROM '
        f"(SELECT * FROM ({frame.events}) WHERE {among}) v JOIN {history.table('all')} a USING (n) "
        f"ORDER BY n"
    )
    out = {}
    places = history.told(sorted(ns))
    for n, event, at, verdict, label, id, entity in rows:
        rules, place = fired.get(n, []), places[n]
        out[n] = Sample(
            n=n,
            place=place,
            event=event,
            at=show_time(at),
            verdict=verdict,
            id=id,
            entity=entity,
            message=_message(rules, verdict),
            rules=tuple(rule for rule, _, _ in rules),
            label=label,
            command=command(history, policies, place),
        )
    return out


def messages(frame: Frame, ns: Collection[int]) -> dict[tuple[str, int], str]:
    """What each rule said that fired on some events, by rule and `n`."""
    if not ns:
        return {}
    among = ", ".join(str(int(n)) for n in sorted(set(ns)))
    rows = frame.db.rows(
        f"SELECT rule, n, message FROM {frame.hits} "
        f"WHERE outcome != 'held' AND message IS NOT NULL AND n IN ({among})"
    )
    return {(rule, n): message for rule, n, message in rows}


def _message(rules: Sequence[tuple[str, str | None, str | None]], verdict: str) -> str | None:
    """The message of a rule that asked for the verdict, or else of any."""
    told = [message for _, asked, message in rules if message and asked == verdict]
    return next(iter(told or [message for _, _, message in rules if message]), None)


def command(history: History, policies: str, place: str) -> str:
    """The command that explains an event in full. `quell explain` decides one file in its own order, so for
    anything else it is the replay that explains."""
    alone = len(history.files) == 1 and (history.order == "given" or not history.late)
    if alone and not history.journals:
        events = quote(history.files[0])
        return f"quell explain {quote(policies)} --events {events} --event {quote(place)}"
    events = " ".join(f"--events {quote(path)}" for path in history.files)
    order = "" if history.order == order_of(history.found) else f" --order {history.order}"
    return f"quell replay {quote(policies)} {events}{order} --event {quote(place)}"


# ----------------------------------------------------------------------------------- explanations


def told(explanation: Explanation, rules: Collection[str] = ()) -> dict[str, Any]:
    """An explanation for a report: only the rules that matched, or those named, and the values that these
    look at. All of it would be a hundred times as much; the sample's command tells that."""
    kept = [r for r in explanation.rules if r.outcome in _SHOWN or r.rule in rules]
    values = {v.name: v for v in explanation.values}
    wanted: list[str] = []
    queue = [name for r in kept for name in _names(r.condition, values)]
    while queue:
        name = queue.pop(0)
        if name not in wanted:
            wanted.append(name)
            part = values[name].part
            queue += [] if part is None else list(_names(part, values))
    shown = msgspec.structs.replace(
        explanation, rules=kept, values=[v for v in explanation.values if v.name in wanted]
    )
    made: dict[str, Any] = msgspec.to_builtins(shown)
    return made


def _names(part: Part, values: Mapping[str, Any]) -> Iterator[str]:
    if part.text in values:
        yield part.text
    for inner in part.parts:
        yield from _names(inner, values)
