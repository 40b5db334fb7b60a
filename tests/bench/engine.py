"""The stateful engine against its parts written by hand: `python -m tests.bench.engine`.

One decision with 30 rules, six counters and one model, where every event is counted in all six, all six are
read and the model is asked; and a thousand decisions that wait for a remote model together. Ratios of one
run; times mean nothing on these machines.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import math
import time
from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Any

import lightgbm
import numpy as np

from quell.engine.bundle import Files
from quell.engine.compile import analyse, build
from quell.engine.decision import Decision
from quell.engine.engine import Engine
from quell.engine.stepper import Stepper
from quell.grammar.source import Source
from quell.signals.remote import Remotes, Target
from tests.bench.measure import ratio
from tests.bench.run import Row, show
from tests.bench.workload import NUMBERS, Workload, make

KEYS = ("lang", "country", "client", "plan", "channel", "campaign")
WINDOWS = ("1m", "5m", "10m", "1h", "6h", "1d")
SECONDS = (60, 300, 600, 3_600, 21_600, 86_400)
START = 1_772_323_200_000_000
DELAY = 0.05
"""Seconds that the remote model takes."""
IN_FLIGHT = 1_000


def trained(trees: int = 100) -> bytes:
    """A binary model on the workload's numbers."""
    rng = np.random.default_rng(5)
    rows = rng.integers(0, 100, (4_000, len(NUMBERS))).astype(float)
    wanted = (rows @ rng.normal(size=len(NUMBERS)) + rng.normal(scale=40, size=4_000) > 0).astype(float)
    settings = {"objective": "binary", "num_threads": 1, "verbosity": -1, "num_leaves": 31}
    data = lightgbm.Dataset(rows, wanted, feature_name=list(NUMBERS))
    return bytes(lightgbm.train(settings, data, trees).model_to_string().encode())


def stateful(work: Workload, model: bytes | None) -> Files:
    """The workload's rules with six counters and, if given, a model, all of them needed for every event."""
    policy = work.policy.replace("  at time = $.at\n", "  at time = $.at\n  user_id text = $.user_id\n", 1)
    counts = " + ".join(f"count(post by user_id, {k} within {w})" for k, w in zip(KEYS, WINDOWS, strict=True))
    policy += f"\nrule busy on post\n  when {counts} > 100000\n  then review\n"
    if model is None:
        return Files("bench", {"bench.quell": Source("bench.quell", policy)})
    inputs = "".join(f"  {n} = {n}\n" for n in NUMBERS)
    policy += f'\nmodel risk from "risk.lgb"\n{inputs}'
    policy += "\nrule risky on post\n  when risk > 1.5\n  then review\n"
    return Files("bench", {"bench.quell": Source("bench.quell", policy)}, extra={"risk.lgb": model})


def with_users(events: list[bytes]) -> list[bytes]:
    """The events a fifth of a second apart, of 300 users."""
    out = []
    for i, event in enumerate(events):
        said = json.loads(event)
        out.append(json.dumps({**said, "at": START + i * 200_000, "user_id": f"u{i * 7 % 300}"}).encode())
    return out


def counters_by_hand() -> Callable[[dict[str, Any], int], int]:
    """Six deques a key: what one would write for sliding counts."""
    held: list[dict[tuple[str, str], deque[int]]] = [{} for _ in KEYS]
    windows = [s * 1_000_000 for s in SECONDS]

    def count(event: dict[str, Any], at: int) -> int:
        total = 0
        user = event["user_id"]
        for place, name in enumerate(KEYS):
            key = (user, event[name])
            times = held[place].get(key)
            if times is None:
                times = held[place][key] = deque()
            low = at - windows[place]
            while times and times[0] <= low:
                times.popleft()
            times.append(at)
            total += len(times)
        return total

    return count


def model_by_hand(data: bytes) -> Callable[[dict[str, Any]], float]:
    """The library's fast call for one row, and the filling of its buffer."""
    booster = lightgbm.Booster(model_str=data.decode())
    library = lightgbm.basic._LIB  # type: ignore[attr-defined]  # it has no public name
    buffer = ctypes.create_string_buffer(8 * len(NUMBERS))
    fill = Struct(f"{len(NUMBERS)}d").pack_into
    fast, length, out = ctypes.c_void_p(), ctypes.c_int64(), (ctypes.c_double * 1)()
    library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle, 0, 0, -1, 1, len(NUMBERS), b"num_threads=1", ctypes.byref(fast)
    )
    call, size = library.LGBM_BoosterPredictForMatSingleRowFast, ctypes.byref(length)

    def predict(event: dict[str, Any], keep: lightgbm.Booster = booster) -> float:
        user = event["user"]
        fill(buffer, 0, *[user[n] for n in NUMBERS[:4]], *[event[n] for n in NUMBERS[4:]])
        call(fast, buffer, size, out)
        return out[0]

    return predict


