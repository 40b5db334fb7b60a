"""What is remembered of Idempotency-Keys: within bounds, through snapshots, and in the journal's records."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.engine.idempotency import GRAIN, HOUR, Bounds, Known, digest_of, is_key
from quell.engine.journal import Journal, read
from quell.engine.journal_format import KEYED, JournalError, new_salt, pack_record
from quell.engine.journal_packed import PackedFile, PackedWriter, packed_of, schema
from quell.engine.journal_records import parse
from quell.engine.service_types import Entry
from quell.engine.snapshot import SnapshotError, previous_of, read_snapshot, write_snapshot
from quell.engine.stepper import Stepper
from tests.http_support import built
from tests.journal_entries import WALL, event, put

KEYS = [digest_of(f"k{n}") for n in range(8)]


@pytest.mark.parametrize("text", ["a", "!", "~" * 200, "7c9e6679-7425-40de", '"quoted"', "a,b;c=\\d"])
def test_a_key_is_visible_ascii(text: str) -> None:
    assert is_key(text)


@pytest.mark.parametrize(
    "text", ["", "a b", " a", "a\n", "a\t", "\x7f", "é", "\u00a0", "a\0", "~" * 201, "\ud800"], ids=ascii
)
def test_other_texts_are_none(text: str) -> None:
    assert not is_key(text)


def test_a_key_is_another_for_another_api_key() -> None:
    said = [digest_of("k"), digest_of("k", "aaaa"), digest_of("k", "aaab"), digest_of("bk", "aaa")]
    assert len(set(said)) == 4
    assert {len(digest) for digest in said} == {16}


PUTS = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from([0, 1, GRAIN // 2, GRAIN, 3 * GRAIN, 40 * GRAIN])),
    max_size=60,
)


def told(known: Known) -> list[Any]:
    """All that is known, as plain values that have been written and read."""
    found: list[Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(list(known.sections())))
    return found


def loaded(bounds: Bounds, sections: Iterable[Any]) -> Known:
    """What is known by sections."""
    known = Known(bounds)
    for _, name, what in sections:
        known.load(name, what)
    return known


@given(PUTS, st.integers(1, 6), st.sampled_from([GRAIN, 10 * GRAIN, 24 * HOUR]), st.integers(0, 60))
def test_keys_are_known_as_long_as_the_bounds_say(
    puts: list[tuple[bytes, int]], most: int, age: int, cut: int
) -> None:
    bounds, wall = Bounds(most, age), WALL
    known, seen = Known(bounds), dict[bytes, tuple[int, int]]()
    for number, (key, after) in enumerate(puts, 1):
        if number == cut:  # a restart from a snapshot changes nothing
            known = loaded(bounds, told(known))
        wall += after
        seen.pop(key, None)
        seen[key] = number, wall
        known.put(key, number, wall)
        newest = list(seen)[-most:]
        assert len(known) <= most
        for other in KEYS:
            found = known.get(other, wall)
            put_at = seen.get(other)
            if put_at is None or other not in newest or wall - put_at[1] >= age + GRAIN:
                assert found is None
            elif wall - put_at[1] < age:
                assert found == put_at[0]
            else:
                assert found in (None, put_at[0])


def test_a_silence_ends_what_was_known() -> None:
    known = Known(Bounds(1_000, HOUR))
    for number in range(1, 501):
        known.put(digest_of(str(number)), number, WALL)
    assert known.get(digest_of("500"), WALL + HOUR - 1) == 500
    assert known.get(digest_of("500"), WALL + HOUR + GRAIN) is None
    known.put(KEYS[0], 501, WALL + 2 * HOUR)
    assert known.get(digest_of("500"), WALL + 2 * HOUR) is None
    assert known.get(KEYS[0], WALL + 2 * HOUR) == 501
    for number in range(502, 512):  # what is too old goes a little at a time
        known.put(KEYS[0], number, WALL + 2 * HOUR)
    assert len(known) == 1


def test_what_is_too_old_does_not_come_back_by_a_restart() -> None:
    bounds, later = Bounds(1_000, HOUR), WALL + 2 * HOUR
    known = Known(bounds)
    for number in range(1, 501):
        known.put(digest_of(str(number)), number, WALL)
    known.put(KEYS[0], 501, later)
    assert len(known) > 1  # it is let go a little at a time
    again = loaded(bounds, told(known))
    for some in (known, again):
        assert some.get(digest_of("500"), later) is None
        assert some.get(KEYS[0], later) == 501


def test_a_key_is_forgotten_for_its_own_number_only() -> None:
    known = Known()
    known.put(KEYS[0], 1, WALL)
    known.put(KEYS[0], 2, WALL)
    known.forget(KEYS[0], 1)
    assert known.get(KEYS[0], WALL) == 2
    known.forget(KEYS[0], 2)
    assert known.get(KEYS[0], WALL) is None
    assert told(known) == []


# ------------------------------------------------------------------ snapshots


def known_of(*numbers: int) -> Known:
    """What is known of some numbers."""
    known = Known()
    for number in numbers:
        known.put(digest_of(f"n{number}"), number, WALL)
    return known


def test_a_snapshot_keeps_keys_and_whoever_wants_none_need_not_take_them(tmp_path: Path) -> None:
    path, stepper = tmp_path / "state.quell", Stepper(built())
    write_snapshot(stepper, path, known_of(1, 2))
    write_snapshot(stepper, path, known_of(1, 2, 3))
    known = known_of(9)
    read_snapshot(path, lambda: Stepper(built()), known)
    assert told(known) == told(known_of(1, 2, 3))
    assert read_snapshot(path, lambda: Stepper(built()))[0].seq == stepper.seq
    path.write_bytes(path.read_bytes()[:-9])  # the one before counts, with its keys
    read_snapshot(path, lambda: Stepper(built()), known)
    assert told(known) == told(known_of(1, 2))


WRONG: list[list[Any]] = [
    ["numbers", [b"short", [1]]],
    ["numbers", [bytes(16), ["x"]]],
    ["numbers", 5],
    ["times", [[1]]],
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_sections_that_are_none_damage_a_snapshot(tmp_path: Path, wrong: list[Any]) -> None:
    class Wrong(Known):
        def sections(self) -> Any:
            yield ["keys", *wrong]

    path = tmp_path / "state.quell"
    write_snapshot(Stepper(built()), path, Wrong())
    assert not previous_of(path).exists()
    with pytest.raises(SnapshotError, match="no state"):
        read_snapshot(path, lambda: Stepper(built()), Known())


# ------------------------------------------------------------------ the journal


def test_a_key_is_part_of_its_record_and_others_have_none(tmp_path: Path) -> None:
    entries = [event(1), event(2)._replace(key=KEYS[0]), event(3)]
    journal = Journal.open(tmp_path, packs=False)
    assert put(journal, *entries)
    journal.close()
    assert list(read(tmp_path)) == entries


def test_records_without_a_key_are_what_they_were() -> None:
    salt = new_salt()
    plain, keyed = pack_record(salt, event(7)), pack_record(salt, event(7)._replace(key=KEYS[1]))
    assert plain[12] == 1
    assert keyed[12] == 1 | KEYED
    assert len(keyed) == len(plain) + 16
    assert keyed.endswith(KEYS[1])


@pytest.mark.parametrize("cut", [1, 15, 16, 17])
def test_a_record_that_is_cut_within_its_key_is_no_record(cut: int) -> None:
    salt = new_salt()
    data = pack_record(salt, event(7)._replace(key=KEYS[1]))
    assert parse(data, salt).records == 1
    assert parse(data[:-cut], salt).records == 0


def _parquet(path: Path, entries: list[Entry], drop: bool) -> Path:
    import pyarrow.parquet as pq

    with path.open("wb") as stream:
        writer = PackedWriter(stream)
        writer.write(entries)
        writer.close(packed_of(_head(), 0, len(entries), entries[-1].seq, 0))
    if drop:  # as files were before there were keys
        said = pq.read_metadata(path).metadata
        table = pq.read_table(path).drop_columns(["key"])
        pq.write_table(table.replace_schema_metadata(said), path)
    return path


def _head() -> Any:
    from quell.engine.journal_format import Head

    return Head(new_salt(), 1, 1, 0, 0, 0, WALL)


def test_parquet_files_hold_keys_and_those_from_before_are_read(tmp_path: Path) -> None:
    entries = [event(1), event(2)._replace(key=KEYS[0])]
    for drop in (False, True):
        file = PackedFile(_parquet(tmp_path / f"{drop}.parquet", entries, drop))
        found = file.piece(-1, None, _fail)
        file.close()
        assert found == ([e._replace(key=b"") for e in entries] if drop else entries)
    assert schema().names[-1] == "key"


def _fail(damage: Any) -> None:
    raise JournalError(str(damage))


def test_an_exported_line_tells_the_key_where_there_is_one() -> None:
    from quell.engine.journal_export import LinesWriter

    stream = io.BytesIO()
    writer = LinesWriter(stream)
    writer.write(event(1))
    writer.write(event(2)._replace(key=KEYS[0]))
    writer.close()
    first, second = (msgspec.json.decode(line) for line in stream.getvalue().splitlines())
    assert "key" not in first
    assert second["key"] == KEYS[0].hex()
