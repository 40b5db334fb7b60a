"""Memory that runs out while an event is decided: nobody goes on with what may be half changed."""

from __future__ import annotations

import asyncio
import os
from typing import Any, NoReturn

import msgspec
import pytest

from quell.engine import cli_serve, hand
from quell.engine.decision import Decision, Refused
from tests.http_support import message, service
from tests.test_remake import World, Written
from tests.test_remake import event as remote_event
from tests.test_remake import service as remote_service

EVENT = msgspec.json.encode(message())


class Gone(BaseException):
    """Stands for the end of the process."""


def failing(error: type[Exception]) -> Any:
    """A service whose next decision fails within Quell."""
    made = service()

    def fail(*about: object) -> NoReturn:
        raise error

    made.engine.stepper._functions = [fail] * len(made.engine.stepper._functions)
    return made


@pytest.mark.parametrize("how", ["begin", "begin_soon", "begin_many"])
def test_who_keeps_the_service_hears_of_it_at_once(how: str) -> None:
    made, heard = failing(MemoryError), []
    made.no_memory = lambda: heard.append(1)
    ways: dict[str, Any] = {
        "begin": lambda: made.begin(EVENT),
        "begin_soon": lambda: made.begin_soon(EVENT, heard.append),
        "begin_many": lambda: made.begin_many([EVENT, EVENT]),
    }
    with pytest.raises(MemoryError):
        ways[how]()
    assert heard == [1]


def test_it_is_told_where_a_decision_waited_and_of_a_label_by_hand() -> None:
    def fail(*about: object) -> NoReturn:
        raise MemoryError

    async def main() -> None:
        world, heard = World(1), list[int]()
        made = remote_service(world, Written())
        made.no_memory = lambda: heard.append(1)
        waiting = made.begin(remote_event(1, "a", "a longer text", 0))
        assert isinstance(waiting, asyncio.Future)
        stepper: Any = made.engine.stepper
        stepper._settle = fail
        with pytest.raises(MemoryError):
            await waiting
        assert (heard, made.engine.waiting) == ([1], 0)
        stepper.carry_out = fail
        action = hand.made("set", "User", "a", "spammer", at=1, by="test")
        with pytest.raises(MemoryError):
            await made.label(action)
        assert heard == [1, 1]
        await made.close()

    asyncio.run(main())


def test_any_other_defect_is_an_answer() -> None:
    made = failing(ValueError)
    made.no_memory = pytest.fail
    reply, _ = made.begin(EVENT)
    assert isinstance(reply, Refused)
    assert reply.kind == "internal"
    assert isinstance(service().begin(EVENT)[0], Decision)  # type: ignore[index]


def test_a_process_that_serves_ends_without_a_word_to_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []

    def end(status: int) -> NoReturn:
        said.append(status)
        raise Gone

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(os, "write", lambda handle, text: said.append((handle, text)))
    with pytest.raises(Gone):
        cli_serve._end_without_memory()
    (handle, text), status = said
    assert (handle, status) == (2, cli_serve.NO_MEMORY)
    assert text.count(b"\n") == 2
    assert b"memory ran out" in text
