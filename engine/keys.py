"""API keys: who may ask a service for what.

    keys = Keys(folder / "keys.json")
    key, text = keys.add("gateway", ("decide",))      # `text` is shown once and kept nowhere
    keys.find(b"qk_…")                                # the Key, or None

A key is `qk_`, eight characters that name it, `_`, and a secret of 256 random bits. Of the secret only the
SHA-256 is kept. Slow hashes are there to make guessing what people think up dear; nobody guesses one of
2^256, so a fast hash loses nothing, and a slow one on each request would be an attack on the service itself.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

import msgspec

from quell.engine.plain_files import open_plain
from quell.signals.show import show_time

Scope = Literal["decide", "read", "admin"]
"""`decide`: events. `read`: whatever is to be seen. `admin`: both, and whatever changes something by hand."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
Needed = Scope | Literal["any"]
"""What something takes: a scope, or a key for anything."""

MAX_FILE = 4 << 20
MAX_KEYS = 10_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,98}[A-Za-z0-9._@-]|[A-Za-z0-9]")
_TEXT = re.compile(rb"qk_([a-z2-7]{8})_([a-z2-7]{52})")
_HASH, _ID = re.compile(r"[0-9a-f]{64}"), re.compile(r"[a-z2-7]{8}")
_NOBODY = bytes(32)
_UNTIL = "those that it had hold until the next start: put it back, or make others with `quell keys add`"
_SECOND = 1_000_000
"""Microseconds."""


class KeysError(Exception):
    """Keys that cannot be read, made or revoked: `message`, and `hint` for what to try."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class Key(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A key: `id` is the part of it that is no secret, `hash` the SHA-256 of the secret in hexadecimal. Times
    are microseconds since 1970; `expires` None for never, `revoked` None while it holds."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    hash: str
    made: int
    expires: int | None = None
    revoked: int | None = None

    def may(self, scope: Needed) -> bool:
        """Whether the key is good for a scope."""
        return scope in self.scopes or "admin" in self.scopes or scope == "any"

    def state(self, now: int) -> Literal["live", "expired", "revoked"]:
        """Whether the key holds at a time."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "live"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: tuple[Key, ...] = ()


