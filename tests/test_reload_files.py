"""What makes up a bundle, and its frozen copy: exact, bounded, and of one moment."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from quell.engine import reload_files, reload_freeze
from quell.engine.bundle import read_bundle
from quell.engine.reload_files import blocks, look
from quell.engine.reload_freeze import Freezer, Staged, Unsettled
from quell.grammar.diagnostics import Report
from tests.reload_given import bundle

FILES = ["lists/bad_words.txt", "quell.toml", "rules.quell", "schema.quell"]


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    return bundle(tmp_path / "policies")


def frozen(policies: Path) -> Staged:
    return Freezer(policies.parent / "staging").freeze(policies, "me", "asked for")


def test_the_copy_holds_the_bundles_files_and_no_others(policies: Path) -> None:
    (policies / "README.md").write_text("read me")
    (policies / "lists" / "other.txt").write_text("x")
    (policies / ".secret.quell").write_text("x")
    (policies / ".hidden").mkdir()
    (policies / ".hidden" / "more.quell").write_text("x")
    staged = frozen(policies)
    found = sorted(p.relative_to(staged.bundle).as_posix() for p in staged.bundle.rglob("*") if p.is_file())
    assert found == FILES == sorted(staged.files)
    assert all((staged.bundle / f).read_bytes() == (policies / f).read_bytes() for f in FILES)
    assert not staged.problems


def test_the_copy_reads_as_the_bundle_does(policies: Path) -> None:
    (policies / "more").mkdir()
    (policies / "more" / "deep.quell").write_bytes(b"\xef\xbb\xbflet deep = 1\r\n")
    ours, theirs = Report(), Report()
    copy, original = read_bundle(frozen(policies).bundle, ours), read_bundle(policies, theirs)
    assert {n: s.text for n, s in copy.sources.items()} == {n: s.text for n, s in original.sources.items()}
    assert copy.settings == original.settings


@pytest.mark.parametrize(
    "written",
    [
        'list x from "a b.txt" as exact',
        'list x\n  from   # where it is\n  # "other.txt"\n  "a b.txt"\n  as exact',
        'model x from "a b.txt"',
        'list x from "a\\u{20}b.txt" as exact',
        'list x from "./a b.txt" as exact',
    ],
)
def test_a_named_file_is_found_however_it_is_written(policies: Path, written: str) -> None:
    (policies / "a b.txt").write_text("x")
    (policies / "other.txt").write_text("x")
    (policies / "x.quell").write_text(written + "\n")
    assert "a b.txt" in frozen(policies).files
    assert "other.txt" not in frozen(policies).files


@pytest.mark.parametrize(
    "name", ["../secret.txt", "/etc/passwd", "lists/../../secret.txt", "..", ".", "", "a:b"]
)
def test_a_name_that_leads_outside_is_not_even_looked_at(policies: Path, name: str) -> None:
    (policies.parent / "secret.txt").write_text("secret")
    (policies / "x.quell").write_text(f'list x from "{name}" as exact\n')
    seen = look(policies)
    known = {"lists/bad_words", "message"}  # the event's too, in case it is a list's; and the cards of models
    assert {file.removesuffix(".txt").removesuffix(".card.json") for file in seen.named} == known
    assert sorted(frozen(policies).files) == [*FILES, "x.quell"]


def test_a_folder_named_like_an_event_is_no_trouble(policies: Path) -> None:
    (policies / "x.quell").write_text('event x from "lists"\n  at time = $.at\n')
    staged = frozen(policies)
    assert not staged.problems
    assert list(staged.unread) == ["lists"]


# ------------------------------------------------------------------- problems


def outside(policies: Path) -> None:
    (policies.parent / "secret.quell").write_text("secret")
    (policies / "x.quell").symlink_to(policies.parent / "secret.quell")


def outside_folder(policies: Path) -> None:
    (policies.parent / "elsewhere").mkdir()
    (policies.parent / "elsewhere" / "x.quell").write_text("secret")
    (policies / "x.quell").symlink_to("../elsewhere/x.quell")


def settings_outside(policies: Path) -> None:
    (policies.parent / "secret.toml").write_text("secret")
    (policies / "quell.toml").unlink()
    (policies / "quell.toml").symlink_to("../secret.toml")


def circle(policies: Path) -> None:
    (policies / "x.quell").symlink_to("y.quell")
    (policies / "y.quell").symlink_to("x.quell")


def link_to_nothing(policies: Path) -> None:
    (policies / "x.quell").symlink_to("nothing.quell")


def folder(policies: Path) -> None:
    (policies / "x.quell").mkdir()


def pipe(policies: Path) -> None:
    os.mkfifo(policies / "x.quell")


def large(policies: Path) -> None:
    with (policies / "x.quell").open("wb") as file:
        file.truncate(9_000_000)


def large_settings(policies: Path) -> None:
    (policies / "quell.toml").write_bytes(b"#" * 70_000)


def strange_name(policies: Path) -> None:
    with open(os.fsencode(policies) + b"/\xff.quell", "wb") as file:  # noqa: PTH123 - no Path has such a name
        file.write(b"let x = 1\n")


@pytest.mark.parametrize(
    ("harm", "code", "told"),
    [
        (outside, "outside-bundle", '"x.quell" is a link to a place outside the bundle'),
        (outside_folder, "outside-bundle", '"x.quell" is a link to a place outside the bundle'),
        (settings_outside, "outside-bundle", '"quell.toml" is a link to a place outside the bundle'),
        (circle, "unreadable-file", "`x.quell` cannot be read: it is a link that leads back to itself"),
        (link_to_nothing, "unreadable-file", "`x.quell` is a link to nothing"),
        (folder, "unreadable-file", "`x.quell` is no plain file"),
        (pipe, "unreadable-file", "`x.quell` is no plain file"),
        (large, "unreadable-file", "`x.quell` is larger than the 7 MB that a policy file may have"),
        (large_settings, "unreadable-file", "`quell.toml` is larger than the 64 KB that settings may have"),
        (strange_name, "unreadable-file", "the name of `?.quell` is not UTF-8"),
    ],
)
def test_what_cannot_be_taken_is_a_problem(
    policies: Path, harm: Callable[[Path], None], code: str, told: str
) -> None:
    harm(policies)
    staged = frozen(policies)
    assert (staged.problems[0].code, staged.problems[0].message) == (code, told)
    assert b"secret" not in b"".join(p.read_bytes() for p in staged.bundle.rglob("*") if p.is_file())


def test_a_folder_that_is_a_file_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert look(tmp_path / "file").problems[0].message == f"`{tmp_path / 'file'}` is no folder"
    assert look(tmp_path / "none").problems[0].message == f"`{tmp_path / 'none'}` does not exist"
    assert look(tmp_path / "none").absent


def test_bounds_are_kept(policies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload_files, "MAX_FILES", 3)
    monkeypatch.setattr(reload_files, "MAX_ENTRIES", 12)
    monkeypatch.setattr(reload_files, "MAX_POLICY_BYTES", 100)
    for i in range(20):
        (policies / f"p{i:02}.quell").write_text(f"let p{i} = 1\n")
    told = [p.message for p in look(policies).problems]
    assert told == [
        "the folder holds more than 12 files",
        "the bundle has more than 3 policy files",
    ]
    monkeypatch.setattr(reload_files, "MAX_FILES", 100)
    assert "the policy files hold more than 0 MB together" in [p.message for p in look(policies).problems]
    monkeypatch.setattr(reload_files, "MAX_POLICY_BYTES", 1_000_000)
    monkeypatch.setattr(reload_files, "MAX_ENTRIES", 1_000)
    monkeypatch.setattr(reload_freeze, "MAX_BYTES", 400)
    assert "hold more than 0 GB together" in frozen(policies).problems[-1].message


AS_NOBODY = """
import os, sys
from pathlib import Path
from quell.engine.reload_files import blocks, look
os.setgid(65534); os.setuid(65534)
for problem in look(Path(sys.argv[1])).problems:
    print(problem.message)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may read less")
