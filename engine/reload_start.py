"""The version that a server starts with: what is in the folder, if it is sound, or else the last good one.

A restart must not take the platform down because somebody saved a bad file meanwhile: where the folder's
bundle is refused and a version was live before, that one decides, and it is said loudly.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from quell.engine.asking import SetupError
from quell.engine.compile import Build
from quell.engine.reload_compile import Compiler
from quell.engine.reload_files import look
from quell.engine.reload_findings import Refusal, broken, merged, plain, said
from quell.engine.reload_freeze import Staged, Unsettled
from quell.engine.reload_history import HistoryError
from quell.engine.reload_process import Checker, changes
from quell.engine.service_types import Finding, ReloadOutcome, VersionInfo
from quell.engine.versions import VersionError, Versions, now
from quell.grammar.diagnostics import PolicyError

LOG = logging.getLogger("quell.reload")
BY = "server"
"""Who takes what nobody asked for."""
_TRIES_BACK = 5
"""Versions that are tried when the last one cannot be used."""
_TRIES = 50
_PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class Started:
    """What a server starts with: the version, compiled, and what came of the folder's bundle. `tried` is what
    the content of the folder is called, `ignored` the same where it is put aside until it changes. `warnings`
    are to be said loudly."""

    build: Build
    info: VersionInfo
    outcome: ReloadOutcome
    compiler: Compiler
    tried: str = ""
    ignored: str = ""
    warnings: tuple[str, ...] = ()


class StartError(Exception):
    """There is nothing that could decide: the folder's bundle is refused, for `findings` (the first of
    `errors` in number), and no version was live before, or none that still can be."""

    def __init__(self, findings: tuple[Finding, ...], errors: int, message: str) -> None:
        super().__init__(message)
        self.findings, self.errors, self.message = findings, errors, message


async def start(
    policies: Path,
    versions: Versions,
    *,
    usable: Callable[[Build], None] = lambda build: None,
    checker: Checker | None = None,
) -> Started:
    """The version to start with. `usable` raises SetupError for a bundle with remote models that nobody can
    answer. Raises StartError, and HistoryError where versions/ cannot be written."""
    return await _Start(policies, versions, usable, checker or Checker()).run()


class _Start:
    """One start."""

    def __init__(
        self, policies: Path, versions: Versions, usable: Callable[[Build], None], checker: Checker
    ) -> None:
        self.policies = policies
        self.versions = versions
        self.compiler = Compiler()
        self._usable = usable
        self._checker = checker
        self._began = time.monotonic()
        self._tried = ""
        self._warnings = [versions.repaired] if versions.repaired else []

    async def run(self) -> Started:
        """Try what was put back, what is in the folder, and what was live last, in this order."""
        self._keep_apart()
        staged = await self._frozen()
        try:
            if staged is not None:
                self._tried = staged.content
            return await self._wanted() or await self._pinned() or await self._folder(staged)
        except Refusal as refused:
            return await self._last_good(refused)
        finally:
            if staged is not None:
                staged.drop()

    def _keep_apart(self) -> None:
        """Refuse a data folder within the policies: its frozen copies would be policies too."""
        try:
            inside = self.versions.path.resolve().is_relative_to(self.policies.resolve())
        except (OSError, RuntimeError):
            return
        if inside:
            told = (
                f"the data folder `{self.versions.path.parent}` lies inside the policies in `{self.policies}`"
            )
            hint = "keep policies in a folder of their own, or name another with --data"
            raise StartError((plain(told, hint),), 1, told)

    async def _frozen(self) -> Staged | None:
        """A frozen copy of what is in the folder; None where it is written all the time."""
        for _ in range(_TRIES):
            try:
                seen = await asyncio.to_thread(look, self.policies)
                return await asyncio.to_thread(self.versions.freeze, self.policies, BY, "start", seen)
            except Unsettled:
                await asyncio.sleep(_PAUSE)
            except OSError as error:
                raise HistoryError(f"the bundle cannot be copied aside: {said(error)}") from error
        return None

    # ------------------------------------------------------------------ candidates

    async def _wanted(self) -> Started | None:
        """What was put back while no server ran."""
        wanted = self.versions.wanted()
        if wanted is None:
            return None
        number = wanted.number
        try:
            content = self.versions.content(number)
            await asyncio.to_thread(self.versions.check, content, number)
            folder = self.versions.folder(number)
            changed = await changes(self._checker, folder, self._live_folder())
            build = await self._compiled(content, self.versions.name(number))
        except (VersionError, Refusal) as error:
            self._warn(f"version {number} was put back, but cannot be used: {error}")
            return None
        changed = (f"version {number} again", *changed)
        return self._new(build, content, changed, wanted.by, "put back", self._tried)

    async def _pinned(self) -> Started | None:
        """What was put back before, as long as the folder is what it was then."""
        live = self.versions.live
        if live is None or not self._tried or self._tried != self.versions.ignored():
            return None
        try:
            build = await self._compiled(self.versions.content(live.number), self.versions.name(live.number))
        except Refusal:
            return None
        outcome = self._outcome("unchanged", live)
        return self._started(build, live, outcome, self._tried)

    async def _folder(self, staged: Staged | None) -> Started:
        """What is in the folder. Raises Refusal."""
        if staged is None:
            raise Refusal((plain("files of the bundle are being written all the time"),))
        live = self.versions.live
        if live is not None and not staged.problems and staged.content == self.versions.content(live.number):
            name = self.versions.name(live.number)
            await self._whole(staged)
            build = await self._compiled(staged.content, name)
            return self._started(build, live, self._outcome("unchanged", live))
        compiling = asyncio.ensure_future(asyncio.to_thread(self._prepare, staged))  # two cores, one wait
        checked = await self._checker.check(staged.bundle, self._live_folder())
        findings, errors = merged(staged, checked)
        await compiling
        if checked.undone:
            self._tried = ""  # it is not known for bad: it is taken when it comes again
            raise Refusal(checked.findings, undone=True)
        if errors:
            raise Refusal(findings, errors)
        await self._whole(staged)
        build = await self._compiled(staged.content, staged.name)
        if live is not None and live.digest == build.version:
            return self._started(build, live, self._outcome("unchanged", live))
        return self._new(build, staged.content, checked.changed, BY, "start")

    async def _last_good(self, refused: Refusal) -> Started:
        """The last version that was live and can still be used, since the folder's bundle is refused. Raises
        StartError."""
        ignored, live = self.versions.ignored(), self.versions.live
        outcome = self._outcome("failed" if refused.undone else "refused", None, refused)
        self.versions.note(outcome, ignored=ignored)
        told = _errors(refused.errors, self.policies)
        if refused.undone:
            told = f"the policies of {self.policies} could not be checked"
        more: list[Finding] = []
        for info in self._live_before():
            content, name = self.versions.content(info.number), self.versions.name(info.number)
            try:
                build = await self._compiled(content, name)
            except Refusal as worse:
                more.append(plain(f"version {info.number} cannot be used either: {worse}"))
                continue
            if info != live:
                info = self.versions.give(build.version, content, name, BY, "start", (), ignored)
                self.versions.note(self._outcome("live", info), content, ignored)
            self._warn(f"{told}: version {info.number}, the last good one, decides instead")
            return self._started(build, info, outcome, ignored)
        raise StartError((*refused.findings, *more), refused.errors + len(more), told)

    def _live_before(self) -> list[VersionInfo]:
        """The versions that were live, the last first, each content once, and not very many."""
        found: dict[str, VersionInfo] = {}
        for info in reversed(self.versions.history()):
            found.setdefault(self.versions.content(info.number), info)
        return list(found.values())[:_TRIES_BACK]

    # ------------------------------------------------------------------- parts

    def _prepare(self, staged: Staged) -> None:
        """Parse a bundle while it is checked, so that compiling it takes less time."""
        self.compiler.parse(staged.bundle)

    def _live_folder(self) -> Path | None:
        live = self.versions.live
        try:
            return self.versions.folder(live.number) if live is not None else None
        except VersionError:
            return None

    async def _whole(self, staged: Staged) -> None:
        try:
            await asyncio.to_thread(self.versions.adopt, staged)
        except OSError as error:
            raise HistoryError(f"the version cannot be kept: {said(error)}") from error

    async def _compiled(self, content: str, name: str) -> Build:
        """A kept version, compiled, with somebody to answer its models. Raises Refusal."""
        try:
            folder = self.versions.folder_of(content)
            build = await asyncio.to_thread(self.compiler.compile, folder, name)
            self._usable(build)
        except PolicyError as error:
            raise Refusal(*broken(error)) from error
        except SetupError as error:
            raise Refusal((plain(str(error), "set what is missing in the server's environment"),)) from error
        except (OSError, VersionError, msgspec.MsgspecError) as error:
            raise Refusal((plain(f"the frozen copy cannot be read: {error}"),)) from error
        return build

    def _new(
        self, build: Build, content: str, changed: tuple[str, ...], by: str, why: str, ignored: str = ""
    ) -> Started:
        """Give a number to a version that decides from now on."""
        try:
            name = self.versions.manifest(content).name
        except (OSError, msgspec.MsgspecError) as error:
            raise Refusal((plain(f"the frozen copy cannot be read: {error}"),)) from error
        info = self.versions.give(build.version, content, name, by, why, changed, ignored)
        outcome = self._outcome("live", info, by=by, why=why)
        self.versions.note(outcome, content, ignored)
        return self._started(build, info, outcome, ignored)

    def _outcome(
        self,
        result: Literal["live", "unchanged", "refused", "failed"],
        info: VersionInfo | None,
        refused: Refusal | None = None,
        by: str = BY,
        why: str = "start",
    ) -> ReloadOutcome:
        findings, errors = ((), 0) if refused is None else (refused.findings, refused.errors)
        took = time.monotonic() - self._began
        return ReloadOutcome(result, now(), by, why, info, findings, errors, seconds=took)

    def _started(self, build: Build, info: VersionInfo, outcome: ReloadOutcome, ignored: str = "") -> Started:
        self.versions.drop_old()
        return Started(build, info, outcome, self.compiler, self._tried, ignored, tuple(self._warnings))

    def _warn(self, told: str) -> None:
        LOG.error(told)
        self._warnings.append(told)


def _errors(number: int, policies: Path) -> str:
    return f"{number:,} {'error' if number == 1 else 'errors'} in the policies of {policies}"
