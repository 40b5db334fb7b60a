"""Who may ask what: API keys, and without any keys only this machine's own programs.

While there are keys, each request must bring one (`Authorization: Bearer qk_…`) that is for what it asks.
A service that listens on loopback alone and has no keys is open to whoever may connect; then a request must
name a loopback host, so that no web page reaches it under a name that was made to lead here, and must not
come from a page of another site.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from quell.engine.http_problem import HttpError, refuse
from quell.engine.keys import Key, Keys, Needed

LOCAL = "local"
"""Who asks a service without keys."""
TELL_EACH = 10
"""Seconds between two lines in the log about one wrong key."""
_MOST_TOLD = 1_000
_HOST = re.compile(
    rb"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]|\[::ffff:127(?:\.[0-9]{1,3}){3}\])(?::[0-9]{1,5})?",
    re.IGNORECASE,
)
_BEARER = re.compile(rb"bearer +([!-~]{1,200}) *", re.IGNORECASE)
_SHAPE = re.compile(rb"qk_([a-z2-7]{8})_")
_ANOTHER = "ask whoever runs the service for another: `quell keys add NAME --scope decide` makes one"
_ELSEWHERE = (
    "it was mistyped, or made for another data folder: `quell keys list` shows how those there are begin"
)
_CHALLENGE: tuple[bytes, bytes] = (b"www-authenticate", b'Bearer realm="quell"')
_log = logging.getLogger("quell.http")


class Grant(NamedTuple):
    """Who asks, and whether for everything: a key, or None for whoever asks a service without keys."""

    name: str
    key: Key | None

    def may(self, scope: Needed) -> bool:
        """Whether a scope is granted."""
        return self.key is None or self.key.may(scope)


_LOCAL = Grant(LOCAL, None)


class Access:
    """Lets requests in. `keys` None, or an empty file of keys, lets everybody in where the service is
    `local`: listens on loopback alone. `wrong_keys` and `forbidden` count what was kept out."""

    def __init__(self, keys: Keys | None, local: bool) -> None:
        self.keys, self.local = keys, local
        self.wrong_keys = 0
        self.forbidden = 0
        self._known_host = b"localhost"
        self._let_in: set[bytes] = set()
        self._failed: Counter[str] = Counter()
        self._seconds = 0

    @property
    def open(self) -> bool:
        """Whether no key is asked for. Keys that no longer hold still close the door."""
        return self.local and (self.keys is None or not self.keys.keys)

    def enter(self, headers: Mapping[bytes, bytes], scope: Needed) -> Grant:
        """Who asks with these headers for what takes a scope. Raises HttpError."""
        keys = self.keys
        if self.local and (keys is None or not keys.keys):
            return self._check_local(headers)
        found = _BEARER.fullmatch(headers.get(b"authorization", b""))
        key = keys.known(found[1]) if found is not None and keys is not None else None
        if key is None:
            raise self._wrong_key(headers.get(b"authorization"))
        self.check_holds(key)
        if not key.may(scope):
            self.forbidden += 1
            raise refuse("wrong-scope", f"the key `{key.name}` has not the scope `{scope}`")
        if scope == "decide" and len(self._let_in) < _MOST_TOLD:
            self._let_in.add(_digest(headers[b"authorization"]))
        return Grant(key.name, key)

    def check_holds(self, key: Key | None) -> None:
        """Raises HttpError for the key of somebody who was let in once, if it holds no more. None is whoever
        came in without one, and would not come in once there are keys."""
        if key is None:
            if not self.open:
                raise refuse("no-key", "the service asks for keys now", headers=[_CHALLENGE])
            return
        why = self.keys.why_not(key) if self.keys is not None else ""
        if why:
            self._count(f"qk_{key.id}… of {key.name}, which {why}")
            raise refuse("no-key", f"the API key `{key.name}` {why}", hint=_ANOTHER, headers=[_CHALLENGE])

    def known(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether these headers let in whoever sends events, told without a second look at a key that was let
        in within this second. False says nothing: `enter` does. What is compared is a digest of what was
        sent, so time tells nothing of a key."""
        if self.local and (self.keys is None or not self.keys.keys):
            return (
                headers.get(b"host") == self._known_host
                and b"origin" not in headers
                and b"sec-fetch-site" not in headers
            )
        sent = headers.get(b"authorization")
        return sent is not None and _digest(sent) in self._let_in

    def _check_local(self, headers: Mapping[bytes, bytes]) -> Grant:
        host = headers.get(b"host", b"")
        if host != self._known_host:
            if _HOST.fullmatch(host) is None:
                self.forbidden += 1
                raise refuse("wrong-host")
            self._known_host = host
        if b"origin" not in headers and b"sec-fetch-site" not in headers:  # no browser
            return _LOCAL
        origin = headers.get(b"origin")
        if origin is not None and origin.lower() not in (
            b"http://" + host.lower(),
            b"https://" + host.lower(),
        ):
            self.forbidden += 1
            raise refuse("wrong-origin")
        if headers.get(b"sec-fetch-site", b"none") in (b"cross-site", b"same-site"):
            self.forbidden += 1
            raise refuse("wrong-origin")
        return _LOCAL

    def _wrong_key(self, sent: bytes | None) -> HttpError:
        if sent is None:
            self.wrong_keys += 1
            return refuse("no-key", "the request has no API key", headers=[_CHALLENGE])
        self._count(shown_key(sent))
        if _BEARER.fullmatch(sent) is None or _SHAPE.search(sent) is None:
            return refuse(
                "no-key",
                "the Authorization header holds no API key as it is to be sent",
                headers=[_CHALLENGE],
            )
        told = "the API key is none of this service"
        return refuse("no-key", told, hint=_ELSEWHERE, headers=[_CHALLENGE])

    def _count(self, shown: str) -> None:
        """Count a key that does not let in, for the log as it is shown there."""
        self.wrong_keys += 1
        if len(self._failed) < _MOST_TOLD or shown in self._failed:
            self._failed[shown] += 1

    def each_second(self) -> None:
        """Take up changes of the keys' file, and now and then tell the log of wrong keys."""
        self._let_in.clear()
        if self.keys is not None:
            before = self.keys.problem
            if self.keys.refresh():
                _log.info("the API keys were read again: %d", len(self.keys.keys))
            elif self.keys.problem and self.keys.problem != before:
                _log.error("the API keys are as they were: %s", self.keys.problem)
            if before and not self.keys.problem:
                _log.info("the file of the API keys is well again")
        self._seconds += 1
        if self._seconds >= TELL_EACH and self._failed:
            self._seconds = 0
            failed, self._failed = self._failed, Counter()
            for shown, times in failed.most_common(5):
                _log.warning("a wrong key was tried %d times: %s", times, shown)
            if len(failed) > 5:
                _log.warning("and %d other wrong keys", len(failed) - 5)


def _digest(sent: bytes) -> bytes:
    return sha256(sent).digest()


def shown_key(sent: bytes) -> str:
    """How an Authorization header is named in the log: the part of a key that is no secret."""
    found = _SHAPE.search(sent)
    return f"qk_{found[1].decode()}…" if found is not None else "something that is no key of Quell"
