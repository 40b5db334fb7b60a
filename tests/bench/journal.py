"""What a journal costs: `python -m tests.bench.journal [FOLDER]`.

An entry is an event of 600 bytes with a reply of 300, appended and flushed by itself, as a service does for
each request. Times of the processor are of all threads, so that the one which brings it to disk counts; the
best of some turns, as others may use the machine. The goal is 6 µs for `batch`. FOLDER lies on the disk to
be measured, by default where temporary files are.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from quell.engine.journal import Durability, Journal, read
from quell.engine.journal_pack import pack

EVENT, REPLY = os.urandom(450).hex()[:600].encode(), os.urandom(225).hex()[:300].encode()
ENTRIES = 20_000
TURNS = 5
WAITING = 200
GOAL = 6.0
WALL = 1_700_000_000_000_000


def _appended(journal: Journal, number: int) -> None:
    journal.append("event", number, number, WALL, 1, WALL, EVENT, REPLY)
    journal.flush()


def _written(folder: Path, durability: Durability) -> float:
    """Microseconds of the processor for an entry."""
    best, number = 1e9, 0
    journal = Journal.open(folder, durability=durability, packs=False)
    for _ in range(TURNS):
        began = time.process_time()
        for _ in range(ENTRIES):
            number += 1
            _appended(journal, number)
        best = min(best, time.process_time() - began)
    journal.close()
    return best / ENTRIES * 1e6


async def _waited(folder: Path) -> tuple[float, float]:
    """Entries a second that are on disk while many wait at once, and milliseconds that each waits."""
    journal = Journal.open(folder, durability="each", packs=False)
    number, waited = 0, []

    async def one() -> None:
        nonlocal number
        for _ in range(20):
            number += 1
            began = time.perf_counter()
            _appended(journal, number)
            synced = journal.synced()
            if synced is not None:
                await synced
            waited.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(WAITING)))
    took = time.perf_counter() - began
    journal.close()
    return number / took, sorted(waited)[len(waited) // 2] * 1e3


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Print what was measured; exits with 1 where the goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.journal")
    parser.add_argument("folder", nargs="?", help="on the disk to be measured")
    asked = parser.parse_args()
    table = Table("what", "measured", box=None)
    with tempfile.TemporaryDirectory(dir=asked.folder) as place:
        root = Path(place)
        batch = _written(root / "batch", "batch")
        table.add_row("append and flush, `batch`", f"{batch:.1f} µs of the processor (goal {GOAL:g})")
        off = _written(root / "off", "off")
        table.add_row("append and flush, `off`", f"{off:.1f} µs of the processor")
        rate, wait = asyncio.run(_waited(root / "each"))
        table.add_row(f"`each`, {WAITING} at once", f"{rate:,.0f} entries/s, each waits {wait:.1f} ms")
        took = _timed(lambda: sum(1 for _ in read(root / "batch")))
        table.add_row("reading", f"{ENTRIES * TURNS / took:,.0f} entries/s")
        first = min((root / "batch").glob("*.qj"))
        size = first.stat().st_size
        took = _timed(lambda: pack(first))
        table.add_row("packing a segment", f"{size / took / 1e6:.0f} MB/s")
    Console().print(table)
    raise SystemExit(1 if batch > GOAL else 0)


if __name__ == "__main__":
    main()
