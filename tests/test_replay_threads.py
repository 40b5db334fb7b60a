"""How many threads the database has changes nothing that is decided or told."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from quell.engine.bundle import Files
from quell.engine.compile import Build, analyse, build
from quell.grammar.source import Source
from quell.replay.backtest_report import Asked
from tests.determinism import replay_parts

ROWS = 140_000
"""More than one of the row groups that DuckDB gives to threads."""
START = 1_767_268_800
POLICIES = """\
entity User labels "noisy"
entity Room

event message from "message"
  id text = $.id
  at time = $.at
  author User = $.author
  room Room = $.room
  content text = $.content
  reach number? = $.reach

verdicts allow < flag < review < block

let burst = count(message by author within 10m)
let rooms = distinct(room of message by author within 1h)
let usual = mean(reach of message by room within 1d)
let names = words(content)

rule flood on message
  when burst >= 4 and rooms >= 3
  then review
       label author "noisy" for 1h
       send "queue" { author: author, usual: usual } limit 1 per author every 1h
  because "{burst} messages, {usual}"

rule far on message
  when reach > 20 * usual
  then flag
  because "{reach} is more than {usual}"

rule word on message
  when names contains "w7" and similarity(content, "w7 w8") > 0.6
  then flag

rule again on message
  when author labelled "noisy" and count(fired flood by author within 1d) >= 2
  then block
"""


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events of two thousand people, some seconds late."""
    dice = random.Random(5)
    times = [START + i // 3 - (dice.randrange(90) if i % 11 == 0 else 0) for i in range(ROWS)]
    file = tmp_path_factory.mktemp("threads") / "events.parquet"
    table = pa.table(
        {
            "type": ["message"] * ROWS,
            "id": [f"m{i}" for i in range(ROWS)],
            "at": times,
            "author": [f"u{int(dice.paretovariate(0.6)) % 2000}" for _ in range(ROWS)],
            "room": [f"r{dice.randrange(40)}" for _ in range(ROWS)],
            "content": [f"w{dice.randrange(60)} w{dice.randrange(60)}" for _ in range(ROWS)],
            "reach": [None if dice.random() < 0.1 else dice.expovariate(1) for _ in range(ROWS)],
        }
    )
    parquet.write_table(table, file, row_group_size=25_000)
    return file


def made() -> Build:
    return build(analyse(Files("threads", {"p.quell": Source("p.quell", POLICIES)}), lints=False))


@pytest.mark.slow
def test_threads_change_nothing(history: Path) -> None:
    asked = Asked(policies="policies", weigh="reach", order="given")
    one, four = (dict(replay_parts(made(), history, asked, threads)) for threads in (1, 4))
    assert all(one[name] for name in ("decisions", "hits", "labels", "sends", "missing"))
    for name, rows in one.items():
        assert rows == four[name], name
