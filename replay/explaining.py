"""Explanations of events of a replay: the very ones that `quell explain` gives, without stepping there if the
replay went by columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quell.engine.compile import Build
from quell.engine.decision import Decision, Fired, Held
from quell.engine.events import Decoded
from quell.engine.explain import Account, Explainer
from quell.engine.explanation import Explanation
from quell.engine.graph import Node
from quell.engine.interpret import FieldReaders, Interpreter, NotRead
from quell.engine.lower_lists import with_columns
from quell.engine.settle import Hit, fired_as
from quell.engine.stepper import Observer, Stepper
from quell.replay.columnar import Columnar
from quell.replay.database import among
from quell.replay.dependence import READINGS
from quell.replay.history_types import from_column
from quell.replay.outcome import Outcome
from quell.replay.settling import Look, Settling
from quell.replay.stepping import Steps, decided, some_events


def explain_steps(outcome: Outcome, wanted: Sequence[int]) -> dict[int, Explanation]:
    """The explanations of some events, by `n`, by stepping the online engine until all are decided."""
    stepper = Stepper(outcome.history.build)
    explainer = Explainer(stepper)
    left, taken, found = set(wanted), dict[int, Account](), dict[int, Explanation]()

    def observe(n: int) -> Observer | None:
        if n not in left:
            return None

        def look(decoded: Decoded, hits: list[Hit]) -> None:
            taken[n] = explainer.account(decoded, hits)

        return look

    for n, entry, answer in Steps(outcome.history, stepper).made(observe):
        if isinstance(entry, Decoded):
            decision = decided(n, answer)
            if n in left:
                found[n] = taken[n].explanation(decision)
                left.discard(n)
        if not left:
            break
    return found


def explain_columns(outcome: Outcome, wanted: Sequence[int]) -> dict[int, Explanation]:
    """The same where the replay went by columns: their counters are taken from there, and what follows from
    decisions is decided again as far as it goes."""
    columnar: Columnar = outcome.columnar
    settling = Settling(outcome.history, columnar.rows(), columnar.began, columnar.nows)
    explainer = _Explainer(Stepper(outcome.history.build, settling.state))
    found: dict[int, Explanation] = {}
    look: dict[int, Look] = {}
    matched = _matched(outcome, wanted)
    for event in columnar.relations:
        values = _values(columnar, event, wanted)
        for n, decoded in some_events(outcome.history, event, wanted):
            now, readings = values[n]
            look[n] = _looker(explainer, n, decoded, now, readings, matched.get(n), found)
    settling.run(None, lambda n: None, look)
    if outcome.history.numbered:
        for n, (_, number) in outcome.history.origins(wanted).items():
            found[n].decision.seq = found[n].decision.decided = number
    return found


def _looker(
    explainer: _Explainer,
    n: int,
    decoded: Decoded,
    now: int,
    readings: Mapping[int, Any],
    matched: _Matched | None,
    found: dict[int, Explanation],
) -> Look:
    def look(hits: list[Hit]) -> Callable[[Decision | None], None]:
        explainer.at(now, readings)
        account = explainer.account(decoded, hits)

        def after(decision: Decision | None) -> None:
            if decision is None:
                stepper = explainer.engine
                first = stepper.bundle.analysis.symbols.ladders[decoded.event].verdicts[0]
                id = stepper.bundle.identifier(decoded.event)(decoded.e, decoded.at)
                decision = Decision(decoded.event, n, decoded.at, first, id, n)
            if matched is not None:
                matched.into(decision, explainer.engine.bundle)
            decision.problems = decoded.problems
            decision.models = explainer.engine.bundle.models(decoded.event)
            found[n] = account.explanation(decision)

        return after

    return look


@dataclass(slots=True)
class _Matched:
    """What the tables say of the rules that matched on an event: those that SQL decided by itself too."""

    verdict: str
    hits: list[tuple[str, str, str | None, str | None, str]] = field(default_factory=list)
    """Rule, outcome, verdict, message, what holds it back."""

    def into(self, decision: Decision, build: Build) -> None:
        """Put it into a decision, the rules in the order of the program."""
        order = {r.name: (i, r) for i, r in enumerate(build.programs[decision.event].program.rules)}
        fired: dict[str, list[Fired]] = {"fired": [], "shadow": []}
        held = []
        for name, outcome, verdict, message, by in sorted(self.hits, key=lambda hit: order[hit[0]][0]):
            if outcome == "held":
                held.append(Held(name, by))
            else:
                fired[outcome].append(fired_as(order[name][1], verdict, message))
        decision.verdict, decision.held = self.verdict, tuple(held)
        decision.fired, decision.shadow = tuple(fired["fired"]), tuple(fired["shadow"])


def _matched(outcome: Outcome, wanted: Sequence[int]) -> dict[int, _Matched]:
    chosen, rows = among(wanted), outcome.db.rows
    decided = rows(f"SELECT n, verdict FROM {outcome.table('decisions')} WHERE {chosen}")
    found = {n: _Matched(verdict) for n, verdict in decided}
    hits = f'SELECT n, rule, outcome, verdict, message, "by" FROM {outcome.table("hits")} WHERE {chosen}'
    for n, *hit in rows(hits):
        found[n].hits.append((hit[0], hit[1], hit[2], hit[3], hit[4] or ""))
    return found


def _values(columnar: Columnar, event: str, wanted: Sequence[int]) -> dict[int, tuple[int, dict[int, Any]]]:
    """By `n`: the time at which an event counts, and the readings of its columnar counters."""
    relation, graph = columnar.relations[event], columnar.dependence.graph(event)
    nodes = [
        n
        for n in columnar.dependence.readings(event, columnar.dependence.all_roots(event))
        if n in relation.columns
    ]
    low = columnar.history.build.analysis.lowerer
    makes = [from_column(with_columns(low, graph[n].type)) for n in nodes]
    columns = "".join(f", {relation.columns[n]}" for n in nodes)
    query = f"SELECT n, now{columns} FROM ({relation.text}) WHERE {among(wanted)}"
    rows = columnar.history.db.rows(query)
    out = {}
    for n, now, *held in rows:
        made = [v if m is None or v is None else m(v) for v, m in zip(held, makes, strict=True)]
        out[n] = (now, dict(zip(nodes, made, strict=True)))
    return out


class _Explainer(Explainer):
    """Explains with the readings that columns gave."""

    def at(self, now: int, readings: Mapping[int, Any]) -> None:
        """Go to an event: the time at which it counts, and its columnar counters by node."""
        self._now, self._taken = now, readings

    def interpreter(self, decoded: Decoded, hits: list[Hit]) -> Interpreter:
        engine = self.engine
        return _Interpreter(self._now, self._taken, engine, decoded, hits, self._readers)


class _Interpreter(Interpreter):
    """An interpreter whose columnar counters are known. Those that no rule leads to are not."""

    def __init__(
        self,
        now: int,
        readings: Mapping[int, Any],
        engine: Stepper,
        decoded: Decoded,
        hits: list[Hit],
        readers: FieldReaders,
    ) -> None:
        super().__init__(engine.bundle, engine.state, decoded, hits, engine.injected, readers)
        self._now, self._readings = now, readings
        self._columnar = {self.graph[n].data[0] for n in readings}

    @property
    def now(self) -> int:
        return self._now

    def _state_leaf(self, node: Node, values: Sequence[Any]) -> Any:
        if node.op in READINGS and node.id in self._readings:
            value = self._readings[node.id]
            return int(value) if isinstance(value, float) and value.is_integer() else value
        return super()._state_leaf(node, values)

    def reading(self, data: tuple[Any, ...], parts: Sequence[Any], at: int) -> Any:
        if data[0] in self._columnar:
            raise NotRead("a reading that no rule looks at was not worked out")
        return super().reading(data, parts, at)
