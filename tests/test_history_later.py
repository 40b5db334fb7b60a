"""Texts that are looked at while a history is decided: one that is odd is found as early as ever."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quell.engine.compile import Build, build
from quell.engine.source_base import SourceError
from quell.replay.backtest_report import Asked, prepare, run
from quell.replay.database import Database
from quell.replay.history import History
from quell.replay.history_ingest import ingest
from quell.replay.outcome import Outcome
from quell.replay.run import RunWay, decide, replay
from tests.bundles import sound

POLICY = """
entity User

event post from "post"
  id text = $.id
  at time = $.at
  by User = $.by
  body text = $.body
  note text = $.note  default "none"

rule calls on post
  when body contains "call" or count(post by by within 1h) >= 4
  then review
  because "{by} wrote {note}"
"""
ROWS = 200
Columns = dict[str, list[Any]]


def rows() -> Columns:
    """Plain events in order of time."""
    return {
        "type": ["post"] * ROWS,
        "id": [f"e{i}" for i in range(ROWS)],
        "at": [1_700_000_000 + 60 * i for i in range(ROWS)],
        "by": [f"u{i % 7}" for i in range(ROWS)],
        "body": [b"call me" if i % 50 == 0 else b"fine" for i in range(ROWS)],
        "note": [None if i % 3 else b"a note" for i in range(ROWS)],
    }


def write(path: Path, columns: Columns) -> None:
    """A Parquet file, texts given as bytes written as they are."""
    made = {
        name: pa.array(values, pa.binary()).view(pa.string())
        if name in ("body", "note")
        else pa.array(values)
        for name, values in columns.items()
    }
    pq.write_table(pa.table(made), path)


def found(outcome: Outcome) -> list[Any]:
    """All that was refused, and decided."""
    history = outcome.history
    tables = [outcome.table(name) for name in ("decisions", "hits", "all", "refused", "problems")]
    return [
        history.events,
        history.refused,
        *(outcome.db.rows(f"SELECT * FROM {t} ORDER BY ALL") for t in tables),
    ]


@pytest.fixture(scope="module")
def made() -> Build:
    return build(sound(POLICY))


def plain(columns: Columns) -> None:
    """Nothing odd."""


def no_text(columns: Columns) -> None:
    columns["body"][120] = b"\xff\xfe"


def no_text_that_is_no_condition(columns: Columns) -> None:
    columns["note"][33] = b"n\xffo"


def long(columns: Columns) -> None:
    columns["body"][7] = b"x" * (1 << 20) + b"y"


def long_and_matched(columns: Columns) -> None:
    columns["body"][50] = b"call" + b"x" * (1 << 20)


@pytest.mark.parametrize("spoil", [plain, no_text, no_text_that_is_no_condition, long, long_and_matched])
@pytest.mark.parametrize("way", ["columns", "steps"])
def test_what_is_odd_is_found(
    made: Build, tmp_path: Path, spoil: Callable[[Columns], None], way: RunWay
) -> None:
    columns = rows()
    spoil(columns)
    path = tmp_path / "e.parquet"
    write(path, columns)
    with Database() as db:
        judge = found(decide(ingest(db, "careful_history", made, [path]), "careful", way="steps"))
    with Database() as db:
        ours = replay(db, "quick", made, [path], way=way)
        assert found(ours) == judge
        assert not ours.history.unread
    with Database() as db:
        assert found(run(db, "whole", prepare(made, Asked()), [path])) == judge


def history(db: Database, made: Build, path: Path, columns: Columns) -> History:
    write(path, columns)
    return ingest(db, "h", made, [path], later=True)


def test_only_texts_of_a_plain_file_are_left(made: Build, tmp_path: Path) -> None:
    with Database() as db:
        assert len(history(db, made, tmp_path / "a.parquet", rows()).unread) == 3
    late, strange = rows(), rows()
    late["at"][4] = 1_700_000_000
    strange["type"][4] = "other"
    for i, columns in enumerate((late, strange)):
        with Database() as db:
            assert not history(db, made, tmp_path / f"{i}.parquet", columns).unread


def test_a_history_of_which_nothing_can_be_taken(made: Build, tmp_path: Path) -> None:
    columns = rows()
    columns["body"] = [b"\xff"] * ROWS
    write(tmp_path / "e.parquet", columns)
    with Database() as db, pytest.raises(SourceError, match="none of the 200 records"):
        run(db, "whole", prepare(made, Asked()), [tmp_path / "e.parquet"])
