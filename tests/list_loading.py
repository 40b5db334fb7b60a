"""List files as texts, for tests."""

from __future__ import annotations

from quell.grammar.types import Type
from quell.signals.policy_lists import Loaded, PolicyList, load_list


def load(kind: str, text: str | bytes, *columns: tuple[str, Type]) -> Loaded:
    data = text.encode() if isinstance(text, str) else text
    return load_list("l", "lists/l.txt", data, kind, columns)


def good(kind: str, text: str | bytes, *columns: tuple[str, Type]) -> PolicyList:
    loaded = load(kind, text, *columns)
    assert loaded.problems == ()
    assert loaded.list is not None
    return loaded.list


def told(loaded: Loaded) -> list[tuple[int, str, str]]:
    return [(p.line, p.code, p.message) for p in loaded.problems]


def said(kind: str, text: str | bytes, *columns: tuple[str, Type]) -> list[tuple[int, str]]:
    loaded = load(kind, text, *columns)
    return [(p.line, p.message) for p in loaded.problems]
