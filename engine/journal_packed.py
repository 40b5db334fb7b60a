"""Segments as Parquet files."""

from __future__ import annotations
from pathlib import Path
from quell.engine.journal_format import Head
from quell.engine.journal_records import Tell
from quell.engine.service_types import Entry


def packed_head(path: Path) -> Head | None:
    raise NotImplementedError


class PackedFile:
    def __init__(self, path: Path) -> None:
        raise NotImplementedError

    def piece(self, after: int, end: int | None, tell: Tell) -> list[Entry] | None:
        raise NotImplementedError

    def size(self) -> int:
        return 0

    def close(self) -> None: ...
