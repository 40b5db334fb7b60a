"""A small platform for tests of the service: bundles in versions, events, and what a journal says of them.

Each version tells its number in three places: in a rule, in a value of another file, and in a list. A rule
that matches every event puts all three in its message, so that a decision by a mixture of versions shows.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from quell.engine.carry import sections
from quell.engine.checkpoint import Data, builds_of
from quell.engine.decision import Acted, Decision
from quell.engine.journal import JournalReader
from quell.engine.journal_format import number_of
from quell.engine.remake import Builds, Remaker
from quell.engine.service_types import Entry
from quell.engine.stepper import Stepper

START = 1_700_000_000_000_000
"""The time of the first event, microseconds since 1970."""
PEOPLE = 12
TEXTS = ("hi", "hello there", "a longer text", "buy now", "tell us", "tell them all")

_SCHEMA = """\
entity User labels "spammer", "watched"
event message from "message"
  id text = $.id
  at time = $.at
  author User = $.author
  content text = $.content
event report from "report"
  id text = $.id
  at time = $.at
  author User = $.author
  points number = $.points
"""
_REMOTE = """\
event answer from "scam_answer"
  id text = $.id
  at time = $.at
  author User = $.inputs.author
  likely number = $.answer.score
model scam from remote "classifier"
  content = content
  author = author
  wait 40ms
  when length(content) > 4
let sure = count(message by author within 1h where (scam ?? 0) > 50%)
rule scammer on message
  when scam > 50% or sure > 3
  then block
       label author "spammer" for 30s
  because "{scam} likely, {sure} before"
rule later on answer
  when likely > 50%
  then label author "watched" for 20s
"""
_SETTINGS = '[remote.classifier]\ncallable = true\nlate = "scam_answer"\n'
_COUNTERS = """\
let mark = "v{version}"
let burst = count(message by author within 10s)
let texts = distinct(content of message by author within 30s)
let usual = mean(points of report by author within 5m)
let strikes = count(fired flood by author within 1m)
list marks from "lists/marks.csv" as exact gives version text
"""
_RULES = """\
# Says which version decides.
rule marked on message
  when length(content) >= 0
  then flag
  because "{mark} v{version} {marks["now"].version} {burst} {texts} {usual} {strikes}"
rule flood on message
  when burst > 2 and not author labelled "spammer"
  then review
       label author "watched" for 1m
       send "queue" { who: author, burst: burst } limit 1 per author every 20s
  because "{burst} within 10s"
rule tell on message
  when content contains "tell"
  then send "queue" { text: content, texts: texts }
       send "hook" { text: content, mark: mark }
rule heavy on report
  when usual > 60 or author labelled "watched"
  then review
       send "hook" { usual: usual }
"""
_EXTRA = (
    "",
    """\
let wide = count(message by author within 2m)
rule wide_one on message
  when wide > 20
  then block
  because "{wide}"
""",
    """\
let last_text = last(message by author within 1m).content
let sum_points = sum(points of report by author within 10m)
rule again on message
  when last_text == content or sum_points > 500
  then challenge
  because "{last_text} {sum_points}"
""",
)
"""Counters that only some versions have."""
_BAD = (
    "rule broken on message\n  when burst > missing_name\n  then block\n",
    "rule broken on message\n  when burst >\n",
    "rule marked on message\n  when burst > 1\n  then block\n",
    'test "it holds"\n  given message { author: "a", content: "tell" }\n  expect block\n',
)


def texts_of(version: int, *, remote: bool = False, same: bool = False, bad: bool = False) -> dict[str, str]:
    """The files of a bundle: a `version`, with a `remote` model or without; the `same` counters in all
    versions, or some that come and go. A `bad` one has an error, or a test that fails."""
    mark = {"{version}": str(version)}
    files = {
        "schema.quell": _SCHEMA,
        "counters.quell": _filled(_COUNTERS, mark),
        "rules.quell": _filled(_RULES, mark) + ("" if same else _EXTRA[version % len(_EXTRA)]),
        "lists/marks.csv": f"key,version\nnow,v{version}\n",
    }
    if remote:
        files |= {"remote.quell": _REMOTE, "quell.toml": _SETTINGS}
    if bad:
        files["broken.quell"] = _BAD[version % len(_BAD)]
    return files


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def write_bundle(folder: Path, files: dict[str, str]) -> Path:
    """Put a bundle's files in a folder, and take away what else is there."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in folder.rglob("*"):
        if path.is_file() and str(path.relative_to(folder)) not in files:
            path.unlink()
    return folder


