"""A process that decides, sends to a file and a webhook, and is killed at any moment, again and again.

`python -m tests.outbox_kill 200` kills it 200 times and says how many sends came twice.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import msgspec

from quell.engine.decision import Decision, Sent
from quell.engine.journal import Journal
from quell.engine.journal_read import read
from quell.engine.outbox import Outbox
from quell.engine.outbox_dead import Letters
from quell.engine.outbox_reading import decisions_of
from quell.engine.outbox_types import Delivery, Sink, key_of, tag_of
from quell.engine.sink_file import FileSink
from quell.engine.sink_webhook import Webhook, WebhookSettings
from tests.webhook_server import WebhookServer, reply

SINKS = ("file", "hook", "unknown")


def sinks(folder: Path, port: int) -> dict[str, Sink]:
    url, allow = f"http://127.0.0.1:{port}/", (ip_network("127.0.0.0/8"),)
    delivery = Delivery(base=0.01, most=0.1)
    return {
        "file": FileSink(folder / "sent.jsonl"),
        "hook": Webhook(WebhookSettings("hook", url, delivery, allow=allow)),
    }


async def live(folder: Path, port: int, seed: int, finish: bool) -> None:
    """One life: until it is killed, or until all is settled."""
    chance = random.Random(seed)
    journal = Journal.open(folder / "journal", packs=False, segment_bytes=1 << 20)
    reader = decisions_of(folder / "journal")
    outbox = Outbox(
        folder / "outbox", sinks(folder, port), journal.id, last=journal.last, reader=reader, most_waiting=50
    )
    outbox.resume(journal.last)
    running = asyncio.create_task(outbox.run())
    waiting: list[Decision] = []
    print("alive", flush=True)
    if finish:
        while outbox.done_upto < journal.last:
            await asyncio.sleep(0.01)
        await outbox.close()
        await running
        journal.close()
        return
    for number in itertools.count(journal.last + 1):
        sends = tuple(
            Sent(sink, "flood", {"n": number}) for sink in chance.choices(SINKS, k=chance.randrange(4))
        )
        decision = Decision("message", number, number, "block", decided=number, sends=sends)
        wall = time.time_ns() // 1_000
        journal.append("event", number, number, number, 1, wall, b"{}", msgspec.json.encode(decision))
        waiting.append(decision)
        if number % 3 == 0:
            journal.flush()
            for one in waiting:
                outbox.take(one.decided, one)
            waiting.clear()
            await asyncio.sleep(chance.choice([0, 0, 0.001]))


def sent(folder: Path) -> Iterator[tuple[str, str]]:
    """Sink and key of each send that the journal says was to be made."""
    journal = Journal.open(folder / "journal", packs=False)
    journal_id = journal.id
    journal.close()
    for entry in read(folder / "journal"):
        decision = msgspec.json.decode(entry.reply, type=Decision)
        for index, one in enumerate(decision.sends):
            yield one.sink, key_of(journal_id, entry.decided, index, tag_of(decision, index))


async def kills(folder: Path, times: int, seed: int) -> str:
    """Kill it so many times; raises AssertionError where a send is lost or comes under another key. Gives
    what to tell."""
    chance = random.Random(seed)
    answers = [reply(chance.choices(["200 OK", "500 Oh", "429 Slow"], [8, 1, 1])[0]) for _ in range(997)]
    async with WebhookServer(*(answers * 200)) as server:
        for life in range(times + 1):
            last = life == times
            arguments = [str(folder), str(server.port), str(chance.randrange(1 << 30)), str(int(last))]
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.outbox_kill", "live", *arguments, stdout=asyncio.subprocess.PIPE
            )
            assert process.stdout is not None
            assert await process.stdout.readline() == b"alive\n"
            if not last:
                await asyncio.sleep(chance.random() * 0.3)
                process.kill()
            await process.wait()
            assert process.returncode == (0 if last else -9)
    wanted: dict[str, set[str]] = {sink: set() for sink in SINKS}
    for sink, key in sent(folder):
        wanted[sink].add(key)
    lines = [line for line in (folder / "sent.jsonl").read_bytes().splitlines() if line.endswith(b"}")]
    got = {"file": Counter(json.loads(line)["key"] for line in lines), "hook": Counter(server.keys)}
    letters = Letters(folder / "outbox").list()
    assert {letter.message.sink for letter in letters} <= {"unknown"}
    got["unknown"] = Counter(letter.message.key for letter in letters)
    for sink in SINKS:
        assert set(got[sink]) == wanted[sink], (sink, len(got[sink]), len(wanted[sink]))
    assert all(count == 1 for count in got["unknown"].values())
    twice = sum(count - 1 for count in got["file"].values())
    return f"{sum(map(len, wanted.values())):,} sends, none lost; {twice:,} lines came more than once"


def main() -> None:
    if sys.argv[1] == "live":
        asyncio.run(live(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "1"))
        return
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        print(asyncio.run(kills(Path(folder), int(sys.argv[1]), seed)))


if __name__ == "__main__":
    main()
