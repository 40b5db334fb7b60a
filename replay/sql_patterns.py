"""Patterns as DuckDB's RE2 takes them."""

from __future__ import annotations

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
