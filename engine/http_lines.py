"""Lines out of the pieces of a body: numbered, of bounded length."""

from __future__ import annotations

Line = tuple[int, bytes]
"""The number of a line, from 1, and what stands in it."""


class Lines:
    """Takes pieces and gives lines. Of a line longer than `most` bytes only the beginning is kept, one byte
    more than is allowed, so that whoever reads it refuses it. Empty lines are counted and left out."""

    def __init__(self, most: int) -> None:
        self.number = 0
        """Of the last line given."""
        self._most = most
        self._ready: list[Line] = []
        self._read = 0
        self._tail: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes, more: bool) -> None:
        """Take a piece of the body, `more` of which comes."""
        *whole, last = piece.split(b"\n")
        if whole:
            self._extend(whole[0])
            self._end()
            self._add_whole(whole)
        self._extend(last)
        if not more and self._size:
            self._end()

    def _add_whole(self, lines: list[bytes]) -> None:
        """Take the lines after the first."""
        most, number, add = self._most, self._read, self._ready.append
        for line in lines[1:]:
            number += 1
            if line and not line.isspace():
                add((number, line if len(line) <= most else line[: most + 1]))
        self._read = number

    def take(self, most: int) -> list[Line]:
        """The next lines, at most so many; none where none is whole yet."""
        ready = self._ready
        if len(ready) <= most:
            taken, self._ready = ready, []
        else:
            taken, self._ready = ready[:most], ready[most:]
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
