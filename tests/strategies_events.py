"""Generated events as JSON bytes: fitting, awkward and wrong ones, with ties and steps back in time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quell.grammar.literals import spell_path
from tests.strategies_words import JSON_VALUES, WRONG_VALUES, Dice

START = 1_772_323_200_000_000
"""2026-03-01T00:00:00Z in microseconds."""
SECOND = 1_000_000
STEPS = (
    SECOND, 0, 1, 5 * SECOND, 10 * SECOND, SECOND, 60 * SECOND, 600 * SECOND, 3600 * SECOND, 86_400 * SECOND,
    10 * SECOND - 1, 3600 * SECOND + 1, 30 * 86_400 * SECOND, -1, -5 * SECOND, -3600 * SECOND, -86_400 * SECOND,
    -20 * SECOND, -9 * SECOND, 0,
)  # fmt: skip


SHORT_STEPS = (
    SECOND, 0, 2 * SECOND, 1, 5 * SECOND, SECOND, 10 * SECOND, -1, -SECOND, -2 * SECOND, -5 * SECOND, 0, 4 * SECOND,
    -10 * SECOND, 5 * SECOND - 1,
)  # fmt: skip
"""For windows of seconds."""


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """A declared field: its kind, and where it stands. `default` is as written, or empty."""

    name: str
    kind: str
    optional: bool
    path: tuple[str | int | None, ...]
    default: str = ""

    def spelled(self) -> str:
        """The path as it is written."""
        return spell_path(self.path)


@dataclass(frozen=True, slots=True)
class EventPlan:
    """A declared event type; `version` is what tells events of one wire name apart."""

    name: str
    wire: str
    version: int | None
    fields: tuple[FieldPlan, ...]
    item: tuple[FieldPlan, ...]


class Raw(str):
    """JSON as it stands."""

    __slots__ = ()


def encode(value: Any) -> str:
    """Nested dicts and lists of raw JSON as JSON."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {encode(v)}" for k, v in value.items()) + "}"
    return "[" + ", ".join(encode(v) for v in value) + "]"


def history(dice: Dice, plans: Sequence[EventPlan], most: int, steps: Sequence[int] = STEPS) -> list[bytes]:
    """Events in the order of a history, with such steps of time between them."""
    out = []
    at = START
    # One event of a kind is often much like the one before, so that counters and labels have something to say.
    last: dict[str, dict[str, Any]] = {}
    for _ in range(dice.between(1, most)):
        plan = dice.pick(plans)
        at += dice.pick(steps)
        record = _record(dice, plan, at, last.get(plan.name))
        last[plan.name] = record
        out.append(encode(record).encode())
    return out


def _record(dice: Dice, plan: EventPlan, at: int, before: dict[str, Any] | None) -> dict[str, Any]:
    record: dict[str, Any] = {"type": Raw(json.dumps(plan.wire))}
    if plan.version is not None:
        record["v"] = Raw(str(plan.version))
    if before is not None and dice.chance(60):
        record = _copy(before)
        changed = dice.some([f for f in plan.fields if f.name != "at"], 0, 2)
    else:
        changed = [f for f in plan.fields if f.name != "at"]
    for f in changed:
        _put(record, f.path, _value(dice, f, plan.item))
    time = next(f for f in plan.fields if f.name == "at")
    wrong = dice.chance(2)
    _put(record, time.path, Raw(dice.pick(WRONG_VALUES["time"])) if wrong else _moment(dice, at))
    if dice.chance(1):
        record["type"] = Raw('"nothing"')
    return record


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _copy(v) for k, v in value.items()}
    return value


def _moment(dice: Dice, at: int) -> Raw:
    """A time in one of its spellings."""
    if dice.chance(15) and at > 100_000_000_000_000:
        return Raw(str(at))
    seconds, rest = divmod(at - START, SECOND)
    return Raw(json.dumps(_iso(seconds, rest)))


def _iso(seconds: int, micros: int) -> str:
    from datetime import UTC, datetime, timedelta

    moment = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=micros)
    return moment.isoformat().replace("+00:00", "Z")


def _value(dice: Dice, f: FieldPlan, item: Sequence[FieldPlan]) -> Any:
    """A value for a field; None to leave it out."""
    if dice.chance(15 if f.optional or f.default else 1):
        return None
    if dice.chance(6 if f.optional or f.default else 1):
        return Raw("null")
    if f.kind.startswith("list<"):
        return _list(dice, f, item)
    return _scalar(dice, f.kind, 4 if f.optional or f.default else 1)


def _scalar(dice: Dice, kind: str, wrong: int) -> Raw:
    """A value of a kind, and now and then one that is not."""
    if dice.chance(wrong):
        return Raw(dice.pick(WRONG_VALUES[kind]))
    few = kind in ("User", "Server", "number", "bool", "enum")
    return Raw(dice.lean(JSON_VALUES[kind]) if few else dice.pick(JSON_VALUES[kind]))


def _list(dice: Dice, f: FieldPlan, item: Sequence[FieldPlan]) -> Any:
    if dice.chance(2):
        return Raw('"no list"')
    kind = f.kind[5:-1]
    out: list[Any] = []
    for _ in range(dice.pick((0, 1, 2, 3, 1, 2))):
        if out and dice.chance(20):
            out.append(out[-1])
        elif dice.chance(5):
            out.append(Raw("null"))
        elif kind == "item":
            out.append(_item(dice, item))
        else:
            out.append(_scalar(dice, kind, 2))
    if f.path[-1] == "id":
        return [{"id": v} if not dice.chance(3) else {} for v in out]
    return out


def _item(dice: Dice, item: Sequence[FieldPlan]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for f in item:
        _put(record, f.path, _value(dice, f, ()))
    return record


def _put(record: dict[str, Any], path: Sequence[str | int | None], value: Any) -> None:
    """Put a value where a path begins to be a list; nothing for None."""
    keys = [s for s in path if isinstance(s, str)]
    if None in path:
        keys = keys[: path.index(None)]
    if 0 in path and value is not None:
        value = [value]
    for key in keys[:-1]:
        record = record.setdefault(key, {})
    if value is None:
        record.pop(keys[-1], None)
    else:
        record[keys[-1]] = value
