"""Webhooks: each message is one signed POST.

    Quell-Signature: t=1767225600,v1=5257a869e7ec…     HMAC-SHA256 of "1767225600." and the body
    Idempotency-Key: f3a9c1-1042-0-9ab3c01d            the same whenever this message comes

Any 2xx is taken as delivered. 408, 425, 429 and 5xx are tried again, as is a redirect, which is never
followed, and whatever the network does; any other answer makes a dead letter. The name in the address is
looked up once for each connection, which is made to the very address that was found and checked.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import cache
from urllib.parse import urlsplit

import msgspec

from quell.engine.outbox_thread import Errands
from quell.engine.outbox_types import Dead, Delivery, Message, Retry
from quell.engine.sink_addresses import Network, refusal
from quell.signals.remote_connection import Connection, Reply
from quell.signals.remote_pool import Pool
from quell.signals.remote_types import CallError

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, in order of preference; raises OSError."""

MOST_BODY = 1 << 11
"""Bytes of an answer's body that are read; the rest is of no use."""
MOST_ANSWER = 1 << 20
"""Bytes of an answer altogether, before it counts as none."""
LINGER = 1.0
"""Seconds that are given to the body of an answer, once its status is known."""
MOST_CONNECT = 5.0
"""Seconds for connecting to one of a host's addresses."""
TOLERANCE = 300
"""Seconds that a signature is good for."""
_RETRIED = frozenset((408, 425, 429))
_FOR_ALL = frozenset((429, 503))
"""Statuses that say that the service takes nothing at present, whatever it is."""
_SHOWN = 100


class WebhookSettings(msgspec.Struct, frozen=True):
    """A webhook as the operator set it up. `secrets` and `headers` hold what is secret."""

    name: str
    url: str
    delivery: Delivery
    secrets: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}
    allow: tuple[Network, ...] = ()

    def __repr__(self) -> str:
        return f"<WebhookSettings {self.name}>"