def test_what_may_not_be_read_is_told_and_never_left_out() -> None:
    """A folder that cannot be listed may hold policies: a bundle without them would be another one."""
    with tempfile.TemporaryDirectory() as folder:  # nobody else comes to pytest's
        Path(folder).chmod(0o755)
        policies = bundle(Path(folder) / "policies")
        (policies / "sub").mkdir(mode=0o700)
        (policies / "rules.quell").chmod(0o600)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(AS_NOBODY), str(policies)], capture_output=True, text=True
        )
    assert done.stdout.splitlines() == [
        "the folder `sub` cannot be read: permission denied",
        "`rules.quell` cannot be read: permission denied",
    ], done.stderr


# ------------------------------------------------------------------ one moment


def test_looks_are_equal_until_something_of_the_bundle_is_written(policies: Path) -> None:
    first = look(policies)
    (policies / "README.md").write_text("x")
    assert look(policies) == first
    (policies / "lists" / "bad_words.txt").write_text("badword\nworse\n")
    assert look(policies) != first, "the same text, but it was written"
    second = look(policies)
    (policies / "new.quell").write_text("")
    assert look(policies) != second


def test_what_is_written_while_it_is_copied_makes_no_copy(
    policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freezer = Freezer(policies.parent / "staging")

    def written_meanwhile(*how: object) -> object:
        (policies / "rules.quell").write_text("half a")
        return blocks(*how)  # type: ignore[arg-type]

    monkeypatch.setattr(reload_freeze, "blocks", written_meanwhile)
    with pytest.raises(Unsettled):
        freezer.freeze(policies, "me", "asked for")
    assert list((policies.parent / "staging").iterdir()) == []


def test_what_was_written_since_it_was_looked_at_makes_no_copy(policies: Path) -> None:
    seen = look(policies)
    (policies / "lists" / "bad_words.txt").unlink()
    with pytest.raises(Unsettled):
        Freezer(policies.parent / "staging").freeze(policies, "me", "asked for", seen)


def test_a_link_that_is_turned_round_while_it_is_opened_leads_nowhere(
    policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = policies.parent / "secret"
    secret.mkdir()
    (secret / "bad_words.txt").write_text("secret")
    real = os.open

    def turned(path: object, *how: int, **more: int) -> int:
        if str(path).endswith("bad_words.txt") and not (policies / "lists").is_symlink():
            (policies / "lists").rename(policies / "old")
            (policies / "lists").symlink_to(secret)
        return real(path, *how, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", turned)
    with pytest.raises(Unsettled):
        frozen(policies)


# ------------------------------------------------------------------- large lists


def test_a_list_that_did_not_change_is_kept_once(policies: Path) -> None:
    words = policies / "lists" / "bad_words.txt"
    os.utime(words, (1, 1))
    kept: dict[str, Path] = {}
    freezer = Freezer(policies.parent / "staging", lambda digest, name: kept.get(digest))
    first = freezer.freeze(policies, "me", "asked for")
    kept[first.files["lists/bad_words.txt"]] = first.bundle / "lists" / "bad_words.txt"
    (policies / "rules.quell").write_text("# changed\n" + (policies / "rules.quell").read_text())
    second = freezer.freeze(policies, "me", "asked for")
    names = [staged.bundle / "lists" / "bad_words.txt" for staged in (first, second)]
    assert names[0].samefile(names[1])
    assert first.content != second.content
    words.write_text("badword\nother\n")
    third = freezer.freeze(policies, "me", "asked for")
    assert (third.bundle / "lists" / "bad_words.txt").read_text() == "badword\nother\n"
    assert names[0].read_text() == "badword\nworse\n"


@pytest.mark.parametrize("kept", [True, False])
def test_a_copy_that_somebody_wrote_into_is_not_taken_again(policies: Path, kept: bool) -> None:
    words = policies / "lists" / "bad_words.txt"
    os.utime(words, (1, 1))
    freezer = Freezer(policies.parent / "staging")
    first = freezer.freeze(policies, "me", "asked for").bundle / "lists" / "bad_words.txt"
    if kept:
        freezer = Freezer(policies.parent / "staging2", lambda digest, name: first)
    first.chmod(0o644)
    first.write_text("harmed\n")
    second = freezer.freeze(policies, "me", "asked for").bundle / "lists" / "bad_words.txt"
    assert second.read_text() == "badword\nworse\n"


def test_the_same_content_has_the_same_name_wherever_it_lies(policies: Path, tmp_path: Path) -> None:
    other = bundle(tmp_path / "elsewhere")
    assert frozen(policies).content == Freezer(tmp_path / "s").freeze(other, "me", "why").content
