"""The files that make up a bundle, as they lie in its folder: found, told apart from the rest, read once.

A bundle is its policy files, quell.toml, the list and model files that the policies name, and the cards that
lie beside models. Everything else in the folder (a README, what an editor keeps) is no part of it, so that
saving such a file changes nothing. Two looks at a folder are equal as long as nothing that belongs to the
bundle was written meanwhile.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from quell.engine.bundle import MAX_FILES, MAX_SETTINGS, SETTINGS
from quell.engine.drift_card import card_of
from quell.engine.service_types import Finding
from quell.grammar.literals import LiteralError, split_text
from quell.grammar.parser import MAX_FILE

MAX_ENTRIES = 200_000
"""Files and folders that are looked at."""
MAX_POLICY_BYTES = 256 << 20
"""Of all policy files together."""
_BLOCK = 1 << 20
_NAMED = re.compile(r'\bfrom\b(?:\s|#[^\n\r]*+)*+("(?:[^"\\\n\r]|\\[^\n\r])*+")')
"""`from "…"`, as lists and models write it; a comment may stand between."""

Stamp = tuple[int, int, int, int, int]
"""Device, inode, size, and when content and inode last changed: what differs once a file was written."""


@dataclass(frozen=True, slots=True)
class Look:
    """A bundle's files at one moment: what policies and settings hold by name, the stamps of the files that
    policies name (None for one that is not there), and what could not be read. `root` is the folder itself,
    links followed; None where there is none. `others` are the names of all other files."""

    root: Path | None
    stamp: tuple[int, int] | None = None
    texts: dict[str, bytes] = field(default_factory=dict, repr=False)
    named: dict[str, Stamp | None] = field(default_factory=dict)
    problems: tuple[Finding, ...] = ()
    others: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    @property
    def absent(self) -> bool:
        """Whether the folder is not there at all."""
        return self.root is None


class Unreadable(Exception):
    """A file of the bundle that cannot be taken, and why: the finding to show."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def look(folder: Path) -> Look:
    """Look at a bundle's folder. Raises nothing: what is wrong is in `problems`."""
    try:
        root = folder.resolve(strict=True)
        about = root.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before 3.13
        return Look(None, problems=(_absent(folder, error),))
    if not stat.S_ISDIR(about.st_mode):
        finding = Finding("", 0, f"`{folder}` is no folder", "empty-bundle", _FOLDER_HINT)
        return Look(None, problems=(finding,))
    looking = _Looking(root)
    looking.walk()
    looking.read_texts()
    looking.stamp_named()
    return Look(
        root,
        (about.st_dev, about.st_ino),
        looking.texts,
        looking.named,
        tuple(looking.problems),
        frozenset(looking.others),
    )


_FOLDER_HINT = "name the folder that holds the .quell files"


def _absent(folder: Path, error: Exception) -> Finding:
    if isinstance(error, FileNotFoundError):
        return Finding("", 0, f"`{folder}` does not exist", "empty-bundle", _FOLDER_HINT)
    return Finding("", 0, f"`{folder}` cannot be read: {reason(error)}", "unreadable-file")


def reason(error: Exception) -> str:
    """Why the operating system refused, in a few words."""
    if isinstance(error, RuntimeError):
        return "it is a link that leads back to itself"
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return "its name is not valid"


