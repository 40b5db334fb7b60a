"""Decisions as files: JSON lines or Parquet, written as they come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import IO, Any

import msgspec

from quell.engine.decision import Acted, Asked, Decision, Fired, Refused, Reply

_LISTS = (
    "fired", "shadow", "held", "labels", "sends", "problems", "late", "full", "models", "outranked", "asked",
    "cold",
)  # fmt: skip
BATCH = 8_192
"""Decisions that are held before they are written."""


class DecisionWriter(ABC):
    """Writes answers in order. `close` must be called for the file to be whole."""

    @abstractmethod
    def write(self, answer: Reply, place: str) -> None:
        """Write one answer; a refusal names the `place` of its event."""

    @abstractmethod
    def close(self) -> None:
        """Write what is held."""


class JsonLinesWriter(DecisionWriter):
    """One JSON object a line; with `prompt` each goes out at once, for a reader that waits."""

    def __init__(self, stream: IO[bytes], prompt: bool = False) -> None:
        self._stream = stream
        self._prompt = prompt
        self._encoder = msgspec.json.Encoder()
        self._held: list[bytes] = []

    def write(self, answer: Reply, place: str) -> None:
        if isinstance(answer, Refused):
            line = self._encoder.encode({"refused": True, "place": place, **msgspec.to_builtins(answer)})
        else:
            line = self._encoder.encode(answer)
        self._held.append(line)
        if self._prompt or len(self._held) >= BATCH:
            self.close()

    def close(self) -> None:
        if self._held:
            self._stream.write(b"\n".join(self._held) + b"\n")
            self._held.clear()
        self._stream.flush()


class ParquetWriter(DecisionWriter):
    """A table with one row per answer. `at` is a timestamp; rules, labels and sends are lists of records;
    a send's payload is JSON text. A label by hand has no
    verdict. A refused event has `refused` true, its `kind`, `message` and `place`."""

    def __init__(self, stream: IO[bytes]) -> None:
        import pyarrow.parquet as pq

        self._schema = parquet_schema()
        self._writer = pq.ParquetWriter(stream, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def write(self, answer: Reply, place: str) -> None:
        self._rows.append(_any_row(answer, place))
        if len(self._rows) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows.clear()

    def close(self) -> None:
        self._flush()
        self._writer.close()


def parquet_schema() -> Any:
    """The columns of a Parquet file of decisions, as a pyarrow schema."""
    import pyarrow as pa

    text = pa.string()
    rule = pa.struct(
        [("rule", text), ("verdict", text), ("message", text), ("tags", pa.list_(text)), ("severity", text)]
    )
    held = pa.struct([("rule", text), ("by", text)])
    label = pa.struct(
        [("entity", text), ("id", text), ("label", text), ("on", pa.bool_()), ("rule", text), ("until", text)]
    )
    outranked = pa.struct(
        [("entity", text), ("id", text), ("label", text), ("on", pa.bool_()), ("rule", text), ("by", text)]
    )
    asked = pa.struct([("model", text), ("status", text), ("value", text), ("reason", text)])
    sent = pa.struct([("sink", text), ("rule", text), ("payload", text)])
    problem = pa.struct([(name, text) for name in ("kind", "field", "path", "expected", "got")])
    return pa.schema(
        [
            ("event", text),
            ("seq", pa.int64()),
            ("at", pa.timestamp("us", "UTC")),
            ("verdict", text),
            ("id", text),
            ("fired", pa.list_(rule)),
            ("shadow", pa.list_(rule)),
            ("held", pa.list_(held)),
            ("labels", pa.list_(label)),
            ("sends", pa.list_(sent)),
            ("problems", pa.list_(problem)),
            ("late", pa.list_(text)),
            ("full", pa.list_(text)),
            ("cold", pa.list_(text)),
            ("models", pa.list_(pa.struct([("model", text), ("digest", text)]))),
            ("outranked", pa.list_(outranked)),
            ("decided", pa.int64()),
            ("asked", pa.list_(asked)),
            ("refused", pa.bool_()),
            ("kind", text),
            ("message", text),
            ("path", text),
            ("place", text),
        ]
    )


def _any_row(answer: Reply, place: str) -> dict[str, Any]:
    if isinstance(answer, Refused):
        return _refused_row(answer, place)
    return _row(answer) if isinstance(answer, Decision) else _acted_row(answer)


def _row(decision: Decision) -> dict[str, Any]:
    return {
        "event": decision.event,
        "seq": decision.seq,
        "at": decision.at,
        "verdict": decision.verdict,
        "id": decision.id,
        "fired": [_fired(f) for f in decision.fired],
        "shadow": [_fired(f) for f in decision.shadow],
        "held": [msgspec.structs.asdict(h) for h in decision.held],
        "labels": [msgspec.structs.asdict(c) for c in decision.labels],
        "models": [msgspec.structs.asdict(m) for m in decision.models],
        "sends": [
            {"sink": s.sink, "rule": s.rule, "payload": msgspec.json.encode(s.payload).decode()}
            for s in decision.sends
        ],
        "problems": [msgspec.structs.asdict(p) for p in decision.problems],
        "late": list(decision.late),
        "full": list(decision.full),
        "cold": list(decision.cold),
        "outranked": [msgspec.structs.asdict(o) for o in decision.outranked],
        "decided": decision.decided,
        "asked": [_asked(a) for a in decision.asked],
        "refused": False,
    }


def _acted_row(acted: Acted) -> dict[str, Any]:
    """A label by hand: it has no verdict, its change of a label no rule, and its message says who."""
    change = {name: getattr(acted, name) for name in ("entity", "id", "label", "on", "until")}
    why = f": {acted.why}" if acted.why is not None else ""
    return {
        "event": acted.event,
        "seq": acted.seq,
        "at": acted.at,
        **{column: [] for column in _LISTS},
        "labels": [change] if acted.on != acted.was else [],
        "refused": False,
        "message": f"{acted.action} by {acted.by}{why}",
    }


def _asked(asked: Asked) -> dict[str, Any]:
    value = None if asked.value is None else msgspec.json.encode(asked.value).decode()
    return {**msgspec.structs.asdict(asked), "value": value}


def _fired(fired: Fired) -> dict[str, Any]:
    return {**msgspec.structs.asdict(fired), "tags": list(fired.tags)}


def _refused_row(refused: Refused, place: str) -> dict[str, Any]:
    return {
        "event": refused.event,
        "verdict": refused.verdict,
        **{column: [] for column in _LISTS},
        "refused": True,
        "kind": refused.kind,
        "message": refused.message,
        "path": refused.path or None,
        "place": place,
    }
