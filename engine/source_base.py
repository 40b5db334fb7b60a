"""What every source of events has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Literal, Self

from quell.engine.event_problems import Refusal
from quell.engine.hand import HandAction

Payload = bytes | dict[str, Any] | HandAction | Refusal
"""A record: the bytes of a JSON object, the values of a row, a label by hand that is read already, or why
there is none of them."""


class SourceError(Exception):
    """Events cannot be read, or not any further. `hint` is what to try, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class Source(ABC):
    """Records in the order of a file, each with its number: a line's, from 1, or a row's.

    `name` is the file's; `total` how much there is, in `unit`, or None where that cannot be known; and
    `position` how far reading has come. Iterate once. Raises SourceError where nothing more can be read.
    """

    name: str
    unit: Literal["bytes", "rows"] = "bytes"
    total: int | None = None

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[int, Payload]]:
        """The records with their numbers."""

    @property
    @abstractmethod
    def position(self) -> int:
        """How much of `total` has been read."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""

    def place(self, number: int) -> str:
        """Where a record stands, for people: ``events.jsonl:12``."""
        return f"{self.name}:{number}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
