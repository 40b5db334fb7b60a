"""What the commands print with: consoles, JSON, tables, numbers for people, progress."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, cast

import click

from quell.engine.cli_group import coloured

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.status import Status
    from rich.table import Table
    from rich.text import Text

NARROW = 80
"""The width of what is piped, and the narrowest that tables are made for."""
_GAP = 3
"""Blanks between the columns of a table."""
_LEAST = 8
"""What is left of a column that is cut, at least."""
PATIENCE = 1.0
"""Seconds that a run may be silent before it shows how far it is."""

VERDICT_STYLES = ("green", "cyan", "yellow", "dark_orange", "red")
"""From the mildest verdict of a ladder to the gravest."""


# --------------------------------------------------------------------------------- where it goes


def stdout() -> IO[str]:
    """Standard output as it is now; click's tests replace it."""
    return sys.stdout


def stderr() -> IO[str]:
    """Standard error as it is now."""
    return sys.stderr


def console(stream: IO[str] | None = None) -> Console:
    """A rich console on a stream (standard output unless said otherwise) that takes text as it is."""
    from rich.console import Console

    target = stream if stream is not None else sys.stdout
    bright = coloured(target)
    tty = bool(getattr(target, "isatty", bool)())
    return Console(
        file=target if bright else cast(IO[str], _Trimmed(target)),
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal=bright,
        no_color=not bright,
        width=None if tty else NARROW,
        legacy_windows=False,
    )


class _Trimmed:
    """A stream that leaves out blanks at the ends of lines, which tables and wrapped text have."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None)

    def write(self, text: str) -> int:
        self._stream.write(_BLANKS.sub("", text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


_BLANKS = re.compile(r"[ ]+$", re.MULTILINE)


def print_json(data: Any, stream: IO[str] | None = None) -> None:
    """Data as indented JSON, keys in the order given."""
    target = stream if stream is not None else sys.stdout
    text = json.dumps(data, ensure_ascii=not utf8(target), indent=2)
    target.write(text + "\n")


def utf8(stream: IO[str]) -> bool:
    """Whether a stream can carry any character."""
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").replace("_", "") == "utf8"


def say(message: str) -> None:
    """A line for the person at the terminal, on standard error."""
    click.echo(message, err=True)


# -------------------------------------------------------------------------------------- numbers


def count(number: int, one: str, many: str = "") -> str:
    """`1 rule`, `3 rules`, `12,000 events`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(hits: float, of: float, digits: int = 1) -> str:
    """A share as a percentage, or a dash where there is nothing to share."""
    if not of:
        return "-"
    share = 100 * hits / of
    shown = f"{share:.{digits}f}"
    if share > 0 and float(shown) == 0:
        return f"<{10**-digits:.{digits}f}%"
    if share < 100 and float(shown) == 100:
        return f">{100 - 10**-digits:.{digits}f}%"
    return f"{shown}%"


def seconds(amount: float) -> str:
    """A time that a run took: `0.42 s`, `12.3 s`, `3 min 05 s`."""
    if amount < 10:
        return f"{amount:.2f} s"
    if amount < 100:
        return f"{amount:.1f} s"
    return f"{int(amount) // 60} min {int(amount) % 60:02d} s"


def rate(number: int, amount: float) -> str:
    """How many a second, to three digits."""
    if amount <= 0 or not number:
        return "-"
    per = number / amount
    scale = 10 ** max(0, len(str(int(per))) - 3)
    return f"{int(per / scale + 0.5) * scale:,}/s"


def size(number: int) -> str:
    """Bytes for people: `831 B`, `12.4 kB`, `3.1 GB`."""
    amount = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


# ---------------------------------------------------------------------------------------- text


def visible(text: str, longest: int | None = None) -> str:
    """Text from outside, safe for a terminal: what cannot be seen is escaped, so that no event can move
    the cursor or turn the writing round; shortened to `longest` characters."""
    shown = "".join(c if c.isprintable() else _escaped(c) for c in text[: (longest or len(text)) + 1])
    if longest is not None and len(shown) > longest:
        return shown[: longest - 1] + "…"
    return shown


def _escaped(c: str) -> str:
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(c)
    return short or (f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}")


def bar(share: float, width: int, stream: IO[str] | None = None) -> str:
    """A bar of at most `width` cells; anything above nothing shows."""
    share = min(max(share, 0.0), 1.0)
    if not utf8(stream if stream is not None else sys.stdout):
        return "#" * (max(1, round(share * width)) if share > 0 else 0)
    eighths = max(1, round(share * width * 8)) if share > 0 else 0
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]


