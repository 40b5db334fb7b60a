"""`quell journal`: what is in a journal, whether all of it is whole, and taking it out into other files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from quell.engine.cli_data import data_folder
from quell.engine.cli_files import STDIO, missing_parent, same_file, stdout_bytes, whole
from quell.engine.cli_group import FINDINGS, OK, Unreadable, say_error
from quell.engine.cli_output import Watch, console, count, print_json, rate, say, size, table, visible, words

if TYPE_CHECKING:
    from quell.engine.journal_export import EntryWriter, Range
    from quell.engine.journal_format import Damage
    from quell.engine.journal_stats import Stats
    from quell.engine.journal_verify import SegmentSeen, Verified
    from quell.engine.mend import Mended
    from quell.engine.redecide import Redecided

MOST_TOLD = 20
"""Wrong places that are printed."""
_TABLES = (".parquet", ".pq")
_LINES = (".jsonl", ".ndjson")

_as_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group("journal", short_help="What a server put down: look at it, check it, take it out.")
def journal() -> None:
    """What a server put down of each event and its decision: look at it, check it, take it out.

    DIR is the data folder of `quell serve`, or the folder of a journal; quell-data unless named here or by
    --data. A server may be running.

    \b
    Example:
      quell journal stats quell-data
      quell journal verify quell-data
      quell journal export quell-data --out history.jsonl --events-only
    """


@contextmanager
def _told() -> Iterator[None]:
    """Tell in one line what is wrong with a journal."""
    from quell.engine.journal_format import JournalError

    try:
        yield
    except JournalError as error:
        raise Unreadable(error.message, error.hint or None) from error


def _journal(folder: str) -> Path:
    from quell.engine.journal_read import journal_in

    return journal_in(folder)


# ------------------------------------------------------------------------ stats


@journal.command("stats", short_help="How much is in a journal, of what, and since when.")
@data_folder()
@_as_json
def stats(data: str, as_json: bool) -> int:
    """How much is in a journal, of what, and since when."""
    import msgspec

    from quell.engine.journal_stats import stats as counted

    with _told(), Watch("counting") as watch:
        found = counted(_journal(data), lambda done, of: watch.tell(done, f"{done:,} of {of:,} segments"))
    if as_json:
        print_json({**msgspec.to_builtins(found), "per_second": _per_second(found)})
    else:
        _print_stats(found)
    return OK


def _per_second(found: Stats) -> float | None:
    """Entries a second, by the server's clock."""
    if found.began is None or found.ended is None or found.ended <= found.began:
        return None
    return round(found.entries / ((found.ended - found.began) / 1e6), 3)


def _print_stats(found: Stats) -> None:
    from quell.signals.show import show_time

    out = console()
    packed = f", {found.packed:,} of them Parquet" if found.packed else ""
    out.print(f"{count(found.entries, 'entry', 'entries')} in {found.folder}", soft_wrap=True)
    out.print(f"{count(found.segments, 'segment')}{packed}, {size(found.bytes)}", style="dim")
    if found.entries:
        out.print()
        out.print(table(("kind", "entries>"), [(kind, f"{n:,}") for kind, n in found.kinds.items()]))
        out.print()
        out.print(f"numbers  {found.first:,} to {found.last:,}")
    if found.oldest is not None and found.newest is not None:
        out.print(f"events   {show_time(found.oldest)} to {show_time(found.newest)}")
    if found.began is not None and found.ended is not None:
        spent = (found.ended - found.began) / 1e6
        speed = f" ({rate(found.entries, spent)})" if spent > 0 and found.entries >= spent else ""
        out.print(f"written  {show_time(found.began)} to {show_time(found.ended)}{speed}")
    if len(found.versions) > 1:
        told = ", ".join(f"{version} {n:,}" for version, n in list(found.versions.items())[-12:])
        out.print(words(("by version of the policies: ", "dim"), told), soft_wrap=True)
    if found.unreadable:
        say_error(
            f"{count(found.unreadable, 'place')} cannot be read", "`quell journal verify` says where and what"
        )


# ----------------------------------------------------------------------- verify


@journal.command("verify", short_help="Whether a journal is whole.")
@data_folder()
@click.option(
    "--decisions",
    is_flag=True,
    help="Decide every event again, by the version of that day, and compare: DIR must be the data folder.",
)
@_as_json
def verify(data: str, decisions: bool, as_json: bool) -> int:
    """Whether a journal is whole: every checksum, the order of the numbers, and that nothing is missing.

    The exit status is 1 if anything is wrong.
    """
    import msgspec

    from quell.engine.journal_verify import verify as looked

    with _told():
        place = _journal(data)
        total = sum(file.stat().st_size for file in place.iterdir() if file.is_file())
        with Watch("verifying", total) as watch:
            found = looked(place, lambda done, number: watch.tell(done, f"number {number:,}"))
    again = _redecided(place) if decisions and not found.wrong else None
    if as_json:
        more = {} if again is None else {"decisions": msgspec.to_builtins(again)}
        print_json({**msgspec.to_builtins(found), **more})
    else:
        _print_verified(found)
        if again is not None:
            _print_redecided(again)
    return FINDINGS if found.wrong or (again is not None and again.differing) else OK


