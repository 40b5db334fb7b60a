"""Histories in columns: whatever way they are read, they hold what the decoder makes of each record."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.compile import Build, build
from quell.engine.source_base import SourceError
from quell.replay.database import Database
from quell.replay.history import History, ingest
from tests.bundles import sound
from tests.history_oracle import Tables, expected, found_in, records
from tests.strategies_tables import Thrown, table

POLICY = """
entity User labels "spammer"
entity Server

shape item
  k    text    = $.k
  w    number  = $.w default 2.5
  who  User?   = $.who.id

event message from "message" when $.v == 1
  id        text       = $.id
  at        time       = $.ts
  author    User       = $.author.id
  server    Server?    = $.server
  n         number?    = $.n
  m         number     = $.m default 1.5
  flag      bool?      = $.flag
  joined    time?      = $.joined
  pause     duration?  = $.pause
  address   ip?        = $.address
  kind      one of ["a", "b", "7"] = $.kind default "a"
  tags      list<text> = $.tags default ["x"]
  mentions  list<User> = $.mentions[*].id default []
  head      text?      = $.tags[0]
  items     list<item> = $.items default []
  content   text       = $.content default "nothing"

event join from "join"
  at        time       = $.ts
  who       User?      = $.author.id
  room      Server     = $.server default "lobby"
  code      text?      = $.n
  wire      text       = $.type

rule a on message when length(content) > 3 and author labelled "spammer" then block
rule b on join when code is present then flag
"""
WHOLE = build(sound(POLICY), all_fields=True)
FEW = build(sound(POLICY))
EXTRAS = {"the text": ("content",), "n": ("n",), "deep": ("author", "id"), "none": ("nowhere", "x")}


@pytest.fixture
def db() -> Iterator[Database]:
    with Database() as made:
        yield made


def both(bundle: Build, path: Path, order: Any, extras: Any) -> tuple[Tables, Tables, History | None]:
    """What the tables of a history hold, and what they must."""
    wanted = expected(bundle, records([path], bundle), order, extras)
    with Database() as db:
        try:
            history = ingest(db, "h", bundle, [path], order=order, extras=extras)
        except SourceError:
            assert not wanted["all"]
            return wanted, wanted, None
        return found_in(history), wanted, history


@given(st.integers(0, 2**32))
@settings(max_examples=60)
def test_sql_and_decoder_make_the_same_of_a_table(seed: int) -> None:
    dice = Thrown(seed)
    bundle = dice.pick((WHOLE, FEW))
    made = table(dice, dice.between(1, 12))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "e.parquet"
        pq.write_table(made, path, row_group_size=dice.pick((5, 100)))
        found, wanted, _ = both(bundle, path, dice.pick(("time", "given")), dice.pick((None, EXTRAS)))
    assert found == wanted
