"""Many events in one request: what POST /v1/decide/many and /v1/decide/stream have in common, and the first.

Each answer stands in its event's place: a decision as it is, an event that was refused as a problem with its
`status`. One bad event never spoils the others.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import msgspec

from quell.engine.decision import Refused
from quell.engine.http_access import Access, Grant
from quell.engine.http_answer import encode, problem_of, send_error, send_json
from quell.engine.http_body import (
    JSON_TYPES,
    Gone,
    Message,
    Receive,
    Scope,
    Send,
    body_of,
    check_type,
    headers_of,
    no_query,
    only_for_one,
)
from quell.engine.http_lines import Line
from quell.engine.http_pressure import Pressure
from quell.engine.http_problem import HttpError, refuse
from quell.engine.service import Service
from quell.engine.service_keeping import Made

CHUNK = 256
"""Events that are decided before others on the event loop get their turn."""
_ROOM = 0.005
"""Seconds between two looks whether there is room for more decisions that wait."""
_events = msgspec.json.Decoder(list[msgspec.Raw])
_log = logging.getLogger("quell.http")


class BulkApp(ABC):
    """Decides many events: who may, in what, and how errors are answered."""

    name: str
    types: Sequence[bytes]

    def __init__(self, service: Service, access: Access, pressure: Pressure) -> None:
        self.service, self.access, self.pressure = service, access, pressure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        pressure, started, status = self.pressure, False, 200

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        pressure.under_way += 1
        try:
            headers, grant = self._enter(scope)
            await self.answer(headers, grant, receive, sending)
        except HttpError as error:
            status = await send_error(send, self.service, error)
        except Gone:
            status = 499
        except Exception:
            _log.exception("answering events failed")
            status = 500
            if started:  # then it ends early, which whoever reads it sees
                raise
            await send_error(send, self.service, refuse("internal"))
        finally:
            pressure.under_way -= 1
            pressure.answered(self.name, status)

    def _enter(self, scope: Scope) -> tuple[dict[bytes, bytes], Grant]:
        if scope["method"] != "POST":
            raise refuse("wrong-method", "events are sent with POST", headers=[(b"allow", b"POST")])
        self.pressure.enter()
        headers = headers_of(scope)
        grant = self.access.enter(headers, "decide")
        no_query(scope)
        only_for_one(headers)
        check_type(headers, self.types)
        return headers, grant

    @abstractmethod
    async def answer(
        self, headers: Mapping[bytes, bytes], grant: Grant, receive: Receive, send: Send
    ) -> None:
        """Decide and answer. Raises HttpError before the first byte, and Gone."""

    # ------------------------------------------------------------- deciding

    @property
    def chunk(self) -> int:
        """How many events are decided together: no more than may wait at once, else some would be refused as
        too many though nobody else sends any."""
        return max(1, min(CHUNK, self.service.engine.in_flight))

    async def begin(self, lines: Sequence[Line], grant: Grant) -> list[Made] | asyncio.Future[list[Made]]:
        """Decide events, once there is room for those that might wait. Labels by hand are refused where the
        key is not for them."""
        engine = self.service.engine
        async with self.pressure.turns:  # a hundred clients with many events hold up others no more than one
            while engine.waiting and engine.waiting + len(lines) > engine.in_flight:
                await asyncio.sleep(_ROOM)
            made = self.service.begin_many([event for _, event in lines], grant.may("admin"))
            await asyncio.sleep(0)
        return made

    def encoded(self, lines: Sequence[Line], made: list[Made], numbered: bool) -> list[bytes]:
        """The answers as JSON: decisions as they are, refusals as problems."""
        return [
            encode(problem_of(self.service, event, reply, number if numbered else 0))
            if type(reply) is Refused
            else encoded
            for (number, event), (reply, encoded) in zip(lines, made, strict=True)
        ]


class ManyApp(BulkApp):
    """POST /v1/decide/many: an array of events, answered by an array."""

    name = "decide/many"
    types = JSON_TYPES

    async def answer(
        self, headers: Mapping[bytes, bytes], grant: Grant, receive: Receive, send: Send
    ) -> None:
        """Decide the events in order, and answer when all are decided."""
        body = await body_of(headers, receive, self.pressure.limits.bulk, self.pressure)
        with self.pressure.room() as room:
            room.take(len(body))
            await self._answer(body, grant, send)

    async def _answer(self, body: bytes, grant: Grant, send: Send) -> None:
        limits = self.pressure.limits
        lines = [(place, event) for place, event in enumerate(_array(body, limits.events), 1)]
        size = self.chunk
        chunks = [lines[begin : begin + size] for begin in range(0, len(lines), size)]
        under_way: list[list[Made] | asyncio.Future[list[Made]]] = []
        for chunk in chunks:
            under_way.append(await self.begin(chunk, grant))
        answers: list[bytes] = []
        for chunk, made in zip(chunks, under_way, strict=True):
            done = await asyncio.shield(made) if isinstance(made, asyncio.Future) else made
            answers += self.encoded(chunk, done, numbered=False)
        await send_json(send, b"[" + b",".join(answers) + b"]")


def _array(body: bytes, most: int) -> list[bytes]:
    """The events in an array, each as it stands there. Raises HttpError."""
    try:
        found = _events.decode(body)
    except RecursionError:
        raise refuse("too-deep", "lists and objects stand in one another too deep") from None
    except msgspec.ValidationError:
        raise refuse("not-array", "the body is JSON, but not an array") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise refuse("not-json", f"the body is not JSON: {error}") from None
    if len(found) > most:
        raise refuse("too-many-events", f"an array holds at most {most:,} events, not {len(found):,}")
    return [bytes(event) for event in found]
