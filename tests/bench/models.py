"""What a model costs: `python -m tests.bench.models`.

One row through a predictor, from Python floats, against the library's fast single-row call on a buffer that
is filled already, plus filling it; the call of `Booster.predict` beside them; and rows in batches. The
contenders take turns in this process, and what counts is the ratio.
"""

from __future__ import annotations

import argparse
import ctypes
import math
from collections.abc import Callable
from struct import Struct
from typing import Any

import lightgbm
import numpy as np
from lightgbm.basic import _LIB  # type: ignore[attr-defined]  # the call that is measured has no other name
from rich.console import Console
from rich.table import Table

from quell.engine.bundle import Files
from quell.engine.compile import analyse, build
from quell.engine.stepper import Stepper
from quell.grammar.source import Source
from quell.signals.models import Model, load_model
from tests.bench.measure import ratio

GOAL = 1.3
FEATURES, TREES, LEAVES = 20, 100, 31
ROWS = 2_000


def trained() -> bytes:
    """A model of a usual size, over columns a tenth of which is missing."""
    dice = np.random.default_rng(1)
    x = dice.normal(size=(5_000, FEATURES))
    y = (x[:, 0] + x[:, 1] * x[:, 2] > 0.5).astype(float)
    x[dice.random(x.shape) < 0.1] = math.nan
    names = [f"x{i}" for i in range(FEATURES)]
    data = lightgbm.Dataset(x, y, feature_name=names, params={"verbose": -1})
    settings = {"objective": "binary", "num_leaves": LEAVES, "verbose": -1, "num_threads": 1}
    text: str = lightgbm.train(settings, data, TREES).model_to_string()
    return text.encode()


class Fast:
    """The library's own call, with a buffer for one row."""

    def __init__(self, booster: Any) -> None:
        self.handle, length, self.result = ctypes.c_void_p(), ctypes.c_int64(), ctypes.c_double()
        _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
            booster._handle,
            0,
            0,
            -1,
            1,
            FEATURES,
            ctypes.c_char_p(b"num_threads=1"),
            ctypes.byref(self.handle),
        )
        self.buffer, self.fill = ctypes.create_string_buffer(8 * FEATURES), Struct(f"{FEATURES}d").pack_into
        self.call = _LIB.LGBM_BoosterPredictForMatSingleRowFast
        self.to_length, self.to_result = ctypes.byref(length), ctypes.byref(self.result)

    def work(self, listed: list[list[float]]) -> None:
        """Fill the buffer with each row and call."""
        fill, buffer, call, handle = self.fill, self.buffer, self.call, self.handle
        to_length, to_result = self.to_length, self.to_result
        for row in listed:
            fill(buffer, 0, *row)
            call(handle, buffer, to_length, to_result)


def rows() -> Any:
    """Rows that the model was not trained on."""
    dice = np.random.default_rng(2)
    x = dice.normal(size=(ROWS, FEATURES))
    x[dice.random(x.shape) < 0.1] = math.nan
    return x


def decided(data: bytes) -> tuple[Callable[[], None], Callable[[], None]]:
    """A decision with a rule on the model, and the same with a rule on one of its inputs."""
    fields = "".join(f"  x{i} number? = $.x{i}\n" for i in range(FEATURES))
    event = f'event ping from "ping"\n  at time = $.at\n{fields}'
    inputs = "".join(f"  x{i} = x{i}\n" for i in range(FEATURES))
    reads = " + ".join(f"x{i}" for i in range(FEATURES))
    with_model = f'{event}model m from "m.lgb"\n{inputs}rule r on ping\n  when m > 2\n  then flag\n'
    without = f"{event}rule r on ping\n  when {reads} > 1e9\n  then flag\n"
    made = []
    for text in (with_model, without):
        files = Files("bench", {"b.quell": Source("b.quell", text)}, extra={"m.lgb": data})
        stepper = Stepper(build(analyse(files, lints=False)))
        events = [
            stepper.decode(
                {"type": "ping", "at": "2026-01-01T00:00:00Z", **{f"x{i}": v for i, v in enumerate(row)}}
            )
            for row in np.nan_to_num(rows()).tolist()
        ]

        def work(stepper: Stepper = stepper, events: list[Any] = events) -> None:
            for event in events:
                stepper.decide_decoded(event)

        made.append(work)
    return made[0], made[1]


def main() -> None:
    """Print the table; exits with 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=15)
    turns = parser.parse_args().turns
    data = trained()
    model, booster = load_model("m.lgb", data).model, lightgbm.Booster(model_str=data.decode())
    assert model is not None
    x = rows()
    table = Table(title=f"{TREES} trees of {LEAVES} leaves, {FEATURES} features; {ROWS:,} rows a turn")
    for column in ("what", "ratio", "goal", "µs a row", "against"):
        table.add_column(column)
    missed = one_row(table, model, booster, x, turns)
    decisions(table, data, turns)
    batches(table, model, x, turns)
    Console().print(table)
    raise SystemExit(1 if missed else 0)


def one_row(table: Table, model: Model, booster: Any, x: Any, turns: int) -> bool:
    """One row at a time; whether the goal was missed."""
    predict, listed = model.predictor(), x.tolist()
    fast = Fast(booster)
    for row in listed[:200]:  # the contenders must say the same before either is timed
        fast.work([row])
        assert predict(*row) == fast.result.value == booster.predict([row], num_threads=1)[0]

    def ours() -> None:
        for row in listed:
            predict(*row)

    def plain() -> None:
        for row in x:
            booster.predict(row.reshape(1, -1), num_threads=1)

    figure, a, b = ratio(ours, lambda: fast.work(listed), turns)
    add(
        table, "one row, from Python floats", figure, GOAL, a, f"filling a buffer and the fast call {told(b)}"
    )
    figure_plain, _, b = ratio(ours, plain, max(turns // 3, 3))
    add(table, "the same", figure_plain, None, a, f"Booster.predict {told(b)}")
    return figure > GOAL


def decisions(table: Table, data: bytes, turns: int) -> None:
    """What a model adds to a decision."""
    with_model, without = decided(data)
    figure, a, b = ratio(with_model, without, turns)
    add(table, "a decision with the model", figure, None, a, f"one that adds its inputs {told(b)}")


def batches(table: Table, model: Model, x: Any, turns: int) -> None:
    """Rows in batches, each against one row at a time."""
    predict, listed = model.predictor(), x.tolist()

    def alone() -> None:
        for row in listed:
            predict(*row)

    for size in (64, 1_000):

        def together(size: int = size) -> None:
            for start in range(0, ROWS, size):
                model.predict_rows(x[start : start + size])

        figure, a, b = ratio(together, alone, turns)
        add(table, f"{size:,} rows at once", figure, None, a, f"one row at a time {told(b)}")


def add(table: Table, what: str, figure: float, goal: float | None, seconds: float, against: str) -> None:
    """One line of the table."""
    shown = "" if goal is None else f"≤ {goal}"
    table.add_row(what, f"{figure:.2f}", shown, f"{seconds / ROWS * 1e6:.2f}", against)


def told(seconds: float) -> str:
    """Microseconds a row."""
    return f"({seconds / ROWS * 1e6:.2f} µs)"


if __name__ == "__main__":
    main()
