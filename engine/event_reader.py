"""From plain values to run-time values, one at a time, saying of each what is wrong with it.

The way of plain Python values (rows of tables, dicts of an embedding service), and of every event that
the generated Structs did not accept: this is where a refusal gets its words, and where an optional
value of the wrong kind becomes missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from quell.engine.event_layout import MAX_LIST, element_type
from quell.engine.event_pick import too_deep
from quell.engine.event_problems import Problem, Unread, show
from quell.engine.schema import Field, Segment
from quell.grammar.literals import spell_path
from quell.grammar.types import Type
from quell.signals.values import Cell, Unfit, plain, scalar, words_for

MAX_PROBLEMS = 50
"""At most this many problems of one event are told."""

Where = tuple[Segment, ...]
Problems = list[Problem]
Read = Callable[[Any, Where, Problems, Problems], Any]
"""Reads a value that stands at a place: gives its run-time value, or None. What is wrong goes to the
first list where it takes the surrounding object with it, else to the second."""

_SIMPLE = frozenset((str, int, float, bool))


class Misfit(Exception):
    """A value that is not what it must be, and where it stands."""

    def __init__(self, kind: str, where: Where, expected: str, got: object) -> None:
        super().__init__(kind, where, expected)
        self.kind, self.where, self.expected, self.got = kind, where, expected, got

    def problem(self, name: str) -> Problem:
        return Problem(self.kind, name, spell_path(self.where), self.expected, show(self.got))


class Reader:
    """Reads the used fields of one event type from plain values."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._reads = [(f.name, _field(f)) for f in fields]

    def read(self, record: Mapping[str, Any]) -> tuple[dict[str, Any], Problems, Problems]:
        """The run-time values by field name, defaults filled in; the problems that refuse the event;
        and those that only made a value missing."""
        values: dict[str, Any] = {}
        fatal: Problems = []
        problems: Problems = []
        for name, read in self._reads:
            values[name] = read(record, (), fatal, problems)
        return values, fatal[:MAX_PROBLEMS], problems[:MAX_PROBLEMS]


def walk(value: Any, path: Sequence[Segment], where: Where = ()) -> Any:
    """The value at a path without ``[*]``, or None. Raises Misfit where something on the way is
    neither what the path needs nor absent."""
    for i, segment in enumerate(path):
        if isinstance(segment, str):
            if value.__class__ is dict:
                value = value.get(segment)
                continue
            value = as_object(value, (*where, *path[:i]))
            value = None if value is None else value.get(segment)
        else:
            values = as_list(value, (*where, *path[:i]))
            index = segment or 0
            inside = values is not None and -len(values) <= index < len(values)
            value = values[index] if values is not None and inside else None
    return value


def as_object(value: Any, where: Where) -> Mapping[str, Any] | None:
    """`value` as an object, None for nothing; a cell is read as JSON. Raises Misfit."""
    value = _settle(value, where, "an object")
    if isinstance(value, Cell):
        value = _json(value, where, "an object as JSON")
    if value is None or isinstance(value, Mapping):
        return value
    raise Misfit("wrong-type", where, "an object", value)


def as_list(value: Any, where: Where) -> Sequence[Any] | None:
    """`value` as a list of bounded length, None for nothing; a cell is read as JSON. Raises Misfit."""
    value = _settle(value, where, "a list")
    if isinstance(value, Cell):
        value = _json(value, where, "a list as JSON")
    if value is None:
        return None
    if not isinstance(value, (list, tuple)):
        raise Misfit("wrong-type", where, "a list", value)
    if len(value) > MAX_LIST:
        raise _too_many(len(value), where)
    return value


def _too_many(count: int, where: Where) -> Misfit:
    return Misfit("too-many", where, f"at most {MAX_LIST:,} elements", Unread("", f"{count:,}"))


def _settle(value: Any, where: Where, words: str) -> Any:
    """A value in one of the kinds the converters know; empty cells are None. Raises Misfit for what
    could not be read."""
    if value.__class__ in _SIMPLE or value is None:
        return value
    if value.__class__ is Unread:
        if value.kind == "too-many":
            words = f"at most {MAX_LIST:,} elements"
        raise Misfit(value.kind, where, words, value)
    if value.__class__ is Cell:
        return value if value.strip() else None
    return plain(value)


def _json(cell: Cell, where: Where, words: str) -> Any:
    data = cell.encode("utf-8", "replace")
    if too_deep(data):
        raise Misfit("too-deep", where, words, cell)
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Misfit("wrong-type", where, words, cell) from error