def _redecided(place: Path) -> Redecided:
    """Every decision, made again."""
    from quell.engine.checkpoint import Data
    from quell.engine.redecide import redecide
    from quell.engine.remake import RemakeError

    data = Data(_data_folder(place))
    try:
        with _told(), Watch("deciding again") as watch:
            return redecide(data, lambda number: watch.tell(number, f"number {number:,}"))
    except RemakeError as error:
        raise Unreadable(f"the journal cannot be decided again: {error}") from error


@journal.command("mend", short_help="Go on past damage, without what is lost.")
@data_folder()
@_as_json
def mend(data: str, as_json: bool) -> int:
    """Go on past damaged places that a start of the server needs, without what is lost there.

    DIR must be the data folder, and no server may be running. The rest of the journal is made again, and the
    memory left in a snapshot from which the next start goes on; the journal stays as it is. What is put back
    from a copy loses nothing: try that first.
    """
    import msgspec

    from quell.engine.checkpoint import Data
    from quell.engine.lock import LockError, held
    from quell.engine.mend import mend as mended
    from quell.engine.remake import RemakeError
    from quell.engine.snapshot import SnapshotError

    with _told():
        place = Data(_data_folder(_journal(data)))
        try:
            with held(place.root), Watch("making the journal again"):
                found = mended(place)
        except (RemakeError, LockError, SnapshotError) as error:
            raise Unreadable(str(error), error.hint or None) from error
        except OSError as error:
            raise Unreadable(f"`{place.root}` cannot be mended: {error.strerror or error}") from error
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        _print_mended(found)
    return OK


def _data_folder(place: Path) -> Path:
    """The data folder around a journal. Raises UsageError if there is none."""
    if not (place.parent / "versions").is_dir():
        raise click.UsageError(f"`{place}` lies in no data folder, so the policies of its days are not known")
    return place.parent


def _print_mended(found: Mended) -> None:
    out = console()
    for note in found.told:
        out.print(words(("note ", "yellow"), visible(note, 400)), soft_wrap=True)
    for lost in found.lost:
        out.print(words(("lost ", "red"), visible(lost, 400)), soft_wrap=True)
    if not found.lost:
        out.print("a start needs nothing that is damaged: nothing was done")
        return
    told = (
        f"the next start goes on from number {found.number:,}: {count(found.made, 'decision')} made again, "
    )
    out.print(f"{told}{found.differing:,} of which came out otherwise without what is lost", soft_wrap=True)


def _print_redecided(again: Redecided) -> None:
    out = console()
    for note in again.told:
        out.print(words(("note ", "yellow"), visible(note, 400)), soft_wrap=True)
    after = f" after number {again.began:,}" if again.began else ""
    told = f"{count(again.made, 'decision')}{after} made again: "
    if not again.differing:
        out.print(words(told, ("every one came out the same", "bold green")))
        return
    out.print(words(told, (f"{again.differing:,} came out otherwise", "bold red")))
    shown = ", ".join(f"{number:,}" for number in again.different[:MOST_TOLD])
    out.print(words(("numbers ", "dim"), shown), soft_wrap=True)


def _print_verified(found: Verified) -> None:
    out = console()
    left = MOST_TOLD
    for segment in found.segments:
        for wrong in segment.wrong[:left]:
            out.print(words(("wrong ", "red"), f"{segment.file}: {visible(wrong, 400)}"), soft_wrap=True)
        left -= min(left, len(segment.wrong))
    if found.wrong > MOST_TOLD:
        out.print(f"and {count(found.wrong - MOST_TOLD, 'more place', 'more places')} (--json has more)")
    for note in found.notes:
        out.print(words(("note ", "yellow"), visible(note, 400)), soft_wrap=True)
    told = f"{count(found.entries, 'entry', 'entries')} in {count(len(found.segments), 'segment')}"
    told += f", numbers {found.first:,} to {found.last:,}" if found.entries else ""
    if found.wrong:
        out.print(words(f"{told}: ", (count(found.wrong, "thing is", "things are") + " wrong", "bold red")))
        _print_lost(found.segments)
    else:
        out.print(words(f"{told}: ", ("all of it is whole", "bold green")))


