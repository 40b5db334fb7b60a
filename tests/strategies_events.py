"""Generated events as JSON bytes: fitting, awkward and wrong ones, with ties and steps back in time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from quell.grammar.literals import spell_path
from tests.strategies_words import IDS, JSON_VALUES, WRONG_VALUES, Dice

START = 1_772_323_200_000_000
"""2026-03-01T00:00:00Z in microseconds."""
_MARCH = datetime(2026, 3, 1, tzinfo=UTC)
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
    """A declared event type; `version` is what tells events of one wire name apart, and `few` that values
    should often be the same."""

    name: str
    wire: str
    version: int | None
    fields: tuple[FieldPlan, ...]
    item: tuple[FieldPlan, ...]
    few: bool = False


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


def by_hand(dice: Dice, at: int, labels: Mapping[str, Sequence[str]]) -> bytes:
    """What a person does to a label, now and then to one that there is not."""
    kind = dice.pick([k for k, names in labels.items() if names] or ["Nobody"])
    label = dice.pick([*labels.get(kind, ()), *labels.get(kind, ()), "spamer"])
    action = dice.pick(("set", "remove", "release", "remove"))
    said: dict[str, Any] = {"type": "quell.label", "at": at, "entity": kind, "id": dice.pick(IDS[:3])}
    said |= {"label": label, "action": action, "by": dice.pick(("ana", "bo"))}
    if action != "release" and dice.chance(70):
        seconds = dice.pick((1, 5, 10, 60, 3600, 86_400, 30 * 86_400))
        said |= {"for": seconds} if dice.chance(50) else {"until": at + seconds * SECOND}
    return json.dumps(said).encode()


def history(
    dice: Dice,
    plans: Sequence[EventPlan],
    most: int,
    steps: Sequence[int] = STEPS,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> list[bytes]:
    """Events in the order of a history, with such steps of time between them, and now and then a label by
    hand."""
    out = []
    at = START
    # One event of a kind is often much like the one before, so that counters and labels have something to say.
    last: dict[str, dict[str, Any]] = {}
    for _ in range(dice.between(1, most)):
        plan = dice.pick(plans)
        at += dice.pick(steps)
        if labels and dice.chance(12):
            out.append(by_hand(dice, at, labels))
            continue
        record = _Events(dice, plan).record(at, last.get(plan.name))
        last[plan.name] = record
        if "f" in record and dice.chance(2):
            record = {**record, "f": Raw(dice.pick(("null", "3", "[]")))}
        out.append(encode(record).encode())
    return out


class _Events:
    """Events of one type."""

    def __init__(self, dice: Dice, plan: EventPlan) -> None:
        self.dice = dice
        self.plan = plan

    def record(self, at: int, before: dict[str, Any] | None) -> dict[str, Any]:
        """An event, perhaps like the one before it, as nested dicts of raw JSON."""
        dice, plan = self.dice, self.plan
        record: dict[str, Any] = {"type": Raw(json.dumps(plan.wire))}
        if plan.version is not None:
            record["v"] = Raw(str(plan.version))
        changed = [f for f in plan.fields if f.name != "at"]
        if before is not None and dice.chance(60):
            record = _copy(before)
            changed = dice.some(changed, 0, 2)
        for f in changed:
            _put(record, f.path, self._value(f))
        time = next(f for f in plan.fields if f.name == "at")
        wrong = dice.chance(1)
        _put(record, time.path, Raw(dice.pick(WRONG_VALUES["time"])) if wrong else self._moment(at))
        if dice.chance(1):
            record["type"] = Raw('"nothing"')
        return record

    def _moment(self, at: int) -> Raw:
        """A time in one of its spellings."""
        if self.dice.chance(15):
            return Raw(str(at))
        moment = _MARCH + timedelta(microseconds=at - START)
        return Raw(json.dumps(moment.isoformat().replace("+00:00", "Z")))

    def _value(self, f: FieldPlan) -> Any:
        """A value for a field; None to leave it out."""
        spared = f.optional or bool(f.default)
        if self.dice.chance(15 if spared else 1):
            return None
        if self.dice.chance(6 if spared else 1):
            return Raw("null")
        if f.kind.startswith("list<"):
            return self._list(f)
        return self._scalar(f.kind, 4 if spared else 1)

    def _scalar(self, kind: str, wrong: int) -> Raw:
        """A value of a kind, and now and then one that is not."""
        if self.dice.chance(wrong):
            return Raw(self.dice.pick(WRONG_VALUES[kind]))
        few = self.plan.few and kind in ("User", "Server", "bool", "enum")
        return Raw(self.dice.lean(JSON_VALUES[kind]) if few else self.dice.pick(JSON_VALUES[kind]))

    def _list(self, f: FieldPlan) -> Any:
        dice = self.dice
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
                out.append(self._item())
            else:
                out.append(self._scalar(kind, 2))
        if f.path[-1] == "id":
            return [{"id": v} if not dice.chance(3) else {} for v in out]
        return out

    def _item(self) -> dict[str, Any]:
        record: dict[str, Any] = {}
        for f in self.plan.item:
            _put(record, f.path, self._value(f))
        return record


def _copy(value: Any) -> Any:
    return {k: _copy(v) for k, v in value.items()} if isinstance(value, dict) else value


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
