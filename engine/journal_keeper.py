"""The thread that keeps a journal's folder: closed segments are packed, old ones dropped, remains removed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

from quell.engine.journal_chain import Chain
from quell.engine.journal_format import JournalError, Segment
from quell.engine.journal_pack import DAMAGED, PART
from quell.engine.journal_writer import Writer, told

_TOGETHER = 16
"""Segments that one process packs."""
_SOON = 1.0
_EVEN = 3_600.0
"""Seconds that the clock must have gone evenly before anything is dropped for its age: one that was set a
year forward by mistake must not empty the journal."""
_JUMP = 60.0
"""Seconds by which a clock that goes evenly may be set right."""
_ROUND = 60.0
"""Seconds between two looks, while a segment waits to be packed and otherwise."""


class Keeper:
    """Keeps the folder of a journal that is written. `keep_age` in microseconds and `keep_bytes` say what is
    dropped; `needed` gives the greatest number that nobody needs any more. `trouble` says what last could not
    be done, and `dropped` how many entries there were before the first that is still there."""

    def __init__(
        self,
        writer: Writer,
        needed: Callable[[], int],
        *,
        keep_age: int | None,
        keep_bytes: int | None,
        packs: bool,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trouble = ""
        self._writer = writer
        self._chain = Chain(writer.folder)
        self._needed = needed
        self._keep_age = keep_age
        self._keep_bytes = keep_bytes
        self._packs = packs
        self._clock, self._steady = clock, steady
        self._apart: float | None = None  # how far the two clocks are, and since when they are that far
        self._even_since = 0.0
        self._left: dict[int, str] = {}  # segments that cannot be packed, as they are damaged, and where
        self._wake = Event()
        self._ending = False
        self._thread = Thread(target=self._run, name="quell-journal-keeper", daemon=True)

    def start(self) -> None:
        """Begin to look after the folder."""
        self._writer.closed = self._wake.set
        self._thread.start()

    def close(self) -> None:
        """End; what is being packed is left for another time."""
        self._ending = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        self._remove_parts()
        while not self._ending:
            self._wake.clear()
            waits = self.tidy()
            self._wake.wait(_SOON if waits else _ROUND)

    # -------------------------------------------------------------- one round

    def tidy(self) -> bool:
        """Look through the folder once. Gives whether a closed segment still waits to be packed."""
        self.trouble = ""
        try:
            listed = self._chain.listed()
            valid = self._chain.valid(listed)
            self._remove_given_up(listed, valid)
            waits = self._pack(valid) if self._packs else False
            kept = self._chain.valid(self._chain.listed())
            self._drop(kept)
            self._left = {s.ordinal: self._left[s.ordinal] for s in kept if s.ordinal in self._left}
            self.trouble = self.trouble or next(iter(self._left.values()), "")
        except (JournalError, OSError) as error:
            self.trouble = told(self._writer.folder, error)
            return False
        except Exception as error:  # a defect here must not end it for good, nor the one who serves
            self.trouble = f"keeping the journal failed inside Quell: {type(error).__name__}: {error}"
            return False
        return waits

    def _remove_parts(self) -> None:
        """Remove what packing left that was broken off."""
        with suppress(OSError):
            for path in list(self._writer.folder.iterdir()):
                if path.name.startswith(".") and path.name.endswith(PART):
                    path.unlink()

    def _remove_given_up(self, listed: list[Segment], valid: list[Segment]) -> None:
        """Remove segments that a later one counts for, in this form or in their own."""
        current = self._writer.ordinal
        for segment in listed:
            if segment.packed:
                segment.path.with_suffix(".qj").unlink(missing_ok=True)
            elif segment not in valid and segment.ordinal < current:
                segment.path.unlink(missing_ok=True)

    def _pack(self, valid: list[Segment]) -> bool:
        unsettled = self._writer.unsettled()
        plain = [s for s in valid[:-1] if not s.packed and s.ordinal not in self._left]
        settled = [segment for segment in plain if segment.ordinal not in unsettled]
        for first in range(0, len(settled), _TOGETHER):
            if not self._ending:
                self._pack_some(settled[first : first + _TOGETHER])
        return len(settled) < len(plain)

    def _pack_some(self, segments: list[Segment]) -> None:
        command = [sys.executable, "-P", "-m", "quell.engine.journal_pack", *(str(s.path) for s in segments)]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the one who serves
        ) as process:
            said = self._await(process)
        left = self._note(segments)
        if process.returncode and left and not self._ending:
            self.trouble = said or f"`{left[0].path}` could not be packed"
            if process.returncode == DAMAGED:
                self._left[left[0].ordinal] = self.trouble

    def _await(self, process: subprocess.Popen[bytes]) -> str:
        """What a process said, once it has ended; it is ended if the journal is closed."""
        while True:
            try:
                _, said = process.communicate(timeout=0.1)
            except subprocess.TimeoutExpired:
                if self._ending:
                    process.terminate()
                continue
            return said.decode("utf-8", "replace").strip()[-500:]

    def _note(self, segments: list[Segment]) -> list[Segment]:
        """Note the sizes of segments that were packed; gives those that were not."""
        found = {segment.ordinal: segment for segment in self._chain.listed()}
        left = []
        for segment in segments:
            now = found.get(segment.ordinal)
            if now is None or not now.packed:
                left.append(segment)
            else:
                self._writer.sizes[now.ordinal] = now.path.stat().st_size
        return left

    # -------------------------------------------------------------- room

    def _drop(self, valid: list[Segment]) -> None:
        """Drop the oldest segments that are too old, or for which there is no room; never one that somebody
        needs, and never the last, which says where the numbers stand."""
        needed = self._needed()
        stats = [segment.path.stat() for segment in valid]
        total = sum(found.st_size for found in stats)
        written = _written([found.st_mtime for found in stats])
        since = self._since(written)
        for i, segment in enumerate(valid[:-1]):
            old = since is not None and written[i] < since
            much = self._keep_bytes is not None and total > self._keep_bytes
            if valid[i + 1].first > needed or not (old or much):
                return
            segment.path.unlink(missing_ok=True)
            total -= stats[i].st_size
            oldest = self._chain.head(valid[i + 1])
            self._writer.forget(segment.ordinal, oldest.before if oldest is not None else None)

    def _since(self, written: list[float]) -> float | None:
        """What was written before is too old; None where nothing is, or the clock cannot be trusted yet: it
        was set, or it says that nothing was written for long."""
        if self._keep_age is None:
            return None
        now, steady = self._clock(), self._steady()
        if self._apart is None:
            recent = len(written) > 1 and 0 <= now - written[-2] <= _EVEN
            self._apart, self._even_since = now - steady, steady - _EVEN if recent else steady
        elif abs(now - steady - self._apart) > _JUMP:
            self._apart, self._even_since = now - steady, steady
        return now - self._keep_age / 1e6 if steady - self._even_since >= _EVEN else None


def _written(times: list[float]) -> list[float]:
    """When segments were written last, in seconds. None was after the ones that follow it, though the clock
    may have said so."""
    found = list(times)
    for i in range(len(found) - 2, -1, -1):
        found[i] = min(found[i], found[i + 1])
    return found
