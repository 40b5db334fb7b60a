"""The journal: what is written is read back, in order, whatever happens on the way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.journal import Damage, Journal, JournalError, read
from quell.engine.journal_format import HEAD_SIZE, KINDS, number_of, pack_record
from quell.engine.service_types import Entry, Kind
from tests.journal_entries import event, histories, put


@settings(max_examples=60, deadline=None)
@given(histories(), st.data())
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal.open(
        folder, durability="off", segment_bytes=data.draw(st.sampled_from([1, 300, 1 << 20]))
    )
    for entry in entries:
        journal.append(*entry)
        if data.draw(st.booleans()):
            assert journal.flush()
    journal.close()
    assert list(read(folder)) == entries
    for after in {0, *map(number_of, entries)}:
        assert list(read(folder, after)) == [e for e in entries if number_of(e) > after]
    again = Journal.open(folder)
    assert (again.repaired, again.last) == ("", max(map(number_of, entries), default=0))
    assert again.figures().entries == len(entries)
    again.close()


@settings(max_examples=80, deadline=None)
@given(histories(), histories(4), st.data())
def test_a_torn_tail_is_cut_off_and_the_journal_goes_on(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry], more: list[Entry], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal.open(folder, durability="off")
    put(journal, *entries)
    journal.close()
    ends, salt = [HEAD_SIZE], journal._writer.salt
    for entry in entries:
        ends.append(ends[-1] + len(pack_record(salt, entry)))
    if not entries:
        return
    (file,) = folder.glob("*.qj")
    assert file.stat().st_size == ends[-1]
    cut = data.draw(st.integers(0, ends[-1]))
    os.truncate(file, cut)
    whole = sum(end <= cut for end in ends) - 1
    assert list(read(folder)) == entries[: max(whole, 0)]
    again = Journal.open(folder, durability="off")
    assert bool(again.repaired) == (cut not in ends)
    put(again, *more)
    again.close()
    assert list(read(folder)) == entries[: max(whole, 0)] + more


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_flipped_byte_is_told_and_nothing_wrong_is_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal.open(folder, durability="off", segment_bytes=400)
    entries = [event(n) for n in range(1, 9)]
    for entry in entries:
        put(journal, entry)
    journal.close()
    files = sorted(folder.glob("*.qj"))
    assert len(files) > 2
    file = data.draw(st.sampled_from(files[:-1]))
    at = data.draw(st.integers(0, file.stat().st_size - 1))
    content = bytearray(file.read_bytes())
    content[at] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    told: list[Damage] = []
    found = list(read(folder, tell=told.append))
    if at < HEAD_SIZE:
        assert found == entries
        return
    assert len(found) == len(entries) - 1
    assert [e for e in entries if e in found] == found
    (damage,) = told
    assert damage.offset <= at < damage.offset + damage.skipped
    with pytest.raises(JournalError, match="damaged"):
        list(read(folder))


def test_every_kind_of_entry_has_a_code() -> None:
    assert sorted(KINDS.values()) == sorted(get_args(Kind))


def test_one_process_writes(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    with pytest.raises(JournalError, match=f"in use by the process {os.getpid()}"):
        Journal.open(tmp_path)
    journal.close()
    Journal.open(tmp_path).close()
