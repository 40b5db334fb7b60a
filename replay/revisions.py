"""The other policies of a comparison: a folder, or the policies' own folder at a revision of git.

A revision is read with git's plumbing, so the working tree, its index and its filters are left alone: only
policy files and the files they name are taken, into a folder that is removed afterwards. Links are not
followed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from quell.engine.bundle import MAX_FILES, SETTINGS
from quell.engine.interrupts import undisturbed
from quell.grammar.diagnostics import Report, did_you_mean
from quell.grammar.parser import MAX_FILE, parse
from quell.grammar.source import Source
from quell.grammar.tree import ListDecl, Model

TIMEOUT = 60
"""Seconds that one call of git may take."""
MOST_ENTRIES = 1_000_000
LONGEST = 500
"""Characters of a revision."""
_POINTER = b"version https://git-lfs.github.com/spec/"
_OURS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_NAMESPACE")
"""Set while git runs a hook, and then of another repository perhaps."""


class RevisionError(Exception):
    """Policies that cannot be had. `hint` is what to try."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, slots=True)
class Other:
    """The other policies: the folder they are in now, what to call them (`main (1a2b3c4)`), whether they are
    a revision, and what a reader must know."""

    folder: Path
    title: str
    revision: bool = False
    notes: tuple[str, ...] = ()


class _Entry(NamedTuple):
    """A file of a tree."""

    mode: str
    sha: str
    size: int
    name: str


@contextmanager
def other_policies(against: str, policies: str | Path) -> Iterator[Other]:
    """The policies that `against` names, beside those in the folder `policies`; what was made for them is
    removed afterwards. Raises RevisionError."""
    if against and _is_folder(against):
        yield Other(Path(against), against, notes=_also_revision(against, policies))
        return
    revision, _, path = against.partition(":")
    _check(against, revision)
    repository = _Repository(Path(policies), against)
    commit = repository.commit(revision)
    inside = _inside(path) if path else repository.prefix
    entries = repository.entries(commit, inside, revision)
    title = f"{against} ({commit[:7]})"
    made = Path(tempfile.mkdtemp(prefix="quell-revision-"))
    try:
        folder = made / (PurePosixPath(inside).name or repository.root.name or "policies")
        folder.mkdir()
        notes = _extract(repository, entries, folder, title)
        if not path:
            notes.append(repository.uncommitted(commit, revision))
        yield Other(folder, title, True, tuple(notes))
    finally:
        with undisturbed():
            shutil.rmtree(made, ignore_errors=True)


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def _check(against: str, revision: str) -> None:
    """Refuse what is no revision before git sees it."""
    if not against:
        raise RevisionError("`--against` names nothing", "name a folder, or a revision such as HEAD or main")
    if revision.startswith("-") or not revision:
        raise RevisionError(
            f"`{against}` is neither a folder nor a revision",
            "a revision is HEAD, a branch, a tag or a commit",
        )
    if len(against) > LONGEST or any(not c.isprintable() or c.isspace() for c in against):
        raise RevisionError("`--against` is neither a folder nor a revision of git", "such as HEAD or main")


