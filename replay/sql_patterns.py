"""Patterns as DuckDB's RE2 takes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache

import duckdb

from quell.replay.database import text_literal
from quell.signals.patterns import inline


@cache
def _aside() -> duckdb.DuckDBPyConnection:
    """A database of its own, in which patterns are tried."""
    return duckdb.connect(":memory:")


@lru_cache(maxsize=4_096)
def taken(pattern: str, flags: str) -> bool:
    """Whether DuckDB compiles a pattern: its RE2 is older than the binding's and knows less syntax."""
    try:
        _aside().cursor().execute("SELECT regexp_matches('', ?)", [inline(pattern, flags)]).fetchall()
    except duckdb.Error:
        return False
    return True


def pattern_sql(text: str, pattern: str, flags: str) -> str | None:
    """The condition that a pattern is found in a text; None where DuckDB does not take the pattern."""
    if not taken(pattern, flags):
        return None
    return f"regexp_matches({text}, {text_literal(inline(pattern, flags))})"


NEVER = "[^\\x00-\\x{10ffff}]"
"""A pattern that is found nowhere."""
_ODD = re.compile(r"[^a-z0-9_]")
LONGEST_GATE = 5_000
"""Characters of a pattern that stands for many."""


def alternation(patterns: tuple[tuple[str, str], ...]) -> str | None:
    """A pattern found wherever one of some gateable patterns is; None where it would be too large."""
    whole = "|".join(f"(?:{inline(p, flags)})" for p, flags in patterns)
    return whole if len(whole) <= LONGEST_GATE and taken(whole, "") else None


def gateable(pattern: str, flags: str) -> bool:
    """Whether a pattern may be part of an alternation: an open quotation would run on into the next one."""
    return "\\Q" not in pattern and not by_class(pattern) and taken(pattern, flags)


def any_word(words: Sequence[str]) -> str | None:
    """A pattern found in the lower case of every ASCII text in which one of some folded words is; None where
    it would be too large. Words beyond ASCII are in no such text, and of a phrase one word is enough."""
    parts = sorted({max(w.split(" "), key=len) for w in words if w.isascii()})
    if not parts:
        return NEVER
    whole = "|".join(_ODD.sub(r"\\\g<0>", part) for part in parts)
    return whole if len(whole) <= 2 * LONGEST_GATE and taken(whole, "") else None


def by_class(pattern: str) -> bool:
    """Whether a pattern asks for classes of characters as Unicode has them, of which DuckDB's RE2 knows an
    older version: beyond ASCII they may differ."""
    return "\\p" in pattern.replace("\\P", "\\p")
