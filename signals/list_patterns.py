"""Lists of patterns, one RE2 pattern a line."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from quell.signals.list_base import PolicyList, Source, shorten
from quell.signals.pattern_lints import lint_pattern
from quell.signals.patterns import PatternSet, check_pattern, compile_pattern

MAX_PATTERNS = 20_000

_SLASHED = re.compile(r"/(.*)/([A-Za-z]*)", re.DOTALL)


class PatternList(PolicyList):
    """Patterns that are found in a text."""

    def __init__(self, source: Source, patterns: dict[tuple[str, str], str]) -> None:
        super().__init__(source)
        self.patterns = tuple(patterns)
        """Each pattern with its flags."""
        self._spelled = tuple(patterns.values())
        self._compiled: dict[int, Any] = {}

    @cached_property
    def _set(self) -> PatternSet:
        return PatternSet(self.patterns)

    def __len__(self) -> int:
        return len(self.patterns)

    def entries(self) -> list[str]:
        """All patterns as they are spelled in the file, in its order."""
        return list(self._spelled)

    def found(self, text: str) -> list[str]:
        """The patterns found, as the file spells them, in order of first place and then of the file."""
        places = [(self._first(index, text), index) for index in self._set.match(text)]
        return [self._spelled[index] for _, index in sorted(places)]

    def _first(self, index: int, text: str) -> int:
        compiled = self._compiled.get(index)
        if compiled is None:
            compiled = self._compiled[index] = compile_pattern(*self.patterns[index])
        match = compiled.search(text)
        return int(match.start()) if match else 0

    def contains(self, value: str) -> bool:
        """Whether some pattern is found in the text."""
        return bool(self._set.match(value))


def load_patterns(source: Source) -> PatternList:
    """Read a list of patterns. The lints of patterns are told too."""
    patterns: dict[tuple[str, str], str] = {}
    lines: dict[tuple[str, str], int] = {}
    for line, entry, _ in source.keyed(MAX_PATTERNS, trailing=False):
        slashed = _SLASHED.fullmatch(entry)
        pattern, flags = (slashed[1], slashed[2]) if slashed else (entry, "")
        problem = check_pattern(pattern, flags)
        if problem is not None:
            at = problem.offset + 1 + (slashed is not None)
            hint = problem.hint
            if problem.offset > len(pattern):
                hint = f"{hint}; a pattern that begins with a slash itself begins with \\/"
            source.problems.add(line, f"{problem.message} (character {at} of `{shorten(entry)}`)", hint)
            continue
        key = (pattern, "".join(sorted(flags)))
        first = lines.setdefault(key, line)
        if first != line:
            source.twice(line, entry, first, same=True)
            continue
        patterns[key] = entry
        for lint in lint_pattern(pattern, flags):
            source.problems.add(line, f"{lint.message} (in `{shorten(entry)}`)", lint.hint, lint.code)
    return PatternList(source, patterns)
