"""A client of `quell serve`, with nothing but the standard library: decide one event, many, and look at one.

    quell serve policies
    python examples/client.py events.jsonl

Where the service asks for a key, the environment variable QUELL_KEY holds one with the scopes `decide` and
`read`.

It keeps one connection open, and comes again when the service asks for that. Each single event goes under a
key of its own (`Idempotency-Key`), so that it may be sent again after a lost connection and counts once all
the same. Arrays have no keys: one that may have been counted is not sent a second time.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

URL = "http://127.0.0.1:8600"
BATCH = 500
"""Events in one request."""
TRIES = 5
"""How often an event is brought to a service that has too much to do, or does not answer."""
PAUSE = 0.2
"""Seconds after the first connection that was lost; longer each time."""


class Refused(Exception):
    """What the service answered instead of a decision: a problem (RFC 9457). `verdict` is what to act on."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or "refused")
        self.problem = problem
        self.verdict: str | None = problem.get("verdict")


class Client:
    """One connection to a service at `url`; `key` as `quell keys add` shows it. Raises OSError and
    http.client.HTTPException as the standard library does."""

    def __init__(
        self, url: str = "http://127.0.0.1:8600", key: str | None = None, timeout: float = 10
    ) -> None:
        where = urlsplit(url)
        kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(where.hostname or "127.0.0.1", where.port, timeout=timeout)
        self._headers = {"Content-Type": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"

    def decide(
        self, event: dict[str, Any], deadline: float | None = None, key: str | None = None
    ) -> dict[str, Any]:
        """The decision for an event, within `deadline` seconds if that is said. Whoever may have to ask again
        after this program ended gives a `key` of the event's own. Raises Refused."""
        more = {} if deadline is None else {"Quell-Deadline-Ms": str(max(1, round(deadline * 1000)))}
        more["Idempotency-Key"] = key if key is not None else str(uuid.uuid4())
        made: dict[str, Any] = self._ask("POST", "/v1/decide", event, more)
        return made

    def decide_many(self, events: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The answers to events, in order: a decision, or a problem with its `status`."""
        batch: list[dict[str, Any]] = []
        for event in events:
            batch.append(event)
            if len(batch) == BATCH:
                yield from self._ask("POST", "/v1/decide/many", batch)
                batch = []
        if batch:
            yield from self._ask("POST", "/v1/decide/many", batch)

    def explain(self, seq: int) -> dict[str, Any]:
        """Why a past decision was made. Raises Refused where there is none."""
        found: dict[str, Any] = self._ask("GET", f"/v1/decisions/{seq}/explanation")
        return found

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _ask(self, method: str, path: str, what: Any = None, more: dict[str, str] | None = None) -> Any:
        body = None if what is None else json.dumps(what)
        headers = {**self._headers, **(more or {})}
        safe = method == "GET" or "Idempotency-Key" in headers
        for attempt in range(1, TRIES + 1):
            try:
                self._connection.request(method, path, body, headers)
                answer = self._connection.getresponse()
                said = json.loads(answer.read())
            except (OSError, http.client.HTTPException):
                self._connection.close()  # the next request opens it again
                if not safe or attempt == TRIES:
                    raise
                time.sleep(PAUSE * attempt)
                continue
            if answer.status < 300:
                return said
            # Refused before it was counted, so it may come again; `unwritten` may have been counted.
            if answer.status == 503 and (safe or said.get("kind") != "unwritten") and attempt < TRIES:
                time.sleep(float(answer.headers.get("Retry-After") or 1))
                continue
            raise Refused(said)
        raise AssertionError


def main() -> int:
    """Decide the events of a file, and say what came of them."""
    options = argparse.ArgumentParser(description="Decide a file of JSON events by a running service.")
    options.add_argument("events", type=Path)
    options.add_argument("--url", default=URL)
    chosen = options.parse_args()
    try:
        lines = chosen.events.open(encoding="utf-8")
    except OSError as error:
        print(f"{chosen.events}: {error.strerror}", file=sys.stderr)
        return 1
    client = Client(chosen.url, os.environ.get("QUELL_KEY"), timeout=60)  # an explanation may take a while
    verdicts: Counter[str] = Counter()
    last = None
    try:
        with lines:
            for answer in client.decide_many(json.loads(line) for line in lines):
                verdict = answer.get("verdict", "none")  # of a problem: what to act on nevertheless
                verdicts[f"{verdict}, refused" if "status" in answer else verdict] += 1
                last = answer["seq"] if answer.get("fired") else last
        for verdict, number in verdicts.most_common():
            print(f"{verdict:18} {number:8,}")
        if last is not None:
            told = client.explain(last)
            for rule in told["decision"].get("fired", []):
                print(f"the last that fired a rule is {last}: {rule['rule']}, {rule.get('message', '')}")
    except Refused as error:
        hint = error.problem.get("hint")
        print(f"{chosen.url}: {error}" + (f"\n  hint: {hint}" if hint else ""), file=sys.stderr)
        return 1
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"{chosen.url}: {error}", file=sys.stderr)
        return 1
    finally:
        client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
