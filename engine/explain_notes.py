"""What an explanation says of a value beside the value: windows and keys, entries found, elements."""

from __future__ import annotations

from typing import Any

from quell.engine.counter_words import word_of
from quell.engine.explanation import Reading
from quell.engine.graph import Node
from quell.engine.interpret import Interpreter, NotRead
from quell.engine.lower_stores import total_type
from quell.engine.settle import ready
from quell.grammar.literals import spell_duration
from quell.grammar.types import Type, is_textual
from quell.signals.patterns import compile_pattern
from quell.signals.show import show, show_duration

MAX_TEXT = 120
"""Characters of a text that are shown; JSON has all."""
MAX_ITEMS = 8
"""Elements of a list that are shown."""
MAX_MOVERS = 3
"""Inputs of a model that are named for moving it."""


def tell(value: Any, type_: Type) -> str:
    """A value for people: texts in quotes, lists in brackets, missing by name."""
    if value is None:
        return "missing"
    if type_.kind == "list" and type_.element is not None:
        shown = [tell(v, type_.element) for v in value[:MAX_ITEMS]]
        more = [f"… {len(value) - MAX_ITEMS} more"] if len(value) > MAX_ITEMS else []
        return "[" + ", ".join(shown + more) + "]"
    text = show(value, type_)
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - 1] + "…"
    if type_.kind == "record":
        return "{" + text + "}"
    return f'"{text}"' if is_textual(type_) else text


def note(interpreter: Interpreter, number: int) -> str:
    """What there is to say of a node beside its value; often nothing."""
    node = interpreter.graph[number]
    if node.op == "not":
        node = interpreter.graph[node.args[0]]
    written = _NOTES.get(node.op)
    if written is None or node.binders or any(interpreter.graph[a].binders for a in node.args[:1]):
        return ""
    return written(interpreter, node)


def reading(interpreter: Interpreter, number: int) -> Reading | None:
    """How a counter was read; None for what is none."""
    found = _counter_in(interpreter, number)
    if found is None:
        return None
    node, word = found
    identity, _, within, before = node.data if node.op == "counter" else (*node.data[:3], 0)
    keys = [ready(interpreter.value(k), interpreter.graph[k].type) for k in node.args[:-1]]
    store = interpreter.build.analysis.lowerer.stores[identity]
    shown = 0 if word_of(node.data[1]).past and before == "this" else before
    return Reading(word, store.text, identity, window(within, shown, store.resolution), keys)


def _counter_in(interpreter: Interpreter, number: int) -> tuple[Node, str] | None:
    """The reading that a node is, or that a rate is made from, with the word it is written with."""
    node = interpreter.graph[number]
    if node.op == "rate":
        return _counted(interpreter.graph[node.args[0]], "rate")
    if node.op == "map" and interpreter.graph[node.args[1]].op == "rate":
        return _counted(interpreter.graph[node.args[0]], "rate")
    return _counted(node, "")


def _counted(node: Node, word: str) -> tuple[Node, str] | None:
    if node.op not in ("counter", "reaches") or node.binders:
        return None
    return node, word or word_of(node.data[1]).name


def window(within: int | None, before: int | str, resolution: int | None = None) -> str:
    """How far a reading looks: `within 1h`, `ever`, `within 30d resolution 1m before 1d ago`."""
    span = "ever" if within is None else f"within {spell_duration(within)}"
    if resolution is not None:
        span += f" resolution {spell_duration(resolution)}"
    if before == "this":
        return f"{span} before this"
    return f"{span} before {spell_duration(before)} ago" if isinstance(before, int) and before else span


def _keys(interpreter: Interpreter, node: Node) -> str:
    keys = node.args[:-1]
    if not keys:
        return "over all events"
    graph = interpreter.graph
    return "under " + ", ".join(tell(interpreter.value(k), graph[k].type) for k in keys)


def _counter(interpreter: Interpreter, node: Node) -> str:
    return _keys(interpreter, node)


def _rate(interpreter: Interpreter, node: Node) -> str:
    """The count that a rate is made from."""
    counted = interpreter.graph[node.args[0]]
    value = interpreter.value(counted.id)
    if counted.op != "counter" or value is None:
        return ""
    per, within = node.data
    return f"{_keys(interpreter, counted)}: {value} in {spell_duration(within)}, per {spell_duration(per)}"