def spark(values: Sequence[float], stream: IO[str] | None = None) -> str:
    """One character per value, from the least to the greatest; nothing at all is the lowest."""
    levels = "▁▂▃▄▅▆▇█" if utf8(stream if stream is not None else sys.stdout) else " .:-=+*#"
    top = max(values, default=0)
    return "".join(levels[min(7, int(8 * v / top))] if top > 0 else levels[0] for v in values)


def verdict_style(rank: int, of: int) -> str:
    """The colour of a verdict by its place on a ladder of `of` verdicts."""
    if of <= 1 or rank <= 0:
        return VERDICT_STYLES[0]
    last = len(VERDICT_STYLES) - 1
    return VERDICT_STYLES[max(1, round(rank * last / (of - 1)))]


# -------------------------------------------------------------------------------------- tables


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, width: int = NARROW, header: bool = True
) -> Table:
    """A plain table: a column whose name ends in `>` is right-aligned, those in `~` are cut so that the table
    fits in `width`, the widest first, and any other keeps its width."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table

    filled = [list(row) for row in rows]
    titles = [name.rstrip(">~") for name in columns]
    wide = [
        max([cell_len(str(row[i])) for row in filled] + [cell_len(title) if header else 0])
        for i, title in enumerate(titles)
    ]
    over = sum(wide) + _GAP * (len(wide) - 1) - width
    flexible = [i for i, name in enumerate(columns) if name.endswith("~")]
    while over > 0 and any(wide[i] > _LEAST for i in flexible):
        wide[max(flexible, key=wide.__getitem__)] -= 1
        over -= 1
    made = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, _GAP - 1, 0, 0), show_edge=False, show_header=header
    )
    for name, title, cells in zip(columns, titles, wide, strict=True):
        made.add_column(
            title,
            justify="right" if name.endswith(">") else "left",
            no_wrap=True,
            overflow="ellipsis",
            header_style="dim",
            width=cells,
        )
    for row in filled:
        made.add_row(*row)
    return made


def words(*parts: str | tuple[str, str]) -> Text:
    """Text in parts, each plain or with a style."""
    from rich.text import Text

    return Text.assemble(*parts)


# ------------------------------------------------------------------------------------ progress


class Watch:
    """Shows how far a long run is, on standard error: only where somebody looks, and only once it has
    taken longer than a person waits gladly. `total` is in the units of what `tell` is given."""

    def __init__(self, what: str, total: int | None = None) -> None:
        self._what = what
        self._total = total
        self._began = time.monotonic()
        self._shown: tuple[Progress, TaskID] | None = None
        self._asked = bool(getattr(sys.stderr, "isatty", bool)())

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def tell(self, done: int, note: str = "") -> None:
        """How far it is; cheap enough for every few hundred events."""
        if not self._asked:
            return
        if self._shown is None:
            if self.elapsed < PATIENCE:
                return
            self._shown = self._open()
        progress, task = self._shown
        progress.update(task, completed=done, note=note)

    def turn(self, what: str, total: int | None) -> None:
        """Go on to another part of the run, which is measured by itself."""
        self._what, self._total = what, total
        if self._shown is not None:
            progress, task = self._shown
            progress.reset(task, total=total, description=what, note="")

    def _open(self) -> tuple[Progress, TaskID]:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = [TextColumn("{task.description}"), BarColumn(bar_width=24)]
        if self._total is not None:
            columns += [TaskProgressColumn(), TimeRemainingColumn(compact=True)]
        columns.append(TextColumn("{task.fields[note]}"))
        progress = Progress(*columns, console=console(sys.stderr), transient=True)
        progress.start()
        return progress, progress.add_task(self._what, total=self._total, note="")

    def close(self) -> None:
        """Take the display away."""
        if self._shown is not None:
            self._shown[0].stop()
            self._shown = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Busy:
    """A sign of life for a run that cannot say how far it is: shown like `Watch`, once it takes long."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._status: Status | None = None
        self._timer = threading.Timer(PATIENCE, self._show)
        self._timer.daemon = True

    def _show(self) -> None:
        self._status = console(sys.stderr).status(self._what)
        self._status.start()

    def __enter__(self) -> Self:
        if bool(getattr(sys.stderr, "isatty", bool)()):
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._timer.is_alive():
            self._timer.join()
        if self._status is not None:
            self._status.stop()
