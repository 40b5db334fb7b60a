"""A service that embeds the asynchronous engine, with a model of its own that takes a while to answer.

    python examples/ask_models.py

Five hundred messages are under way together; each that the policy wants classified waits for its answer,
and the others are decided at once. Some answers come too late, and the policy says what then.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from quell.engine import Decision, Engine, Reply

POLICIES = Path(__file__).parent / "remote"
START = 1_772_323_200_000_000
DAY = 86_400_000_000


async def classify(inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Stands for a classifier: what asks for a seed phrase is a scam. Long texts take it longer."""
    await asyncio.sleep(0.5 if any(len(i["content"]) > 60 for i in inputs) else 0.05)
    return [
        {"likely": 0.97, "reason": "asks for a seed phrase"}
        if "seed phrase" in i["content"]
        else {"likely": 0.02, "reason": ""}
        for i in inputs
    ]


def messages(count: int) -> list[bytes]:
    """Messages of accounts of all ages, some of them scams."""
    wallets = "my wallet is empty, can somebody tell me what I did wrong with it"
    texts = ["good morning everybody, how are you", "send me your seed phrase now", "hi", wallets]
    return [
        json.dumps(
            {
                "type": "message",
                "id": str(i),
                "at": START + i * 1_000_000,
                "author": f"u{i % 50}",
                "joined": START - (i * 7 % 40) * DAY,
                "content": texts[i * 3 % 10 % 4],
            }
        ).encode()
        for i in range(count)
    ]


async def decide(events: list[bytes]) -> list[Reply]:
    """The replies to events that are under way together."""
    async with Engine.load(POLICIES, functions={"scam-classifier": classify}, deadline=1.0) as engine:
        return await asyncio.gather(*(engine.decide(event) for event in events))


def main() -> None:
    """Decide, and say what came of it."""
    began = time.perf_counter()
    replies = asyncio.run(decide(messages(500)))
    took = time.perf_counter() - began
    decisions = [r for r in replies if isinstance(r, Decision)]
    answers = Counter(a.status for d in decisions for a in d.asked)
    print(f"{len(decisions)} messages in {took:.2f} s")
    print("verdicts", dict(Counter(d.verdict for d in decisions)))
    print("answers ", dict(answers), "and", sum(not d.asked for d in decisions), "not asked for")


if __name__ == "__main__":
    main()
