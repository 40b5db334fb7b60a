"""Why a value is missing: the first thing it needs that is not there, in the analyst's words."""

from __future__ import annotations

from quell.engine.counter_words import word_of
from quell.engine.graph import Node
from quell.engine.interpret import Interpreter, NotRead
from quell.grammar.source import Source
from quell.signals.show import show, show_time


def why_missing(interpreter: Interpreter, number: int, sources: dict[str, Source]) -> str:
    """Why a node's value is missing; empty when it is not."""
    graph = interpreter.graph
    while True:
        node = graph[number]
        if node.binders or interpreter.value(number) is not None:
            return ""
        gone = [a for a in node.args if not graph[a].binders and interpreter.value(a) is None]
        if node.op == "injected" and node.data[0] in interpreter.injected:
            return "the test supplies it as missing"
        if node.op == "coalesce":
            number = node.args[1]
        elif gone:
            number = gone[0]
        elif node.operation.binds:
            outside = _outside(interpreter, node)
            if outside is None:
                return f"one of the elements of {spelled(interpreter, node.args[0], sources)} gives no answer"
            number = outside
        else:
            return _cause(interpreter, node, sources)


def _outside(interpreter: Interpreter, node: Node) -> int | None:
    """What is missing among the things that a list's body needs from outside."""
    graph = interpreter.graph
    for number in graph.reach([node.args[1]]):
        if not graph[number].binders and graph[number].op != "const" and interpreter.value(number) is None:
            return number
    return None


def spelled(interpreter: Interpreter, number: int, sources: dict[str, Source]) -> str:
    """A node as a policy says it, in backticks."""
    node = interpreter.graph[number]
    if node.op == "field":
        return f"`{node.data[0]}`"
    span = interpreter.graph.spans.get(number)
    source = sources.get(span.file) if span is not None else None
    if span is None or source is None:
        return "this"
    text = " ".join(source.text[span.start : span.end].split())
    return f"`{text}`" if len(text) <= 60 else f"`{text[:59]}…`"


def _cause(interpreter: Interpreter, node: Node, sources: dict[str, Source]) -> str:
    graph = interpreter.graph
    values = [interpreter.value(a) for a in node.args if not graph[a].binders]
    shown = [_quoted(interpreter, a) for a in node.args if not graph[a].binders]
    op = node.op
    if op == "field":
        return _field(interpreter, node.data[0])
    if op == "const":
        return "`missing` is written there"
    if node.op in _LIMITED:
        divides = op in ("divide", "floor_divide", "modulo", "duration_shrink")
        where = spelled(interpreter, node.id, sources)
        return f"{where} divides by zero" if divides and not values[1] else f"{where} {_LIMITED[op]}"
    if op == "call":
        return f"`{node.data[0]}` has no answer for {', '.join(shown)}"
    if op == "get":
        return f"`{node.data[0]}` is empty there"
    if op == "list_row":
        return f"`{node.data[0]}` has no row for {shown[0]}"
    if op == "remote":
        return _remote(interpreter, node)
    if op == "label_age":
        return f'{node.data[0]} {shown[0]} does not carry "{node.data[1]}"'
    if op == "model":
        return f"the model `{node.data[0]}` gave no number"
    if op == "counter":
        return f"{spelled(interpreter, node.id, sources)} {_of_counter(interpreter, node)}"
    return f"{spelled(interpreter, node.id, sources)} has no value"


def _of_counter(interpreter: Interpreter, node: Node) -> str:
    """Why a counter gives nothing under a key that is there."""
    identity, word, within, before = node.data
    began, now = interpreter.state.began, interpreter.value(node.args[-1])
    if isinstance(before, int) and before and (began is None or now - before - (within or 0) < began):
        since = f" (events are known since {show_time(began)})" if began is not None else ""
        return f"looks back further than events were watched{since}"
    store = interpreter.store(identity)
    if store.name in interpreter.full:
        return "cannot be told, since memory is full"
    if word_of(word).unseen != "missing":
        return "is too large to be a number"
    if word in ("first", "last"):
        return "is of no event, or of one that had none"
    return "has fewer than two values" if word == "stddev" else "has counted nothing"


_LIMITED = {
    **dict.fromkeys(
        ("add", "subtract", "multiply", "divide", "floor_divide", "modulo"), "is too large to be a number"
    ),
    **dict.fromkeys(("time_add", "time_subtract"), "lies outside the years 1 to 9999"),
    **dict.fromkeys(
        ("duration_add", "duration_subtract", "duration_scale", "duration_shrink"),
        "is too long to be a duration",
    ),
}
"""What it means that arithmetic on present values gives none."""


def _remote(interpreter: Interpreter, node: Node) -> str:
    name = node.data[0]
    asked = interpreter.asked.get(node.id)
    if asked is not None:
        return f"`{name}` gave no answer ({asked.status}: {asked.reason})"
    if interpreter.value(node.args[0]) is not True:
        return f"`{name}` was not asked, since its `when` is not true"
    return f"`{name}` was not asked, since nothing needed it"


def _field(interpreter: Interpreter, name: str) -> str:
    for problem in interpreter.decoded.problems:
        if problem.field == name:
            return f"`{name}` at `{problem.path}` should be {problem.expected}, and is {problem.got}"
    return f"the event has no `{name}`"


def _quoted(interpreter: Interpreter, number: int) -> str:
    try:
        value = interpreter.value(number)
    except NotRead:
        return "?"
    type_ = interpreter.graph[number].type
    text = show(value, type_)
    text = text if len(text) <= 40 else text[:39] + "…"
    return f'"{text}"' if isinstance(value, str) else text
