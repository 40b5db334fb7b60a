"""Targets that are HTTP services: connections kept open, requests and answers as JSON.

asyncio and httptools rather than a general client: what is needed is one POST to one place, and with 1,000
in flight a general client works several times as long (`python -m tests.bench.remote --others`).
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from quell.signals.remote_connection import Connection, Reply
from quell.signals.remote_pool import Pool
from quell.signals.remote_types import CallError, Target

MAX_BYTES = 1 << 18
"""How many bytes an answer may take, and `MAX_BYTES_EACH` more for every question that a batch may hold."""
MAX_BYTES_EACH = 1 << 16
MAX_BYTES_BATCH = 1 << 24
"""But never more than this: reading it holds up whatever else the event loop does."""


class HttpTarget:
    """Asks a service at the `url` of its target. `headers` are sent along, secrets filled in."""

    def __init__(self, target: Target, headers: Mapping[str, str]) -> None:
        parts = urlsplit(target.url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._version = target.version
        self._largest = min(MAX_BYTES + MAX_BYTES_EACH * target.batch, MAX_BYTES_BATCH)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {parts.netloc.removesuffix(':')}",
            "User-Agent: quell",
            "Accept: application/json",
            "Accept-Encoding: identity",
            "Content-Type: application/json",
            *(f"{name}: {value}" for name, value in headers.items()),
            "Content-Length: ",
        ]
        self._head = "\r\n".join(lines).encode("latin-1")
        self._pool = Pool(self._connect)

    async def call(self, model: str, questions: Sequence[bytes]) -> list[Any]:
        """The answers to some questions, each the JSON of its inputs. Raises CallError."""
        about = msgspec.json.encode({"model": model, "version": self._version})
        body = b'%s,"inputs":[%s]}' % (about[:-1], b",".join(questions))
        reply = await self._pool.exchange(b"%s%d\r\n\r\n%s" % (self._head, len(body), body))
        return answers_of(reply)

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(self._largest, self._pool.open), self._host, self._port, ssl=self._tls
            )
        except ssl.SSLCertVerificationError:
            raise CallError("failed", "its certificate is not trusted") from None
        except ssl.SSLError:
            raise CallError("failed", "a secure connection could not be made") from None
        except (OSError, UnicodeError):  # UnicodeError: a host that is no name
            raise CallError("failed", "could not be reached") from None
        return connection

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()


# ---------------------------------------------------------------------- answers


def answers_of(reply: Reply) -> list[Any]:
    """The list of answers in a reply, each as JSON has it. Raises CallError."""
    if 300 <= reply.status < 400:
        raise CallError("failed", f"answered with a redirect ({reply.status}), which is not followed")
    if reply.status != 200:
        raise CallError("failed", f"answered with status {reply.status}")
    if reply.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise CallError("invalid", "answered compressed, which was not asked for")
    _check_type(reply.headers.get(b"content-type", b""))
    said = _json(reply.body)
    answers = said.get("answers") if isinstance(said, dict) else None
    if not isinstance(answers, list):
        raise CallError("invalid", "answered without a list `answers`")
    return answers


def _check_type(header: bytes) -> None:
    """A reply that names no type is read as JSON; one that names another is not."""
    kind, *parameters = header.decode("latin-1").lower().split(";")
    kind = kind.strip()
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise CallError("invalid", "answered something else than JSON")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip(' "') not in ("utf-8", "utf8", "us-ascii"):
            raise CallError("invalid", "answered in another encoding than UTF-8")


def _json(body: bytes) -> Any:
    """A body as JSON. What Python's own reader takes beyond the standard (NaN, half surrogate pairs) is
    taken too: it makes one value wrong, where a whole batch would be lost."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise CallError("invalid", "answered in another encoding than UTF-8") from None
    except (ValueError, RecursionError):
        raise CallError("invalid", "answered what is not JSON") from None
