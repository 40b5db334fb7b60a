"""Tree to canonical text. Read back, the text gives a tree equal to the one printed.

Given the source that the tree's spans point into, literals keep their spelling and conditions the line
breaks that their writer put before `and` and `or`. A tree made by hand that no text means, such as one
with a record in braces in text, raises ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence

from quell.grammar import literals, tree
from quell.grammar.layout import WIDTH, Layout
from quell.grammar.spelling import ADD, OR, POSTFIX

_NAME_COLUMN = 8, 24
_TYPE_COLUMN = 6, 9
_PATH_COLUMN = 0, 32
"""The least and largest width of a column. The least lets neighbours with short names line up; one
entry longer than the largest stands out rather than push the others apart."""


def print_declaration(node: tree.Declaration, source: str | None = None, width: int = WIDTH) -> str:
    """One declaration, without its documentation and without a line break at the end."""
    printer = _Printer(source, width)
    return printer.settle(lambda: "\n".join(printer.declaration(node)), _start(node))


def print_expression(expr: tree.Expr, source: str | None = None) -> str:
    """An expression on one line."""
    printer = _Printer(source)
    return printer.settle(lambda: printer.flat(expr), "expr")


def _start(node: tree.Declaration) -> str:
    starts: dict[type[tree.Declaration], str] = {tree.EventDecl: "event", tree.ListDecl: "list"}
    return starts.get(type(node), type(node).__name__.lower())


class _Printer(Layout):
    """One method per kind of declaration, each giving its lines."""

    def declaration(self, node: tree.Declaration) -> list[str]:
        match node:
            case tree.Entity():
                return self._entity(node)
            case tree.Shape():
                return [f"shape {self.name(node.name)}", *self._fields(node.fields)]
            case tree.EventDecl():
                return self._event(node)
            case tree.Let():
                return self._let(node)
            case tree.ListDecl():
                return self._list(node)
            case tree.Model():
                return self._model(node)
            case tree.Score():
                return [
                    f"score {self.name(node.name)}",
                    *(line for p in node.items for line in self._points(p)),
                ]
            case tree.Rule():
                return self._rule(node)
            case tree.Verdicts():
                return self._verdicts(node)
            case tree.Test():
                head = f"test {self.text(node.title)}"
                return [head, *(line for step in node.steps for line in self._step(step))]
        raise TypeError(f"{type(node).__name__} is no declaration of the tree")

    # -------------------------------------------------------- small pieces

    def _flow(self, head: str, items: Sequence[str], indent: int, between: str = ",") -> list[str]:
        """`head` and `items`, broken after `between` where a line is full."""
        out = [head]
        for i, item in enumerate(items):
            piece = item + (between if i + 1 < len(items) else "")
            if i and len(out[-1]) + 1 + len(piece) > self._width:
                out.append(" " * indent + piece)
            else:
                out[-1] += " " + piece
        return out

    def _clause(self, head: str, expr: tree.Expr, base: int = 0) -> list[str]:
        """`head` and a condition or value after it."""
        lines = self.lines(expr, len(head), base or len(head))
        return [head + lines[0], *lines[1:]]

    def _hanging(self, head: str, expr: tree.Expr, indent: int) -> list[str]:
        """`head` and a value after it, whose further lines are indented by `indent`."""
        flat = self.flat(expr)
        if len(head) + len(flat) <= self._width and not self.broken(expr):
            return [head + flat]
        if isinstance(expr, tree.Junction):
            lines = self.junction(expr, len(head), indent + 4, 0)
        else:
            lines = self.lines(expr, len(head), indent)
        if len(head) + len(lines[0]) > self._width:
            lines = self.lines(expr, indent + 2, indent + 2, next_col=indent + 6)
            return [head.rstrip(), " " * (indent + 2) + lines[0], *lines[1:]]
        return [head + lines[0], *lines[1:]]

    def _entity(self, node: tree.Entity) -> list[str]:
        head = f"entity {self.name(node.name)}"
        return self._flow(f"{head} labels", [self.text(t) for t in node.labels], 4) if node.labels else [head]

    def _fields(self, fields: Sequence[tree.FieldDecl]) -> list[str]:
        names = [self.name(f.name) for f in fields]
        types = [self.type(f.type) for f in fields]
        least, largest = _TYPE_COLUMN
        if self._aligned(fields):
            largest = max(len(t) for t in types)
        names_wide, types_wide = _column(names, *_NAME_COLUMN), _column(types, least, largest)
        paths = [literals.spell_path(f.path.segments) for f in fields]
        defaulted = [path for path, field in zip(paths, fields, strict=True) if field.default is not None]
        paths_wide = _column(defaulted, *_PATH_COLUMN)
        out = []
        for field, name, kind, path in zip(fields, names, types, paths, strict=True):
            line = f"  {name:{names_wide}}  {kind:{types_wide}} = "
            default = "" if field.default is None else self._literal(field.default)
            out.append(f"{line}{path:{paths_wide}}  default {default}" if default else line + path)
        return out

    def _aligned(self, fields: Sequence[tree.FieldDecl]) -> bool:
        """Whether the writer had all of the paths one below the other, whatever the types' lengths."""
        source = self._source
        if source is None:
            return False
        starts = [f.path.span.start for f in fields]
        return (
            len({start - max(source.rfind("\n", 0, start), source.rfind("\r", 0, start)) for start in starts})
            == 1
        )

    def _literal(self, node: tree.Expr) -> str:
        """A literal of a field's default, which has no expressions but negative numbers."""
        if isinstance(node, tree.Number) and node.value < 0:
            return f"-{literals.spell_number(-node.value)}"
        if isinstance(node, tree.Text):
            return self.text(node)
        return self.flat(node)

    def _event(self, node: tree.EventDecl) -> list[str]:
        head = [f"event {self.name(node.name)}"]
        if node.wire is not None:
            head.append(f"from {self.text(node.wire)}")
        head += [f"when {literals.spell_path(p.segments)} == {self._literal(v)}" for p, v in node.when]
        if node.shapes:
            head.append(f"with {self.names(node.shapes)}")
        line = " ".join(head)
        lines = [line] if len(line) <= self._width else [head[0], *("    " + part for part in head[1:])]
        return [*lines, *self._fields(node.fields)]

    def _let(self, node: tree.Let) -> list[str]:
        head = f"let {self.name(node.name)}"
        if node.parameters is not None:
            head += (
                "(" + ", ".join(f"{self.name(p.name)}: {self.type(p.type)}" for p in node.parameters) + ")"
            )
        return self._hanging(f"{head} = ", node.body, 2)

    def _columns(self, columns: Sequence[tree.Column]) -> list[str]:
        return [f"{self.name(c.name)} {self.type(c.type)}" for c in columns]

    def _list(self, node: tree.ListDecl) -> list[str]:
        head = f"list {self.name(node.name)} from {self.text(node.file)} as {self.name(node.kind)}"
        if not node.columns:
            return [head]
        columns = self._columns(node.columns)
        flat = f"{head} gives {', '.join(columns)}"
        return [flat] if len(flat) <= self._width else [head, *self._flow("  gives", columns, 8)]

    def _model(self, node: tree.Model) -> list[str]:
        remote = "remote " if node.remote else ""
        out = [f"model {self.name(node.name)} from {remote}{self.text(node.source)}"]
        names = [self.name(name) for name, _ in node.inputs]
        wide = _column(names, *_NAME_COLUMN)
        for name, (_, value) in zip(names, node.inputs, strict=True):
            out += self._hanging(f"  {name:{wide}}  = ", value, 4)
        if node.gives:
            out += self._flow("  gives", self._columns(node.gives), 8)
        if node.gate is not None:
            out += self._clause("  when ", node.gate)
        if node.wait is not None:
            out.append(f"  wait {self.flat(node.wait)}")
        return out

    def _points(self, node: tree.Points) -> list[str]:
        minus = "minus " if node.points < 0 else ""
        out = self._clause(f"  {minus}{literals.spell_number(abs(node.points))} when ", node.condition)
        return self._after(out, f"because {self.text(node.because)}", 4) if node.because is not None else out

    def _after(self, lines: list[str], text: str, indent: int) -> list[str]:
        """`text` after the last line if it fits there, else below it."""
        if len(lines[-1]) + 1 + len(text) <= self._width:
            return [*lines[:-1], f"{lines[-1]} {text}"]
        return [*lines, " " * indent + text]

    def _verdicts(self, node: tree.Verdicts) -> list[str]:
        head = f"verdicts for {self.names(node.events)}" if node.events else "verdicts"
        out = self._flow(head, [self.name(v) for v in node.ladder], 4, " <")
        return out if node.failure is None else self._after(out, f"on failure {self.name(node.failure)}", 4)

    # -------------------------------------------------------------- rules

    def _rule(self, node: tree.Rule) -> list[str]:
        head = f"rule {self.name(node.name)}"
        out = self._flow(f"{head} on", [self.name(e) for e in node.events], 4) if node.events else [head]
        if node.condition is not None:
            out += self._clause("  when ", node.condition)
        for i, effect in enumerate(node.effects):
            out += self._effect("       " if i else "  then ", effect)
        if node.because is not None:
            out.append(f"  because {self.text(node.because)}")
        if node.mode is not None:
            out.append(f"  mode {self.name(node.mode)}")
        if node.rollout is not None:
            share = literals.spell_percent(node.rollout.share)
            out.append(f"  rollout {share} by {self.exprs(node.rollout.keys)}")
        if node.tags:
            out += self._flow("  tag", [self.text(t) for t in node.tags], 6)
        if node.owner is not None:
            out.append(f"  owner {self.text(node.owner)}")
        if node.severity is not None:
            out.append(f"  severity {self.name(node.severity)}")
        if node.formerly:
            out += self._flow("  formerly", [self.name(n) for n in node.formerly], 6)
        return out

    def _effect(self, before: str, node: tree.Effect) -> list[str]:
        match node:
            case tree.Verdict():
                out = [before + self.name(node.name)]
            case tree.SetLabel():
                lasting = f" for {self.flat(node.duration, ADD)}" if node.duration is not None else ""
                out = [f"{before}label {self.flat(node.target, POSTFIX)} {self.text(node.label)}{lasting}"]
            case tree.RemoveLabel():
                out = [f"{before}unlabel {self.flat(node.target, POSTFIX)} {self.text(node.label)}"]
            case tree.Send():
                out = self._send(before, node)
            case tree.Exempt():
                out = self._flow(
                    f"{before}exempt from", [self.target(t) for t in node.targets], len(before) + 2
                )
            case _:
                raise TypeError(f"{type(node).__name__} is no effect of the tree")
        return out if node.limit is None else self._after(out, self.limit(node.limit), len(before) + 2)

    def _send(self, before: str, node: tree.Send) -> list[str]:
        head = f"{before}send {self.text(node.sink)}"
        return [head] if node.payload is None else self._clause(f"{head} ", node.payload, len(before))

    # -------------------------------------------------------------- tests

    def _step(self, node: tree.Given | tree.Expect) -> list[str]:
        match node:
            case tree.GivenLabel():
                lasting = f" for {self.flat(node.duration, ADD)}" if node.duration is not None else ""
                return [f"  given label {self.text(node.label)} on {self.entity(node.entity)}{lasting}"]
            case tree.GivenEvent():
                return self._given(node)
        expect = "  expect not" if node.negated else "  expect"
        where = self.where(node.where)
        match node:
            case tree.ExpectVerdict():
                rule = f" by {self.name(node.rule)}" if node.rule is not None else ""
                return [f"{expect} {self.name(node.verdict)}{rule}{where}"]
            case tree.ExpectFired():
                return [f"{expect} fired {self.name(node.rule)}{where}"]
            case tree.ExpectLabel():
                return [f"{expect} label {self.text(node.label)} on {self.entity(node.entity)}{where}"]
            case tree.ExpectSend():
                return [f"{expect} send {self.text(node.sink)}{_times(node.times)}{where}"]
            case tree.ExpectMessage():
                return [f"{expect} message {self.text(node.message)} by {self.name(node.rule)}{where}"]
        head = f"{expect} value "
        lines = self.lines(node.condition, len(head), len(head), len(where), OR)
        return (
            [head + lines[0], *lines[1:-1], lines[-1] + where]
            if len(lines) > 1
            else [head + lines[0] + where]
        )

    def _given(self, node: tree.GivenEvent) -> list[str]:
        head = f"  given {self.name(node.event)}"
        out = self._clause(f"{head} ", node.values, 2) if node.values.pairs else [head]
        clauses = []
        if node.after is not None:
            clauses.append(f"after {self.flat(node.after, ADD)}")
        if node.repeat is not None:
            every = f" every {self.flat(node.every, ADD)}" if node.every is not None else ""
            clauses.append(f"repeat {node.repeat}{every}")
        if node.injected:
            clauses.append("with " + ", ".join(f"{self.name(n)} = {self.flat(v)}" for n, v in node.injected))
        if not clauses:
            return out
        together = self._after(out, " ".join(clauses), 4)
        return (
            together if len(together[-1]) <= self._width else [*out, *("    " + clause for clause in clauses)]
        )


def _column(entries: Sequence[str], least: int, largest: int) -> int:
    return max([least, *(len(e) for e in entries if len(e) <= largest)])


def _times(times: int | None) -> str:
    spelled: dict[int | None, str] = {None: "", 0: " never", 1: " once"}
    return spelled.get(times, f" {times} times")
