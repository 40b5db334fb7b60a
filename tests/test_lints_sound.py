"""The lints of conditions say nothing that is not so: drawn conditions on drawn events.

Whatever is called never true is not true, whatever is called always true is not false, and a part that is
said to add nothing can be taken away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st

from quell.engine.compile import Analysis
from quell.engine.graph import Graph
from quell.engine.lints_facts import Facts
from quell.engine.lints_outcomes import outcomes
from quell.engine.lints_parts import examine
from quell.engine.lints_world import FALSE, MISSING, TRUE, World
from quell.engine.operations import OPERATIONS, evaluate_pure
from tests.lint_bundle import ABOUT_CONDITIONS, SCHEMA, check

NAMES = """\
let few = count(message by author within 1m)
let many = count(message by author within 1h)
let loud = risk > 2
let calm(x: number) = x < 2 or not loud
"""

_numbers = st.sampled_from(["0", "1", "2", "3", "4"])
_terms = st.sampled_from(
    ["risk", "trust", "likes", "few", "many", "length(content)", "(likes ?? 2)", "risk + 1"]
)
_compared = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
_texts = st.sampled_from(['""', '"a"', '"ab"', '"b"', '"abc"'])
_fields = st.sampled_from(["content", "channel", "bio"])
_word = st.sampled_from(["contains", "starts with", "ends with", "=="])
_spoken = st.sampled_from(["likes", "bio", "sure", "length(bio)"])

_simple = st.one_of(
    st.builds("{} {} {}".format, _terms, _compared, _numbers),
    st.builds("{} {} {}".format, _terms, _compared, _terms),
    st.builds("{} {} {}".format, _fields, _word, _texts),
    st.builds("{} in [{}, {}]".format, _fields, _texts, _texts),
    st.builds("risk in [{}, {}]".format, _numbers, _numbers),
    st.builds('lang {} "{}"'.format, st.sampled_from(["==", "!="]), st.sampled_from(["en", "de", "fr"])),
    st.builds("{} is {}".format, _spoken, st.sampled_from(["missing", "present"])),
    st.builds("{} reaches {}".format, st.sampled_from(["few", "many"]), st.sampled_from(["1", "2", "3"])),
    st.builds("{} < {} < {}".format, _numbers, _terms, _numbers),
    st.sampled_from(
        ["flag", "sure", "loud", "calm(risk)", "flag == sure", "sure == true", "(likes > 1) == flag"]
    ),
)


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(inner, min_size=2, max_size=4)
    return st.one_of(
        st.builds(lambda op, of: f"({f' {op} '.join(of)})", st.sampled_from(["and", "or"]), several),
        st.builds("not ({})".format, inner),
    )


conditions = st.recursive(_simple, _joined, max_leaves=8)


@st.composite
def events(draw: st.DrawFn) -> dict[Any, Any]:
    """The fields of a message, and how many of its author there were within 1m and 1h, itself included."""
    number = st.integers(0, 4)
    text = st.sampled_from(["", "a", "ab", "abc", "b", "ba"])
    few = draw(st.integers(1, 4))
    return {
        "risk": draw(number),
        "trust": draw(number),
        "likes": draw(st.none() | number),
        "content": draw(text),
        "channel": draw(text),
        "bio": draw(st.none() | text),
        "lang": draw(st.sampled_from(["en", "de", "fr"])),
        "flag": draw(st.booleans()),
        "sure": draw(st.none() | st.booleans()),
        "author": "u",
        "at": 0,
        60_000_000: few,
        3_600_000_000: few + draw(st.integers(0, 3)),
        "reaching": draw(st.booleans()),
    }


def evaluate(graph: Graph, root: int, event: Mapping[Any, Any]) -> dict[int, Any]:
    """The value of every node that a condition needs."""
    out: dict[int, Any] = {}
    for number in graph.reach([root]):
        node = graph[number]
        if node.op == "field":
            out[number] = event[node.data[0]]
        elif node.op == "const":
            out[number] = node.data[0]
        elif node.op == "clock":
            out[number] = event["at"]
        elif node.op == "counter":
            out[number] = event[node.data[2]]
        elif node.op == "reaches":
            out[number] = event[node.data[2]] >= node.data[3] and event["reaching"]
        else:
            out[number] = evaluate_pure(OPERATIONS[node.op], node.data, [out[a] for a in node.args])
    return out


def _checked(condition: str) -> Analysis:
    analysis = check(f"{NAMES}rule r on message when {condition} then block\n")
    assert analysis.report.errors == []
    return analysis


def _root(analysis: Analysis) -> int:
    return next(r.condition for r in analysis.rules["message"] if r.name == "r")


@given(conditions, st.lists(events(), min_size=10, max_size=20))
def test_every_outcome_is_one_that_was_held_possible(condition: str, drawn: list[dict[Any, Any]]) -> None:
    analysis = _checked(condition)
    graph = analysis.lowerer.graph("message")
    world = World(graph, analysis.lowerer.stores, {False: frozenset(), True: frozenset()})
    for event in drawn:
        values = evaluate(graph, _root(analysis), event)
        for number, value in values.items():
            if graph[number].type.kind == "bool":
                came_to = MISSING if value is None else TRUE if value else FALSE
                assert outcomes(world, number) & came_to, (number, graph[number], value)


@given(conditions, st.lists(events(), min_size=10, max_size=20))
def test_what_is_called_idle_is(condition: str, drawn: list[dict[Any, Any]]) -> None:
    analysis = _checked(condition)
    graph = analysis.lowerer.graph("message")
    world = World(graph, analysis.lowerer.stores, {False: frozenset(), True: frozenset()})
    joined = [n for n in graph.reach([_root(analysis)]) if graph[n].op in ("and", "or")]
    for event in drawn:
        values = evaluate(graph, _root(analysis), event)
        for number in joined:
            node = graph[number]
            op: Literal["and", "or"] = "and" if node.op == "and" else "or"
            for found in examine(world, op, node.args, Facts(world), []):
                rest = [values[a] for i, a in enumerate(node.args) if i != found.index]
                without = evaluate_pure(OPERATIONS[op], (), rest)
                if found.kind == "implied":
                    assert (without is True) == (values[number] is True)
                elif found.kind == "exhausted":
                    assert values[number] is not False
                elif found.kind == "conflict":
                    assert (values[number] if op == "and" else values[node.args[found.index]]) is not True


@given(conditions, st.lists(events(), min_size=10, max_size=20))
def test_the_rule_is_the_same_once_a_part_is_what_it_was_said_to_be(
    condition: str, drawn: list[dict[Any, Any]]
) -> None:
    analysis = _checked(condition)
    whole = f"{SCHEMA}{NAMES}rule r on message when {condition} then block\n"
    start = whole.index(condition, len(SCHEMA) + len(NAMES))
    told = [d for d in analysis.diagnostics if d.code in ABOUT_CONDITIONS]
    graph, root = analysis.lowerer.graph("message"), _root(analysis)
    before = [evaluate(graph, root, event)[root] for event in drawn]
    for diagnostic in told:
        known = _what_it_is(diagnostic.message, condition)
        if known is None or diagnostic.span.start < start or diagnostic.replacement is not None:
            continue
        low, high = diagnostic.span.start - start, diagnostic.span.end - start
        changed = _checked(f"{condition[:low]}(1 {'<' if known else '>'} 2){condition[high:]}")
        other, new = changed.lowerer.graph("message"), _root(changed)
        for event, value in zip(drawn, before, strict=True):
            assert (evaluate(other, new, event)[new] is True) == (value is True), diagnostic.message


def _what_it_is(message: str, condition: str) -> bool | None:
    """What a part can be taken to be, going by what was said of it; None where that depends on where it is.

    What is never true may be missing and not false, and behind `not` that is a difference.
    """
    if "is never true" in message:
        return None if "not (" in condition else False
    if "is always true" in message and "unless" not in message:
        return True
    if "it is true whenever" in message:
        return True
    return False if "is true whenever it is" in message else None