class Webhook:
    """A sink that is an HTTP service. Bound to the event loop that first delivers."""

    def __init__(
        self,
        settings: WebhookSettings,
        *,
        resolve: Resolve | None = None,
        clock: Callable[[], float] = time.time,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.delivery = settings.delivery
        self._allow = settings.allow
        self._secrets = [secret.encode() for secret in settings.secrets]
        parts = urlsplit(settings.url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._context = (context or _usual_context()) if self._secure else None
        self._errands = Errands("quell-names")
        self._resolve = resolve or self._look_up
        self._clock = clock
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {parts.netloc.removesuffix(':')}",
            "User-Agent: quell",
            "Accept-Encoding: identity",
            "Content-Type: application/json",
            *(f"{name}: {value}" for name, value in settings.headers.items()),
        ]
        self._head = "\r\n".join(lines).encode("latin-1")
        self._pool = Pool(self._connect)

    async def deliver(self, message: Message) -> None:
        """POST it. Raises Retry or Dead."""
        try:
            reply = await self._pool.exchange(self._request(message))
        except CallError as error:
            raise Retry(error.reason, all=True) from None
        judge(reply, self._clock())

    def _request(self, message: Message) -> bytes:
        body = message.body()
        lines = [self._head, b"Idempotency-Key: " + message.key.encode()]
        if self._secrets:
            lines.append(b"Quell-Signature: " + sign(body, self._secrets, int(self._clock())).encode())
        lines.append(b"Content-Length: %d" % len(body))
        return b"%s\r\n\r\n%s" % (b"\r\n".join(lines), body)

    # ------------------------------------------------------------------ connecting

    async def _connect(self) -> Connection:
        failure = CallError("failed", "its name cannot be looked up")
        try:
            addresses = await self._resolve(self._host, self._port)
        except (OSError, UnicodeError):
            raise failure from None
        for address in dict.fromkeys(addresses):
            why = refusal(address, self._allow, self._secure)
            if why:
                failure = CallError("failed", why)
                continue
            try:
                return await self._connect_to(address)
            except CallError as error:
                failure = error
        raise failure

    async def _connect_to(self, address: str) -> Connection:
        """A connection to that very address; TLS still asks for the name in the url."""
        loop = asyncio.get_running_loop()
        name = self._host if self._secure else None
        try:
            async with asyncio.timeout(MOST_CONNECT):
                _, connection = await loop.create_connection(
                    lambda: Exchange(MOST_ANSWER, self._pool.open),
                    address,
                    self._port,
                    ssl=self._context,
                    server_hostname=name,
                )
        except TimeoutError:
            raise CallError("failed", f"could not be reached within {MOST_CONNECT:g} s") from None
        except ssl.SSLCertVerificationError as error:
            why = error.verify_message.rstrip(".")
            raise CallError("failed", f"its certificate is not trusted: {why[:1].lower()}{why[1:]}") from None
        except ssl.SSLError:
            raise CallError("failed", "a secure connection could not be made") from None
        except OSError as error:
            why = f": {os.strerror(error.errno).lower()}" if error.errno else ""
            raise CallError("failed", f"could not be reached{why}") from None
        return connection

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        """As the operating system does; in a thread of this sink's own, as it may hang."""
        found = await self._errands(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        return [str(info[4][0]) for info in found]

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()
        self._errands.close()


@cache
def _usual_context() -> ssl.SSLContext:
    """What trusts whom this machine trusts; read once, as a start with many sinks would take minutes."""
    return ssl.create_default_context()


class Exchange(Connection):
    """A connection whose answers count once their status is known: a body that is long, slow or cut off does
    not make the message undelivered."""

    def __init__(self, largest: int, held: set[Connection]) -> None:
        super().__init__(largest, held)
        self._timer: asyncio.TimerHandle | None = None
        self._taken = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep what is of use, and what says when to come again."""
        super().on_header(name, value)
        if name.lower() == b"retry-after":
            self._headers[b"retry-after"] = value

    def on_headers_complete(self) -> None:
        """The status is known: the body gets a while more."""
        super().on_headers_complete()
        self._taken = 0
        if self._status >= 200:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._enough)

    def on_body(self, body: bytes) -> None:
        """Take the beginning."""
        if self._taken < MOST_BODY:
            super().on_body(body[: MOST_BODY - self._taken])
            self._taken += len(body)
            if self._taken >= MOST_BODY:
                self._enough()

    def on_message_complete(self) -> None:
        """All of it is there, if it was not enough before."""
        if self._timer is not None or self._status < 200:
            self._stop()
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """What is there must do."""
        if self._timer is not None:
            self._enough()
        super().connection_lost(exc)

    def _enough(self) -> None:
        self._stop()
        self.reusable = False
        self._complete()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


# ---------------------------------------------------------------------- answers


def judge(reply: Reply, now: float) -> None:
    """What an answer means for a message; `now` in seconds since 1970. Raises Retry or Dead."""
    status = reply.status
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        where = reply.headers.get(b"location", b"").decode("latin-1")
        to = f" to {_shown(where)}" if where else ""
        raise Retry(f"answered {status}, a redirect{to}, which is not followed", all=True)
    said = _shown(reply.body.decode("utf-8", "replace"))
    reason = f"answered {status}{': ' + said if said else ''}"
    if status in _RETRIED or status >= 500:
        after = retry_after(reply.headers.get(b"retry-after", b"").decode("latin-1"), now)
        raise Retry(reason, after, all=status in _FOR_ALL)
    raise Dead(reason)


def _shown(text: str) -> str:
    said = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return said if len(said) <= _SHOWN else said[: _SHOWN - 1] + "…"


def retry_after(header: str, now: float) -> float | None:
    """Seconds that a Retry-After asks for: a number of them, or a date; None for what is neither."""
    header = header.strip()
    if header.isascii() and header.isdigit():
        return float(min(int(header[:12]), 10**9))
    try:
        return max(parsedate_to_datetime(header).timestamp() - now, 0.0)
    except (ValueError, TypeError, OverflowError, OSError):
        return None


# ---------------------------------------------------------------------- signatures


def sign(body: bytes, secrets: Sequence[bytes], now: int) -> str:
    """The header Quell-Signature of a body: a `v1` for each secret, so that one can take another's place."""
    signed = b"%d.%s" % (now, body)
    return ",".join([f"t={now}", *(f"v1={hmac.new(s, signed, 'sha256').hexdigest()}" for s in secrets)])


def is_signed(header: str, body: bytes, secret: bytes, now: float, tolerance: float = TOLERANCE) -> bool:
    """For a service that receives: whether the header Quell-Signature holds for a body, and is at most
    `tolerance` seconds old."""
    pairs = [part.strip().partition("=") for part in header.split(",")]
    when = next((value for name, _, value in pairs if name == "t"), "")
    if not (when.isascii() and when.isdigit() and len(when) <= 12) or abs(now - int(when)) > tolerance:
        return False
    right = sign(body, [secret], int(when)).partition("v1=")[2]
    return any(
        name == "v1" and hmac.compare_digest(value.encode(), right.encode()) for name, _, value in pairs
    )
