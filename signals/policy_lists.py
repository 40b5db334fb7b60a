"""Policy lists: the files that `list … from "file" as kind` names, loaded for quick look-ups.

=========  ============================================================================================
kind       an entry stands for
=========  ============================================================================================
exact      itself, character by character
domains    a domain and all its subdomains; what is looked up may be a host, a URL or an e-mail address
cidrs      the IP addresses of a network, version 4 or 6; a single address is a network of one
prefixes   every text that begins with it
words      itself as a whole word or phrase in a text, in either case
patterns   every text in which RE2 finds it; plain, or as ``/…/flags``
=========  ============================================================================================

Files are UTF-8, one entry a line; `quell.signals.list_files` says what else they may hold. With columns, a
file is a CSV table, and the closest entry gives the row.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from quell.grammar.types import Type
from quell.signals.list_base import PolicyList, Source
from quell.signals.list_cells import BadCell, reader
from quell.signals.list_cidrs import load_cidrs
from quell.signals.list_domains import load_domains
from quell.signals.list_exact import load_exact, load_prefixes
from quell.signals.list_files import ListProblem, Problems, TooMany
from quell.signals.list_patterns import load_patterns
from quell.signals.list_words import load_words

__all__ = ["KINDS", "ListProblem", "Loaded", "PolicyList", "load_list"]

_LOADERS = {
    "exact": load_exact,
    "words": load_words,
    "domains": load_domains,
    "cidrs": load_cidrs,
    "prefixes": load_prefixes,
    "patterns": load_patterns,
}
KINDS = tuple(_LOADERS)
_SEARCHED = ("words", "patterns")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A list, or None when its file has errors, and everything found in the file, in order of line."""

    list: PolicyList | None
    problems: tuple[ListProblem, ...]


def load_list(
    name: str, file: str, data: bytes, kind: str, columns: tuple[tuple[str, Type], ...] = ()
) -> Loaded:
    """Read a list file. `columns` are those that a declaration `gives`; an empty cell is missing.

    Nothing in `data` raises; a kind that does not exist raises ValueError.
    """
    if kind not in _LOADERS:
        raise ValueError(f"no kind of list {kind}")
    problems = Problems()
    source = _source(name, file, data, kind, columns, problems)
    if source is None:
        return Loaded(None, problems.listed())
    try:
        found = _LOADERS[kind](source)
    except TooMany:
        return Loaded(None, problems.listed())
    if problems.failed:
        return Loaded(None, problems.listed())
    if not len(found):
        problems.add(0, "the list has no entries", None, "empty-list")
    return Loaded(found, problems.listed())


def _source(
    name: str, file: str, data: bytes, kind: str, columns: tuple[tuple[str, Type], ...], problems: Problems
) -> Source | None:
    if columns and kind in _SEARCHED:
        problems.add(
            0,
            f"{kind} occur in text, so they cannot have columns",
            "write as exact, domains, cidrs or prefixes",
        )
        return None
    readers = []
    for column, type_ in columns:
        try:
            readers.append(reader(type_))
        except BadCell as error:
            problems.add(
                0, f"`{column}`: {error}", "columns are text, number, bool, time, duration, ip or an entity"
            )
            return None
    digest = hashlib.sha256(data).hexdigest()
    return Source(name, file, data, kind, tuple(c for c, _ in columns), tuple(readers), digest, problems)
