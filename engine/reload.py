"""Hot reload: another version of the bundle decides from the next event on, or nothing changes at all.

    look until quiet → freeze → check and test (a process) → compile (a thread) → give a number → swap

One attempt at a time; what changes during one is taken after it. Every attempt ends in a ReloadOutcome, which
goes to `tell` and into the history. Whatever is wrong with a bundle, the version that decides goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from quell.engine.asking import SetupError
from quell.engine.carry import SnapshotReport
from quell.engine.compile import Build
from quell.engine.reload_check import Checked
from quell.engine.reload_compile import Compiler
from quell.engine.reload_files import Look, look
from quell.engine.reload_findings import Refusal, broken, merged, plain, said
from quell.engine.reload_freeze import Staged, Unsettled, cards
from quell.engine.reload_history import HistoryError
from quell.engine.reload_process import Checker, changes
from quell.engine.reload_requests import answer_requests
from quell.engine.reload_settle import USUAL, Patience, Settling
from quell.engine.reload_start import BY, Started
from quell.engine.service_types import Finding, ReloadOutcome, VersionInfo
from quell.engine.versions import VersionError, Versions, now
from quell.engine.watch import Mode, Watch
from quell.grammar.diagnostics import PolicyError

LOG = logging.getLogger("quell.reload")
T = TypeVar("T")

Swap = Callable[[Build, VersionInfo], Awaitable[tuple[SnapshotReport, float]]]
Tell = Callable[[ReloadOutcome], None]


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """How it stands: the version that decides, the last outcome, the version that was put back by hand
    (`pinned`: the folder's content is not used until it changes), whether an attempt is under way, and
    whether changes are told by the system, looked for, or not watched at all."""

    live: VersionInfo | None
    last: ReloadOutcome | None = None
    pinned: VersionInfo | None = None
    busy: bool = False
    watching: Mode = "off"


class Reloader:
    """Takes other versions of the bundle in the folder `policies`.

    `started` is what the server started with, so that what did not change need not be made again. `swap` lets
    another one decide and may raise SetupError; `tell` hears of every outcome.
    """

    def __init__(
        self,
        policies: Path,
        versions: Versions,
        swap: Swap,
        tell: Tell,
        *,
        started: Started | None = None,
        checker: Checker | None = None,
        patience: Patience = USUAL,
        watch: Watch | None = None,
    ) -> None:
        self.policies = policies
        self.versions = versions
        self.checker = checker or Checker()
        self._swap = swap
        self._tell = tell
        self._build = started.build if started is not None else None
        self._compiler = started.compiler if started is not None else Compiler()
        self._patience = patience
        self._watch = watch or Watch(policies)
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._checking: asyncio.Future[Checked] | None = None
        self._closed = False
        self._seen: Look | None = None
        self._tried = ""
        self._same: set[str] = set()
        self._last = started.outcome if started is not None else None
        self._ignored = started.ignored if started is not None else versions.ignored()
        self._tried = started.tried if started is not None else self._ignored
        if (live := versions.live) is not None:
            self._same.add(versions.content(live.number))

    @property
    def status(self) -> Status:
        """How it stands."""
        live = self.versions.live
        pinned = live if self._ignored else None
        return Status(live, self._last, pinned, self._turn.locked(), self._watch.mode)

    # ---------------------------------------------------------------- from outside

    async def watch(self) -> None:
        """Take what changes in the folder, and what `quell versions put-back` asks for, until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._watch_folder())
            both.create_task(answer_requests(self.versions.requests, self.put_back))

    async def _watch_folder(self) -> None:
        async with contextlib.aclosing(self._watch.changes()) as told:
            async for changed in told:
                try:
                    await self._changed(changed)
                except Exception:
                    LOG.exception("taking changed policies failed; the version that decides goes on")

    async def reload(self, by: str, why: str = "asked for") -> ReloadOutcome:
        """Take what is in the folder now, whether it was put aside or refused before or not. Whoever asks may
        go away meanwhile."""
        outcome = await self._whole(self._attempt(by, why, asked=True))
        assert outcome is not None
        return outcome

    async def put_back(self, number: int | None, by: str) -> ReloadOutcome:
        """Let an earlier version decide again, under a new number; None is the last that was live before this
        one. The folder's content is not used from then on until it changes."""
        return await self._whole(self._put_back_or_not(number, by))

    async def close(self) -> None:
        """End what is under way, and its process; nothing is taken from then on. The version that decides
        stays."""
        self._closed = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _whole(self, attempt: Coroutine[Any, Any, T]) -> T:
        """Wait for an attempt, which goes on if the one who waits does not."""
        if self._closed:
            attempt.close()
            raise asyncio.CancelledError
        task = asyncio.create_task(attempt)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    # ------------------------------------------------------------------- the folder

    async def _changed(self, told: bool) -> None:
        """Something may have changed in the folder."""
        if told or await asyncio.to_thread(look, self.policies) != self._seen:
            await self._attempt(BY, "files changed", asked=False)

    async def _attempt(self, by: str, why: str, *, asked: bool) -> ReloadOutcome | None:
        """Take what is in the folder. None, where nobody asked and there is nothing to say."""
        began, settling = time.monotonic(), Settling(self.policies, self._patience)
        while True:
            seen = await settling.settled(absent=asked)
            async with self._turn:
                if seen == self._seen and not asked:
                    return None
                late = settling.late
                try:
                    staged = await self._frozen(by, why, seen)
                except Unsettled:
                    if late:
                        return self._refused(by, why, began, Refusal((self._restless(),)))
                    continue
                except Refusal as refusal:
                    return self._refused(by, why, began, refusal)
                return await self._taken(staged, began, asked)

    def _restless(self) -> Finding:
        told = f"files of the bundle kept being written for {self._patience.most:g} seconds"
        return plain(told, "save once more when all is written")

    async def _frozen(self, by: str, why: str, seen: Look) -> Staged:
        """A frozen copy of the bundle as it was seen. Raises Unsettled where it was written since."""
        try:
            staged = await asyncio.to_thread(self.versions.freeze, self.policies, by, why, seen)
        except OSError as error:
            raise Refusal((plain(f"the bundle cannot be copied aside: {said(error)}"),)) from error
        self._seen = seen
        return staged

    async def _taken(self, staged: Staged, began: float, asked: bool) -> ReloadOutcome | None:
        try:
            return await self._take(staged, began, asked)
        except Refusal as refusal:
            return self._refused(staged.by, staged.why, began, refusal, staged.content)
        finally:
            await asyncio.to_thread(staged.drop)

    async def _take(self, staged: Staged, began: float, asked: bool) -> ReloadOutcome | None:
        former, self._tried = self._tried, staged.content
        if not staged.problems:
            if staged.content in self._same:
                return self._equal(staged, began, asked)
            if not asked and staged.content in (self._ignored, former):
                return None  # put aside by hand, or refused a moment ago
        checked = await self._checked(staged)
        if checked.undone:
            self._tried = former  # it is not known for bad: it is taken when it comes again
            raise Refusal(checked.findings, undone=True)
        findings, errors = merged(staged, checked)
        if errors:
            raise Refusal(findings, errors)
        live = self.versions.live
        if live is not None and checked.digest == live.digest and self._same_cards(staged, live):
            self._same.add(staged.content)
            return self._equal(staged, began, asked)
        await self._kept(staged)
        build = await self._compiled(staged.content, staged.name)
        return await self._go_live(
            build, staged.content, staged.name, checked.changed, staged.by, staged.why, began
        )

    def _same_cards(self, staged: Staged, live: VersionInfo) -> bool:
        """Whether the cards of models, which change no answer, are those of the version that decides."""
        try:
            manifest = self.versions.manifest(self.versions.content(live.number))
        except (OSError, VersionError, msgspec.MsgspecError):
            return False
        return cards(manifest.files) == cards(staged.files)

    async def _checked(self, staged: Staged) -> Checked:
        """What the check says; whoever puts a version back ends it."""
        checking = asyncio.ensure_future(self.checker.check(staged.bundle, self._live_folder()))
        self._checking = checking
        try:
            await asyncio.wait({checking})
        finally:
            self._checking = None
            if not checking.done():
                checking.cancel()
                await asyncio.gather(checking, return_exceptions=True)
        if checking.cancelled():
            raise Refusal((plain("a version was put back while this one was checked", "save it once more"),))
        return checking.result()

    def _equal(self, staged: Staged, began: float, asked: bool) -> ReloadOutcome | None:
        """The folder holds what decides already."""
        was_ignored, self._ignored = self._ignored, ""
        refused = self._last is not None and self._last.result in ("refused", "failed")
        if not (asked or refused or was_ignored):
            return None
        outcome = self._unchanged(staged.by, staged.why, began)
        if was_ignored:
            self._note(outcome, staged.content)
        return outcome

    async def _kept(self, staged: Staged) -> None:
        try:
            await asyncio.to_thread(self.versions.adopt, staged)
        except OSError as error:
            raise Refusal((plain(f"the version cannot be kept: {said(error)}"),)) from error

    def _live_folder(self) -> Path | None:
        live = self.versions.live
        with contextlib.suppress(VersionError):
            return self.versions.folder(live.number) if live is not None else None
        return None

    # ------------------------------------------------------------------- going live

    async def _put_back_or_not(self, number: int | None, by: str) -> ReloadOutcome:
        if self._checking is not None:  # it may go on for minutes, and this is urgent
            self._checking.cancel()
        async with self._turn:
            began = time.monotonic()
            try:
                return await self._put_back(number, by, began)
            except VersionError as error:  # for whoever asked: nothing is wrong with what is in the folder
                told = (plain(error.message, error.hint),)
                took = time.monotonic() - began
                return ReloadOutcome("refused", now(), by, "put back", None, told, 1, seconds=took)
            except Refusal as refusal:
                return self._refused(by, "put back", began, refusal)

    async def _put_back(self, number: int | None, by: str, began: float) -> ReloadOutcome:
        versions = self.versions
        if number is None:
            before = versions.before()
            if before is None:
                raise VersionError("there is no version before this one")
            number = before.number
        content = versions.content(number)
        if versions.live is not None and content == versions.content(versions.live.number):
            return self._unchanged(by, "put back", began)
        await asyncio.to_thread(versions.check, content, number)
        name = versions.name(number)
        telling = asyncio.ensure_future(changes(self.checker, versions.folder(number), self._live_folder()))
        try:
            build = await self._compiled(content, name)
            changed = (f"version {number} again", *await telling)
        finally:
            telling.cancel()
        return await self._go_live(build, content, name, changed, by, "put back", began, self._tried)

    async def _go_live(
        self,
        build: Build,
        content: str,
        name: str,
        changed: tuple[str, ...],
        by: str,
        why: str,
        began: float,
        ignored: str = "",
    ) -> ReloadOutcome:
        """Let a version that is kept decide. Raises Refusal, and then nothing changed."""
        try:
            info = self.versions.give(build.version, content, name, by, why, changed, ignored)
        except HistoryError as error:
            raise Refusal((plain(error.message, error.hint),)) from error
        try:
            state, held = await self._swap(build, info)
        except SetupError as error:
            hint = "set what is missing in the server's environment, and start it again"
            return self._refused(by, why, began, Refusal((plain(str(error), hint),)), content, info)
        except Exception as error:
            LOG.exception("version %d cannot take over", info.number)
            told = f"the version cannot take over: {type(error).__name__}: {error}"[:500]
            return self._refused(by, why, began, Refusal((plain(told),)), content, info)
        self._build, self._same, self._ignored = build, {content}, ignored
        outcome = ReloadOutcome(
            "live", now(), by, why, info, state=state, seconds=time.monotonic() - began, held=held
        )
        self._note(outcome, content)
        self._done(outcome)
        await asyncio.to_thread(self.versions.drop_old)
        return outcome

    async def _compiled(self, content: str, name: str) -> Build:
        try:
            folder = self.versions.folder_of(content)
            digests = self.versions.manifest(content).files
            return await asyncio.to_thread(self._compiler.compile, folder, name, self._build, digests)
        except PolicyError as error:  # of a version that an older Quell took, or a damaged copy
            raise Refusal(*broken(error)) from error
        except (OSError, VersionError, msgspec.MsgspecError) as error:
            told = said(error) if isinstance(error, OSError) else str(error)
            raise Refusal((plain(f"the frozen copy cannot be read: {told}"),)) from error

    # -------------------------------------------------------------------- outcomes

    def _unchanged(self, by: str, why: str, began: float) -> ReloadOutcome:
        outcome = ReloadOutcome(
            "unchanged", now(), by, why, self.versions.live, seconds=time.monotonic() - began
        )
        self._done(outcome)
        return outcome

    def _refused(
        self,
        by: str,
        why: str,
        began: float,
        refusal: Refusal,
        content: str = "",
        version: VersionInfo | None = None,
    ) -> ReloadOutcome:
        outcome = ReloadOutcome(
            "failed" if refusal.undone else "refused",
            now(),
            by,
            why,
            version,
            findings=refusal.findings,
            errors=refusal.errors,
            seconds=time.monotonic() - began,
        )
        self._note(outcome, content)
        self._done(outcome)
        return outcome

    def _note(self, outcome: ReloadOutcome, content: str) -> None:
        try:
            self.versions.note(outcome, content, self._ignored)
        except HistoryError as error:
            LOG.error("%s; it is tried again", error)

    def _done(self, outcome: ReloadOutcome) -> None:
        self._last = outcome
        try:
            self._tell(outcome)
        except Exception:
            LOG.exception("somebody could not be told of a reload")
