"""A small bundle in a folder, and a reloader over it with a stand-in for the engine, for tests of reloads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from quell.engine.carry import SnapshotReport
from quell.engine.compile import Build
from quell.engine.reload import Reloader
from quell.engine.reload_check import Checked, check
from quell.engine.reload_process import Checker
from quell.engine.reload_settle import Patience
from quell.engine.reload_start import Started, start
from quell.engine.service_types import Finding, ReloadOutcome, VersionInfo
from quell.engine.versions import Versions
from quell.engine.watch import Watch

SCHEMA = """
entity User labels "spammer"

event message from "message"
  id      text = $.id
  at      time = $.at
  author  User = $.author
  content text = $.content default ""
"""
RULES = """
list bad_words from "lists/bad_words.txt" as words

rule bad_word on message
  when content matches bad_words
  then block
  because "a bad word"

test "a bad word is blocked"
  given message { author: "u1", content: "badword" }
  expect block by bad_word
"""
WORDS = "badword\nworse\n"


def bundle(folder: Path) -> Path:
    """Write the small bundle."""
    (folder / "lists").mkdir(parents=True)
    (folder / "schema.quell").write_text(SCHEMA)
    (folder / "rules.quell").write_text(RULES)
    (folder / "lists" / "bad_words.txt").write_text(WORDS)
    (folder / "quell.toml").write_text('[bundle]\nname = "small"\n')
    return folder


class InThread(Checker):
    """Checks as the process does, in a thread, which is quicker; `checked` are the folders in order."""

    def __init__(self) -> None:
        super().__init__()
        self.checked: list[Path] = []
        self.hold: asyncio.Event | None = None
        self.undone: tuple[Finding, ...] = ()
        """What happened to the check instead of its being done."""

    async def check(self, folder: Path, against: Path | None = None, tests: bool = True) -> Checked:
        self.checked.append(folder)
        if self.undone:
            return Checked(self.undone, len(self.undone), undone=True)
        made = await asyncio.to_thread(check, folder, against, tests)
        if self.hold is not None:
            await self.hold.wait()
        return made


@dataclass
class World:
    """A reloader over a folder of policies, what it swapped in, and what it told."""

    policies: Path
    versions: Versions
    started: Started
    checker: InThread
    swapped: list[tuple[Build, VersionInfo]] = field(default_factory=list)
    told: list[ReloadOutcome] = field(default_factory=list)
    swap_raises: Exception | None = None
    most: float = 1.0
    _said: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.reloader = Reloader(
            self.policies,
            self.versions,
            self.swap,
            self.tell,
            started=self.started,
            checker=self.checker,
            patience=Patience(quiet=0.03, most=self.most),
            watch=Watch(self.policies, step=0.01, every=0.2, look=0.1),
        )

    @property
    def build(self) -> Build:
        """What decides."""
        return self.swapped[-1][0] if self.swapped else self.started.build

    def words(self) -> list[str]:
        """The list of what decides."""
        return self.build.analysis.lists["bad_words"].entries()

    async def swap(self, build: Build, info: VersionInfo) -> tuple[SnapshotReport, float]:
        if self.swap_raises is not None:
            raise self.swap_raises
        self.swapped.append((build, info))
        return SnapshotReport(info.digest), 0.001

    def tell(self, outcome: ReloadOutcome) -> None:
        self.told.append(outcome)
        self._said.set()

    async def until(self, holds: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until something holds, looked at whenever something was told."""
        async with asyncio.timeout(seconds):
            while not holds():
                self._said.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._said.wait(), 0.02)

    async def outcome(self) -> ReloadOutcome:
        """The next outcome that is told."""
        before = len(self.told)
        await self.until(lambda: len(self.told) > before)
        return self.told[before]

    async def settled(self, quiet: float = 0.5) -> None:
        """Wait until nothing was under way for a while: longer than it takes to be told of a change."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        while loop.time() - since < quiet:
            await asyncio.sleep(0.02)
            if self.reloader.status.busy:
                since = loop.time()


@contextlib.asynccontextmanager
async def world(
    folder: Path, *, watched: bool = True, make: bool = True, most: float = 1.0
) -> AsyncIterator[World]:
    """The small bundle, live as version 1, and a reloader that watches its folder, and waits `most` seconds
    for it to be still, or there."""
    policies = bundle(folder / "policies") if make else folder / "policies"
    versions = Versions.open(folder / "data" / "versions")
    checker = InThread()
    started = await start(policies, versions, checker=checker)
    made = World(policies, versions, started, checker, most=most)
    task = asyncio.create_task(made.reloader.watch()) if watched else None
    if watched:
        await made.until(lambda: made.reloader.status.watching != "off")
    try:
        yield made
    finally:
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await made.reloader.close()


def save(path: Path, text: str, how: str) -> None:
    """Save a file as editors and tools do."""
    if how == "in place":
        path.write_text(text)
    elif how == "by rename":
        part = path.with_name(path.name + ".tmp")
        part.write_text(text)
        part.replace(path)
    elif how == "vim":
        (path.parent / "4913").write_text("")
        (path.parent / "4913").unlink()
        swap = path.with_name(f".{path.name}.swp")
        swap.write_text("b0VIM")
        if path.exists():
            path.rename(path.with_name(path.name + "~"))
        path.write_text(text)
        path.with_name(path.name + "~").unlink(missing_ok=True)
        swap.unlink()
    elif how == "emacs":
        lock = path.with_name(f".#{path.name}")
        with contextlib.suppress(FileExistsError):
            lock.symlink_to("somebody@somewhere.1234:5678")
        backup = path.with_name(path.name + "~")
        if path.exists():
            shutil.copy2(path, backup)
        part = path.with_name(f"#{path.name}#")
        part.write_text(text)
        part.unlink()
        path.write_text(text)
        lock.unlink(missing_ok=True)
    elif how == "deleted first":
        path.unlink(missing_ok=True)
        path.write_text(text)
    elif how == "piece by piece":
        with path.open("w") as file:
            for at in range(0, len(text), 40):
                file.write(text[at : at + 40])
                file.flush()
                os.fsync(file.fileno())
    else:
        raise ValueError(how)


SAVES = ("in place", "by rename", "vim", "emacs", "deleted first", "piece by piece")
