"""Graph nodes as Python expressions, in three readings of one three-valued condition.

`true` is an expression that holds exactly when the node is true, `false` exactly when it is false, and
`value` gives the node's value with None for missing. Kleene's logic needs nothing at run time for the
first two: a conjunction is true when all are true, and false when one is false.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from quell.engine.graph import ELEMENTS, Graph, Node
from quell.engine.operations import EARLIEST, EXACT, LARGEST, LATEST, LONGEST
from quell.signals.characters import TEXT_CAP
from quell.signals.functions import REGISTRY
from quell.signals.models import NAN

_ATOM = re.compile(r"-?[A-Za-z0-9_.]+|'(?:[^'\\\n]|\\.)*'|\(\)")
_SHORT = frozenset(("bool", "number", "time", "duration", "ip", "enum"))
"""Kinds whose values print short, so that text made of them need not be cut."""
_OPENING = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\(|[(\[]")
"""How a call, a list or something in parentheses begins."""
_OWN = re.compile(r"x[0-9]+|k|_t[0-9]+|_v.*")
"""Names that expressions give to elements, keys and temporaries, and the decoder's to what it looks at."""
_INFIX = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_OPPOSITE = {"eq": "ne", "ne": "eq", "lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}
_PLAIN: dict[str, str] = {
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "time_add": "{0} + {1}",
    "time_subtract": "{0} - {1}",
    "time_between": "{0} - {1}",
    "duration_add": "{0} + {1}",
    "duration_subtract": "{0} - {1}",
    "negate": "-{0}",
    "contains": "{1} in {0}",
    "has": "{1} in {0}",
    "starts_with": "{0}.startswith({1})",
    "ends_with": "{0}.endswith({1})",
    "fold": "{0}.casefold()",
    "as_entity": "{0}",
}
_RANGE = {
    "add": (f"{-LARGEST!r}", f"{LARGEST!r}"),
    "subtract": (f"{-LARGEST!r}", f"{LARGEST!r}"),
    "multiply": (f"{-LARGEST!r}", f"{LARGEST!r}"),
    "time_add": (str(EARLIEST), str(LATEST)),
    "time_subtract": (str(EARLIEST), str(LATEST)),
    "duration_add": (str(-LONGEST), str(LONGEST)),
    "duration_subtract": (str(-LONGEST), str(LONGEST)),
}
_ROUNDED = {"add", "subtract", "multiply"}
"""Python works these out exactly for two ints, where a double would round."""
_HELPED = {"divide", "floor_divide", "modulo", "duration_scale", "duration_shrink"}


def is_atom(text: str) -> bool:
    """Whether an expression is a name, a chain of attributes or a literal, cheap to say twice."""
    return _ATOM.fullmatch(text) is not None


def wrap(text: str) -> str:
    """An expression in parentheses unless it needs none."""
    opening = _OPENING.match(text)
    if is_atom(text) or (opening is not None and closes(text, opening.end() - 1)):
        return text
    return f"({text})"


def closes(text: str, opening: int) -> bool:
    """Whether the bracket that stands at a place closes at the very end. Quoted text is passed over."""
    depth, quote, skip = 0, "", False
    for i in range(opening, len(text)):
        char = text[i]
        if skip:
            skip = False
        elif quote:
            skip = char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth == 0:
                return i == len(text) - 1
    return False


@dataclass(slots=True)
class Names:
    """What generated code refers to by name: constants, stores, lists, functions.

    `needs` tells how each name is filled when the code is linked: a kind, and what of that kind.
    """

    needs: dict[str, tuple[str, Any]] = field(default_factory=dict)
    _known: dict[str, str] = field(default_factory=dict)
    _blocked: set[str] = field(default_factory=set)

    def reserved(self, name: str) -> bool:
        """Whether a name already means something."""
        return name in self.needs or name in _PYTHON or name in self._blocked or bool(_OWN.fullmatch(name))

    def block(self, name: str) -> None:
        """Keep a name for a local variable."""
        self._blocked.add(name)

    def put(self, name: str, need: tuple[str, Any]) -> None:
        """Give a name that must be spelled just so its meaning."""
        self.needs[name] = need

    def take(self, kind: str, what: Any, wanted: str) -> str:
        """The name for something, made on first use from `wanted`."""
        key = f"{kind} {what!r}"
        if key not in self._known:
            base = re.sub(r"\W", "_", wanted, flags=re.ASCII) or kind
            name, n = base, 1
            while self.reserved(name):
                n += 1
                name = f"{base}_{n}"
            self._known[key] = name
            self.needs[name] = (kind, what)
        return self._known[key]


_PYTHON = frozenset(
    [
        "False",
        "None",
        "True",
        "and",
        "as",
        "assert",
        "async",
        "await",
        "break",
        "class",
        "continue",
        "def",
        "del",
        "elif",
        "else",
        "except",
        "finally",
        "for",
        "from",
        "global",
        "if",
        "import",
        "in",
        "is",
        "lambda",
        "nonlocal",
        "not",
        "or",
        "pass",
        "raise",
        "return",
        "try",
        "while",
        "with",
        "yield",
        "e",
        "at",
        "now",
        "hits",
        "any",
        "all",
        "len",
        "str",
        "int",
        "float",
        "list",
        "dict",
        "min",
        "max",
        "abs",
        "held",
        "wanted",
        "answers",
        "UNSET",
        "bool",
        "set",
        "round",
    ]
)


@dataclass(slots=True)
class Expressions:
    """Expressions for the nodes of one graph. `variables` maps a node to the local name that holds it."""

    graph: Graph
    names: Names
    leaf: Callable[[Node], str]
    state: Callable[[Node], str]
    scanned: Callable[[Node], tuple[str, int] | None]
    variables: dict[int, str] = field(default_factory=dict)
    _temporaries: int = 0

    # ------------------------------------------------------------ readings

    def value(self, number: int) -> str:
        """An expression with the node's value, None for missing."""
        if number in self.variables:
            return self.variables[number]
        node = self.graph[number]
        if node.op == "const":
            return self._const(node)
        if node.op == "clock":
            return "now"
        if node.op in ("field", "injected", "fired", "element"):
            return self.leaf(node)
        special = _SPECIAL.get(node.op)
        if special is not None:
            return special(self, node)
        return self.guarded(node, "value")

    def true(self, number: int) -> str:
        """An expression that holds exactly when the node is true."""
        if number in self.variables:
            return self._held(number, True)
        node = self.graph[number]
        reading = _TRUE.get(node.op)
        if reading is not None:
            return reading(self, node)
        if node.op in (
            "const",
            "field",
            "injected",
            "fired",
            "element",
            "get",
            "call",
            "coalesce",
            "list_row",
        ):
            return self._held(number, True)
        return self.guarded(node, "true")

    def false(self, number: int) -> str:
        """An expression that holds exactly when the node is false."""
        if number in self.variables:
            return self._held(number, False)
        node = self.graph[number]
        reading = _FALSE.get(node.op)
        if reading is not None:
            return reading(self, node)
        if node.op in (
            "const",
            "field",
            "injected",
            "fired",
            "element",
            "get",
            "call",
            "coalesce",
            "list_row",
        ):
            return self._held(number, False)
        return self.guarded(node, "false")

    def _held(self, number: int, wanted: bool) -> str:
        value, type_ = self.value(number), self.graph[number].type
        if wanted:
            return wrap(value)
        return f"{wrap(value)} is False" if type_.optional else f"not {wrap(value)}"

    # ------------------------------------------------------------- strictness

    def guarded(self, node: Node, reading: str) -> str:
        """A strict operation in one of the three readings."""
        return self._guarded(node, reading, self._strict(node))

    def _guarded(self, node: Node, reading: str, write: Callable[[list[str]], str]) -> str:
        """`write` applied to the arguments, where those that may be missing are looked at first."""
        tests: list[str] = []
        atoms: list[str] = []
        late: list[tuple[str, str]] = []
        for a in node.args:
            text = self.value(a)
            if not self.graph[a].type.optional:
                atoms.append(text)
            elif is_atom(text):
                tests.append(f"{text} is not None")
                atoms.append(text)
            elif node.binders or self.graph[a].binders:
                name = self.temporary()
                late.append((name, text))
                tests.append(f"{name} is not None")
                atoms.append(name)
            else:
                name = self.temporary()
                tests.append(f"({name} := {text}) is not None")
                atoms.append(name)
        body = write(atoms)
        if reading == "false":
            body = self._opposite(node, atoms) or f"not {wrap(body)}"
            if node.type.optional and not tests:
                body = f"{wrap(write(atoms))} is False"
        if not tests:
            return body
        guard = " and ".join(dict.fromkeys(tests))
        out = f"{body} if {guard} else None" if reading == "value" else f"{guard} and {wrap_or(body)}"
        if late:
            names = ", ".join(n for n, _ in late)
            given = ", ".join(t for _, t in late)
            return f"(lambda {names}: {out})({given})"
        return f"({out})"

    @staticmethod
    def _opposite(node: Node, atoms: list[str]) -> str | None:
        if node.op in _OPPOSITE:
            return f"{wrap(atoms[0])} {_INFIX[_OPPOSITE[node.op]]} {wrap(atoms[1])}"
        if node.op in ("contains", "has"):
            return f"{wrap(atoms[1])} not in {wrap(atoms[0])}"
        return None

    def temporary(self) -> str:
        """A name that nothing else has."""
        self._temporaries += 1
        return f"_t{self._temporaries}"

    def _strict(self, node: Node) -> Callable[[list[str]], str]:
        """How a strict operation is written, given expressions for its present arguments."""
        op = node.op
        if op in _INFIX:
            return lambda a: f"{wrap(a[0])} {_INFIX[op]} {wrap(a[1])}"
        if op in _PLAIN:
            return lambda a: self._plain(node, a)
        divisor = (
            self.graph.value(node.args[1]) if op == "divide" and self.graph.is_const(node.args[1]) else None
        )
        if divisor is not None and abs(divisor) >= 1:
            return lambda a: f"{wrap(a[0])} / {float(divisor)!r}"
        if op in _HELPED:
            helper = self.names.take("operation", op, op)
            return lambda a: f"{helper}({a[0]}, {a[1]})"
        if op == "rate":
            return lambda a: f"{wrap(a[0])} * {node.data[0]} / {node.data[1]}"
        if op == "in_set":
            return lambda a: f"{wrap(a[0])} in {self._set(node)}"
        if op == "get":
            return lambda a: f"{wrap(a[0])}.get({node.data[0]!r})"
        if op == "call":
            return lambda a: self._call(node, a)
        if op == "join":
            return lambda a: self.format(node, a)
        return lambda a: self.state_call(node, a)

    def state_call(self, node: Node, atoms: list[str]) -> str:
        """Lists, labels and counters by the names they are linked under."""
        op = node.op
        if op == "list_in":
            return f"{self.names.take('list', node.data[0], node.data[0])}.contains({atoms[0]})"
        if op == "list_match":
            return f"bool({self.names.take('list', node.data[0], node.data[0])}.found({atoms[0]}))"
        if op == "list_found":
            return f"{self.names.take('list', node.data[0], node.data[0])}.found({atoms[0]})"
        if op == "list_row":
            return f"{self.names.take('list', node.data[0], node.data[0])}.row({atoms[0]})"
        if op == "match":
            search = self.names.take("search", node.data, "search")
            return f"{search}({atoms[0]})"
        if op in ("labelled", "label_age"):
            kind, label = node.data
            held = self.names.take("labels", (kind, label), f"{kind}_{label}")
            return f"{held}.{'has' if op == 'labelled' else 'age'}({atoms[0]}, {atoms[1]})"
        raise AssertionError(f"no Python for {op}")

    def _plain(self, node: Node, atoms: list[str]) -> str:
        texts = [wrap(a) for a in atoms]
        text = _PLAIN[node.op].format(*texts)
        optional_arguments = any(self.graph[a].type.optional for a in node.args)
        low, high = node.bounds
        may_leave = node.op in _RANGE and (
            (node.type.optional and not optional_arguments)
            or self._leaves(node, low, high)
            or (node.op in _ROUNDED and max(-low, high) > EXACT)
        )
        if not may_leave:
            return text
        helper = {"time": "in_time", "duration": "in_duration"}.get(node.type.kind, "finite")
        return f"{self.names.take('operation', helper, helper)}({text})"

    @staticmethod
    def _leaves(node: Node, low: float, high: float) -> bool:
        least, most = (float(x) for x in _RANGE[node.op])
        return low <= least or high >= most

    def _set(self, node: Node) -> str:
        values = sorted(node.data, key=lambda v: (str(type(v)), v))
        if len(values) <= 12:
            return "{" + ", ".join(repr(v) for v in values) + "}" if values else "()"
        return self.names.take("const", frozenset(node.data), "values")

    def _call(self, node: Node, atoms: list[str]) -> str:
        row = REGISTRY.get(node.data[0])
        assert row is not None
        if row.inline is not None and len(node.data) == 1:
            return row.inline.format(*(wrap(a) for a in atoms))
        name = self.names.take("function", node.data, f"{row.name}_")
        return f"{name}({', '.join(atoms)})"

    def format(self, node: Node, atoms: list[str]) -> str:
        """Text made from parts, each value shown as its type is."""
        rest = iter(atoms)
        shown = []
        for part in node.data:
            if isinstance(part, str):
                shown.append(repr(part))
                continue
            text = next(rest)
            if part.kind in ("text", "entity", "enum", "ip") and node.op == "join":
                shown.append(text)
            else:
                shown.append(f"{self.names.take('show', part, 'show_' + part.kind)}({text})")
        if len(shown) == 1 and node.op == "join":
            return shown[0]
        short = all(isinstance(p, str) or p.kind in _SHORT for p in node.data)
        return f"''.join(({', '.join(shown)},))" + ("" if short else f"[:{TEXT_CAP}]")

    def _const(self, node: Node) -> str:
        value = node.data[0]
        if isinstance(value, tuple):
            return self.names.take("const", list(value), "values") if value else "[]"
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            raise AssertionError("a literal is finite")
        return repr(value)


def wrap_or(text: str) -> str:
    """An expression in parentheses when an `or`, a condition or a lambda stands in it."""
    return f"({text})" if re.search(r"\b(or|if|lambda)\b|:=", text) else text


# ------------------------------------------------------ operations by themselves

Write = Callable[[Expressions, Node], str]


def _all_of(words: list[str], joiner: str) -> str:
    return f" {joiner} ".join(wrap_or(w) if joiner == "and" else w for w in words)


def _join_true(x: Expressions, node: Node) -> str:
    if node.op == "and":
        return _all_of([x.true(a) for a in node.args], "and")
    return "(" + _all_of([x.true(a) for a in node.args], "or") + ")"


def _join_false(x: Expressions, node: Node) -> str:
    if node.op == "or":
        return _all_of([x.false(a) for a in node.args], "and")
    return "(" + _all_of([x.false(a) for a in node.args], "or") + ")"


def _join_value(x: Expressions, node: Node) -> str:
    if not node.type.optional:
        return "(" + (x.true(node.id)) + ")"
    helper = x.names.take("operation", f"kleene_{node.op}", f"kleene_{node.op}")
    return f"{helper}((), {', '.join(x.value(a) for a in node.args)})"


def _not_value(x: Expressions, node: Node) -> str:
    (a,) = node.args
    if not node.type.optional:
        return f"({x.false(a)})"
    helper = x.names.take("helper", "kleene_not", "kleene_not")
    return f"{helper}({x.value(a)})"


def _missing_true(x: Expressions, node: Node) -> str:
    return f"{wrap(x.value(node.args[0]))} is None"


def _missing_false(x: Expressions, node: Node) -> str:
    return f"{wrap(x.value(node.args[0]))} is not None"


def _coalesce(x: Expressions, node: Node) -> str:
    a, b = node.args
    text = x.value(a)
    if is_atom(text):
        return f"({text} if {text} is not None else {x.value(b)})"
    name = x.temporary()
    if node.binders:
        return f"(lambda {name}: {name} if {name} is not None else {x.value(b)})({text})"
    return f"({name} if ({name} := {text}) is not None else {x.value(b)})"


def _through(x: Expressions, node: Node, function: str, reading: str) -> str:
    """A quantifier over its list: `function` of the body's `reading` for each element."""
    source, body = node.args
    each = f"x{node.data[0] % ELEMENTS}"
    inner = x.true(body) if reading == "true" else x.false(body)
    text = x.value(source)
    held = f"{function}({inner} for {each} in {text})"
    if not x.graph[source].type.optional:
        return held
    if is_atom(text):
        return f"({text} is not None and {held})"
    name = x.temporary()
    return f"(lambda {name}: {name} is not None and {function}({inner} for {each} in {name}))({text})"


def _quantified_value(x: Expressions, node: Node) -> str:
    source, body = node.args
    each = f"x{node.data[0] % ELEMENTS}"
    if not x.graph[body].type.optional:
        inner = x.true(body)
        return _over(x, source, lambda xs: f"{node.op}({inner} for {each} in {xs})")
    function = x.names.take("helper", f"kleene_{node.op}_of", f"{node.op}_of")
    inner = x.value(body)
    return _over(x, source, lambda xs: f"{function}([{inner} for {each} in {xs}])")


def _over(x: Expressions, source: int, held: Callable[[str], str]) -> str:
    """`held` of a list, missing when the list is."""
    text = x.value(source)
    if not x.graph[source].type.optional:
        return held(text)
    if is_atom(text):
        return f"({held(text)} if {text} is not None else None)"
    name = x.temporary()
    return f"(lambda {name}: {held(name)} if {name} is not None else None)({text})"


def _map(x: Expressions, node: Node) -> str:
    source, body = node.args
    each = f"x{node.data[0] % ELEMENTS}"
    inner = x.value(body)
    if not x.graph[body].type.optional:
        return _over(x, source, lambda xs: f"[{inner} for {each} in {xs}]")
    helper = x.names.take("helper", "present_of", "present_of")
    return _over(x, source, lambda xs: f"{helper}([{inner} for {each} in {xs}])")


def _filter(x: Expressions, node: Node) -> str:
    source, body = node.args
    each = f"x{node.data[0] % ELEMENTS}"
    inner = x.true(body)
    return _over(x, source, lambda xs: f"[{each} for {each} in {xs} if {inner}]")


def _list(x: Expressions, node: Node) -> str:
    items = [x.value(a) for a in node.args]
    text = "[" + ", ".join(items) + "]"
    if any(x.graph[a].type.optional for a in node.args):
        return f"{x.names.take('helper', 'present_of', 'present_of')}({text})"
    return text


def _score(x: Expressions, node: Node) -> str:
    terms = []
    for points, a in zip(node.data, node.args, strict=True):
        terms.append(f"({points!r} if {x.true(a)} else 0)")
    if node.whole:
        return "(" + " + ".join(terms) + ")"
    return f"{x.names.take('operation', 'total', 'total')}(({', '.join(terms)},))"


def _reasons(x: Expressions, node: Node) -> str:
    pairs = zip(node.args[::2], node.args[1::2], strict=True)
    texts = [f"{wrap(x.value(t))} if {x.true(h)} else None" for h, t in pairs]
    return f"{x.names.take('helper', 'present_of', 'present_of')}([{', '.join(texts)}])"


def _tell(x: Expressions, node: Node) -> str:
    return x.format(node, [x.value(a) for a in node.args])


def _model(x: Expressions, node: Node) -> str:
    """A call with one float per feature: NaN for missing, the model's own number for a category."""
    name, coded, _ = node.data
    nan = x.names.take("const", NAN, "nan")
    given = []
    for place, a in enumerate(node.args):
        text = x.value(a)
        if text == "None":
            given.append(nan)
        elif place in coded:
            codes = x.names.take("codes", (name, place), f"{name}_code")
            given.append(f"{codes}({text}, {nan})")
        elif not x.graph[a].type.optional:
            given.append(text)
        elif is_atom(text):
            given.append(f"{nan} if {text} is None else {text}")
        else:
            held = x.temporary()
            given.append(f"{nan} if ({held} := {text}) is None else {held}")
    return f"{x.names.take('model', name, f'model_{name}')}({', '.join(given)})"


def _state(x: Expressions, node: Node) -> str:
    return x.state(node)


def _state_true(x: Expressions, node: Node) -> str:
    return wrap(x.state(node))


def _state_false(x: Expressions, node: Node) -> str:
    return f"{wrap(x.state(node))} is False" if node.type.optional else f"not {wrap(x.state(node))}"


def _scanned(x: Expressions, node: Node, reading: str) -> str:
    place = x.scanned(node)
    if place is None:
        return x.guarded(node, reading)
    hits, index = place
    text = x.value(node.args[0])
    if reading == "true":
        return f"{index} in {hits}"
    if not x.graph[node.args[0]].type.optional:
        return f"{index} not in {hits}" if reading == "false" else f"({index} in {hits})"
    if reading == "false":
        return f"({wrap(text)} is not None and {index} not in {hits})"
    return f"({index} in {hits} if {wrap(text)} is not None else None)"


_SPECIAL: dict[str, Write] = {
    "match": lambda x, n: _scanned(x, n, "value"),
    "list_match": lambda x, n: _scanned(x, n, "value"),
    "and": _join_value,
    "or": _join_value,
    "not": _not_value,
    "is_missing": lambda x, n: f"({_missing_true(x, n)})",
    "coalesce": _coalesce,
    "any": _quantified_value,
    "all": _quantified_value,
    "map": _map,
    "filter": _filter,
    "list": _list,
    "score": _score,
    "reasons": _reasons,
    "tell": _tell,
    "model": _model,
    "counter": _state,
    "reaches": _state,
}
_TRUE: dict[str, Write] = {
    "match": lambda x, n: _scanned(x, n, "true"),
    "list_match": lambda x, n: _scanned(x, n, "true"),
    "and": _join_true,
    "or": _join_true,
    "not": lambda x, n: x.false(n.args[0]),
    "is_missing": _missing_true,
    "any": lambda x, n: _through(x, n, "any", "true"),
    "all": lambda x, n: _through(x, n, "all", "true"),
    "counter": _state_true,
    "reaches": _state_true,
}
_FALSE: dict[str, Write] = {
    "match": lambda x, n: _scanned(x, n, "false"),
    "list_match": lambda x, n: _scanned(x, n, "false"),
    "and": _join_false,
    "or": _join_false,
    "not": lambda x, n: x.true(n.args[0]),
    "is_missing": _missing_false,
    "any": lambda x, n: _through(x, n, "all", "false"),
    "all": lambda x, n: _through(x, n, "any", "false"),
    "counter": _state_false,
    "reaches": _state_false,
}
