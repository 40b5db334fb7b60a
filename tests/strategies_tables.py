"""Generated tables of events: columns of every type, fitting, awkward and wrong values, times that repeat."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tests.strategies_words import Dice

NOON = 1_714_564_800_000_000


class Thrown(Dice):
    """Dice that a seed throws: an example is a number, and shrinks to nothing else."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, most: int) -> int:
        return self._random.randrange(most)


TEXTS = ["a", "b", "7", "u1", "", "1.2.3.4", "2024-05-01T12:00:00Z", "01.2.3.4", "::1", "::ffff:1.2.3.4", "1h30m", "größe ẞ 🎉", "a\0b", "\n\x1f\"\\", "0001-01-01T00:00:00+12:00", "2024-05-01 12:00:00.1234565",
         "2024-02-30T00:00:00Z", "9999-12-31T23:59:59.999999-01:00", "2024-05-01t12:00:00z", "1700000000",
         "1.2.3.4.", "2024-05-01T12:00:00.25+02:00", "1500-01-01 00:00:00", "2024-05-01T14:00:00-05:30"]  # fmt: skip
WHOLES = [0, 1, 2, 7, -1, 100, 127, -128, 99_999_999_999, 100_000_000_000, -99_999_999_999, 10**14, 10**14 - 1,
          -(10**14), 10**17 - 1, 10**17, -(10**17), 2**53 + 1, 2**63 - 1, -(2**63), 1_714_564_800,
          8_640_000_000, 8_640_000_001, -62_135_596_801]  # fmt: skip
FLOATS = [0.5, 0.0, -0.0, 1.0, float("nan"), float("inf"), -float("inf"), 1_714_564_800.25, 2.5e-7, 3.5e-6, 1e11,
          99_999_999_999.5, 1e14, 1e17, 1e18, 9.5e18, 1e20, 1e300, 5e-324, 0.1, 1e15, 1e16, 1e-4, -1.5,
          253402300800.0]  # fmt: skip
MOMENTS = [
    NOON,
    0,
    -1,
    -1_999_999,
    253_402_300_799_999_999,
    -62_135_596_800_000_000,
    253_402_300_800_000_000,
    2**62,
]
DAYS = [0, -1, 19_844, 2_932_896, 2_932_897, -719_162, -719_163]
Kind = tuple[pa.DataType, list[Any]]
WIDTHS: list[tuple[pa.DataType, int, int]] = [
    (pa.int64(), -(2**63), 2**63), (pa.int8(), -128, 128), (pa.uint64(), 0, 2**64), (pa.int32(), -(2**31), 2**31)
]  # fmt: skip