class _Looking:
    """One look while it is taken."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.policies: list[str] = []
        self.others: list[str] = []
        self.texts: dict[str, bytes] = {}
        self.named: dict[str, Stamp | None] = {}
        self.problems: list[Finding] = []

    def _wrong(self, name: str, message: str, code: str = "unreadable-file", hint: str = "") -> None:
        self.problems.append(Finding(shown(name), 0, message, code, hint))

    # --------------------------------------------------------------- finding

    def walk(self) -> None:
        """Find the policy files: those that `read_bundle` finds, and no hidden ones."""
        left = MAX_ENTRIES
        for name in self._files():
            if name.endswith(".quell"):
                self.policies.append(name)
            elif name.isprintable():  # others are only named in hints
                self.others.append(name)
            left -= 1
            if left == 0:
                self._wrong("", f"the folder holds more than {MAX_ENTRIES:,} files", hint=_LARGE_HINT)
                break
        self.policies.sort()
        if len(self.policies) > MAX_FILES:
            self._wrong("", f"the bundle has more than {MAX_FILES:,} policy files")
            del self.policies[MAX_FILES:]

    def _files(self) -> Iterator[str]:
        """The names of all that is no folder, without hidden ones; links to folders are not followed."""
        waiting = [""]
        while waiting:
            inside = waiting.pop()
            try:
                entries = sorted(os.scandir(self.root / inside), key=lambda e: e.name)
            except FileNotFoundError:
                continue  # it went while looking: another look will be taken
            except OSError as error:  # policies in it would be gone without a word
                self._wrong(inside, f"the folder `{shown(inside)}` cannot be read: {reason(error)}")
                continue
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                name = f"{inside}/{entry.name}" if inside else entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                if not entry.is_dir(follow_symlinks=False) or name.endswith(".quell"):
                    yield name

    # --------------------------------------------------------------- reading

    def read_texts(self) -> None:
        """Read policies and settings; what cannot be is a problem."""
        left = MAX_POLICY_BYTES
        for name in self.policies:
            if (data := self._read(name, 4 * MAX_FILE, "a policy file")) is not None:
                self.texts[name] = data
                left -= len(data)
            if left < 0:
                self._wrong("", f"the policy files hold more than {MAX_POLICY_BYTES >> 20} MB together")
                return
        if os.path.lexists(self.root / SETTINGS):
            data = self._read(SETTINGS, MAX_SETTINGS, "settings")
            if data is not None:
                self.texts[SETTINGS] = data

    def _read(self, name: str, most: int, what: str) -> bytes | None:
        try:
            return b"".join(blocks(self.root, name, most, what))
        except Unreadable as error:
            self.problems.append(error.finding)
        except FileNotFoundError:
            if (self.root / name).is_symlink():
                self._wrong(name, f"`{shown(name)}` is a link to nothing")
        return None

    def stamp_named(self) -> None:
        """Take the stamps of the files that policies name."""
        for name in sorted(self._named_by_policies()):
            try:
                self.named[name] = stamp_of((self.root / name).stat())
            except (OSError, ValueError):
                self.named[name] = None

    def _named_by_policies(self) -> set[str]:
        found: set[str] = set()
        for name, data in self.texts.items():
            if name != SETTINGS:
                for match in _NAMED.finditer(data.decode("utf-8", "replace")):
                    if (file := _plain(match[1])) is not None and _inside(file):
                        plain = str(PurePosixPath(file))
                        found |= {plain, card_of(plain)}  # the card of a model says what its scores were
        return found - set(self.texts)


_LARGE_HINT = "keep the policies in a folder of their own"


def shown(name: str) -> str:
    """The name of a file as a message shows it; names may hold anything."""
    return "".join(c if c.isprintable() else "?" for c in name)


def stamp_of(about: os.stat_result) -> Stamp:
    """What differs once a file was written."""
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def _plain(quoted: str) -> str | None:
    try:
        parts = split_text(quoted)
    except LiteralError:
        return None
    return parts[0][2] if len(parts) == 1 and parts[0][0] == "text" else None


def _inside(name: str) -> bool:
    """Whether a name may be one within the bundle, as `Files.read` takes it."""
    if not name or len(name) > 1_000 or any(c in name for c in '\0\\:"'):
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and str(path) != "."


# ------------------------------------------------------------------ contents


def blocks(root: Path, name: str, most: int, what: str) -> Iterator[bytes]:
    """The content of a file within `root`, a block at a time, of at most `most` bytes. Raises Unreadable, and
    FileNotFoundError for what is not there.

    The place is looked at again once the file is open, so that a link that is turned round in between leads
    nowhere.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Unreadable(_finding(name, "the name of `{}` is not UTF-8", hint="rename the file")) from None
    try:
        path = (root / name).resolve(strict=True)
        if not path.is_relative_to(root):
            raise Unreadable(_outside(name))
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise Unreadable(_finding(name, "`{}` cannot be read: " + reason(error))) from None
    try:
        yield from _blocks(opened, root, name, most, what)
    except OSError as error:
        raise Unreadable(_finding(name, "`{}` cannot be read: " + reason(error))) from None
    finally:
        os.close(opened)


def _blocks(opened: int, root: Path, name: str, most: int, what: str) -> Iterator[bytes]:
    about = os.fstat(opened)
    if not stat.S_ISREG(about.st_mode):
        raise Unreadable(_finding(name, "`{}` is no plain file"))
    if about.st_size > most:
        raise Unreadable(_too_large(name, most, what))
    if (place := _place(opened)) is not None and not place.is_relative_to(root):
        raise Unreadable(_outside(name))
    total = 0
    while block := os.read(opened, _BLOCK):
        total += len(block)
        if total > most:
            raise Unreadable(_too_large(name, most, what))
        yield block


def _place(opened: int) -> Path | None:
    """Where an open file lies, where the system can tell."""
    try:
        return Path(f"/proc/self/fd/{opened}").readlink()
    except OSError:
        return None


def _finding(name: str, message: str, code: str = "unreadable-file", hint: str = "") -> Finding:
    return Finding(shown(name), 0, message.replace("{}", shown(name), 1), code, hint)


def _outside(name: str) -> Finding:
    return _finding(name, '"{}" is a link to a place outside the bundle', "outside-bundle")


def _too_large(name: str, most: int, what: str) -> Finding:
    told = f"{most >> 20} MB" if most >= 1 << 20 else f"{most >> 10} KB"
    hint = "move its data into a list file" if what == "a policy file" else ""
    return _finding(name, f"`{{}}` is larger than the {told} that {what} may have", hint=hint)


def content_id(digests: dict[str, str]) -> str:
    """What a set of files is called: the same names with the same contents have the same."""
    told = hashlib.sha256()
    for name in sorted(digests):
        told.update(f"{name}\0{digests[name]}\n".encode())
    return told.hexdigest()[:32]
