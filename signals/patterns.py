"""Patterns: checking them in the analyst's words, compiling them, and looking for many at once.

A pattern is what stands between the slashes of ``/…/i`` with its flags: RE2 syntax, searched for anywhere
in the text, in time linear in the text's length. ``i`` ignores case, ``s`` lets a dot take line breaks,
``m`` lets ``^`` and ``$`` stand at line breaks. This module alone touches RE2's binding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import re2

from quell.signals.pattern_errors import PatternProblem, too_deep, translate
from quell.signals.pattern_literals import required_literal
from quell.signals.pattern_tree import MAX_DEPTH, copies, parse

__all__ = [
    "FLAGS",
    "PatternProblem",
    "PatternSet",
    "check_pattern",
    "compile_pattern",
    "encode",
    "inline",
    "required_literal",
    "search",
]

FLAGS = "ims"
MAX_LENGTH = 20_000
"""Characters in one pattern."""
MAX_PROGRAM = 50_000
"""Instructions that one pattern may compile to."""

_CHUNK_PROGRAM = 100_000
_CHUNK_PATTERNS = 5_000
_SET_MEMORY = 16 << 20
"""Bytes for program and automaton of one set. RE2's search of a set has nothing to fall back on: out of
memory it would find nothing, and the binding would not say so. But RE2 refuses to compile a set whose
memory does not hold twenty of the largest states, and a full automaton starts over, for which one is
enough; so what compiles also searches. _CHUNK_PROGRAM instructions take about 3 MB, twenty states 8 MB."""

_LONG_TEXT = 4_096
_MANY_COPIES = 10
"""In texts of more bytes than _LONG_TEXT, patterns with at least _MANY_COPIES counted copies are searched
for one by one: there RE2 can leave an automaton that a hostile text makes it build anew at each character,
which in a set it cannot."""


def check_pattern(pattern: str, flags: str = "") -> PatternProblem | None:
    """What is wrong with a pattern, or None when it may be used."""
    problem = _check_flags(pattern, flags) or _check_text(pattern)
    if problem is not None:
        return problem
    compiled = _re2(pattern, flags)
    if not compiled.ok():
        return translate(pattern, compiled.error().decode("utf-8", "replace"))
    if "\\C" in pattern:
        at = _byte_escape(pattern)
        if at is not None:
            return PatternProblem("`\\C` takes letters apart into bytes", at, "for any character write .")
    deep = too_deep(pattern, MAX_DEPTH)
    if deep is not None:
        return deep
    size = compiled.ProgramSize()
    if size > MAX_PROGRAM:
        return PatternProblem(
            f"the pattern is too large: it makes {size:,} instructions, and {MAX_PROGRAM:,} are allowed",
            0,
            "a count such as {2,50} writes out 50 times what it counts; write + where any number will do",
        )
    return None


def _check_flags(pattern: str, flags: str) -> PatternProblem | None:
    for index, flag in enumerate(flags):
        offset = len(pattern) + 1 + index
        if flag not in FLAGS:
            return PatternProblem(
                f"`{flag}` is no flag of a pattern",
                offset,
                "the flags are i (either case), s (a dot takes line breaks), m (^ and $ at each line)",
            )
        if flag in flags[:index]:
            return PatternProblem(f"the flag `{flag}` stands twice", offset, None)
    return None


def _check_text(pattern: str) -> PatternProblem | None:
    if len(pattern) > MAX_LENGTH:
        return PatternProblem(
            f"the pattern has {len(pattern):,} characters, and {MAX_LENGTH:,} are allowed",
            MAX_LENGTH,
            "keep many words in a list of words",
        )
    try:
        pattern.encode()
    except UnicodeEncodeError as error:
        return PatternProblem("half a surrogate pair is no character", error.start, None)
    return None


def _byte_escape(pattern: str) -> int | None:
    at = 0
    quoted = False
    while at < len(pattern) - 1:
        pair = pattern[at : at + 2]
        if pair[0] != "\\":
            at += 1
            continue
        if quoted:
            quoted = pair != "\\E"
            at += 1 + (not quoted)
            continue
        if pair == "\\C":
            return at
        quoted = pair == "\\Q"
        at += 2
    return None


def inline(pattern: str, flags: str = "") -> str:
    """The pattern with its flags written inside it, as every RE2 reads it: ``(?i)spam``."""
    ordered = "".join(f for f in FLAGS if f in flags)
    return f"(?{ordered}){pattern}" if ordered else pattern


def compile_pattern(pattern: str, flags: str = "") -> Any:
    """A compiled pattern of google-re2's Python module, with `search`, `finditer`, `sub` as in `re`.

    Raises ValueError with the reason when `check_pattern` finds one. For a bare yes or no `search` and
    `PatternSet` are several times as fast.
    """
    _refuse_bad(pattern, flags)
    return re2.compile(inline(pattern, flags), _options())


def search(pattern: str, flags: str = "") -> Callable[[str], bool]:
    """A function that says whether the pattern is found in a text. Raises ValueError as `compile_pattern`."""
    _refuse_bad(pattern, flags)
    find = _finder(pattern, flags)

    def found(text: str) -> bool:
        return find(encode(text))

    return found


def _refuse_bad(pattern: str, flags: str) -> None:
    problem = check_pattern(pattern, flags)
    if problem is not None:
        raise ValueError(problem.message)


def encode(text: str) -> bytes:
    """UTF-8; half surrogate pairs, which no event carries, become question marks."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _options(**more: Any) -> Any:
    options = re2.Options()
    options.log_errors = False
    for name, value in more.items():
        setattr(options, name, value)
    return options


