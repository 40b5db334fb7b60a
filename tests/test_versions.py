"""versions/ on disk: numbers that are never given twice, a history that survives a crash, copies kept as long
as somebody needs them."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from quell.engine import reload_history
from quell.engine.reload_history import HISTORY, HistoryError, encoded, read_history
from quell.engine.service_types import Finding, ReloadOutcome, VersionInfo
from quell.engine.versions import VersionError, Versions, read_versions
from tests.reload_given import bundle


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    return bundle(tmp_path / "policies")


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions.open(tmp_path / "versions")


def again(versions: Versions) -> Versions:
    """The same folder, opened by another process."""
    return Versions.open(versions.path)


def go_live(versions: Versions, policies: Path, word: str, why: str = "files changed") -> VersionInfo:
    """Another version, live."""
    (policies / "lists" / "bad_words.txt").write_text(f"badword\n{word}\n")
    staged = versions.freeze(policies, "ann", why)
    versions.adopt(staged)
    info = versions.give(f"digest of {word}", staged.content, staged.name, "ann", why, (f"+ {word}",))
    versions.note(ReloadOutcome("live", info.at, "ann", why, info), staged.content)
    return info


def refuse(versions: Versions, message: str = "no") -> None:
    found = (Finding("rules.quell", 3, message),)
    versions.note(ReloadOutcome("refused", 5, "ann", "files changed", findings=found, errors=1))


def words(versions: Versions, number: int) -> list[str]:
    return (versions.folder(number) / "lists" / "bad_words.txt").read_text().split()


def test_a_new_folder_has_no_versions(versions: Versions) -> None:
    assert versions.live is None
    assert versions.history() == []
    assert versions.attempts() == []
    assert versions.before() is None
    with pytest.raises(VersionError, match="there is no version 1"):
        versions.folder(1)


def test_versions_are_numbered_and_found_again(versions: Versions, policies: Path) -> None:
    one, two = go_live(versions, policies, "one"), go_live(versions, policies, "two")
    refuse(versions)
    for known in (versions, again(versions)):
        assert known.live == two
        assert known.before() == one
        assert known.history() == [one, two]
        assert [o.result for o in known.attempts()] == ["live", "live", "refused"]
        assert [o.result for o in known.attempts(1)] == ["refused"]
        assert words(known, 1) == ["badword", "one"]
        assert words(known, 2) == ["badword", "two"]
        assert known.name(1) == "policies"
    assert read_versions(versions.path)[0][2].info == two


def test_a_number_is_never_given_twice(versions: Versions, policies: Path) -> None:
    go_live(versions, policies, "one")
    given = versions.give("x", versions.content(1), "policies", "ann", "files changed")
    assert given.number == 2
    after = again(versions)
    assert go_live(after, policies, "three").number == 3
    after.used = 40
    assert go_live(after, policies, "more").number == 41


def test_what_was_about_to_decide_when_it_crashed_is_taken_for_live(
    versions: Versions, policies: Path
) -> None:
    one = go_live(versions, policies, "one")
    given = versions.give("x", versions.content(1), "policies", "ann", "put back", (), "ignored")
    assert versions.live == one
    assert again(versions).live == given
    assert again(versions).ignored() == "ignored"
    outcome = ReloadOutcome("refused", 5, "ann", "put back", given, (Finding("", 0, "no secret"),), 1)
    versions.note(outcome)
    assert versions.live == again(versions).live == one
    assert again(versions).history() == [one]
    assert again(versions).ignored() == ""


def test_the_same_content_is_kept_once(versions: Versions, policies: Path) -> None:
    go_live(versions, policies, "one")
    go_live(versions, policies, "two")
    go_live(versions, policies, "one")
    assert versions.folder(1) == versions.folder(3)
    assert len(list((versions.path / "bundles").iterdir())) == 2
    assert list((versions.path / "staging").iterdir()) == []


def test_frozen_files_cannot_be_written_by_mistake(versions: Versions, policies: Path) -> None:
    go_live(versions, policies, "one")
    files = [p for p in versions.folder(1).rglob("*") if p.is_file()]
    assert len(files) == 4
    assert all(not p.stat().st_mode & 0o222 for p in files)


# -------------------------------------------------------------------- retention


def kept(versions: Versions) -> list[int]:
    """The numbers whose files are still there."""
    found = []
    for info in versions.history():
        try:
            versions.folder(info.number)
        except VersionError:
            continue
        found.append(info.number)
    return found


def test_old_copies_are_dropped_once_nobody_needs_them(versions: Versions, policies: Path) -> None:
    for i in range(8):
        go_live(versions, policies, f"word{i}")
    versions.keep = 3
    assert versions.drop_old() == [], "nobody has said yet what the journal needs"
    versions.keep_from = 5
    assert len(versions.drop_old()) == 4
    assert kept(versions) == [5, 6, 7, 8]
    versions.keep_from = 100
    assert len(versions.drop_old()) == 1
    assert kept(versions) == [6, 7, 8]
    with pytest.raises(VersionError, match="the files of version 2 are no longer kept"):
        versions.folder(2)
    assert versions.history()[0].number == 1, "its history stays"


def test_content_that_a_newer_version_has_again_stays(versions: Versions, policies: Path) -> None:
    for word in ("one", "two", "three", "one"):
        go_live(versions, policies, word)
    versions.keep, versions.keep_from = 1, 100
    versions.drop_old()
    assert words(versions, 4) == words(versions, 1) == ["badword", "one"]
    assert kept(versions) == [1, 4]


def test_what_was_put_back_for_the_next_start_stays(versions: Versions, policies: Path) -> None:
    for i in range(4):
        go_live(versions, policies, f"word{i}")
    versions.want(1, "bob")
    versions.keep, versions.keep_from = 1, 100
    versions.drop_old()
    assert kept(versions) == [1, 4]
    wanted = again(versions).wanted()
    assert wanted is not None
    assert (wanted.number, wanted.by) == (1, "bob")
    go_live(versions, policies, "five")
    assert again(versions).wanted() is None


def test_copies_are_shared_between_versions(versions: Versions, policies: Path) -> None:
    go_live(versions, policies, "one")
    (policies / "rules.quell").write_text("# more\n" + (policies / "rules.quell").read_text())
    go_live(versions, policies, "one")
    files = [versions.folder(n) / "lists" / "bad_words.txt" for n in (1, 2)]
    assert files[0].samefile(files[1])
    versions.keep, versions.keep_from = 1, 100
    versions.drop_old()
    versions.check(versions.content(2))
    assert words(versions, 2) == ["badword", "one"]


# ----------------------------------------------------------------- what is broken


def test_a_damaged_copy_is_mended_when_the_same_content_comes_again(
    versions: Versions, policies: Path
) -> None:
    go_live(versions, policies, "one")
    path = versions.folder(1) / "lists" / "bad_words.txt"
    path.chmod(0o644)
    path.write_text("damaged")
    with pytest.raises(VersionError, match="the files of version 1 are damaged"):
        versions.check(versions.content(1), 1)
    go_live(versions, policies, "one")
    versions.check(versions.content(1), 1)


def test_a_torn_history_goes_on_where_it_is_whole(versions: Versions, policies: Path) -> None:
    """Cut at every byte of the last two lines, it is read up to the last whole line, and goes on."""
    for word in ("one", "two"):
        go_live(versions, policies, word)
    path = versions.path / HISTORY
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    assert len(lines) == 4
    for cut in range(len(data) - len(lines[-1]) - len(lines[-2]), len(data)):
        path.write_bytes(data[:cut])
        opened = again(versions)
        whole = data[:cut].count(b"\n")
        assert len(list(read_history(versions.path))) == whole
        assert bool(opened.repaired) == (not data[:cut].endswith(b"\n"))
        assert opened.live is not None
        assert opened.live.number == (1 if whole == 2 else 2)
        assert opened.give("x", "y", "z", "ann", "why").number == opened.live.number + 1
        assert path.read_bytes().startswith(b"".join(lines[:whole]))


def test_a_history_turned_over_anywhere_loses_a_line_at_most(versions: Versions, policies: Path) -> None:
    for word in ("one", "two", "three"):
        go_live(versions, policies, word)
    path = versions.path / HISTORY
    data, known = path.read_bytes(), list(read_history(versions.path))
    chosen = random.Random(5)
    for _ in range(200):
        at = chosen.randrange(len(data))
        turned = bytearray(data)
        turned[at] ^= 1 << chosen.randrange(8)
        path.write_bytes(bytes(turned))
        found = list(read_history(versions.path))
        assert all(line in known for line in found)
        assert len(found) >= len(known) - 2, "two, where it is the end of a line that is hit"
        again(versions)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n\n",
        b"{}\n",
        b"\0" * 5000,
        b"x" * 100_000,
        b'{"is":"number","check":"00000000"}\n',
        b"\xff\n",
    ],
)
def test_a_history_that_is_none_is_no_trouble(versions: Versions, policies: Path, content: bytes) -> None:
    (versions.path / HISTORY).write_bytes(content)
    opened = again(versions)
    assert opened.live is None
    go_live(opened, policies, "one")
    assert again(opened).live == opened.live


def test_a_full_disk_gives_no_number(
    versions: Versions, policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = go_live(versions, policies, "one")
    real = os.pwrite

    def full(handle: int, data: bytes, at: int) -> int:
        real(handle, data[: len(data) // 2], at)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(HistoryError, match="no space left on device"):
        versions.give("x", versions.content(1), "policies", "ann", "why")
    with pytest.raises(HistoryError):
        refuse(versions, "kept for later")
    monkeypatch.setattr(os, "pwrite", real)
    assert versions.live == one
    refuse(versions, "written now")
    for known in (versions, again(versions)):
        assert [o.findings[0].message for o in known.attempts() if o.findings] == [
            "kept for later",
            "written now",
        ]
        assert not known.repaired
    assert go_live(versions, policies, "two").number == 2


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "versions").write_text("a file")
    with pytest.raises(HistoryError, match=r"cannot be (used|written): (file exists|not a dir)"):
        Versions.open(tmp_path / "versions")


def test_what_a_crash_left_in_staging_is_cleared(versions: Versions, policies: Path) -> None:
    staged = versions.freeze(policies, "ann", "why")
    assert staged.bundle.is_dir()
    again(versions)
    assert not staged.bundle.exists()


def test_a_copy_without_a_manifest_is_none(versions: Versions, policies: Path) -> None:
    """A crash between the two cannot leave one, but somebody may have removed it."""
    go_live(versions, policies, "one")
    (versions.folder(1).parent / "manifest.json").unlink()
    opened = again(versions)
    with pytest.raises(VersionError, match="damaged"):
        opened.check(opened.content(1), 1)
    go_live(opened, policies, "one")
    opened.check(opened.content(1), 1)


def test_a_history_does_not_grow_without_end(
    versions: Versions, policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload_history, "COMPACT", 20_000)
    monkeypatch.setattr(reload_history, "KEPT", 5)
    versions = again(versions)
    first = go_live(versions, policies, "one")
    for i in range(300):
        refuse(versions, f"{i} " + "x" * 500)
    second = go_live(versions, policies, "two")
    assert (versions.path / HISTORY).stat().st_size < 40_000
    for known in (versions, again(versions)):
        assert known.history() == [first, second]
        told = [o.findings[0].message for o in known.attempts() if o.findings]
        assert told[-1].startswith("299 ")
        assert 5 <= len(told) <= 100


@pytest.mark.parametrize("harm", [lambda p: p.unlink(), lambda p: p.write_bytes(p.read_bytes()[:100])])
def test_a_history_that_is_harmed_while_it_is_open_is_put_down_anew(
    versions: Versions, policies: Path, harm: Callable[[Path], object]
) -> None:
    one, two = go_live(versions, policies, "one"), go_live(versions, policies, "two")
    harm(versions.path / HISTORY)
    three = go_live(versions, policies, "three")
    assert again(versions).history() == [one, two, three]
    assert not again(versions).repaired


def test_lines_stay_short(versions: Versions) -> None:
    findings = tuple(Finding("f.quell", i, "m" * 2_000) for i in range(500))
    versions.note(ReloadOutcome("refused", 5, "ann", "why", findings=findings, errors=500))
    (line,) = read_history(versions.path)
    assert len(encoded(line)) < 100_000
    assert again(versions).attempts()[0].errors == 500
