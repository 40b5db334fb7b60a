"""What a history says each event really was.

A label is written in one of two ways. An expression of the policy language over what the policies
declare: `reported and reports > 3`, `verdict == "spam"`. Or a path into the record as it stands in the
history, for what no policy may read: `$.label == "spam"`, `$.kind in ["raid", "flood"]`, or the path alone
where its value is true or false. What has no label is left out of training.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from quell.engine.compile import Analysis
from quell.engine.events import Refusal
from quell.engine.hand import HandAction
from quell.engine.source_base import Payload, Source
from quell.grammar import tree
from quell.grammar.diagnostics import Report, did_you_mean
from quell.grammar.literals import path as read_path
from quell.grammar.parser import parse_expression
from quell.replay.named_values import NotAValue, Wanted, nameable

LABEL = "the label"
"""The column of a label that is an expression; no name of a policy is spelled so."""
MOST_VALUES = 1_000
"""Different values that are told apart."""

_COMPARED = re.compile(r"(.+?)\s*(==|!=|\bin\b)\s*(.+)", re.DOTALL)
_ASSIGNED = re.compile(r"\$[\w.]*\s*=(?!=)")
_YES, _NO = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no")


@dataclass(slots=True)
class RecordLabel:
    """A label by a path into the record: true where the value there is (or with `negated` is not) one of
    `values`; with no `values` it must itself say true or false. `seen` counts the values that came."""

    text: str
    path: tuple[str | int | None, ...]
    values: tuple[Any, ...] = ()
    negated: bool = False
    seen: Counter[str] = field(default_factory=Counter)
    unclear: Counter[str] = field(default_factory=Counter)

    def of(self, record: Any) -> bool | None:
        """What a record says; None where it says nothing."""
        return self.said(follow(record, self.path))

    def said(self, value: Any) -> bool | None:
        """What the value at the path says; None where it says nothing."""
        if value is None or value == "":
            return None
        shown = spelled(value)
        if shown in self.seen or len(self.seen) < MOST_VALUES:
            self.seen[shown] += 1
        if self.values:
            return any(same(value, v) for v in self.values) is not self.negated
        said = yes_or_no(shown.strip('"'))
        if said is not None:
            return said
        if len(self.unclear) < MOST_VALUES:
            self.unclear[shown] += 1
        return None


@dataclass(frozen=True, slots=True)
class ValueLabel:
    """A label by an expression of the policy language, which is worked out with the other values."""

    text: str
    written: tree.Expr

    @property
    def wanted(self) -> Wanted:
        """The value to work out."""
        return Wanted(LABEL, self.written)


def read_label(text: str, analysis: Analysis) -> RecordLabel | ValueLabel:
    """What the command line says a label is. Raises NotAValue for what cannot be one."""
    text = text.strip()
    if text.startswith("$"):
        return _record_label(text)
    report = Report()
    written = parse_expression(text, "label", report=report)
    if written is None:
        raise NotAValue(f"the label `{text}` cannot be read: {report.found[0].message}", report.found[0].hint)
    if isinstance(written, tree.Name) and written.name not in nameable(analysis):
        near = did_you_mean(written.name, nameable(analysis))
        path = f"write $.{written.name} for what only the history has"
        raise NotAValue(f"nothing is called `{written.name}`", f"{near} or {path}" if near else path)
    return ValueLabel(text, written)


def _record_label(text: str) -> RecordLabel:
    compared = _COMPARED.fullmatch(text)
    left, operator, right = compared.groups() if compared else (text, "", "")
    if _ASSIGNED.match(text):
        raise NotAValue(f"the label `{text}` cannot be read: a single `=` does not compare", "write ==")
    try:
        path = read_path(left)
    except ValueError as error:
        raise NotAValue(f"the label `{text}` cannot be read: {error}", 'write $.label == "spam"') from error
    if not path:
        raise NotAValue(f"the label `{text}` cannot be read: it names no place", 'write $.label == "spam"')
    if None in path:
        raise NotAValue(f"the label `{text}` is in many places", "a label is one value, such as $.label")
    if not operator:
        return RecordLabel(text, path)
    return RecordLabel(text, path, _literals(text, operator, right), operator == "!=")


def _literals(text: str, operator: str, written: str) -> tuple[Any, ...]:
    found = parse_expression(written)
    items = found.items if isinstance(found, tree.ListLiteral) and operator == "in" else (found,)
    values: list[Any] = []
    for item in items:
        if isinstance(item, tree.Text) and item.plain is not None:
            values.append(item.plain)
        elif isinstance(item, tree.Number | tree.Bool):
            values.append(item.value)
        else:
            hint = 'write $.label == "spam", or $.kind in ["raid", "flood"]'
            raise NotAValue(f"the label `{text}` compares with no plain value", hint)
    return tuple(values)


def record_of(payload: Payload) -> Any:
    """A record as plain values; None for one that cannot be read."""
    if isinstance(payload, bytes):
        try:
            return msgspec.json.decode(payload)
        except (msgspec.DecodeError, RecursionError):
            return None
    return None if isinstance(payload, Refusal | HandAction) else payload


def yes_or_no(said: str) -> bool | None:
    """What a label that is a text says by itself; None where it says neither."""
    return True if said.lower() in _YES else False if said.lower() in _NO else None


def follow(record: Any, path: tuple[str | int | None, ...]) -> Any:
    """The value at a path, None where there is none."""
    for step in path:
        if isinstance(step, str):
            record = record.get(step) if isinstance(record, dict) else None
        else:
            inside = isinstance(record, list) and -len(record) <= (step or 0) < len(record)
            record = record[step] if inside and step is not None else None
    return record


def same(value: Any, literal: Any) -> bool:
    """Whether a value of a record is a literal. Cells of a CSV file are all text."""
    if isinstance(value, bool) or isinstance(literal, bool):
        return value is literal or (isinstance(value, str) and value.lower() == str(literal).lower())
    if isinstance(value, str) and isinstance(literal, int | float):
        return value in (str(literal), f"{literal:g}")
    return bool(value == literal)


def spelled(value: Any) -> str:
    """A value of a record, for people: as JSON, shortened."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        value = str(value)  # a cell is text with a type of its own
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "an object"
    shown = msgspec.json.encode(value, enc_hook=str).decode("utf-8", "replace")
    return shown if len(shown) <= 60 else shown[:59] + "…"


class LabelFile:
    """Labels in a file of their own, whose record n belongs to record n of the history."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._records: Iterator[tuple[int, Payload]] = iter(source)
        self._at: tuple[int, Payload] = (0, b"null")

    def record(self, number: int) -> Any:
        """The record of this number. Ask in order. Raises NotAValue where the file has none."""
        while self._at[0] < number:
            found = next(self._records, None)
            if found is None:
                raise NotAValue(
                    f"`{self._source.name}` has no record {number:,}, and the history has",
                    "each record of the labels belongs to the record of the same number of the history",
                )
            self._at = found
        return record_of(self._at[1]) if self._at[0] == number else None