class Events:
    """Events of a small platform, by chance: mostly forward in time, at times late, and some refused. Each
    has an id of its own, which begins with `name`."""

    def __init__(self, chance: random.Random, name: str = "e", pace: float = 0.4) -> None:
        self.chance = chance
        self.name = name
        self.pace = pace
        self.number = 0
        self.second = 0.0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield self.next()

    def next(self) -> bytes:
        """The next event as JSON."""
        chance = self.chance
        self.number += 1
        self.second += chance.random() * 2 * self.pace
        late = chance.random() < 0.05
        at = START / 1e6 + self.second - (chance.random() * 8 if late else 0)
        event: dict[str, Any] = {
            "type": "message",
            "id": f"{self.name}-{self.number}",
            "at": at,
            "author": f"u{int(PEOPLE * chance.random() ** 2)}",
            "content": chance.choice(TEXTS),
        }
        if chance.random() < 0.2:
            event["type"] = "report"
            event["points"] = chance.choice([0, 3.5, 80, 1e9, None, "many"])
        return msgspec.json.encode(event)


def slow(seed: int) -> Any:
    """A function that answers for the remote model: after a random time, at times too late, at times not."""
    import asyncio

    chance = random.Random(seed)

    async def answer(inputs: list[dict[str, Any]]) -> list[float]:
        await asyncio.sleep(chance.choice([0.0, 0.0, 0.002, 0.01, 0.03, 0.06]))
        if chance.random() < 0.05:
            raise RuntimeError("the classifier is ill")
        return [chance.choice([0.1, 0.9]) for _ in inputs]

    return answer


# ------------------------------------------------------------------ what is remembered


def memory(stepper: Stepper) -> list[Any]:
    """All that a stepper remembers, as plain values."""
    found: list[Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(list(sections(stepper))))
    return found


def digest(stepper: Stepper) -> str:
    """The same in a few letters, to be told across processes."""
    return hashlib.sha256(msgspec.msgpack.encode(list(sections(stepper)))).hexdigest()


class Follower:
    """An uninterrupted run over a journal that is written meanwhile: what a service that never was restarted
    would remember. It begins with nothing, uses no snapshot, and keeps what was decided by event id."""

    def __init__(self, data: Path, builds: Builds | None = None) -> None:
        self.data = Data(data)
        self.remaker = Remaker(builds or builds_of(self.data), fills=self.data.fills)
        self.decided: dict[str, list[bytes]] = {}
        """The replies in the journal by the event's id; one that came twice was sent twice."""
        self.acted: list[bytes] = []
        self.sends: list[tuple[int, Decision]] = []
        """The decisions that send something, by number."""
        self.versions: set[int] = set()
        self.kinds: Counter[str] = Counter()
        self._reader = JournalReader(self.data.journal)
        self._left: deque[Entry] = deque()

    def follow(self, upto: int | None = None) -> None:
        """Make again what was written since, up to a number if it is given."""
        self._left.extend(self._reader)
        while self._left and (upto is None or number_of(self._left[0]) <= upto):
            entry = self._left.popleft()
            self.kinds[entry.kind] += 1
            reply = self.remaker.take(entry)
            if isinstance(reply, Decision):
                self._note(entry, reply)
            elif isinstance(reply, Acted):
                self.acted.append(entry.reply)
            elif entry.kind == "version":
                self.versions.add(entry.version)

    def _note(self, entry: Entry, reply: Decision) -> None:
        self.decided.setdefault(str(reply.id), []).append(entry.reply)
        if reply.sends:
            self.sends.append((reply.decided, reply))

    def places(self) -> set[str]:
        """Every send of the journal: the number of its decision and its place among the sends of that."""
        return {f"{number}-{index}" for number, made in self.sends for index in range(len(made.sends))}

    def close(self) -> None:
        """Close the file that is open."""
        self._reader.close()


def place_of(key: str) -> str:
    """The send that an idempotency key stands for, without the journal's part and the tag."""
    _, number, index, _ = key.split("-")
    return f"{number}-{index}"


def marks_of(reply: bytes) -> set[str]:
    """The versions that a decision on a message tells in the three places; empty for another event."""
    decision = msgspec.json.decode(reply)
    for fired in decision.get("fired", ()):
        if fired["rule"] == "marked":
            return set(fired["message"].split()[:3])
    return set()
