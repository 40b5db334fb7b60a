"""How long 1,000 questions in flight take when the answer takes 50 ms: `python -m tests.bench.remote`.

What counts is the ratio to those 50 ms, usually and at best (others may use the machine); the goal is 3. The
first turn opens the connections. The server is a process of its own. `--others` asks
the same through general HTTP clients, as far as they are installed: why the client of remote models is built
on httptools.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from quell.signals.remote import Remotes, RemoteSpec, Request, Target

QUESTIONS = 1_000
SECONDS = 0.05
GOAL = 3.0
NAME = "scam-classifier"
Timed = list[tuple[float, float]]
"""Of each turn: seconds, and seconds of processor time of this process."""


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The address of a server that answers after 50 ms."""
    command = [sys.executable, "-m", "tests.remote_server", str(SECONDS * 1_000)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/score"
        finally:
            process.terminate()


async def _function(inputs: list[dict[str, Any]]) -> list[float]:
    await asyncio.sleep(SECONDS)
    return [0.5] * len(inputs)


async def _turns(work: Callable[[int], Awaitable[None]], turns: int) -> Timed:
    """Each turn; the first opens the connections."""
    out = []
    for turn in range(turns):
        began, busy = time.perf_counter(), time.process_time()
        await work(turn)
        out.append((time.perf_counter() - began, time.process_time() - busy))
    return out


def ask_all(url: str, batch: int, turns: int) -> Timed:
    """1,000 different questions at once, to a service at `url` or, if it is empty, to a function."""

    async def main() -> Timed:
        spec = RemoteSpec("scam", NAME, ("text", "turn"), (), 60_000_000)
        target = Target(
            NAME,
            url=url,
            callable=not url,
            concurrency=QUESTIONS,
            batch=batch,
            linger=2_000 if batch > 1 else 0,
        )
        remotes = Remotes({"scam": spec}, {NAME: target}, callables={NAME: _function})

        async def work(turn: int) -> None:
            asked = [remotes.ask(Request("scam", (f"message {n}", turn))) for n in range(QUESTIONS)]
            answers = await asyncio.gather(*asked)
            if any(a.status != "answered" for a in answers):
                raise SystemExit(f"not every question was answered: {remotes.stats()}")

        timed = await _turns(work, turns)
        await remotes.close()
        return timed

    return asyncio.run(main())


# ---------------------------------------------------------------------- others


def _body(n: int, turn: int) -> bytes:
    asked = {"model": "scam", "version": "", "inputs": [{"text": f"message {n}", "turn": turn}]}
    return json.dumps(asked).encode()


def through_aiohttp(url: str, turns: int) -> Timed:
    """The same with batch 1 through aiohttp."""
    aiohttp: Any = importlib.import_module("aiohttp")

    async def main() -> Timed:
        connector = aiohttp.TCPConnector(limit=QUESTIONS)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:

            async def one(n: int, turn: int) -> None:
                async with session.post(url, data=_body(n, turn)) as answer:
                    json.loads(await answer.read())

            async def work(turn: int) -> None:
                await asyncio.gather(*(one(n, turn) for n in range(QUESTIONS)))

            return await _turns(work, turns)

    return asyncio.run(main())


def through_httpx(url: str, turns: int) -> Timed:
    """The same with batch 1 through httpx."""
    httpx: Any = importlib.import_module("httpx")

    async def main() -> Timed:
        limits = httpx.Limits(max_connections=QUESTIONS, max_keepalive_connections=QUESTIONS)
        async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:

            async def one(n: int, turn: int) -> None:
                (await client.post(url, content=_body(n, turn))).json()

            async def work(turn: int) -> None:
                await asyncio.gather(*(one(n, turn) for n in range(QUESTIONS)))

            return await _turns(work, turns)

    return asyncio.run(main())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--others", action="store_true", help="also through httpx and aiohttp")
    options = parser.parse_args()
    table = Table("1,000 at once", "first", "then", "best", "ratio", "goal", "work")

    def row(what: str, timed: Timed, goal: str = f"≤ {GOAL:g}") -> None:
        usual = statistics.median(seconds for seconds, _ in timed[1:])
        best = min(seconds for seconds, _ in timed[1:])
        work = statistics.median(busy for _, busy in timed[1:]) / QUESTIONS
        cells = [f"{seconds * 1_000:.0f} ms" for seconds in (timed[0][0], usual, best)]
        ratio = f"{usual / SECONDS:.2f}× ({best / SECONDS:.2f}×)"
        table.add_row(what, *cells, ratio, goal, f"{work * 1e6:.0f} µs")

    row("function", ask_all("", 1, options.turns))
    row("function, by 64", ask_all("", 64, options.turns))
    with server() as url:
        row("HTTP", ask_all(url, 1, options.turns))
        row("HTTP, by 64", ask_all(url, 64, options.turns))
        for name, through in {"aiohttp": through_aiohttp, "httpx": through_httpx}.items():
            if options.others and importlib.util.find_spec(name) is not None:
                row(f"HTTP through {name}", through(url, min(options.turns, 5)), "")
    Console().print(table)


if __name__ == "__main__":
    main()
