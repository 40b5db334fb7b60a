"""The policies' own folder at a revision of git, and every way in which it cannot be had."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from quell.engine.bundle import read_bundle
from quell.engine.compile import analyse
from quell.grammar.diagnostics import Report
from quell.grammar.parser import MAX_FILE
from quell.replay import revisions
from quell.replay.revisions import RevisionError, other_policies
from tests.cli_support import POLICIES, make_bundle

pytestmark = pytest.mark.skipif(
    subprocess.run(["git", "--version"], capture_output=True).returncode != 0, reason="git is not installed"
)


def git(folder: Path, *arguments: str) -> str:
    """Run git with nobody's settings but its own."""
    ours = {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_{what}": "a@b.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    command = ["git", "-C", str(folder), "-c", "init.defaultBranch=main", *arguments]
    return subprocess.run(
        command, env={**os.environ, **ours}, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """Policies in a sub-folder of a repository: two commits, the first also tagged."""
    root = tmp_path / "repo"
    folder = make_bundle(root / "rules" / "policies")
    (root / "big.bin").write_bytes(b"\0" * 100_000)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    git(root, "tag", "v1.0")
    (folder / "p.quell").write_text(POLICIES.replace("burst >= 3", "burst >= 4"), encoding="utf-8")
    git(root, "commit", "-qam", "two")
    return folder


def refused(against: str, policies: Path | str) -> str:
    with pytest.raises(RevisionError) as caught, other_policies(against, policies):
        pass
    return f"{caught.value.message} ({caught.value.hint})"


def text_at(against: str, policies: Path | str) -> str:
    with other_policies(against, policies) as other:
        assert other.revision
        report = Report()
        analysis = analyse(read_bundle(other.folder, report), report)
        assert not report.errors
        assert analysis.lists["bad_words"]
        return analysis.files.sources["p.quell"].text


@pytest.mark.parametrize("against", ["v1.0", "HEAD~1", "main^", "v1.0:rules/policies"])
def test_what_a_revision_names(policies: Path, against: str) -> None:
    assert "burst >= 3" in text_at(against, policies)
    assert "burst >= 4" in text_at("HEAD", policies)


def test_only_what_policies_need_is_taken_and_it_goes_again(policies: Path) -> None:
    with other_policies("v1.0", policies) as other:
        commit = git(policies, "rev-parse", "v1.0")
        assert other.title == f"v1.0 ({commit[:7]})"
        assert other.folder.name == "policies"
        found = sorted(p.relative_to(other.folder).as_posix() for p in other.folder.rglob("*") if p.is_file())
        assert found == ["lists/bad_words.txt", "p.quell"]
    assert not other.folder.parent.exists()


def test_from_anywhere_and_inside_a_hook(
    policies: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    relative = policies.relative_to(tmp_path)
    assert "burst >= 3" in text_at("v1.0", relative)
    monkeypatch.chdir(policies)
    assert "burst >= 3" in text_at("v1.0", ".")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert "burst >= 3" in text_at("v1.0", policies)


def test_at_the_root_and_in_a_worktree(policies: Path, tmp_path: Path) -> None:
    root = make_bundle(tmp_path / "flat")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    (root / "p.quell").write_text("", encoding="utf-8")
    with other_policies("HEAD", root) as other:
        assert other.folder.name == "flat"
        assert (other.folder / "p.quell").read_text(encoding="utf-8") == POLICIES
    git(policies, "worktree", "add", "-q", "-b", "side", str(tmp_path / "tree"), "v1.0")
    assert "burst >= 4" in text_at("main", tmp_path / "tree" / "rules" / "policies")


def notes(against: str, policies: Path) -> tuple[str, ...]:
    with other_policies(against, policies) as other:
        return other.notes


def test_what_is_not_committed_is_told(policies: Path) -> None:
    assert notes("HEAD", policies) == ("nothing is uncommitted, so `HEAD` is compared with itself",)
    assert "nothing of them is uncommitted" in notes("v1.0", policies)[0]
    (policies / "p.quell").write_text("# other\n", encoding="utf-8")
    (policies / "new.quell").write_text("# new\n", encoding="utf-8")
    (policies.parent / "beside.txt").write_text("", encoding="utf-8")
    assert notes("HEAD", policies) == (
        "the policies are compared as they lie there, with uncommitted changes in 2 files",
    )
    assert "burst >= 4" in text_at("HEAD", policies), "the revision is what was committed"
    assert (policies / "p.quell").read_text(encoding="utf-8") == "# other\n"


def test_a_folder_is_itself(policies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with other_policies(str(policies), policies) as other:
        assert (other.folder, other.revision, other.notes) == (policies, False, ())
    monkeypatch.chdir(tmp_path)
    make_bundle(tmp_path / "main")
    with other_policies("main", policies) as other:
        assert not other.revision
        assert other.notes == ("`main` is a folder here and a revision too: the folder is compared with",)
    assert "burst >= 4" in text_at("main:rules/policies", policies)


def test_what_cannot_be_a_revision(policies: Path) -> None:
    for against in (
        "--upload-pack=x",
        "-x",
        "",
        ":rules",
        "a b",
        "a\nb",
        "x" * 600,
        "HEAD:../..",
        "HEAD:/etc",
    ):
        assert refused(against, policies), against
    assert "neither a folder nor a revision" in refused("--output=x", policies)
    assert "leads outside" in refused("HEAD:../..", policies)


def test_unknown_revisions_are_guessed_at(policies: Path, tmp_path: Path) -> None:
    assert refused("mian", policies) == (
        "there is neither a folder nor a revision `mian` (did you mean `main`?)"
    )
    assert "a revision is HEAD, a branch, a tag or a commit" in refused("0123456", policies)
    git(tmp_path, "clone", "-q", str(tmp_path / "repo"), "clone")
    clone = tmp_path / "clone"
    git(clone, "checkout", "-q", "-b", "work")
    git(clone, "branch", "-q", "-D", "main")
    assert "did you mean `origin/main`?" in refused("main", clone / "rules" / "policies")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{tmp_path}/repo", "shallow")
    assert "this clone is shallow" in refused("0123456", tmp_path / "shallow" / "rules" / "policies")


def test_revisions_without_the_folder(policies: Path) -> None:
    git(policies, "mv", "../policies", "../moved")
    git(policies.parent / "moved", "commit", "-qm", "three")
    moved = policies.parent / "moved"
    assert refused("HEAD~1", moved) == (
        "`HEAD~1` has no folder `rules/moved` (there were policies in `rules/policies`: "
        "write HEAD~1:rules/policies)"
    )
    assert "burst >= 4" in text_at("HEAD~1:rules/policies", moved)
    assert "has no folder `big.bin`" in refused("HEAD:big.bin", moved)


def test_no_repository_and_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = make_bundle(tmp_path / "alone")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert "is in no git repository" in refused("HEAD", alone)
    git(alone, "init", "-q")
    assert "no commit yet" in refused("main", alone)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git, which is not installed" in refused("HEAD", alone)


def test_git_that_does_not_answer(policies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 30\n", encoding="utf-8")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(revisions, "TIMEOUT", 0.05)
    assert "did not answer" in refused("HEAD", policies)


def test_links_are_left_out_and_nothing_outside_is_read(policies: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret\n", encoding="utf-8")
    words = policies / "lists" / "bad_words.txt"
    words.unlink()
    words.symlink_to(secret)
    git(policies, "commit", "-qam", "a link")
    with other_policies("HEAD", policies) as other:
        assert not (other.folder / "lists").exists()
        assert any("`lists/bad_words.txt` is a link at HEAD" in note for note in other.notes)
        report = Report()
        analyse(read_bundle(other.folder, report), report)
        assert [d.code for d in report.errors] == ["missing-file"]


def test_limits_are_those_of_bundles(policies: Path) -> None:
    (policies / "huge.quell").write_bytes(b"#" * (MAX_FILE * 4 + 1))
    git(policies, "add", ".")
    git(policies, "commit", "-qm", "huge")
    with other_policies("HEAD", policies) as other:
        report = Report()
        read_bundle(other.folder, report)
        assert ["too large" in d.message for d in report.errors] == [True]


def test_what_git_lfs_keeps_is_not_taken_for_a_list(policies: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    (policies / "lists" / "bad_words.txt").write_text(pointer, encoding="utf-8")
    git(policies, "commit", "-qam", "lfs")
    assert "`lists/bad_words.txt` of HEAD" in refused("HEAD", policies)
    assert "Git LFS" in refused("HEAD", policies)


def test_no_program_of_the_repository_is_run(policies: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n", encoding="utf-8")
    hook.chmod(0o755)
    for setting in ("core.fsmonitor", "core.pager", "filter.x.smudge", "diff.external", "core.editor"):
        git(policies, "config", setting, str(hook))
    (policies / ".gitattributes").write_text("* filter=x\n", encoding="utf-8")
    with other_policies("v1.0", policies):
        pass
    assert not mark.exists()