def _field(declared: Field) -> Read:
    """The reader of a field of an event or a record: missing, wrong and default are settled here."""
    get = _collector(declared) if None in declared.path else _single(declared)
    required, words = declared.required, words_for(declared.type)
    default = declared.default if declared.has_default else None

    def read(record: Any, where: Where, fatal: Problems, problems: Problems) -> Any:
        bad = fatal if required else problems
        before = len(bad)
        try:
            value = get(record, where, bad, problems)
        except Misfit as error:
            _note(bad, error, declared)
            return default
        if value is not None:
            return value
        if required and len(bad) == before:
            place = spell_path((*where, *declared.path))
            bad.append(Problem("missing-field", declared.name, place, words, "nothing"))
        return default

    return read


def _note(bad: Problems, error: Misfit, declared: Field) -> None:
    """Add a problem, if there is still interest in more."""
    if len(bad) < MAX_PROBLEMS:
        bad.append(error.problem(declared.name))


def _single(declared: Field) -> Read:
    """The value at a path without ``[*]``."""
    if declared.type.kind not in ("list", "record"):
        return _scalar(declared)
    path, convert = declared.path, _converter(declared.type, declared)

    def read(record: Any, where: Where, bad: Problems, problems: Problems) -> Any:
        value = walk(record, path, where)
        return None if value is None else convert(value, (*where, *path), bad, problems)

    return read


def _scalar(declared: Field) -> Read:
    """The same for one scalar, which is what most fields are: nothing is built until it is wrong."""
    path, (convert, words) = declared.path, scalar(declared.type)

    def read(record: Any, where: Where, bad: Problems, problems: Problems) -> Any:
        value = walk(record, path, where)
        if value is None:
            return None
        if value.__class__ not in _SIMPLE:
            value = _settle(value, (*where, *path), words)
            if value is None:
                return None
        try:
            return convert(value)
        except Unfit as error:
            raise Misfit(error.kind, (*where, *path), error.expected, value) from error

    return read


def _collector(declared: Field) -> Read:
    """The list that ``[*]``, once or more, collects from every element."""
    convert = _converter(element_type(declared), declared)

    def collect(
        value: Any, path: Where, where: Where, found: list[Any], bad: Problems, problems: Problems
    ) -> bool:
        star = path.index(None)
        here, rest = (*where, *path[:star]), path[star + 1 :]
        elements = as_list(walk(value, path[:star], where), here)
        for i, element in enumerate(elements or ()):
            if element is None:
                continue
            try:
                if None in rest:
                    collect(element, rest, (*here, i), found, bad, problems)
                    continue
                inner = walk(element, rest, (*here, i))
                if inner is not None:
                    inner = convert(inner, (*here, i, *rest), bad, problems)
            except Misfit as error:
                _note(bad, error, declared)
                continue
            if inner is not None:
                found.append(inner)
        return elements is not None

    def read(record: Any, where: Where, bad: Problems, problems: Problems) -> Any:
        found: list[Any] = []
        present = collect(record, declared.path, where, found, bad, problems)
        if len(found) > MAX_LIST:
            raise _too_many(len(found), (*where, *declared.path))
        return found if present else None

    return read


def _converter(kind: Type, declared: Field) -> Read:
    """The converter of one present value of a type; raises Misfit for a wrong one."""
    if kind.kind == "list" and kind.element is not None:
        return _list(kind.element, declared)
    if kind.kind == "record":
        return _record(declared)
    convert, words = scalar(kind)

    def read(value: Any, where: Where, bad: Problems, problems: Problems) -> Any:
        if value.__class__ not in _SIMPLE:
            value = _settle(value, where, words)
            if value is None:
                return None
        try:
            return convert(value)
        except Unfit as error:
            raise Misfit(error.kind, where, error.expected, value) from error

    return read


def _list(element: Type, declared: Field) -> Read:
    convert = _converter(element, declared)

    def read(value: Any, where: Where, bad: Problems, problems: Problems) -> Any:
        values = as_list(value, where)
        if values is None:
            return None
        found: list[Any] = []
        for i, inner in enumerate(values):
            if inner is None:
                continue
            try:
                inner = convert(inner, (*where, i), bad, problems)
            except Misfit as error:
                _note(bad, error, declared)
                continue
            if inner is not None:
                found.append(inner)
        return found

    return read


def _record(declared: Field) -> Read:
    inner = [(f.name, _field(f)) for f in declared.record]

    def read(value: Any, where: Where, bad: Problems, problems: Problems) -> Any:
        record = as_object(value, where)
        if record is None:
            return None
        wrong: Problems = []
        found = {name: read(record, where, wrong, problems) for name, read in inner}
        bad += wrong[: max(0, MAX_PROBLEMS - len(bad))]
        return None if wrong else found

    return read