TEXT: list[Kind] = [
    (pa.string(), TEXTS),
    (pa.large_string(), TEXTS),
    (pa.dictionary(pa.int32(), pa.string()), TEXTS),
]
WHOLE_KINDS: list[Kind] = [
    (kind, [v for v in [*WHOLES, 2**64 - 1] if low <= v < high]) for kind, low, high in WIDTHS
]
FLOAT: list[Kind] = [(pa.float64(), FLOATS), (pa.float32(), [v for v in FLOATS if abs(v) < 1e38 or v != v])]
BOOL: list[Kind] = [(pa.bool_(), [True, False])]
TIME: list[Kind] = [
    (pa.timestamp("us"), MOMENTS),
    (pa.timestamp("us", "UTC"), MOMENTS),
    (pa.timestamp("ns"), [NOON * 1000 + 999, 0, -1, -1_999, -1_000, 2**62]),
    (pa.timestamp("ns", "Europe/Paris"), [NOON * 1000 + 1, -1]),
    (pa.timestamp("ms", "UTC"), [NOON // 1000, -1]),
    (pa.timestamp("s"), [NOON // 10**6, -1]),
    (pa.date32(), DAYS),
]
DECIMAL: list[Kind] = [
    (pa.decimal128(10, 2), [Decimal("0.10"), Decimal("-12345678.99"), Decimal("7.00")]),
    (pa.decimal128(15, 14), [Decimal("0.12345678901234"), Decimal("3.14159265358979")]),
    (pa.decimal128(20, 0), [Decimal(7), Decimal(2**53 + 1)]),
    (pa.decimal128(38, 10), [Decimal("0.1"), Decimal("12345678901234567890.1234567891")]),
]
SPAN: list[Kind] = [
    (pa.duration("us"), [0, 1, -5, 8_640_000_000_000_000, 8_640_000_000_000_001]),
    (pa.duration("s"), [1, 8_640_000_001]),
    (pa.duration("ns"), [1, 1_500]),
]
STRANGE: list[Kind] = [
    (pa.binary(), [b"a", b"\xff", b""]),
    (pa.null(), [None]),
    (pa.time64("us"), [1]),
    (pa.map_(pa.string(), pa.int64()), [[("id", 1)], []]),
    (pa.list_(pa.int64(), 2), [[1, 2]]),
]
SCALARS = [*TEXT, *WHOLE_KINDS, *FLOAT, *BOOL, *TIME, *DECIMAL, *SPAN, *STRANGE]
FITTING = {
    "text": [*TEXT, *WHOLE_KINDS], "number": [*FLOAT, *WHOLE_KINDS, *DECIMAL], "bool": BOOL,
    "time": [*TIME, *WHOLE_KINDS, *FLOAT, TEXT[0]], "span": [*SPAN, *WHOLE_KINDS, *FLOAT, TEXT[0]],
}  # fmt: skip


def scalar(dice: Dice, kind: str) -> Kind:
    """A column of a kind, and now and then one of any other."""
    return dice.pick(SCALARS if dice.chance(12) else FITTING[kind])


def column(dice: Dice, name: str) -> Kind:
    """A column, with the values that may stand in it."""
    if name in ("tags", "mentions", "items"):
        if dice.chance(10):
            return scalar(dice, "text")
        inner = scalar(dice, "text") if name == "tags" else record(dice, ("id", "k", "w", "who"))
        make = pa.large_list if dice.chance(20) else pa.list_
        return make(plain(inner[0])), [some(dice, inner[1]) for _ in range(4)]
    if name in ("author", "who"):
        return scalar(dice, "text") if dice.chance(10) else record(dice, ("id", "k", "w"))
    kinds = {"n": "number", "m": "number", "w": "number", "flag": "bool", "joined": "time", "pause": "span"}
    return scalar(dice, kinds.get(name, "text"))


def plain(kind: pa.DataType) -> pa.DataType:
    """A type that may stand inside another: no file can have dictionaries there in several parts."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def some(dice: Dice, values: list[Any]) -> list[Any]:
    return [dice.pick([*values, None]) for _ in range(dice.below(4))]


def record(dice: Dice, keys: tuple[str, ...]) -> Kind:
    inside = {key: column(dice, key) for key in dice.some(keys, 1, len(keys))}
    made = pa.struct([(key, plain(kind)) for key, (kind, _) in inside.items()])
    values = [{key: dice.pick([*v, None]) for key, (_, v) in inside.items()} for _ in range(4)]
    return made, values


def filled(dice: Dice, kind: Kind, rows: int, missing: int) -> pa.Array:
    return awkward(kind, [None if dice.chance(missing) else dice.pick(kind[1]) for _ in range(rows)])


def awkward(kind: Kind, values: list[Any]) -> pa.Array:
    """A column of values; times are given as numbers, since Python has not all of them."""
    if pa.types.is_timestamp(kind[0]) or pa.types.is_date32(kind[0]) or pa.types.is_duration(kind[0]):
        whole = pa.int32() if pa.types.is_date32(kind[0]) else pa.int64()
        return pa.array(values, whole).cast(kind[0])
    return pa.array(values, kind[0])


COLUMNS = (
    "server",
    "n",
    "m",
    "flag",
    "joined",
    "pause",
    "address",
    "kind",
    "tags",
    "mentions",
    "items",
    "content",
)


def table(dice: Dice, rows: int) -> pa.Table:
    """A table of events whose times repeat and step back, and most of whose rows are events."""
    made: dict[str, pa.Array] = {}
    tags = ["message", "message", "join", "message", "quell.label", "other", "", None]
    made["type"] = pa.array([dice.lean(tags) for _ in range(rows)], pa.string())
    made["v"] = pa.array(
        [dice.lean([1, 1, 2, None]) for _ in range(rows)], dice.pick([pa.int64(), pa.float64()])
    )
    time = dice.pick([TIME[0], TIME[1], TIME[4], TIME[2], *FITTING["time"]])
    made["ts"] = filled(dice, time, rows, 3)
    if dice.chance(80):
        made["id"] = filled(dice, dice.pick(FITTING["text"]), rows, 3)
    if dice.chance(40):
        made["author.id"] = filled(dice, dice.pick(FITTING["text"]), rows, 3)
    else:
        made["author"] = filled(dice, column(dice, "author"), rows, 3)
    for name in dice.some(COLUMNS, 0, len(COLUMNS)):
        made[name] = filled(dice, column(dice, name), rows, 20)
    if dice.chance(30):
        hand = {"entity": "User", "label": "spammer", "action": "set", "by": "ana"}
        made |= {k: pa.array([v] * rows) for k, v in hand.items()}
        made["at"] = pa.array([dice.pick(MOMENTS[:5]) for _ in range(rows)])
    return pa.table(made)
