"""Hot reload: real files, really watched; the engine is a stand-in that takes down what it was given."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from quell.engine import reload_process
from quell.engine.asking import SetupError
from quell.engine.compile import Build
from quell.engine.reload_history import Record
from quell.engine.reload_start import StartError, start
from quell.engine.service_types import Finding
from quell.engine.versions import Versions, read_versions
from tests.reload_given import RULES, SAVES, InThread, World, bundle, save, world


def run(made: Coroutine[Any, Any, None]) -> None:
    asyncio.run(made)


def test_a_start_gives_the_first_version(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, watched=False) as w:
            assert w.started.outcome.result == "live"
            assert w.started.info.number == 1
            assert w.started.info.digest == w.started.build.version
            assert w.versions.live == w.started.info
            assert w.started.build.analysis.files.name == "policies"
            assert sorted(p.name for p in w.versions.folder(1).rglob("*") if p.is_file()) == [
                "bad_words.txt",
                "quell.toml",
                "rules.quell",
                "schema.quell",
            ]

    run(scene())


@pytest.mark.parametrize("how", SAVES)
def test_a_saved_file_goes_live_once_however_it_is_saved(tmp_path: Path, how: str) -> None:
    async def scene() -> None:
        async with world(tmp_path) as w:
            save(w.policies / "rules.quell", RULES.replace("a bad word", "a very bad word"), how)
            outcome = await w.outcome()
            assert outcome.result == "live", outcome
            assert outcome.version is not None
            assert (outcome.version.number, outcome.version.why) == (2, "files changed")
            await w.settled()
            assert [info.number for _, info in w.swapped] == [2]
            assert [o.result for o in w.told] == ["live"]

    run(scene())


def test_a_list_is_taken_and_its_entries_counted(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as w:
            save(w.policies / "lists" / "bad_words.txt", "badword\nother\nthird\n", "by rename")
            outcome = await w.outcome()
            assert outcome.version is not None
            assert outcome.version.changed == ("list `bad_words`: 2 entries added, 1 entry removed",)
            assert w.words() == ["badword", "other", "third"]

    run(scene())


def test_what_is_no_part_of_the_bundle_changes_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as w:
            (w.policies / "README.md").write_text("policies")
            (w.policies / "rules.quell").touch()
            (w.policies / ".hidden.quell").write_text("nonsense")
            (w.policies / "rules.quell.bak").write_text("nonsense")
            (w.policies / "lists" / "unused.txt").write_text("x")
            text = (w.policies / "schema.quell").read_text()
            save(w.policies / "schema.quell", text, "by rename")
            await w.settled()
            assert not w.told
            assert not w.swapped
            assert len(w.checker.checked) == 1, "only the start's"

    run(scene())


def test_the_card_of_a_model_is_taken_though_no_answer_depends_on_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as w:
            card = w.policies / "lists" / "bad_words.card.json"  # what a name is of is not known yet
            card.write_text("{}")
            outcome = await w.outcome()
            assert outcome.result == "live"
            assert (w.versions.folder(2) / "lists" / "bad_words.card.json").read_text() == "{}"

    run(scene())


def test_a_bad_file_is_refused_with_its_place_and_changes_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as w:
            save(w.policies / "rules.quell", RULES + "\nrule broken on message\n  when nosuch\n", "in place")
            outcome = await w.outcome()
            assert outcome.result == "refused"
            assert outcome.errors >= 1
            first = outcome.findings[0]
            assert (first.file, first.line) == ("rules.quell", 14)
            assert not w.swapped
            assert w.reloader.status.live == w.started.info
            save(w.policies / "rules.quell", RULES, "in place")
            again = await w.outcome()
            assert again.result == "unchanged"
            assert not w.swapped

    run(scene())


def test_a_failing_test_refuses(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as w:
            save(w.policies / "lists" / "bad_words.txt", "worse\n", "in place")
            outcome = await w.outcome()
            assert outcome.result == "refused"
            assert outcome.findings[0].file == "rules.quell"
            assert "`a bad word is blocked` failed" in outcome.findings[0].message

    run(scene())


def test_a_deleted_list_is_told_and_comes_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as w:
            path = w.policies / "lists" / "bad_words.txt"
            text = path.read_text()
            path.rename(path.with_name("bad_word.txt"))
            outcome = await w.outcome()
            assert outcome.result == "refused"
            assert outcome.findings[0].code == "missing-file"
            assert "bad_word.txt" in outcome.findings[0].hint
            path.write_text(text)
            assert (await w.outcome()).result == "unchanged"

    run(scene())


def test_a_checkout_of_200_files_is_one_version(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, most=60) as w:
            for i in range(200):
                name = f"checked_out_{i:03}"
                (w.policies / f"{name}.quell").write_text(f"# {i}\nlet {name} = {i}\n")
                if i % 20 == 0:
                    await asyncio.sleep(0.01)
            outcome = await w.outcome()
            assert outcome.result == "live", outcome.findings
            await w.settled()
            assert len(w.swapped) == 1
            assert len(w.build.analysis.symbols.lets) == 200

    run(scene())


def test_a_folder_that_is_made_again_is_watched_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, most=60) as w:
            aside = tmp_path / "aside"
            w.policies.rename(aside)
            await asyncio.sleep(0.2)
            bundle(w.policies)
            await w.settled()
            assert not w.swapped
            assert all(o.result == "unchanged" for o in w.told)
            save(w.policies / "lists" / "bad_words.txt", "badword\nnew\n", "in place")
            await w.until(lambda: bool(w.swapped))
            assert w.words() == ["badword", "new"]

    run(scene())


def test_a_folder_that_stays_away_is_told_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as w:
            shutil.rmtree(w.policies)
            outcome = await w.outcome()
            assert outcome.result == "refused"
            assert "does not exist" in outcome.findings[0].message
            await w.settled()
            assert len(w.told) == 1
            bundle(w.policies)
            assert (await w.outcome()).result == "unchanged"
            assert not w.swapped

    run(scene())


def test_a_linked_folder_that_is_turned_to_another(tmp_path: Path) -> None:
    """As deployments do it that keep each release in a folder of its own."""
    bundle(tmp_path / "releases" / "1")
    bundle(tmp_path / "releases" / "2")
    (tmp_path / "releases" / "2" / "lists" / "bad_words.txt").write_text("badword\nsecond\n")
    (tmp_path / "policies").symlink_to(tmp_path / "releases" / "1")

    async def scene() -> None:
        async with world(tmp_path, make=False) as w:
            link = tmp_path / "link"
            link.symlink_to(tmp_path / "releases" / "2")
            link.replace(tmp_path / "policies")
            await w.until(lambda: bool(w.swapped))
            assert w.words() == ["badword", "second"]

    run(scene())


def test_files_mounted_by_kubernetes(tmp_path: Path) -> None:
    """A folder of links to `..data/…`, where `..data` is turned to a new folder in one step."""
    policies = tmp_path / "policies"

    def release(name: str, words: str) -> None:
        bundle(policies / name)
        (policies / name / "lists" / "bad_words.txt").write_text(words)

    release("..2026_1", "badword\n")
    (policies / "..data").symlink_to("..2026_1")
    for name in ("schema.quell", "rules.quell", "quell.toml", "lists"):
        (policies / name).symlink_to(f"..data/{name}")

    async def scene() -> None:
        async with world(tmp_path, make=False) as w:
            assert w.words() == ["badword"]
            release("..2026_2", "badword\nsecond\n")
            (policies / "..data_tmp").symlink_to("..2026_2")
            (policies / "..data_tmp").replace(policies / "..data")
            shutil.rmtree(policies / "..2026_1")
            await w.until(lambda: bool(w.swapped))
            assert w.words() == ["badword", "second"]
            await w.settled()
            assert len(w.swapped) == 1

    run(scene())


def test_nothing_outside_the_bundle_is_taken(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("badword\nsecret\n")

    async def scene() -> None:
        async with world(tmp_path) as w:
            path = w.policies / "lists" / "bad_words.txt"
            path.unlink()
            path.symlink_to(secret)
            outcome = await w.outcome()
            assert outcome.result == "refused"
            assert [f.code for f in outcome.findings] == ["outside-bundle"]
            path.unlink()
            path.write_text("badword\n")
            assert (await w.outcome()).result == "live"
            (w.policies / "more.quell").symlink_to(secret)
            outcome = await w.outcome()
            assert (outcome.findings[0].file, outcome.findings[0].code) == ("more.quell", "outside-bundle")
            await w.settled()
            held = [p.read_bytes() for p in w.versions.path.rglob("*") if p.is_file()]
            assert not any(b"secret\n" in data for data in held)

    run(scene())


def test_one_at_a_time_and_what_changes_meanwhile_is_taken_after(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as w:
            w.checker.hold = asyncio.Event()
            words = w.policies / "lists" / "bad_words.txt"
            words.write_text("badword\nfirst\n")
            await w.until(lambda: len(w.checker.checked) == 2)
            words.write_text("badword\nsecond\n")
            (w.policies / "rules.quell").write_text("nonsense")
            await asyncio.sleep(0.2)
            (w.policies / "rules.quell").write_text(RULES)
            assert len(w.checker.checked) == 2
            w.checker.hold.set()
            await w.until(lambda: len(w.swapped) == 2)
            assert [b.analysis.lists["bad_words"].entries() for b, _ in w.swapped] == [
                ["badword", "first"],
                ["badword", "second"],
            ]

    run(scene())


def test_what_is_checked_is_what_is_compiled(tmp_path: Path) -> None:
    """What is written into the folder between check and compiling is not in the version."""

    async def scene() -> None:
        async with world(tmp_path, watched=False) as w:
            words = w.policies / "lists" / "bad_words.txt"
            words.write_text("badword\nchecked\n")
            w.checker.hold = asyncio.Event()
            task = asyncio.create_task(w.reloader.reload("ann"))
            await w.until(lambda: len(w.checker.checked) == 2)
            words.write_text("unchecked\n")
            w.checker.hold.set()
            assert (await task).result == "live"
            assert w.words() == ["badword", "checked"]

    run(scene())


def test_asked_for_by_hand(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, watched=False) as w:
            assert (await w.reloader.reload("ann")).result == "unchanged"
            (w.policies / "more.quell").write_text("let more = 1\n")
            outcome = await w.reloader.reload("ann")
            assert (outcome.result, outcome.by, outcome.why) == ("live", "ann", "asked for")
            assert outcome.version is not None
            assert outcome.version.changed == ("let `more` added",)
            assert outcome.seconds > 0
            assert outcome.held == 0.001
            assert [o.result for o in w.told] == ["unchanged", "live"]

    run(scene())


def test_policies_that_cannot_be_checked_are_not_known_for_bad(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, watched=False) as w:
            w.checker.undone = (Finding("", 0, "the check of the policies was killed twice (SIGKILL)"),)
            (w.policies / "lists" / "bad_words.txt").write_text("badword\nsecond\n")
            failed = await w.reloader.reload("ann")
            assert (failed.result, failed.findings, failed.version) == ("failed", w.checker.undone, None)
            assert w.words() == ["badword", "worse"]
            assert w.reloader.status.last == failed
            w.checker.undone = ()
            os.utime(w.policies / "lists" / "bad_words.txt")  # saved once more, as it was
            taken = await w.reloader._attempt("server", "files changed", asked=False)
            assert taken is not None
            assert taken.result == "live"
            assert w.words() == ["badword", "second"]
            assert [line.outcome.result for line in records(w)] == ["live", "failed", "live"]

    asyncio.run(scene())


def records(w: World) -> list[Record]:
    """The attempts in the history."""
    lines = read_versions(w.versions.path)[1]
    return [line for line in lines if isinstance(line, Record)]


def test_a_restart_whose_check_fails_serves_the_last_good_version(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, watched=False):
            pass
        (tmp_path / "policies" / "lists" / "bad_words.txt").write_text("badword\nsecond\n")
        checker = InThread()
        checker.undone = (Finding("", 0, "the check of the policies was killed twice (SIGKILL)"),)
        versions = Versions.open(tmp_path / "data" / "versions")
        found = await start(tmp_path / "policies", versions, checker=checker)
        assert found.info.number == 1
        assert (found.outcome.result, found.outcome.findings) == ("failed", checker.undone)
        assert found.tried == ""
        (warning,) = found.warnings
        assert warning.endswith(
            "policies could not be checked: version 1, the last good one, decides instead"
        )

    asyncio.run(scene())


def test_a_model_that_nobody_answers_is_refused_and_its_number_is_not_used_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, watched=False) as w:
            w.swap_raises = SetupError("the target `scam` needs TOKEN, which is not in the environment")
            (w.policies / "more.quell").write_text("let more = 1\n")
            outcome = await w.reloader.reload("ann")
            assert outcome.result == "refused"
            assert "TOKEN" in outcome.findings[0].message
            assert w.versions.live == w.started.info
            w.swap_raises = None
            outcome = await w.reloader.reload("ann")
            assert outcome.version is not None
            assert outcome.version.number == 3
            assert [v.number for v in w.versions.history()] == [1, 3]

    run(scene())


def test_a_defect_in_swapping_is_told_and_nothing_dies(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as w:
            w.swap_raises = RuntimeError("no")
            (w.policies / "more.quell").write_text("let more = 1\n")
            assert (await w.outcome()).result == "refused"
            w.swap_raises = None
            (w.policies / "more.quell").write_text("let more = 2\n")
            assert (await w.outcome()).result == "live"

    run(scene())


# ------------------------------------------------------------------- put back


async def three(w: World) -> None:
    """Versions 2 and 3, of one list."""
    for word in ("second", "third"):
        (w.policies / "lists" / "bad_words.txt").write_text(f"badword\n{word}\n")
        await w.reloader.reload("ann")  # or it was taken because the file changed
        assert w.words() == ["badword", word]


def test_put_back_and_pinned_until_the_folder_changes(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as w:
            await three(w)
            outcome = await w.reloader.put_back(None, "bob")
            assert outcome.result == "live"
            assert outcome.version is not None
            assert (outcome.version.number, outcome.version.by, outcome.version.why) == (4, "bob", "put back")
            assert outcome.version.changed == (
                "version 2 again",
                "list `bad_words`: 1 entry added, 1 entry removed",
            )
            assert w.words() == ["badword", "second"]
            assert w.reloader.status.pinned == outcome.version
            (w.policies / "rules.quell").touch()
            (w.policies / "README").write_text("x")
            await w.settled()
            assert w.words() == ["badword", "second"]
            assert w.reloader.status.pinned == outcome.version
            (w.policies / "lists" / "bad_words.txt").write_text("badword\nfourth\n")
            await w.until(lambda: len(w.swapped) == 4)
            assert w.words() == ["badword", "fourth"]
            assert w.reloader.status.pinned is None
            outcome = await w.reloader.put_back(1, "bob")
            assert w.words() == ["badword", "worse"]

    run(scene())


def test_a_bad_save_leaves_what_was_put_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as w:
            await three(w)
            words = w.policies / "lists" / "bad_words.txt"
            await w.reloader.put_back(1, "bob")
            words.write_text("none\n")
            await w.until(lambda: w.told[-1].result == "refused")
            words.write_text("badword\nthird\n")
            await w.settled()
            assert w.words() == ["badword", "worse"]
            assert w.reloader.status.pinned is not None
            assert (await w.reloader.reload("ann")).result == "live", "asked for by hand it is used again"
            assert w.words() == ["badword", "third"]

    run(scene())


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (None, "there is no version before this one"),
        (7, "there is no version 7"),
        (0, "there is no version 0"),
        (-1, "there is no version -1"),
    ],
)
def test_a_version_that_is_not_there_cannot_be_put_back(
    tmp_path: Path, number: int | None, message: str
) -> None:
    async def scene() -> None:
        async with world(tmp_path, watched=False) as w:
            outcome = await w.reloader.put_back(number, "bob")
            assert outcome.result == "refused"
            assert outcome.findings[0].message == message
            assert not w.told, "it is for whoever asked"

    run(scene())


def damaged(bundle: Path) -> None:
    path = bundle / "lists" / "bad_words.txt"
    path.chmod(0o644)
    path.write_text("badword\nother\n")


def cut(bundle: Path) -> None:
    (bundle / "lists" / "bad_words.txt").unlink()


def added(bundle: Path) -> None:
    (bundle / "more.quell").write_text("let more = 1\n")


@pytest.mark.parametrize("harm", [damaged, cut, added, shutil.rmtree])
def test_a_version_whose_files_are_not_whole_is_not_put_back(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    async def scene() -> None:
        async with world(tmp_path, watched=False) as w:
            await three(w)
            harm(w.versions.folder(2))
            outcome = await w.reloader.put_back(2, "bob")
            assert outcome.result == "refused"
            assert "of version 2 are" in outcome.findings[0].message
            assert w.words() == ["badword", "third"]

    run(scene())


def test_putting_back_does_not_wait_for_a_check(tmp_path: Path) -> None:
    """Its tests may never end, and putting back is urgent."""

    async def scene() -> None:
        async with world(tmp_path) as w:
            await three(w)
            w.checker.hold = asyncio.Event()
            (w.policies / "lists" / "bad_words.txt").write_text("badword\nfourth\n")
            before = len(w.checker.checked)
            await w.until(lambda: len(w.checker.checked) > before)
            putting = asyncio.create_task(w.reloader.put_back(1, "bob"))
            await w.until(lambda: len(w.checker.checked) > before + 1)
            w.checker.hold.set()
            assert (await putting).result == "live"
            assert w.words() == ["badword", "worse"]
            refused = [o for o in w.told if o.result == "refused"]
            assert [f.message for o in refused for f in o.findings] == [
                "a version was put back while this one was checked"
            ]
            await w.settled()
            assert w.words() == ["badword", "worse"]

    run(scene())


def test_putting_back_does_not_wait_long_for_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload_process.changes, "__defaults__", (0.1,))

    async def scene() -> None:
        async with world(tmp_path, watched=False) as w:
            await three(w)
            w.checker.hold = asyncio.Event()
            outcome = await w.reloader.put_back(1, "bob")
            assert outcome.version is not None
            assert outcome.version.changed == ("version 1 again",)

    run(scene())


def test_what_decides_already_is_not_put_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, watched=False) as w:
            assert (await w.reloader.put_back(1, "bob")).result == "unchanged"
            assert w.reloader.status.pinned is None

    run(scene())


# -------------------------------------------------------------------- restarts


def test_a_restart_goes_on_with_the_same_version(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, watched=False) as w:
            await three(w)
        async with world(tmp_path, watched=False, make=False) as w:
            assert w.started.info.number == 3
            assert w.started.outcome.result == "unchanged"
            assert w.words() == ["badword", "third"]
            assert not w.checker.checked, "it was checked before it went live"

    run(scene())


def test_a_restart_takes_what_was_saved_meanwhile(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, watched=False):
            pass
        (tmp_path / "policies" / "lists" / "bad_words.txt").write_text("badword\n")
        async with world(tmp_path, watched=False, make=False) as w:
            assert w.started.info.number == 2
            assert w.started.info.changed == ("list `bad_words`: 1 entry removed",)

    run(scene())


@pytest.mark.parametrize("harm", ["bad", "empty", "gone"])
def test_a_restart_over_a_bad_folder_serves_the_last_good_version(tmp_path: Path, harm: str) -> None:
    async def scene() -> None:
        async with world(tmp_path, watched=False) as w:
            await three(w)
        policies = tmp_path / "policies"
        if harm == "bad":
            (policies / "rules.quell").write_text(RULES + "\nrule broken\n")
        else:
            shutil.rmtree(policies)
            if harm == "empty":
                policies.mkdir()
        async with world(tmp_path, make=False, watched=harm == "bad") as w:
            assert w.started.info.number == 3
            assert w.words() == ["badword", "third"]
            assert w.started.outcome.result == "refused"
            assert w.started.outcome.findings
            assert "version 3, the last good one, decides instead" in w.started.warnings[0]
            assert w.reloader.status.last == w.started.outcome
            if harm == "bad":
                await w.settled()
                assert not w.told, "it was told at the start"
                (policies / "rules.quell").write_text(RULES)
                assert (await w.outcome()).result == "unchanged"

    run(scene())


def test_a_first_start_with_a_bad_folder_fails_with_every_reason(tmp_path: Path) -> None:
    bundle(tmp_path / "policies")
    (tmp_path / "policies" / "a.quell").write_text("let a = nosuch\n")
    (tmp_path / "policies" / "b.quell").write_text("let b = nosuch_either\n")

    async def scene() -> None:
        versions = Versions.open(tmp_path / "data" / "versions")
        with pytest.raises(StartError) as caught:
            await start(tmp_path / "policies", versions, checker=InThread())
        assert [f.file for f in caught.value.findings] == ["a.quell", "b.quell"]
        assert versions.live is None

    run(scene())


def test_a_restart_stays_with_what_was_put_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, watched=False) as w:
            await three(w)
            await w.reloader.put_back(1, "bob")
        async with world(tmp_path, make=False) as w:
            assert w.started.info.number == 4
            assert w.words() == ["badword", "worse"]
            assert w.reloader.status.pinned == w.started.info
            await w.settled()
            assert not w.swapped
            (tmp_path / "policies" / "lists" / "bad_words.txt").write_text("badword\nnew\n")
            await w.until(lambda: bool(w.swapped))
        (tmp_path / "policies" / "lists" / "bad_words.txt").write_text("badword\nthird\n")
        async with world(tmp_path, make=False, watched=False) as w:
            assert w.started.info.number == 6, "the pin was released"

    run(scene())


def test_put_back_while_no_server_ran_is_used_by_the_next_start(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, watched=False) as w:
            await three(w)
        Versions.open(tmp_path / "data" / "versions").want(2, "bob")
        async with world(tmp_path, make=False) as w:
            assert (w.started.info.number, w.started.info.by, w.started.info.why) == (4, "bob", "put back")
            assert w.words() == ["badword", "second"]
            await w.settled()
            assert not w.swapped
        async with world(tmp_path, make=False, watched=False) as w:
            assert w.started.info.number == 4, "it is wanted once"

    run(scene())


def test_a_start_that_cannot_use_the_folders_bundle_for_its_models_takes_the_last_good(
    tmp_path: Path,
) -> None:
    async def scene() -> None:
        async with world(tmp_path, watched=False) as w:
            await three(w)
        (tmp_path / "policies" / "more.quell").write_text("let more = 1\n")
        versions = Versions.open(tmp_path / "data" / "versions")

        def usable(build: Build) -> None:
            if "more" in build.analysis.symbols.lets:
                raise SetupError("nobody answers `scam`")

        started = await start(tmp_path / "policies", versions, usable=usable, checker=InThread())
        assert started.info.number == 3
        assert started.outcome.findings[0].message == "nobody answers `scam`"

    run(scene())


def test_data_within_the_policies_is_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        policies = bundle(tmp_path / "policies")
        versions = Versions.open(policies / "data" / "versions")
        with pytest.raises(StartError, match="lies inside the policies"):
            await start(policies, versions, checker=InThread())

    run(scene())