def _print_lost(segments: list[SegmentSeen]) -> None:
    damaged = [segment.file for segment in segments if segment.wrong]
    shown = ", ".join(damaged[:5]) + (f" and {len(damaged) - 5:,} more" if len(damaged) > 5 else "")
    console().print(
        words(("  hint: ", "green"), f"put {shown} back from a copy, if there is one"), soft_wrap=True
    )


# ----------------------------------------------------------------------- export


@journal.command("export", short_help="Take entries out into JSON lines or Parquet.")
@data_folder()
@click.option(
    "--out", required=True, metavar="FILE|-", help=".jsonl or .parquet; - is JSON lines on standard output."
)
@click.option("--from", "begin", metavar="NUMBER|TIME", help="From this number, or event's time, on.")
@click.option("--until", "end", metavar="NUMBER|TIME", help="What comes before this number or event's time.")
@click.option(
    "--events-only",
    is_flag=True,
    help="The events as they came and labels by hand, without decisions: a history for `quell replay`.",
)
@_as_json
def export(data: str, out: str, begin: str | None, end: str | None, events_only: bool, as_json: bool) -> int:
    """Take entries out into JSON lines or Parquet.

    Each event comes with its decision, one a line or row, in the order of the decisions. With --events-only
    the events come in the order in which they were counted.

    \b
    Example:
      quell journal export quell-data --out decisions.parquet --from 2026-01-01 --until 2026-02-01
      quell journal export quell-data --out history.jsonl --events-only
    """
    _refuse_out(out, events_only)
    within = _range(begin, end)
    with _told():
        place = _journal(data)
        if out != STDIO and any(same_file(out, file) for file in place.iterdir()):
            raise click.UsageError("that would overwrite the journal")
        taken, without, damaged = _export(place, out, within, events_only)
    if as_json and out != STDIO:
        print_json({"entries": taken, "without_event": without, "unreadable": [str(d) for d in damaged]})
    else:
        what = "event" if events_only else "entry"
        say(f"wrote {count(taken, what, what + 's' if events_only else 'entries')} to {out}")
        if without:
            say(f"left out {count(without, 'decision')} of events that stand before --from")
    for damage in damaged[:MOST_TOLD]:
        say_error(str(damage))
    return FINDINGS if damaged else OK


def _export(place: Path, out: str, within: Range, events_only: bool) -> tuple[int, int, list[Damage]]:
    """Write what is taken; gives how many entries, how many decisions without their event, and what could not
    be read."""
    from quell.engine.journal_export import Taken
    from quell.engine.journal_format import number_of
    from quell.engine.journal_read import read

    damaged: list[Damage] = []
    taken = Taken(within)
    entries = read(place, (within.first or 0) - 1, tell=damaged.append)
    chosen = taken.events(entries) if events_only else taken.decided(entries)
    with Watch("exporting") as watch, _stream(out) as stream:
        writer = _writer(out, stream, events_only)
        for entry in chosen:
            writer.write(entry)
            if taken.count % 256 == 0:
                watch.tell(taken.count, f"number {number_of(entry):,}")
        writer.close()
    return taken.count, taken.without, damaged


def _refuse_out(out: str, events_only: bool) -> None:
    if out == STDIO:
        return
    ending = Path(out).suffix.lower()
    if ending not in (*_TABLES, *_LINES):
        raise click.UsageError(f"`{out}` does not say what to write: end it in .jsonl or .parquet")
    if events_only and ending in _TABLES:
        raise click.UsageError("events alone are written as JSON lines: end the file in .jsonl")
    missing_parent(Path(out))


def _range(begin: str | None, end: str | None) -> Range:
    from quell.engine.journal_export import Range

    first, since = _bound("--from", begin)
    below, before = _bound("--until", end)
    return Range(first, below, since, before)


def _bound(option: str, text: str | None) -> tuple[int | None, int | None]:
    """A number, or a time in microseconds."""
    from quell.engine.hand import LabelError, time_of

    if text is None:
        return None, None
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text), None
    try:
        return None, time_of(option, text)
    except LabelError:
        raise click.UsageError(
            f"{option} `{text}` is neither the number of an entry nor a time such as 2026-01-01T12:00:00Z"
        ) from None


@contextmanager
def _stream(out: str) -> Iterator[IO[bytes]]:
    if out == STDIO:
        yield stdout_bytes()
        return
    with whole(Path(out)) as stream:
        yield stream


def _writer(out: str, stream: IO[bytes], events_only: bool) -> EntryWriter:
    from quell.engine.journal_export import EventsWriter, LinesWriter, TableWriter

    if events_only:
        return EventsWriter(stream)
    return TableWriter(stream) if Path(out).suffix.lower() in _TABLES else LinesWriter(stream)
