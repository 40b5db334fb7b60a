"""When snapshots are made: as often as a restart stays quick, whatever the load, and no oftener."""

from __future__ import annotations

from itertools import pairwise

import pytest

from quell.engine.checkpoint import Checkpoint
from quell.engine.snapshots import AGAIN, OFTEN, Pace

LOAD = 3.0
"""Seconds that one takes beside making entries again, in what is played here."""


class Played:
    """A service under a steady load of so many events a second of `cost` seconds each, and what a kill at any
    moment would have left to be made again."""

    def __init__(self, rate: int, cost: float, *, fails: bool = False, every: int | None = None) -> None:
        self.rate, self.cost, self.fails, self.every = rate, cost, fails, every
        self.pace = Pace(0.0)
        self.begun: list[float] = []
        self.behind: list[float] = []
        """Seconds that a restart would take to make the rest again, in each second."""

    def run(self, seconds: int) -> Played:
        """Play so many seconds."""
        there, ends, of = 0, 0.0, -1
        for now in range(1, seconds + 1):
            seq = now * self.rate
            if of >= 0 and now >= ends:
                there, of = self._ended(there, of, ends), -1
            self.behind.append((seq - there) * self.cost)
            self.pace.look(seq, now)
            last = int(self.begun[-1]) * self.rate if self.begun else 0
            if of < 0 and self.pace.is_due(seq - last, now, self.every):
                self.begun.append(float(now))
                of, ends = seq, now + LOAD + (seq - there) * self.cost
        return self

    def _ended(self, there: int, of: int, ends: float) -> int:
        if self.fails:
            self.pace.tried(None, self.begun[-1], ends)
            return there
        made = Checkpoint(number=of, made=of - there, making=(of - there) * self.cost)
        self.pace.tried(made, self.begun[-1], ends)
        return of

    def pauses(self) -> list[float]:
        """Seconds from one beginning to the next."""
        return [b - a for a, b in pairwise(self.begun)]


@pytest.mark.parametrize(
    ("rate", "cost", "most"), [(200, 40e-6, AGAIN * 1.01), (1_000, 100e-6, AGAIN * 1.2), (2_500, 100e-6, 3.5)]
)
def test_what_a_restart_makes_again_is_bounded(rate: int, cost: float, most: float) -> None:
    played = Played(rate, cost).run(20_000)
    assert AGAIN / 2 < max(played.behind[100:]) <= most


def test_under_a_load_of_half_a_processor_the_rest_does_not_grow() -> None:
    played = Played(5_000, 100e-6).run(5_000)
    assert max(played.behind[-500:]) <= max(played.behind[500:1_000]) < 12


def test_where_little_happens_there_are_few() -> None:
    assert min(Played(1, 100e-6).run(10_000).pauses()) >= OFTEN


def test_a_few_entries_do_not_say_what_one_costs() -> None:
    pace = Pace(0.0)
    pace.look(0, 0.0)
    pace.tried(Checkpoint(number=10, made=10, making=0.5), 0.0, 2.0)
    pace.look(110, 100.0)
    assert not pace.is_due(100, 100.0, None)


def test_tries_that_come_to_nothing_do_not_follow_at_once() -> None:
    played = Played(5_000, 100e-6, fails=True).run(2_000)
    assert len(played.begun) > 2
    assert all(b > a for a, b in pairwise(played.pauses()))


def test_where_it_is_said_how_often_that_holds() -> None:
    played = Played(100, 1e-6, every=2_000).run(1_000)
    assert set(played.pauses()) == {20.0}
    assert not Played(0, 1e-6, every=1).run(2_000).begun
