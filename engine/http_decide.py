"""POST /v1/decide: one event, one decision, as a plain ASGI application.

Nothing here but what a decision needs: the headers are looked at once, the body is taken in one piece where
it comes so, and the answer is the JSON that the journal has.
"""

from __future__ import annotations

import asyncio
import logging

from quell.engine.decision import Refused
from quell.engine.http_access import Access
from quell.engine.http_answer import check_hand, send_error, send_refused
from quell.engine.http_body import (
    JSON_TYPES,
    Gone,
    Receive,
    Scope,
    Send,
    body_of,
    check_type,
    deadline_of,
    headers_of,
)
from quell.engine.http_pressure import Pressure
from quell.engine.http_problem import JSON, HttpError, refuse
from quell.engine.service import Service

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

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        service = self._service
        if scope["method"] != "POST":
            raise refuse("wrong-method", "events are sent with POST", headers=[(b"allow", b"POST")])
        self._pressure.enter()
        headers = headers_of(scope)
        grant = self._access.enter(headers, "decide")
        check_type(headers, JSON_TYPES)
        deadline = deadline_of(headers)
        most = self._pressure.limits.body or service.bundle.decoder.max_bytes
        event = await body_of(headers, receive, most, self._pressure)
        check_hand(service, grant, event)
        made = service.begin(event, deadline)
        if isinstance(made, asyncio.Future):
            # The decision is made and kept even if whoever asked goes away.
            made = await asyncio.shield(made)
        reply, encoded = made
        if isinstance(reply, Refused):
            return await send_refused(send, service, event, reply)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [JSON, (b"content-length", b"%d" % len(encoded))],
            }
        )
        await send({"type": "http.response.body", "body": encoded})
        return 200
