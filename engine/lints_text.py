"""Lints that need nothing but what is written: precedence, durations, patterns."""

from __future__ import annotations

from functools import lru_cache

from quell.engine.lints_tree import Written
from quell.engine.lints_written import Texts
from quell.grammar import tree
from quell.grammar.diagnostics import Report
from quell.grammar.literals import MICROS, spell_duration
from quell.grammar.source import Span
from quell.signals.pattern_lints import PatternLint, lint_pattern


def lint_precedence(written: Written, texts: Texts, report: Report) -> None:
    """`a or b and c`: right for those who know which comes first."""
    for inner in written.mixed:
        source = texts.at(inner.span)
        report.add(
            "mixed-and-or",
            "`and` comes before `or` here, and nothing says so",
            inner.span,
            hint=f"put `{texts.shown(inner.span)}` in parentheses, or the other part if that was meant",
            replacement=f"({source})" if source else None,
        )


# ----------------------------------------------------------------- durations

_MULTIPLES = {"s": (1, 2, 3, 4, 5), "m": (1, 2, 3), "h": (1, 2, 3, 7)}
"""How many of the next larger unit are so usual that one more or less of the smaller is a slip."""
_LARGER = {"s": "m", "m": "h", "h": "d"}
_NAMES = {"s": "second", "m": "minute", "h": "hour"}


def _odd_table() -> dict[int, tuple[int, str]]:
    out: dict[int, tuple[int, str]] = {}
    for unit, multiples in _MULTIPLES.items():
        for n in multiples:
            usual = n * MICROS[_LARGER[unit]]
            out[usual + MICROS[unit]] = (usual, f"one {_NAMES[unit]} more than")
            out[usual - MICROS[unit]] = (usual, f"one {_NAMES[unit]} less than")
    return out


_ODD = _odd_table()


def odd(micros: int) -> tuple[int, str] | None:
    """The usual duration that this one is just beside, and how it differs."""
    return _ODD.get(micros)


def lint_durations(written: Written, texts: Texts, report: Report) -> None:
    """25h where 1d is meant, also as a product. Written in two units, 1d1h, it is no slip."""
    inside: set[int] = set()
    for node in written.durations:
        found = odd(node.micros)
        parts = sum(c.isalpha() for c in node.text.replace("ms", "x").replace("us", "x"))
        if found is not None and parts == 1:
            inside.add(id(node))
            _tell_odd(node.span, node.text, node.micros, found, report)
    for product in written.products:
        pair = _factors(product)
        if pair is None or id(pair[1]) in inside:
            continue
        micros = round(pair[0] * pair[1].micros)
        found = odd(micros)
        if found is not None:
            _tell_odd(product.span, texts.shown(product.span), micros, found, report)


def _tell_odd(span: Span, shown: str, micros: int, found: tuple[int, str], report: Report) -> None:
    usual = spell_duration(found[0])
    less = found[0] - micros
    meant = spell_duration(micros) if less < 0 else f"{usual} - {spell_duration(less)}"
    report.add(
        "odd-duration",
        f"`{shown}` is {found[1]} {usual}",
        span,
        hint=f"write {usual}, or {meant} if that is meant",
        replacement=usual,
    )


def _factors(product: tree.Binary) -> tuple[float, tree.Duration] | None:
    left, right = product.left, product.right
    if isinstance(left, tree.Number) and isinstance(right, tree.Duration):
        return left.value, right
    if isinstance(left, tree.Duration) and isinstance(right, tree.Number):
        return right.value, left
    return None


# ------------------------------------------------------------------ patterns


@lru_cache(maxsize=4096)
def _findings(pattern: str, flags: str) -> tuple[PatternLint, ...]:
    return tuple(lint_pattern(pattern, flags))


def lint_patterns(written: Written, texts: Texts, report: Report) -> None:
    """What `signals.pattern_lints` finds, at its place. That a pattern takes any text is a fault only after
    `matches`."""
    for node in written.patterns:
        for found in _findings(node.pattern, node.flags):
            if found.code == "regex-whole" and id(node) not in written.matched:
                continue
            report.add(found.code, found.message, _inside(node, found.offset, texts), hint=found.hint)


def _inside(node: tree.Regex, offset: int, texts: Texts) -> Span:
    """The place of a pattern's character in the policy, where a slash is written with a backslash."""
    source = texts.at(node.span)
    at = 1
    for _ in range(offset):
        at += 2 if source.startswith("\\/", at) else 1
    start = min(node.span.start + at, max(node.span.start, node.span.end - 1))
    return Span(node.span.file, start, start + 1)
