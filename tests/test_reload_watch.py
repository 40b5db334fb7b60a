"""Watching a folder: told by the system or found by looking, whatever becomes of the folder."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import watchfiles

from quell.engine.watch import Watch


@contextlib.asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[tuple[Watch, asyncio.Queue[bool]]]:
    """A watch that runs, and what it says."""
    watch = Watch(folder, step=0.01, every=60, look=0.05)
    said: asyncio.Queue[bool] = asyncio.Queue()

    async def listen() -> None:
        async for changed in watch.changes():
            said.put_nowait(changed)

    task = asyncio.create_task(listen())
    try:
        yield watch, said
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert watch.mode == "off"


async def change(said: asyncio.Queue[bool]) -> None:
    """Wait for something to be said to have changed."""
    async with asyncio.timeout(60):
        while not await said.get():
            pass


async def begun(watch: Watch, said: asyncio.Queue[bool]) -> None:
    """Wait until it watches: the first thing said is that nothing was told, so that somebody looks."""
    async with asyncio.timeout(60):
        assert await said.get() is False
    assert watch.mode == "told"


def test_changes_are_said(tmp_path: Path) -> None:
    async def scene() -> None:
        (tmp_path / "sub").mkdir()
        async with watched(tmp_path) as (watch, said):
            await begun(watch, said)
            (tmp_path / "sub" / "a").write_text("x")
            await change(said)
            (tmp_path / "new").mkdir()
            await change(said)
            (tmp_path / "new" / "b").write_text("x")
            await change(said)

    asyncio.run(scene())


def test_a_folder_goes_and_comes_back(tmp_path: Path) -> None:
    async def scene() -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        async with watched(folder) as (watch, said):
            await begun(watch, said)
            shutil.rmtree(folder)
            await change(said)
            folder.mkdir()
            async with asyncio.timeout(60):
                while await said.get() or watch.mode != "told":
                    pass  # until it watches again, and asks somebody to look
            (folder / "a").write_text("x")
            await change(said)

    asyncio.run(scene())


def test_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    async def scene() -> None:
        async with watched(tmp_path / "later") as (watch, said):
            await change(said)
            (tmp_path / "later").mkdir()
            await begun(watch, said)

    asyncio.run(scene())


def test_what_git_writes_for_itself_is_no_change(tmp_path: Path) -> None:
    async def scene() -> None:
        folder = tmp_path / ".git" / "policies"  # where the folder itself lies is another matter
        (folder / ".git").mkdir(parents=True)
        async with watched(folder) as (watch, said):
            await begun(watch, said)
            (folder / ".git" / "index").write_text("x")
            await asyncio.sleep(0.3)
            assert said.empty()
            (folder / "a").write_text("x")
            await change(said)

    asyncio.run(scene())


def test_where_nothing_is_told_somebody_is_asked_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(*paths: Any, **how: Any) -> AsyncGenerator[set[Any]]:
        while True:
            await asyncio.sleep(0.01)
            yield set()

    monkeypatch.setattr(watchfiles, "awatch", deaf)

    async def scene() -> None:
        watch = Watch(tmp_path, every=0.05)
        said = []
        async with contextlib.aclosing(watch.changes()) as told:
            async for changed in told:
                said.append(changed)
                if len(said) == 3:
                    break
        assert said == [False, False, False]

    asyncio.run(scene())


def test_where_it_cannot_be_told_somebody_looks_and_telling_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0

    async def failing(*paths: Any, **how: Any) -> AsyncGenerator[set[Any]]:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise RuntimeError("too many open files")
        while True:
            await asyncio.sleep(0.01)
            yield {(1, str(tmp_path / "a"))}

    monkeypatch.setattr(watchfiles, "awatch", failing)

    async def scene() -> None:
        watch = Watch(tmp_path, look=0.01, again=0.05)
        modes = []
        async with contextlib.aclosing(watch.changes()) as told:
            async for changed in told:
                modes.append((watch.mode, changed))
                if watch.mode == "told":
                    break
        assert modes[0] == ("off", True)
        assert modes.count(("off", True)) == 3
        assert modes.count(("looking", False)) >= 3
        assert modes[-1] == ("told", True)

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())
    assert [r.message for r in caplog.records] == [
        f"{tmp_path}: the system does not tell of changes (too many open files), so files are looked at"
    ], "once is enough"


def test_what_ends_at_once_is_not_begun_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ending(*paths: Any, **how: Any) -> AsyncGenerator[set[Any]]:
        return
        yield set()

    monkeypatch.setattr(watchfiles, "awatch", ending)

    async def scene() -> None:
        async with watched(tmp_path) as (_, said):
            await change(said)
            await change(said)

    asyncio.run(scene())


LIMITED = """
import asyncio, sys
from pathlib import Path
from quell.engine.watch import Watch

async def scene():
    watch = Watch(Path(sys.argv[1]), step=0.01, look=0.05)
    async with asyncio.timeout(60):
        async for changed in watch.changes():
            if watch.mode != "off":
                print(watch.mode, changed)
                return

asyncio.run(scene())
"""


@pytest.mark.parametrize("limit", ["max_inotify_watches", "max_inotify_instances"])
def test_where_too_much_is_watched_already_files_are_looked_at(tmp_path: Path, limit: str) -> None:
    """With the limit really set, in a namespace of its own."""
    for i in range(20):
        (tmp_path / f"d{i}").mkdir()
    script = tmp_path.parent / f"{tmp_path.name}.py"
    script.write_text(textwrap.dedent(LIMITED))
    lower = (
        f"echo 3 > /proc/sys/user/{limit}"
        if limit.endswith("watches")
        else f"echo 0 > /proc/sys/user/{limit}"
    )
    try:
        subprocess.run(["unshare", "-Ur", "sh", "-c", lower], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the limit cannot be set here")
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", f"{lower} && exec {sys.executable} {script} {tmp_path}"],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "looking False\n", done.stderr
    assert "the system does not tell of changes" in done.stderr
