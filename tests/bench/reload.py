"""What a reload costs those who wait for decisions: `python -m tests.bench.reload`.

A version is compiled in a thread while the event loop does nothing but wake up each millisecond; told is how
long compiling takes, and by how much the loop is late: as long as an event may have to wait more than usual.
The turns that threads take (sys.setswitchinterval) are varied: the interpreter's own, and those of reloads.
The first version is compiled from nothing, as at a start; then one file of it is changed each time.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from quell.engine import reload_compile
from quell.engine.compile import Build
from quell.engine.reload_compile import TURN, Compiler
from tests.bench.run import many_files
from tests.bench.workload import make

ROOT = Path(__file__).resolve().parent.parent.parent
USUAL = 0.005
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds: how long compiling took, and how late the event loop was: usually, and at worst."""

    compiling: float
    usual: float
    worst: float


def starter() -> dict[str, bytes]:
    """The files of the starter bundle."""
    folder = ROOT / "policies"
    wanted = [p for p in folder.rglob("*") if p.suffix in (".quell", ".toml", ".txt", ".csv", ".lgb")]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in wanted}


def rules(count: int) -> dict[str, bytes]:
    """So many rules in files of nine."""
    return {name: source.text.encode() for name, source in many_files(make(count).policy).sources.items()}


def write(files: dict[str, bytes], folder: Path) -> dict[str, str]:
    """Write a bundle; gives the digests of its files."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


async def compiled(
    compiler: Compiler, folder: Path, former: Build | None, digests: dict[str, str]
) -> tuple[Build, Cost]:
    """Compile a bundle in a thread, the event loop watched."""
    late: list[float] = []
    working = True

    async def wake() -> None:
        while working:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            late.append(time.perf_counter() - began - 0.001)

    waking = asyncio.create_task(wake())
    await asyncio.sleep(0)
    began = time.perf_counter()
    build = await asyncio.to_thread(compiler.compile, folder, "bench", former, digests)
    took = time.perf_counter() - began
    working = False
    await waking
    return build, Cost(1e3 * took, 1e3 * statistics.median(late), 1e3 * max(late))


async def measured(files: dict[str, bytes], turn: float) -> tuple[Cost, Cost]:
    """The cost of compiling a bundle from nothing, and with one changed file at a time, the middle one of
    several."""
    reload_compile.TURN = turn
    compiler = Compiler()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        digests = write(files, folder)
        build, first = await compiled(compiler, folder, None, digests)
        changed = max((n for n in files if n.endswith(".quell")), key=lambda n: len(files[n]))
        costs = []
        for i in range(ROUNDS):
            digests |= write({changed: files[changed] + f"\n# {i}\n".encode()}, folder)
            build, cost = await compiled(compiler, folder, build, digests)
            costs.append(cost)
    middle = [statistics.median(getattr(c, part) for c in costs) for part in ("compiling", "usual", "worst")]
    return first, Cost(*middle)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rules", type=int, default=300)
    asked = parser.parse_args()
    table = Table(title="compiling beside the event loop, milliseconds")
    for column in ("bundle", "turns", "compiling", "late, usually", "late, at worst"):
        table.add_column(column, justify="left" if column == "bundle" else "right")
    asyncio.run(measured(starter(), USUAL))  # what is loaded once
    for name, files in (("starter", starter()), (f"{asked.rules} rules", rules(asked.rules))):
        for turn in (USUAL, TURN):
            first, changed = asyncio.run(measured(files, turn))
            for what, cost in ((f"{name}, from nothing", first), (f"{name}, one file changed", changed)):
                figures = [f"{x:.1f}" for x in (cost.compiling, cost.usual, cost.worst)]
                table.add_row(what, f"{turn * 1e3:g}", *figures)
    Console().print(table)


if __name__ == "__main__":
    main()
