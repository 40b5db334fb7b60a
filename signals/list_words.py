"""Lists of words and phrases, found whole and in either case."""

from __future__ import annotations

from quell.signals.list_base import PolicyList, Source, shorten
from quell.signals.word_edges import fold
from quell.signals.word_finder import WordFinder, folded_bytes, spaced

MAX_WORDS = 1_000_000
MAX_WORD = 1_000
"""Characters in one word or phrase."""


class WordList(PolicyList):
    """Words that stand in a text as whole words.

    A word is compared folded: without case (``str.casefold``), any white space in a phrase as one space.
    No letter, digit, mark or underscore may stand beside it; `quell.signals.word_edges.edges` says what
    holds for emoji and for scripts without spaces.
    """

    def __init__(self, source: Source, words: dict[str, str]) -> None:
        super().__init__(source)
        self.folded = tuple(words)
        """The words in the spelling in which they are compared."""
        self._spelled = tuple(words.values())
        self.finder = WordFinder(self.folded)

    def __len__(self) -> int:
        return len(self.folded)

    def entries(self) -> list[str]:
        """All words as they are spelled in the file, in its order."""
        return list(self._spelled)

    def _prepared(self, text: str) -> bytes:
        raw = folded_bytes(text)
        return spaced(raw) if self.finder.phrases else raw

    def contains(self, value: str) -> bool:
        """Whether some word is in the text."""
        return any(True for _ in self.finder.whole(self._prepared(value)))

    def found(self, text: str) -> list[str]:
        """The words in the text as the file spells them, each once, by first place, longest first."""
        first: dict[int, tuple[int, int]] = {}
        for word, start, end in self.finder.whole(self._prepared(text)):
            place = (start, -end)
            if word not in first or place < first[word]:
                first[word] = place
        return [self._spelled[word] for word in sorted(first, key=lambda w: (first[w], w))]


def load_words(source: Source) -> WordList:
    """Read a list of words."""
    words: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line, entry, _ in source.keyed(MAX_WORDS):
        if len(entry) > MAX_WORD:
            source.problems.add(
                line, f"the entry has {len(entry):,} characters, and {MAX_WORD:,} are allowed"
            )
            continue
        folded = fold(entry)
        first = lines.setdefault(folded, line)
        if first == line:
            words[folded] = entry
        elif words[folded] == entry:
            source.twice(line, entry, first, same=True)
        else:
            message = f"`{shorten(entry)}` is the same as `{shorten(words[folded])}` on line {first}"
            source.problems.add(
                line, message, "case and the width of spaces make no difference", "duplicate-entry"
            )
    return WordList(source, words)
