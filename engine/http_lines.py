"""Lines out of the pieces of a body: numbered, of bounded length."""

from __future__ import annotations

from collections import deque

Line = tuple[int, bytes]
"""The number of a line, from 1, and what stands in it."""


class Lines:
    """Takes pieces and gives lines. Of a line longer than `most` bytes only the beginning is kept, one byte
    more than is allowed, so that whoever reads it refuses it. Empty lines are counted and left out."""

    def __init__(self, most: int) -> None:
        self.number = 0
        """Of the last line given."""
        self._most = most
        self._ready: deque[Line] = deque()
        self._read = 0
        self._tail: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes, more: bool) -> None:
        """Take a piece of the body, `more` of which comes."""
        *whole, rest = piece.split(b"\n")
        if whole and self._size:
            self._extend(whole[0])
            self._end()
            del whole[0]
        number, most, ready = self._read, self._most, self._ready
        for line in whole:
            number += 1
            if line and not line.isspace():
                ready.append((number, line if len(line) <= most else line[: most + 1]))
        self._read = number
        self._extend(rest)
        if not more and self._size:
            self._end()

    def take(self, most: int) -> list[Line]:
        """The next lines, at most so many; none where none is whole yet."""
        ready = self._ready
        taken = [ready.popleft() for _ in range(min(most, len(ready)))]
        if taken:
            self.number = taken[-1][0]
        return taken

    def _extend(self, piece: bytes) -> None:
        room = self._most + 1 - self._size
        if piece and room > 0:
            kept = piece[:room]
            self._tail.append(kept)
            self._size += len(kept)

    def _end(self) -> None:
        self._read += 1
        line = self._tail[0] if len(self._tail) == 1 else b"".join(self._tail)
        self._tail.clear()
        self._size = 0
        if line and not line.isspace():
            self._ready.append((self._read, line))