def _re2(pattern: str, flags: str, **more: Any) -> Any:
    """RE2's own object: its Python wrapper costs more than the search. The binding is pinned exactly."""
    return re2._re2.RE2(inline(pattern, flags).encode(), _options(**more))


def _finder(pattern: str, flags: str) -> Callable[[bytes], bool]:
    """Whether a pattern is found in UTF-8, for patterns that stand alone.

    When its automaton does not fit into memory or a text wears it out, RE2 goes on with one that needs none.
    """
    match = _re2(pattern, flags, never_capture=True).Match
    anywhere = re2._re2.RE2.Anchor.UNANCHORED
    nowhere = (-1, -1)

    def find(raw: bytes) -> bool:
        return bool(match(anywhere, raw, 0, len(raw))[0] != nowhere)

    return find


@dataclass(frozen=True, slots=True)
class _Member:
    """A pattern with its place in the set it was given to, and what it takes."""

    index: int
    pattern: str
    flags: str
    size: int
    copies: int


class PatternSet:
    """Many patterns looked for in one pass over a text.

    Raises ValueError when `check_pattern` refuses one of them, naming its place.
    """

    def __init__(self, patterns: Sequence[tuple[str, str]]) -> None:
        self._count = len(patterns)
        members = [_member(index, *pattern) for index, pattern in enumerate(patterns)]
        self._all = _searches(members)
        heavy = [m for m in members if m.copies >= _MANY_COPIES]
        self._heavy = [_Alone(m) for m in heavy]
        self._light = _searches([m for m in members if m.copies < _MANY_COPIES]) if heavy else self._all
        self.find = self._best()
        """From UTF-8 to the indexes of the patterns found, in no order."""

    def __len__(self) -> int:
        return self._count

    def match(self, text: str) -> list[int]:
        """The indexes of the patterns found in a text, in order."""
        return sorted(self.find(encode(text)))

    def _best(self) -> Callable[[bytes], Sequence[int]]:
        if not self._all:
            return _nothing
        if len(self._all) == 1 and not self._heavy:
            return self._all[0].find
        return self._find_in_turn

    def _find_in_turn(self, raw: bytes) -> list[int]:
        long = len(raw) > _LONG_TEXT
        found: list[int] = []
        for search in self._light if long else self._all:
            found += search.find(raw)
        if long:
            for alone in self._heavy:
                found += alone.find(raw)
        return found


def _nothing(raw: bytes) -> Sequence[int]:
    return ()


def _member(index: int, pattern: str, flags: str) -> _Member:
    problem = check_pattern(pattern, flags)
    if problem is not None:
        raise ValueError(f"pattern {index}: {problem.message}")
    tree = parse(pattern, flags)
    size = _re2(pattern, flags).ProgramSize()
    # A pattern whose tree cannot be read counts as heavy: slower in long texts, never wrong.
    return _Member(index, pattern, flags, size, _MANY_COPIES if tree is None else copies(tree))


class _Alone:
    """One pattern searched for by itself."""

    def __init__(self, member: _Member) -> None:
        search = _finder(member.pattern, member.flags)
        index = [member.index]
        self.find: Callable[[bytes], Sequence[int]] = lambda raw: index if search(raw) else ()


class _Chunk:
    """Patterns in one RE2 set. `ready` says whether it compiled."""

    def __init__(self, members: Sequence[_Member]) -> None:
        anywhere = re2._re2.RE2.Anchor.UNANCHORED
        self._set = re2._re2.Set(anywhere, _options(max_mem=_SET_MEMORY))
        added = [self._set.Add(inline(member.pattern, member.flags).encode()) for member in members]
        places = [m.index for m in members]
        self.ready = added == list(range(len(members))) and bool(self._set.Compile())
        match: Callable[[bytes], list[int]] = self._set.Match
        self.find = match if places == added else _renumbered(match, places)


def _renumbered(match: Callable[[bytes], list[int]], places: list[int]) -> Callable[[bytes], list[int]]:
    def find(raw: bytes) -> list[int]:
        found = match(raw)
        return [places[i] for i in found] if found else found

    return find


def _searches(members: Sequence[_Member]) -> list[_Chunk | _Alone]:
    """Searches that together look for all the patterns."""
    found: list[_Chunk | _Alone] = []
    for part in _chunks(members):
        found.extend(_ready(part))
    return found


def _chunks(members: Sequence[_Member]) -> list[list[_Member]]:
    chunks: list[list[_Member]] = []
    room = 0
    for member in members:
        if not chunks or member.size > room or len(chunks[-1]) >= _CHUNK_PATTERNS:
            chunks.append([])
            room = _CHUNK_PROGRAM
        chunks[-1].append(member)
        room -= member.size
    return chunks


def _ready(members: Sequence[_Member]) -> list[_Chunk | _Alone]:
    chunk = _Chunk(members)
    if chunk.ready:
        return [chunk]
    if len(members) == 1:
        return [_Alone(members[0])]
    half = len(members) // 2
    return _ready(members[:half]) + _ready(members[half:])
