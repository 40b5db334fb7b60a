"""What an engine holds: figures of its counters, labels and limits, for whoever watches its memory."""

from __future__ import annotations

import msgspec

from quell.grammar.literals import spell_duration
from quell.signals.remote_types import Figures as RemoteFigures
from quell.signals.state import State


class CounterFigures(msgspec.Struct, frozen=True):
    """One counter: what it counts, its identity, how far it looks back (`ever`, or such as `1d`), and the
    keys, entries and bytes that it holds. Bytes are estimated from a sample of the keys."""

    counter: str
    identity: str
    back: str
    keys: int
    entries: int
    bytes: int


class LabelFigures(msgspec.Struct, frozen=True):
    """One label of one kind of entity: on how many something is noted, and the bytes that takes."""

    entity: str
    label: str
    keys: int
    bytes: int


class LimitFigures(msgspec.Struct, frozen=True):
    """One limit: its effect, the keys that it notes, and the bytes that takes."""

    effect: str
    keys: int
    bytes: int


class Figures(msgspec.Struct, frozen=True):
    """What an engine holds.

    `seq` is the last sequence number, `newest` the time of the last event, and `horizon` the oldest time at
    which an event still counts, both in microseconds. `keys_left` is how many more keys counters may hold;
    at 0 new ones are refused, and readings that this concerns are missing and told.
    """

    seq: int
    newest: int | None
    horizon: int | None
    keys_left: int
    counters: tuple[CounterFigures, ...]
    labels: tuple[LabelFigures, ...]
    limits: tuple[LimitFigures, ...]
    waiting: int = 0
    remote: dict[str, RemoteFigures] = {}

    @property
    def bytes(self) -> int:
        """The bytes of all counters, labels and limits."""
        parts: tuple[tuple[CounterFigures | LabelFigures | LimitFigures, ...], ...]
        parts = (self.counters, self.labels, self.limits)
        return sum(figures.bytes for part in parts for figures in part)


def figures_of(state: State, seq: int) -> Figures:
    """The figures of a state."""
    counters = sorted(state.stores.items(), key=lambda s: (s[1].name, s[0]))
    return Figures(
        seq,
        state.clock.newest,
        state.clock.horizon,
        state.memory.left,
        tuple(
            CounterFigures(
                store.name,
                identity,
                "ever" if store.longest is None else spell_duration(store.longest),
                store.keys(),
                store.entries(),
                store.bytes(),
            )
            for identity, store in counters
        ),
        tuple(
            LabelFigures(kind, name, held.keys(), held.bytes())
            for (kind, name), held in sorted(state.labels.items())
        ),
        tuple(
            LimitFigures(name, limit.keys(), limit.bytes()) for name, limit in sorted(state.limits.items())
        ),
    )
