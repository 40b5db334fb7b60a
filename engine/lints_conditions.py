"""Conditions and parts of conditions that are always the same, or that another part makes superfluous."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from quell.engine.graph import Node
from quell.engine.lints_facts import Facts
from quell.engine.lints_outcomes import outcomes
from quell.engine.lints_parts import Finding, alone, examine
from quell.engine.lints_world import MISSING, TRUE, World
from quell.engine.lints_written import Texts, bare, parts
from quell.engine.symbols import Symbols
from quell.grammar import tree
from quell.grammar.diagnostics import Diagnostic, Related
from quell.grammar.literals import spell_duration, spell_number, spell_percent
from quell.grammar.source import Span

Found = dict[tuple[str, Span], Diagnostic]
Where = Literal["rule", "points", "counter", "filter", "let", "gate"]

_NEVER: dict[Where, str] = {
    "rule": "so this rule never fires",
    "points": "so these points are never given",
    "counter": "so nothing is ever counted",
    "filter": "so no element is ever taken",
}
_ALWAYS: dict[Where, str] = {
    "rule": "so this rule fires whenever it is looked at",
    "points": "so these points are always given",
    "counter": "so `where` leaves nothing out",
    "filter": "so no element is left out",
}
_JOINED = (tree.Junction, tree.Unary)
"""What is looked into: a minus sign has no condition inside, and so nothing is found there."""


@dataclass(frozen=True, slots=True)
class Part:
    """A written part of a condition and its node."""

    written: tree.Expr
    node: int


@dataclass(slots=True)
class Reading:
    """One condition on one event: `nodes` has the node of every written part."""

    world: World
    symbols: Symbols
    texts: Texts
    nodes: dict[tuple[str, int], int]
    where: Where
    found: Found = field(default_factory=dict)
    excused: bool = False

    def read(self, root: tree.Expr) -> Found:
        """Everything that is idle in a condition."""
        node = self.node(root)
        if node is None or self.world.graph[node].type.kind != "bool":
            return {}
        if isinstance(bare(root), tree.Bool):
            self._literal(root)
            return self.found
        self._visit(Part(root, node), Facts(self.world), [], top=True)
        never = not outcomes(self.world, node) & TRUE
        if never and not self.excused and not any(code == "never-true" for code, _ in self.found):
            self._add("never-true", "this can never be true", root.span, tail=_NEVER.get(self.where))
        return self.found

    def node(self, written: tree.Expr) -> int | None:
        """The node of a written part on this event."""
        return self.nodes.get((self.world.graph.event, id(written)))

    def _literal(self, root: tree.Expr) -> None:
        """`when true` is how one says always; `when false` is not how one says never."""
        inner = bare(root)
        if self.where == "rule" and isinstance(inner, tree.Bool) and not inner.value:
            self._add("never-true", "`false` is never true", root.span, "write mode off", tail=_NEVER["rule"])

    # ------------------------------------------------------------- the walk

    def _visit(self, part: Part, around: Facts, near: Sequence[Part], *, top: bool) -> None:
        inner = bare(part.written)
        if isinstance(inner, tree.Unary) and inner.op == "not":
            operand = self.node(inner.operand)
            if operand is not None and isinstance(bare(inner.operand), _JOINED):
                self._visit(Part(inner.operand, operand), Facts(self.world), [], top=False)
            elif top:
                self._single(part)
        elif isinstance(inner, tree.Junction):
            self._junction(inner, around, near, top=top)
        elif top:
            self._single(part)

    def _single(self, part: Part) -> None:
        """A condition that is not made of others."""
        for finding in alone(self.world, 0, part.node):
            op: Literal["and", "or"] = "and" if finding.kind == "never" else "or"
            self._tell(finding, [part], op, [], part.written, top=True)

    def _junction(self, written: tree.Junction, around: Facts, near: Sequence[Part], *, top: bool) -> None:
        here: list[Part] = []
        for item in parts(written):
            node = self.node(item)
            if node is None:
                return
            here.append(Part(item, node))
        found = examine(self.world, written.op, [p.node for p in here], around, [p.node for p in near])
        for finding in found:
            inner = here[finding.index]
            count = len(self.found)
            if finding.kind in ("never", "always") and isinstance(bare(inner.written), _JOINED):
                self._visit(inner, Facts(self.world), [], top=False)
            if len(self.found) == count:
                self._tell(finding, here, written.op, near, written, top=top)
        idle = {f.index for f in found}
        facts, beside = around, list(near)
        if written.op == "and" and self.world.related([p.node for p in here]):
            facts, beside = self._beside(here, idle, around, near)
        for i, part in enumerate(here):
            if i not in idle and isinstance(bare(part.written), _JOINED):
                self._visit(part, facts, beside, top=False)

    def _beside(
        self, here: list[Part], idle: set[int], around: Facts, near: Sequence[Part]
    ) -> tuple[Facts, list[Part]]:
        """What the simple parts of an `and` say to the `or`s beside them."""
        facts, beside = around.copy(), list(near)
        for i, part in enumerate(here):
            if i in idle or isinstance(bare(part.written), tree.Junction):
                continue
            if facts.allows(part.node, TRUE):
                facts.assume(part.node, TRUE)
                beside.append(part)
        return facts, beside

    # ----------------------------------------------------------- the telling

    def _tell(
        self,
        finding: Finding,
        here: list[Part],
        op: Literal["and", "or"],
        near: Sequence[Part],
        whole: tree.Expr,
        *,
        top: bool,
    ) -> None:
        part = here[finding.index]
        other = next((p for p in [*here, *near] if p.node == finding.other and p is not part), None)
        if finding.kind in ("never", "always", "there") and self._excuse(part):
            self.excused = True
            return
        span, shown = bare(part.written).span, self.texts.shown(bare(part.written).span)
        if finding.kind in ("never", "conflict"):
            code = "never-true" if top and op == "and" else "constant-condition"
            tail = _NEVER.get(self.where) if code == "never-true" else None
            self._add(code, *self._never(finding, part, other, shown), tail=tail)
        elif finding.kind in ("always", "exhausted"):
            code = "always-true" if top and op == "or" else "constant-condition"
            tail = _ALWAYS.get(self.where) if code == "always-true" else None
            if finding.kind == "exhausted":
                span = whole.span
                unsure = outcomes(self.world, self.nodes[(self.world.graph.event, id(whole))]) & MISSING
                tail = "unless something in it is missing" if unsure else tail
            self._add(code, *self._always(finding, part, other, shown, span), tail=tail)
        elif finding.kind == "there":
            code = "always-true" if top and len(here) == 1 else "constant-condition"
            said = f"`{shown}` is true of everything, unless something in it is missing"
            self._add(code, said, span, hint="to ask whether it is there, write … is present")
        else:
            self._implied(part, other, op, shown)

    def _excuse(self, part: Part) -> bool:
        """What is told where it is declared, or was told when it was checked."""
        inner = bare(part.written)
        while isinstance(inner, tree.Unary) and inner.op == "not":
            inner = bare(inner.operand)
        if isinstance(inner, tree.Bool):
            return True
        if isinstance(inner, tree.Name):
            return inner.name in self.symbols.lets
        return isinstance(inner, tree.Is) and self.world.graph.is_const(part.node)

    def _never(
        self, finding: Finding, part: Part, other: Part | None, shown: str
    ) -> tuple[str, Span, str | None, tuple[Related, ...], str | None]:
        span = bare(part.written).span
        if finding.kind == "never":
            why, hint, replacement = self._reason(part)
            place = span if replacement is None else _right(part.written)
            return f"`{shown}` is never true{why}", place, hint, (), replacement
        if other is None:
            message = f"`{shown}` is never true beside the other conditions"
            return message, span, "if either will do, write or", (), None
        said = self.texts.shown(bare(other.written).span)
        related = (Related(bare(other.written).span, "the other one"),)
        return f"`{shown}` is never true beside `{said}`", span, self._either(part, other), related, None

    def _either(self, part: Part, other: Part) -> str:
        """`x == "a" and x == "b"` is a list in disguise."""
        a, b = _equals(part.written, "=="), _equals(other.written, "==")
        if a is None or b is None or self.texts.at(a[0].span) != self.texts.at(b[0].span):
            return "if either will do, write or"
        first, second = self.texts.shown(b[1].span), self.texts.shown(a[1].span)
        return f"write {self.texts.shown(a[0].span)} in [{first}, {second}]"

    def _always(
        self, finding: Finding, part: Part, other: Part | None, shown: str, span: Span
    ) -> tuple[str, Span, str | None, tuple[Related, ...]]:
        if finding.kind == "always":
            why, hint, _ = self._reason(part)
            return f"`{shown}` is always true{why}", span, hint, ()
        if other is None:
            return "one of these is always true", span, "if all must hold, write and", ()
        said = self.texts.shown(bare(other.written).span)
        a, b = _equals(part.written, "!="), _equals(other.written, "!=")
        hint = "if both must hold, write and"
        if a is not None and b is not None:
            first, second = self.texts.shown(b[1].span), self.texts.shown(a[1].span)
            hint += f", or {self.texts.shown(a[0].span)} not in [{first}, {second}]"
        return f"one of `{said}` and `{shown}` is always true", span, hint, ()

    def _implied(self, part: Part, other: Part | None, op: str, shown: str) -> None:
        span = bare(part.written).span
        if other is None:
            message = f"`{shown}` adds nothing to the conditions beside it"
            related: tuple[Related, ...] = ()
        else:
            said = self.texts.shown(bare(other.written).span)
            if said == shown:
                message = f"`{shown}` stands here twice"
            elif op == "and":
                message = f"`{shown}` adds nothing: it is true whenever `{said}` is"
            else:
                message = f"`{shown}` adds nothing: `{said}` is true whenever it is"
            related = (Related(bare(other.written).span, "the other one"),)
        self._add("subsumed", message, span, "leave it out", related)

    def _reason(self, part: Part) -> tuple[str, str | None, str | None]:
        """Why a comparison comes to the same whatever the event, a hint, and what would mend it."""
        inner = bare(part.written)
        while isinstance(inner, tree.Unary) and inner.op == "not":
            inner = bare(inner.operand)
        if isinstance(inner, tree.Fired):
            return self._unseen(inner.rule.name), None, None
        if not isinstance(inner, tree.Compare) or len(inner.rest) != 1:
            return "", None, None
        pair = (inner.first, inner.rest[0][1])
        for term, edge in (pair, pair[::-1]):
            node = self.node(term)
            known = self.world.graph[node] if node is not None else None
            if known is None or known.op == "const" or known.type.kind not in ("number", "duration"):
                continue
            why = self._extent(known, self.texts.shown(term.span))
            share = known.bounds == (0, 1) and isinstance(edge, tree.Number) and not edge.percent
            if share and isinstance(edge, tree.Number) and 1 < edge.value <= 100:
                percent = spell_percent(edge.value / 100)
                return why, f"write {percent}", percent
            return why, None, None
        return "", None, None

    def _extent(self, node: Node, shown: str) -> str:
        values = self.world.values(node.id)
        spell = spell_duration if node.type.kind == "duration" else spell_number
        low = spell(values.low) if abs(values.low) < 2**53 else None  # type: ignore[arg-type]  # whole where a duration
        high = spell(values.high) if abs(values.high) < 2**53 else None  # type: ignore[arg-type]  # whole where a duration
        if node.op == "counter" and low == "1" and node.data[1] in ("count", "distinct"):
            return f": `{shown}` is never below 1, since it counts the present event too"
        if low is not None and high is not None:
            return f": `{shown}` lies between {low} and {high}"
        if low is not None:
            return f": `{shown}` is never below {low}"
        return f": `{shown}` is never above {high}" if high is not None else ""

    def _unseen(self, name: str) -> str:
        rule = self.symbols.rules.get(name)
        if rule is None or rule.mode is None or rule.mode.name == "live":
            return f": `{name}` is not on `{self.world.graph.event}`"
        if rule.mode.name == "off":
            return f": `{name}` is off"
        return f": `{name}` is in shadow, and live rules do not see it fire"

    def _add(
        self,
        code: str,
        message: str,
        span: Span,
        hint: str | None = None,
        related: Iterable[Related] = (),
        replacement: str | None = None,
        tail: str | None = None,
    ) -> None:
        said = f"{message}, {tail}" if tail else message
        self.found.setdefault((code, span), Diagnostic(code, said, span, hint, tuple(related), replacement))


def _right(written: tree.Expr) -> Span:
    inner = bare(written)
    assert isinstance(inner, tree.Compare)
    number = next((e for e in (inner.rest[0][1], inner.first) if isinstance(e, tree.Number)), inner)
    return number.span


def _equals(written: tree.Expr, op: str) -> tuple[tree.Expr, tree.Expr] | None:
    inner = bare(written)
    if isinstance(inner, tree.Compare) and len(inner.rest) == 1 and inner.rest[0][0] == op:
        return inner.first, inner.rest[0][1]
    return None


def common(runs: Iterable[Found]) -> Found:
    """What is found on every event that a condition is read on; a message that differs is made plain."""
    out: Found | None = None
    for run in runs:
        out = run if out is None else {k: v for k, v in out.items() if k in run}
        if not out:
            return {}
    return out or {}
