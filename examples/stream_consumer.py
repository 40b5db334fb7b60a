"""Decides events from standard input, one JSON object a line, and prints what a platform would do about each.

    python examples/stream_consumer.py examples/payments < examples/payments/events.jsonl

`quell decide … --events - --out -` prints whole decisions; this shows where one's own code goes: `act` gets
each decision as an object. Events without consequence print nothing. The state lives as long as the process.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator

from quell.engine import Decision, PolicyError, Refused, Stepper


def consume(engine: Stepper, events: Iterable[bytes], mildest: str) -> Iterator[str]:
    """What to do about each event in turn, as lines to print. `mildest` is the verdict that needs no act."""
    for number, event in enumerate(events, 1):
        if not event.strip():
            continue
        answer = engine.decide(event)
        if isinstance(answer, Refused):
            yield f"event {number}: refused ({answer.kind}), so {answer.verdict}: {answer.message}"
        elif isinstance(answer, Decision):
            yield from act(answer, mildest)


def act(decision: Decision, mildest: str) -> Iterator[str]:
    """Carry out one decision: here it is only told; a platform would hold the payment, call the queue."""
    name = f"{decision.event} {decision.id}"
    if decision.verdict != mildest:
        asked = [f.message or f.rule for f in decision.fired if f.verdict == decision.verdict]
        yield f"{name}: {decision.verdict}, {'; '.join(asked)}"
    for change in decision.labels:
        what = "label" if change.on else "unlabel"
        until = f" until {change.until}" if change.until else ""
        yield f"{name}: {what} {change.entity} {change.id} {change.label}{until}"
    for sent in decision.sends:
        yield f"{name}: send {sent.sink} {json.dumps(sent.payload, ensure_ascii=False)}"


def main() -> None:
    """Consume standard input until it ends or the reader of the output goes away."""
    parser = argparse.ArgumentParser(description="Decide events from standard input, and say what to do.")
    parser.add_argument("policies", help="the bundle's folder")
    parser.add_argument("--mildest", default="allow", help="the verdict that needs no act (default: allow)")
    options = parser.parse_args()
    try:
        engine = Stepper.load(options.policies)
    except PolicyError as error:
        raise SystemExit(str(error)) from None
    try:
        for line in consume(engine, sys.stdin.buffer, options.mildest):
            print(line, flush=True)
    except BrokenPipeError:
        sys.stdout = None  # or its last flush, at the end of the process, would fail once more
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
