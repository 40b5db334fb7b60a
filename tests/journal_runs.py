"""Runs that a journal records, as a service makes them: decisions that wait for remote answers take effect
after others."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from quell.engine.decision import Acted, Decision, Refused, Reply
from quell.engine.events import Decoded
from quell.engine.journal import Journal
from quell.engine.journal_pack import pack
from quell.engine.service_types import VersionInfo
from quell.engine.stepper import Stepper
from quell.engine.waiting import Waiting
from quell.signals.remote_types import Answer

Answering = Callable[[Waiting], Sequence[Answer]]
_encode = msgspec.json.Encoder().encode


def echo(waiting: Waiting) -> Sequence[Answer]:
    """Answers with what was sent."""
    return [Answer("answered", {"value": values[0]}) for _, values in waiting.wanted]


class Run:
    """A stepper whose doings go into a journal. `made` are its decisions, and labels by hand, by number."""

    def __init__(
        self, folder: Path, stepper: Stepper, answering: Answering = echo, segment_bytes: int = 1 << 20
    ) -> None:
        self.folder = folder
        self.stepper = stepper
        self.made: dict[int, Decision | Acted] = {}
        self.waiting: list[Waiting] = []
        self._answering = answering
        self._journal = Journal.open(folder, durability="off", packs=False, segment_bytes=segment_bytes)
        stepper.seq += 1
        info = VersionInfo(1, stepper.version, 1, "ana", "start")
        self._journal.append("version", stepper.seq, 0, 0, 1, 1, b"", _encode(info))

    def take(self, event: bytes) -> Reply | Waiting:
        """An event, or a label by hand, comes in."""
        stepper, append = self.stepper, self._journal.append
        decoded = stepper.decode(event)
        answer = stepper.admit(decoded) if isinstance(decoded, Decoded) else stepper.reply(decoded)
        if isinstance(answer, Waiting):
            append("admitted", answer.seq, 0, answer.decoded.at, 1, 1, event, b"")
            self.waiting.append(answer)
        elif isinstance(answer, Acted):
            append("acted", answer.seq, answer.seq, answer.at, 1, 1, event, _encode(answer))
            self.made[answer.seq] = answer
        elif isinstance(answer, Decision):
            append("event", answer.seq, answer.decided, answer.at, 1, 1, event, _encode(answer))
            self.made[answer.seq] = answer
        self._journal.flush()
        return answer

    def go_on(self, index: int = 0) -> Decision | Refused | Waiting:
        """Something that waits gets its answers."""
        waiting = self.waiting.pop(index)
        answer = self.stepper.resume(waiting, self._answering(waiting))
        if isinstance(answer, Waiting):
            self.waiting.append(answer)
        elif isinstance(answer, Decision):
            self._journal.append("decided", answer.seq, answer.decided, answer.at, 1, 1, b"", _encode(answer))
            self.made[answer.seq] = answer
        return answer

    def close(self, packed: int = 0) -> None:
        """End the run, and turn so many segments into Parquet."""
        self._journal.close()
        for path in sorted(self.folder.glob("*.qj"))[:-1][:packed]:
            pack(path)


def recorded(run: Run, events: Sequence[bytes], dice: random.Random, unfinished: bool = False) -> None:
    """Let decisions wait for a while, as the dice have it; some are never made if `unfinished`."""
    for event in events:
        run.take(event)
        while run.waiting and dice.random() < 0.5:
            run.go_on(dice.randrange(len(run.waiting)))
    while run.waiting and not (unfinished and dice.random() < 0.3):
        run.go_on(dice.randrange(len(run.waiting)))
