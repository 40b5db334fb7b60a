"""POST /v1/decide: one event, one decision, as a plain ASGI application.

Nothing here but what a decision needs: the headers are looked at once, the body is taken in one piece where
it comes so, and the answer is the JSON that the journal has.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from quell.engine.decision import Refused
from quell.engine.event_problems import Refusal
from quell.engine.http_access import Access
from quell.engine.http_answer import encode, send_error, send_refused
from quell.engine.http_body import (
    JSON_TYPES,
    MAX_HEADERS,
    Gone,
    Receive,
    Scope,
    Send,
    body_of,
    check_type,
    deadline_of,
    headers_of,
    key_of,
    no_query,
)
from quell.engine.http_pressure import Pressure
from quell.engine.http_problem import JSON, Header, HttpError, refuse
from quell.engine.journal_format import JournalError
from quell.engine.service import Service
from quell.engine.service_keeping import Done, Made

PATH = "/v1/decide"
BEGUN = "quell.begun"
"""The key of a scope under which a decision stands that was made, or begun, before the request came here."""
REPLAYED = (b"idempotent-replayed", b"true")
"""The header of an answer that was given before."""
_SHORT = frozenset((b"quell-deadline-ms", b"content-encoding", b"idempotency-key"))
"""Headers that the short way does not look at."""
_log = logging.getLogger("quell.http")


class DecideApp:
    """Decides the event in the body of a request."""

    def __init__(self, service: Service, access: Access, pressure: Pressure) -> None:
        self._service, self._access, self._pressure = service, access, pressure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        pressure = self._pressure
        pressure.under_way += 1
        try:
            status = await self._answer(scope, receive, send)
        except HttpError as error:
            status = await send_error(send, self._service, error)
        except Gone:
            status = 499
        except Exception:
            _log.exception("answering an event failed")
            status = await send_error(send, self._service, refuse("internal"))
        finally:
            pressure.under_way -= 1
        pressure.answered("decide", status)

    # ------------------------------------------------------- the short way

    def direct(
        self, sent: list[tuple[bytes, bytes]], event: bytes, done: Done
    ) -> bool | Made | asyncio.Future[Made]:
        """Decide the event of an ordinary request. True: `done` is called with the answer before the event
        loop waits again. False: nothing happened, and the request goes the ordinary way. Else it is decided,
        or waits, and goes that way with the scope's key `BEGUN`. Never raises."""
        headers, pressure = dict(sent), self._pressure
        if (
            len(headers) != len(sent)
            or len(sent) > MAX_HEADERS
            or headers.get(b"content-type") != b"application/json"
            or not _SHORT.isdisjoint(headers)
            or pressure.overloaded
            or pressure.closing
            or 0 < pressure.limits.body < len(event)
            or not self._access.known(headers)
        ):
            return False
        service = self._service
        try:
            return service.begin_soon(event, done)
        except Exception:
            _log.exception("answering an event failed")
            refused = service.engine.stepper.refuse(Refusal("internal", "answering the event failed"))
            return refused, encode(refused)

    def answered(self) -> None:
        """Count a decision that `direct` began and that was answered."""
        self._pressure.answered("decide", 200)

    def end_turn(self) -> None:
        """Answer now what `direct` began."""
        self._service.end_turn()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        service = self._service
        begun: Made | asyncio.Future[Made] | None = scope.get(BEGUN)
        if begun is not None:
            return await self._answer_begun(begun, receive, send)
        if scope["method"] != "POST":
            raise refuse("wrong-method", "events are sent with POST", headers=[(b"allow", b"POST")])
        self._pressure.enter()
        headers = headers_of(scope)
        grant = self._access.enter(headers, "decide")
        no_query(scope)
        check_type(headers, JSON_TYPES)
        deadline = deadline_of(headers)
        most = self._pressure.limits.body or service.bundle.decoder.max_bytes
        key = key_of(headers)
        event = await body_of(headers, receive, most, self._pressure)
        if key is not None:
            whose = grant.key.id if grant.key is not None else ""
            return await self._once(event, key, deadline, grant.may("admin"), whose, send)
        return await self._send(service.begin(event, deadline, grant.may("admin")), event, send)

    async def _once(
        self, event: bytes, key: str, deadline: float | None, by_hand: bool, whose: str, send: Send
    ) -> int:
        """Answer an event that came under a key, each time as the first time."""
        once = self._service.once
        try:
            reply, encoded, replayed = await once.decide(event, key, deadline, by_hand=by_hand, whose=whose)
        except JournalError as error:
            _log.error("an answer cannot be given again: %s", error.message)
            raise refuse("lost-answer") from None  # the log tells of files
        return await self._send((reply, encoded), event, send, [REPLAYED] if replayed else [])

    async def _answer_begun(self, begun: Made | asyncio.Future[Made], receive: Receive, send: Send) -> int:
        """Answer a request that came by `direct`; its body is there."""
        message = await receive()
        return await self._send(begun, message.get("body", b""), send)

    async def _send(
        self, made: Made | asyncio.Future[Made], event: bytes, send: Send, more: Sequence[Header] = ()
    ) -> int:
        if isinstance(made, asyncio.Future):
            # The decision is made and kept even if whoever asked goes away.
            made = await asyncio.shield(made)
        reply, encoded = made
        if isinstance(reply, Refused):
            return await send_refused(send, self._service, event, reply, more)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [JSON, (b"content-length", b"%d" % len(encoded)), *more],
            }
        )
        await send({"type": "http.response.body", "body": encoded})
        return 200