class Keys:
    """The keys in a file, which need not be there. Raises KeysError if it is there and cannot be trusted.

    `problem` says why a changed file was not taken, "" while all is well.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.problem = ""
        self.keys: tuple[Key, ...] = ()
        self._by_id: dict[bytes, tuple[Key, bytes]] = {}
        self._seen: tuple[int, ...] | None = None
        self._refused: tuple[int, ...] | None = None
        self._take(*self._read())

    # ------------------------------------------------------------- serving

    def find(self, text: bytes, at: int | None = None) -> Key | None:
        """The key that a text is, if it is known and holds."""
        key = self.known(text)
        return key if key is not None and not self.why_not(key, at) else None

    def why_not(self, key: Key, at: int | None = None) -> str:
        """Why a key that was known does not hold (any more), as "was revoked"; "" while it does."""
        found = self._by_id.get(key.id.encode())
        if found is None or found[0].hash != key.hash:
            return "is in the service's keys no more"
        kept = found[0]
        state = kept.state(now() if at is None else at)
        if state == "live":
            return ""
        when = show_time(((kept.expires if state == "expired" else kept.revoked) or 0) // _SECOND * _SECOND)
        return f"expired at {when}" if state == "expired" else f"was revoked at {when}"

    def known(self, text: bytes) -> Key | None:
        """The key that a text is, whether it holds or not."""
        match = _TEXT.fullmatch(text)
        if match is None:
            return None
        key, expected = self._by_id.get(match[1], (None, _NOBODY))
        # Compared also where the name is unknown, so that time does not tell which names there are.
        same = hmac.compare_digest(hashlib.sha256(match[2]).digest(), expected)
        return key if same else None

    def refresh(self) -> bool:
        """Read the file again if it has changed; gives whether other keys hold now. What cannot be read
        leaves the keys as they were, and `problem` says why; so does a file that went away or was emptied:
        a service that asks for keys must not open its door of a sudden. Never raises."""
        found: tuple[int, ...] | None = None
        try:
            found = self._stamp()
            if found == self._seen:
                self.problem, self._refused = "", None  # what was put back as it was is no change
                return False
            if found is not None and found == self._refused:  # it is as wrong as it was
                return False
            said, stamp = self._read()
            if self.keys and not said.keys:
                raise KeysError(f"`{self.file}` {'has no keys any more' if stamp else 'is gone'}", _UNTIL)
            self._take(said, stamp)
        except KeysError as error:
            self.problem = f"{error.message} ({error.hint})" if error.hint else error.message
            self._refused = found
            return False
        self.problem, self._refused = "", None
        return True

    # ------------------------------------------------------------ changing

    def add(self, name: str, scopes: Sequence[Scope], lasts: int | None = None) -> tuple[Key, str]:
        """Make a key that holds for so many microseconds, None for good; gives it and its text. Raises
        KeysError for a name that is taken or no name, and where the file cannot be written."""
        if _NAME.fullmatch(name) is None:
            raise KeysError(
                "the name of a key has 1 to 100 letters, digits, blanks, `.`, `_`, `@` and `-`", "try gateway"
            )
        if not scopes or any(s not in SCOPES for s in scopes):
            raise KeysError("a key is for one or more of decide, read, admin")
        if lasts is not None and lasts <= 0:
            raise KeysError("a key must hold longer than nothing")
        today = now()
        with self._changing() as keys:
            if any(k.name == name and k.state(today) == "live" for k in keys):
                raise KeysError(f"there is a key `{name}` already", "revoke it first, or take another name")
            if len(keys) >= MAX_KEYS:
                raise KeysError(f"there are {MAX_KEYS:,} keys already")
            taken = {k.id for k in keys}
            while (id := _letters(5)) in taken:
                pass
            secret = _letters(32)
            hashed = hashlib.sha256(secret.encode()).hexdigest()
            ordered: tuple[Scope, ...] = tuple(s for s in SCOPES if s in scopes)
            key = Key(id, name, ordered, hashed, today, None if lasts is None else today + lasts)
            keys.append(key)
        return key, f"qk_{id}_{secret}"

    def revoke(self, which: str) -> Key:
        """End a key, by its name or by how it begins. Raises KeysError if none is meant, or more than one."""
        today = now()
        with self._changing() as keys:
            id = which.removeprefix("qk_").split("_")[0]
            found = [i for i, k in enumerate(keys) if k.revoked is None and which == k.name]
            found = found or [i for i, k in enumerate(keys) if k.revoked is None and id == k.id]
            if len(found) != 1:
                many = f"there are {len(found)} keys `{which}`" if found else f"there is no key `{which}`"
                raise KeysError(many, "`quell keys list` shows them: name the beginning of one")
            key = keys[found[0]] = msgspec.structs.replace(keys[found[0]], revoked=today)
        return key

    @contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        """The keys to change, as they are now; what is made of them is written. One process at a time."""
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = open_plain(self.file.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise KeysError(f"`{self.file.parent}` cannot be written: {_reason(error)}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = list(self._read()[0].keys)
            yield keys
            self._write(_File(tuple(keys)))
        finally:
            os.close(lock)
        self._take(*self._read())

    # --------------------------------------------------------------- files

    def _take(self, said: _File, stamp: tuple[int, ...] | None) -> None:
        self.keys, self._seen = said.keys, stamp
        self._by_id = {k.id.encode(): (k, bytes.fromhex(k.hash)) for k in said.keys}

    def _stamp(self) -> tuple[int, ...] | None:
        try:
            found = self.file.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeysError(f"`{self.file}` cannot be read: {_reason(error)}") from error
        return _stamp_of(found)

    def _read(self) -> tuple[_File, tuple[int, ...] | None]:
        try:
            handle = open_plain(self.file)
        except FileNotFoundError:
            return _File(), None
        except OSError as error:
            raise KeysError(f"`{self.file}` cannot be read: {_reason(error)}") from error
        try:
            found = os.fstat(handle)
            self._check(found)
            data = os.read(handle, MAX_FILE + 1)
        except OSError as error:
            raise KeysError(f"`{self.file}` cannot be read: {_reason(error)}") from error
        finally:
            os.close(handle)
        return _checked(data, self.file), _stamp_of(found)

    def _check(self, found: os.stat_result) -> None:
        """Raises KeysError for a file that is none, or cannot be believed."""
        if found.st_mode & 0o022:
            why = "may be written by others, who could add keys"
            raise KeysError(f"`{self.file}` {why}", f"chmod 600 {self.file}")
        if found.st_size > MAX_FILE:
            raise KeysError(f"`{self.file}` is larger than {MAX_FILE >> 20} MB")

    def _write(self, said: _File) -> None:
        """Put the keys into the file, whole or not at all, for nobody else to read."""
        part = self.file.with_name(f".{self.file.name}.{secrets.token_hex(6)}.part")
        try:
            handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(msgspec.json.format(msgspec.json.encode(said)) + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(self.file)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise KeysError(f"`{self.file}` cannot be written: {_reason(error)}") from error


def _checked(data: bytes, file: Path) -> _File:
    """What a file says, if it is what was once written."""
    hint = "put back a copy of it, or move it away and make new keys"
    try:
        said = msgspec.json.decode(data, type=_File)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise KeysError(f"`{file}` does not hold keys: {error}", hint) from error
    if len(said.keys) > MAX_KEYS:
        raise KeysError(f"`{file}` holds more than {MAX_KEYS:,} keys")
    for key in said.keys:
        if _HASH.fullmatch(key.hash) is None or _ID.fullmatch(key.id) is None:
            raise KeysError(f"`{file}` does not hold keys: `{key.name[:100]}` is broken", hint)
    if len({k.id for k in said.keys}) < len(said.keys):
        raise KeysError(f"`{file}` does not hold keys: two have the same beginning", hint)
    return said


def _stamp_of(found: os.stat_result) -> tuple[int, ...]:
    """What differs once a file was written, or who may write it."""
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size


def _letters(size: int) -> str:
    """So many random bytes as lower-case letters and digits, five bits each."""
    return base64.b32encode(secrets.token_bytes(size)).decode().rstrip("=").lower()


def now() -> int:
    """The time, in microseconds since 1970."""
    return time.time_ns() // 1000


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
