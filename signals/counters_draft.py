"""Brute-force stores, only until the real ones are merged."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from quell.signals.counters import each


class Draft:
    def __init__(self, kind: str, name: str, longest: int | None, late: list[str], resolution: int | None):
        self.kind, self.name, self.longest, self.late, self.resolution = kind, name, longest, late, resolution
        self.began: int | None = None
        self.log: dict[Any, list[tuple[int, Any, int]]] = {}
        self.event = 0

    def add(self, key: Any, *rest: Any) -> None:
        self.add_each([key], *rest)

    def add_each(self, keys: Any, *rest: Any) -> None:
        self.event += 1
        self.mine = getattr(self, "mine", {}) if False else {}
        at = rest[-1]
        for key in keys:
            log = self.log.setdefault(key, [])
            when = at
            if log and log[-1][0] > at:
                self.late.append(self.name)
                when = log[-1][0]
            values = [None] if len(rest) == 1 else each(rest[0]) if self.kind != "event" else [rest[0]]
            log.extend((when, v, self.event) for v in values)

    def _in(self, key: Any, at: int, within: int | None, ago: int = 0, skip: bool = False) -> Any:
        log = self.log.get(key, [])
        now = max(at, log[-1][0]) if log else at
        if ago and (self.began is None or now - ago - (within or 0) < self.began):
            return None
        low = -math.inf if within is None else now - ago - within
        if self.resolution:
            low = low // self.resolution * self.resolution
        return [e for e in log if low < e[0] <= now - ago and not (skip and e[2] == self.event)]

    def count(self, key: Any, at: int, within: int | None) -> Any:
        return self._size(self._in(key, at, within))

    def total(self, key: Any) -> Any:
        return self._size(self._in(key, 0, None))

    def count_ago(self, key: Any, at: int, within: int | None, ago: int) -> Any:
        return self._size(self._in(key, at, within, ago))

    def _size(self, found: Any) -> Any:
        if found is None:
            return None
        return len({v for _, v, _ in found}) if self.kind == "distinct" else len(found)

    def new(self, key: Any, at: int, within: int | None) -> int:
        return self._size(self._in(key, at, within)) - self._size(self._in(key, at, within, 0, True))


def _exact(x: Fraction) -> Any:
    try:
        f = float(x)
    except OverflowError:
        return None
    return int(f) if f.is_integer() and abs(f) <= 2**53 else f


def _values(f: Any) -> Any:
    return list(dict.fromkeys(v for _, v, _ in reversed(f)))[:100]


def _stddev(f: Any) -> Any:
    xs = [Fraction(v) for _, v, _ in f]
    if len(xs) < 2:
        return None
    m = sum(xs) / len(xs)
    try:
        return math.sqrt(float(sum((x - m) ** 2 for x in xs) / (len(xs) - 1)))
    except OverflowError:
        return None


READ = {
    "sum": lambda f: _exact(sum((Fraction(v) for _, v, _ in f), Fraction())),
    "sum_whole": lambda f: sum(v for _, v, _ in f),
    "mean": lambda f: _exact(sum((Fraction(v) for _, v, _ in f), Fraction()) / len(f)) if f else None,
    "mean_whole": lambda f: round(Fraction(sum(v for _, v, _ in f), len(f))) if f else None,
    "min": lambda f: min((v for _, v, _ in f), default=None),
    "max": lambda f: max((v for _, v, _ in f), default=None),
    "stddev": _stddev,
    "values": _values,
    "first": lambda f: f[0][1] if f else None,
    "last": lambda f: f[-1][1] if f else None,
    "first_at": lambda f: f[0][0] if f else None,
    "last_at": lambda f: f[-1][0] if f else None,
}


def _method(name: str) -> None:
    run = READ[name]

    def now(self: Draft, key: Any, at: int, within: int | None, skip: bool) -> Any:
        return run(self._in(key, at, within, 0, skip))

    def ago(self: Draft, key: Any, at: int, within: int | None, ago: int) -> Any:
        found = self._in(key, at, within, ago)
        return None if found is None else run(found)

    setattr(Draft, name, now)
    setattr(Draft, name + "_ago", ago)


for _n in READ:
    _method(_n)


def _since(self: Draft, key: Any, at: int, within: int | None, skip: bool) -> Any:
    log = self.log.get(key, [])
    found = self._in(key, at, within, 0, skip)
    return max(at, log[-1][0]) - found[-1][0] if found else None


Draft.since_last = _since  # type: ignore