def _inside(path: str) -> str:
    """A path from the repository's root."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise RevisionError(
            f"`{path}` leads outside the repository",
            "give the path from the repository's root: main:policies",
        )
    return "" if str(pure) == "." else str(pure)


def _also_revision(against: str, policies: str | Path) -> tuple[str, ...]:
    """A note where a folder hides a revision of the same name."""
    if "/" in against or against.startswith((".", "-")):
        return ()
    try:
        _Repository(Path(policies), against).commit(against)
    except RevisionError:
        return ()
    return (f"`{against}` is a folder here and a revision too: the folder is compared with",)


# ----------------------------------------------------------------------------------------- git


class _Repository:
    """The repository that a folder of policies lies in."""

    def __init__(self, policies: Path, against: str) -> None:
        self._folder = policies
        found = self._git("rev-parse", "--show-toplevel", "--show-prefix", fails=True)
        if found is None:
            raise RevisionError(
                f"there is no folder `{against}`, and `{policies}` is in no git repository",
                "name a folder of policies, or put the policies under git to compare with a revision",
            )
        top, _, prefix = os.fsdecode(found).partition("\n")
        self.root = Path(top)
        self.prefix = prefix.strip("\n").rstrip("/")

    def _git(self, *arguments: str, given: bytes | None = None, fails: bool = False) -> bytes | None:
        """What git prints. Where it fails: None if that `fails` is expected, else RevisionError."""
        with tempfile.TemporaryFile() as out:
            self._run(arguments, out, given, fails)
            out.seek(0)
            return out.read() if self._status == 0 else None

    def _run(self, arguments: Sequence[str], out: IO[bytes], given: bytes | None, fails: bool) -> None:
        """Run git with its output into a file."""
        environment = {k: v for k, v in os.environ.items() if k not in _OURS}
        environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
        environment |= {"GIT_NO_LAZY_FETCH": "1", "GIT_PAGER": "cat"}
        command = ["git", "-C", str(self._folder), "-c", "core.fsmonitor=false", *arguments]
        how: dict[str, Any] = {"input": given} if given is not None else {"stdin": subprocess.DEVNULL}
        try:
            done = subprocess.run(  # one of two ways to give the input
                command, stdout=out, stderr=subprocess.PIPE, env=environment, timeout=TIMEOUT, **how
            )
        except FileNotFoundError as error:
            raise RevisionError(
                "comparing with a revision needs git, which is not installed", "name a folder of policies"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise RevisionError(f"git did not answer within {TIMEOUT} seconds") from error
        except OSError as error:
            raise RevisionError(f"git cannot be run: {(error.strerror or 'it fails').lower()}") from error
        self._status: int = done.returncode
        said = done.stderr.decode("utf-8", "replace")
        if done.returncode and "dubious ownership" in said:
            raise RevisionError(
                "git does not read this repository, since it belongs to somebody else",
                "git config --global --add safe.directory PATH lets it",
            )
        if done.returncode and not fails:
            told = next((line for line in said.splitlines() if line.strip()), "it fails without a word")
            raise RevisionError(f"git {arguments[0]} fails: {told.removeprefix('fatal: ')[:300]}")

    def commit(self, revision: str) -> str:
        """The full name of the commit that a revision is. Raises RevisionError with a guess."""
        asked = f"{revision}^{{commit}}"
        found = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", asked, fails=True)
        if found is not None:
            return found.decode().strip()
        if self._git("rev-parse", "--verify", "--quiet", "HEAD", fails=True) is None:
            raise RevisionError(f"there is no revision `{revision}`: the repository has no commit yet")
        listed = self._git(
            "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes"
        )
        names = (listed or b"").decode("utf-8", "replace").split()
        elsewhere = [n for n in names if n.endswith(f"/{revision}")]
        hint = f"did you mean `{elsewhere[0]}`?" if elsewhere else did_you_mean(revision, [*names, "HEAD"])
        if hint is None and self._git("rev-parse", "--is-shallow-repository") == b"true\n":
            hint = "this clone is shallow: `git fetch --unshallow` brings the rest (fetch-depth: 0 in CI)"
        raise RevisionError(
            f"there is neither a folder nor a revision `{revision}`",
            hint or "a revision is HEAD, a branch, a tag or a commit",
        )

    def entries(self, commit: str, inside: str, revision: str) -> list[_Entry]:
        """The files of a folder in a commit, by their names within it."""
        tree = self._git(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}:{inside}", fails=True
        )
        sha = (tree or b"").decode().strip()
        if tree is None or self._git("cat-file", "-t", sha) != b"tree\n":
            raise RevisionError(f"`{revision}` has no folder `{inside}`", self._elsewhere(commit, revision))
        listed = self._git("ls-tree", "-r", "-z", "-l", "--full-tree", sha) or b""
        lines = listed.split(b"\0")
        if len(lines) > MOST_ENTRIES:
            raise RevisionError(f"`{inside or '.'}` holds more than {MOST_ENTRIES:,} files at `{revision}`")
        return [_entry(line) for line in lines if line]

    def _elsewhere(self, commit: str, revision: str) -> str:
        """Where policies lay then."""
        listed = self._git("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit) or b""
        files = [os.fsdecode(name) for name in listed.split(b"\0") if name.endswith(b".quell")]
        folders = sorted({str(PurePosixPath(f).parent) for f in files}, key=lambda f: (f.count("/"), f))
        if not folders:
            return "there were no policies at all then"
        return f"there were policies in `{folders[0]}`: write {revision}:{folders[0]}"

    def uncommitted(self, commit: str, revision: str) -> str:
        """What is compared: the working tree as it lies there, with what is not committed."""
        how = ("--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
        status = self._git("status", *how, "--", ".") or b""
        changed = sum(1 for line in status.split(b"\0") if line[2:3] == b" ")
        head = self._git("rev-parse", "--verify", "--quiet", "HEAD", fails=True)
        if changed:
            files = "1 file" if changed == 1 else f"{changed:,} files"
            return f"the policies are compared as they lie there, with uncommitted changes in {files}"
        if head is not None and head.decode().strip() == commit:
            return f"nothing is uncommitted, so `{revision}` is compared with itself"
        return "the policies are compared as they lie there; nothing of them is uncommitted"

    def blobs(self, entries: Sequence[_Entry], folder: Path) -> None:
        """Write files of a commit into a folder."""
        with tempfile.TemporaryFile() as out:
            wanted = "".join(f"{e.sha}\n" for e in entries).encode()
            self._run(("cat-file", "--batch"), out, wanted, False)
            out.seek(0)
            for entry in entries:
                head = out.readline().split()
                if len(head) != 3 or head[1] != b"blob":
                    raise RevisionError(
                        f"`{entry.name}` is not in this clone", "a partial clone lacks it: fetch it first"
                    )
                target = folder / entry.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    _copy(out, file, int(head[2]))
                out.read(1)


def _entry(line: bytes) -> _Entry:
    about, _, name = line.partition(b"\t")
    mode, kind, sha, size = about.split()
    return _Entry(mode.decode(), sha.decode(), int(size) if kind == b"blob" else 0, os.fsdecode(name))


def _copy(source: IO[bytes], target: IO[bytes], left: int) -> None:
    while left > 0:
        block = source.read(min(left, 1 << 20))
        if not block:
            raise RevisionError("git stopped in the middle of a file")
        target.write(block)
        left -= len(block)


# ------------------------------------------------------------------------------------ the files


def _extract(repository: _Repository, entries: list[_Entry], folder: Path, title: str) -> list[str]:
    """Write the policy files, and then what they name, into a folder. Gives what a reader must know."""
    plain = {e.name: e for e in entries if e.mode in ("100644", "100755", "100664") and _fits(e.name)}
    policies = [e for e in plain.values() if _is_policy(e.name)][: MAX_FILES + 1]
    _write(repository, policies, folder, 4 * MAX_FILE)
    named = _named(folder, [e.name for e in policies])
    wanted = [plain[name] for name in named if name in plain]
    _write(repository, wanted, folder, MOST_BYTES)
    for entry in wanted:
        with (folder / entry.name).open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise RevisionError(
                    f"`{entry.name}` of {title} is kept in Git LFS, so its content is not in the repository",
                    "check the revision out into a folder of its own (git worktree add) and name that",
                )
    links = [e.name for e in entries if e.mode == "120000" and (e.name in named or _is_policy(e.name))]
    return [f"`{name}` is a link at {title}, and was left out" for name in sorted(links)]


MOST_BYTES = 1 << 30
"""Of one list or model file; what a bundle takes of it is its own affair."""


def _fits(name: str) -> bool:
    """Whether a name of a tree is one within a folder, as git itself makes sure."""
    pure = PurePosixPath(name)
    return not pure.is_absolute() and ".." not in pure.parts and ".git" not in pure.parts and "\\" not in name


def _is_policy(name: str) -> bool:
    hidden = any(part.startswith(".") for part in PurePosixPath(name).parts)
    return name == SETTINGS or (name.endswith(".quell") and not hidden)


def _write(repository: _Repository, entries: list[_Entry], folder: Path, most: int) -> None:
    """Files of at most so many bytes; of a larger one only its size, which is enough to have it refused."""
    repository.blobs([e for e in entries if e.size <= most], folder)
    for entry in entries:
        if entry.size > most:
            target = folder / entry.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                file.truncate(entry.size)


def _named(folder: Path, policies: Sequence[str]) -> set[str]:
    """The files that policies name: lists and models."""
    out: set[str] = set()
    for name in policies:
        path = folder / name
        if not name.endswith(".quell") or path.stat().st_size > 4 * MAX_FILE:
            continue
        text = path.read_bytes().decode("utf-8-sig", "replace")
        for declared in parse(Source(name, text), Report()).declarations:
            if isinstance(declared, ListDecl) and declared.file.plain:
                out.add(declared.file.plain)
            elif isinstance(declared, Model) and not declared.remote and declared.source.plain:
                out.add(declared.source.plain)
    return {str(PurePosixPath(name)) for name in out}