def _reaches(interpreter: Interpreter, node: Node) -> str:
    identity, word, within, _ = node.data
    *keys, at = (interpreter.value(a) for a in node.args)
    if any(k is None for k in keys):
        return ""
    try:
        now = interpreter.reading((identity, word, within, 0), keys, at)
        before = interpreter.reading((identity, word, within, "this"), keys, at)
    except NotRead:  # in a replay by columns, which read no more than the rules ask
        return _keys(interpreter, node)
    low = interpreter.build.analysis.lowerer
    type_ = total_type(low, low.stores[identity])
    counted = "" if now != before else ", and this event did not raise it"
    shown = f"{tell(before, type_)} before this event, {tell(now, type_)} now"
    return f"{_keys(interpreter, node)}: {shown}{counted}"


def _labelled(interpreter: Interpreter, node: Node) -> str:
    target, at = (interpreter.value(a) for a in node.args)
    held = interpreter.state.labels.get((node.data[0], node.data[1]))
    if target is None:
        return ""
    age = held.age(target, at) if held is not None else None
    whose = f"{node.data[0]} {tell(target, interpreter.graph[node.args[0]].type)}"
    hand = held.hand(target, at) if held is not None else None
    by = "" if hand is None else f", {'put on' if hand.on else 'taken off'} by hand, by {_cut(hand.by)}"
    return f"{whose}{by}" if age is None else f"{whose}, for {show_duration(age)}{by}"


def _match(interpreter: Interpreter, node: Node) -> str:
    text = interpreter.value(node.args[0])
    if text is None:
        return ""
    found = compile_pattern(node.data[0], node.data[1]).search(text)
    return "" if found is None else f"found {_cut(found.group())}"


def _entries(interpreter: Interpreter, node: Node) -> str:
    text = interpreter.value(node.args[0])
    if text is None:
        return ""
    found = interpreter.build.analysis.lists[node.data[0]].found(text)
    return "found " + _some([_cut(f) for f in found]) if found else ""


def _model(interpreter: Interpreter, node: Node) -> str:
    """The inputs that move a model's raw score most, and by how much, where the model can tell."""
    model = interpreter.build.analysis.models[node.data[0]]
    parts = model.contributions([interpreter.value(a) for a in node.args])
    if parts is None:
        return ""
    ranked = sorted(zip(parts, model.features, strict=True), key=lambda p: (-abs(p[0]), p[1].name))
    told = [f"{feature.name} {part:+.3g}" for part, feature in ranked[:MAX_MOVERS] if part]
    return "moved most by " + ", ".join(told) if told else ""


def _any(interpreter: Interpreter, node: Node) -> str:
    """Which elements settled an `any`: the true ones, or how many were not."""
    found = interpreter.elements(node.id)
    type_ = interpreter.graph[node.args[0]].type.element
    if found is None or type_ is None:
        return ""
    wanted = node.op == "any"
    held = [_element(interpreter, node, i) for i, (_, body) in enumerate(found) if body is wanted]
    if held:
        return f"{'true' if wanted else 'false'} for {_some(held)}"
    if not found:
        return "the list is empty"
    missing = sum(body is None for _, body in found)
    gone = f", {missing} of them missing" if missing else ""
    return f"{'true for none' if wanted else 'false for none'} of {len(found)}{gone}"


def _element(interpreter: Interpreter, node: Node, index: int) -> str:
    """An element that an `any` went through; of a list of conditions, what the condition is about."""
    graph, source = interpreter.graph, interpreter.graph[node.args[0]]
    if source.op == "map" and source.type.element is not None and source.type.element.kind == "bool":
        present = [element for element, body in interpreter.elements(source.id) or [] if body is not None]
        inner = graph[source.args[0]].type.element
        if inner is not None:
            return tell(present[index], inner)
    assert source.type.element is not None
    return tell(interpreter.value(source.id)[index], source.type.element)


def _some(shown: list[str]) -> str:
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    return ", ".join(shown[:3]) + more


def _cut(text: str) -> str:
    return f'"{text}"' if len(text) <= 60 else f'"{text[:59]}…"'


_NOTES = {
    "counter": _counter,
    "model": _model,
    "rate": _rate,
    "reaches": _reaches,
    "labelled": _labelled,
    "label_age": _labelled,
    "match": _match,
    "list_match": _entries,
    "list_in": _entries,
    "any": _any,
    "all": _any,
}