def decision_row(turns: int, events: int) -> Row:
    """A decision with 30 rules, six counters and one model against the sum of the parts."""
    work, model = make(30, events), trained()
    lines = with_users(work.events)
    stepper = Stepper(build(analyse(stateful(work, model))))
    parsed = [json.loads(e) for e in lines]
    decoded = [stepper.decode(e) for e in lines]
    rules, count, predict = work.function(), counters_by_hand(), model_by_hand(model)
    check(stepper, work, lines, predict)

    def ours() -> None:
        for event in decoded:
            stepper.decide_decoded(event)  # type: ignore[arg-type]  # every event of the workload decodes

    def theirs() -> None:
        for event in parsed:
            rules(event)
            count(event, event["at"])
            predict(event)

    figure, a, b = ratio(ours, theirs, turns)
    detail = f"{a / events * 1e6:.2f} µs against {b / events * 1e6:.2f} by hand"
    return Row("decide, 30 rules, 6 counters, 1 model", figure, 1.5, detail)


def check(stepper: Stepper, work: Workload, lines: list[bytes], predict: Callable[..., float]) -> None:
    """Both sides must say the same of the rules and the model before either is timed."""
    by_hand, loaded = work.function(), stepper.bundle.analysis.models["risk"]
    for line in lines:
        event = json.loads(line)
        decision = stepper.decide(line)
        fired = [f.rule for f in getattr(decision, "fired", ())]
        row = [(event["user"] | event)[n] for n in NUMBERS]
        if fired != by_hand(event) or not math.isclose(predict(event), loaded.predict(row) or 0, rel_tol=0):
            raise SystemExit(f"the contenders disagree on {line!r}")


WAITING = """
event post
  at time = $.at
  id text = $.id
  n  number = $.n

model slow from remote "slow"
  n = n
  when true
  wait 5s

rule high on post
  when slow > 0.5 and count(post within 1h) > 0
  then review
"""


def waiting_row(turns: int) -> Row:
    """A thousand decisions that wait for a remote model of 50 ms, all at once."""
    analysis = analyse(Files("bench", {"bench.quell": Source("bench.quell", WAITING)}), lints=False)
    made = build(analysis)
    lines = [json.dumps({"at": START + i, "id": str(i), "n": i}).encode() for i in range(IN_FLIGHT)]

    async def slow(inputs: list[dict[str, Any]]) -> list[dict[str, float]]:
        await asyncio.sleep(DELAY)
        return [{"score": i["n"] % 2} for i in inputs]

    async def run() -> float:
        target = Target("slow", callable=True, concurrency=IN_FLIGHT, queue=IN_FLIGHT)
        remotes = Remotes(analysis.lowerer.remotes, {"slow": target}, callables={"slow": slow})
        async with Engine(Stepper(made), remotes) as engine:
            start = time.perf_counter()
            answers = await asyncio.gather(*(engine.decide(line) for line in lines))
            took = time.perf_counter() - start
        high = sum(isinstance(a, Decision) and a.verdict == "review" for a in answers)
        if high != IN_FLIGHT // 2:
            raise SystemExit(f"{high} of {IN_FLIGHT} decisions are right")
        return took

    took = sorted(asyncio.run(run()) for _ in range(turns))[turns // 2]
    detail = f"{took * 1e3:.0f} ms for {IN_FLIGHT:,} decisions against {DELAY * 1e3:.0f} ms"
    return Row(f"{IN_FLIGHT:,} decisions waiting on 50 ms", took / DELAY, 3.0, detail)


def rows(turns: int, events: int) -> list[Row]:
    """The rows of this benchmark."""
    return [decision_row(turns, events), waiting_row(turns)]


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description="The stateful engine against its parts, side by side.")
    parser.add_argument("--turns", type=int, default=9, help="turns per comparison")
    parser.add_argument("--events", type=int, default=2_000, help="events per turn")
    options = parser.parse_args()
    show(rows(options.turns, options.events), "The stateful engine against its parts")


if __name__ == "__main__":
    main()
