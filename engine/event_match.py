"""Which event type a record is: by its wire name and by its `when` conditions, exactly one or none."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from quell.engine.event_expressions import HELPERS, chain
from quell.engine.event_layout import Node, add_leaf, build_struct
from quell.engine.event_pick import Want
from quell.engine.event_problems import Refusal, Unread, show
from quell.engine.event_reader import Misfit, walk
from quell.engine.schema import EventSchema, Segment
from quell.grammar.literals import spell_path
from quell.signals.values import Cell, Unfit, boolean, number, plain, text

Path = tuple[Segment, ...]
Literal = str | int | float | bool


def same(value: Any, literal: Literal) -> bool:
    """Whether a value of an event is what a `when` condition asks for.

    Text is compared with text or an exact integer, numbers with numbers, true and false with those; a
    CSV cell is read as what the literal is. Anything else is not the same.
    """
    if value.__class__ not in (str, int, float, bool, Cell):
        value = plain(value)
    try:
        if isinstance(literal, bool):
            return boolean(value) is literal
        if isinstance(literal, str):
            return text(value) == literal
        if isinstance(value, Cell):
            return number(value) == literal
    except Unfit:
        return False
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) and value == literal


def tag_text(value: Any) -> str | None:
    """The event's type as text, where it is text or an integer."""
    if value.__class__ is str:
        return value
    try:
        return text(plain(value))
    except Unfit:
        return None


class Matcher:
    """Finds the one event type of a record.

    `rows` are the events in order; `index_of` what `find` gives for them. Raises ValueError for a
    condition or type path with ``[*]``, which stands for no single value.
    """

    def __init__(self, schemas: Sequence[EventSchema], type_path: Path) -> None:
        paths = [path for s in schemas for path, _ in s.when]
        if any(None in path for path in (type_path, *paths)):
            raise ValueError("an event is told by one value: [*] cannot stand in its path")
        self._schemas = schemas
        self._type_path = type_path
        self.paths: list[Path] = [*([type_path] if any(s.wire is not None for s in schemas) else []), *paths]
        self._wires = sorted({s.wire for s in schemas if s.wire is not None})
        self._unknown = lru_cache(maxsize=256)(self._refuse_tag)

    def want(self) -> Want:
        """The parts of a record that `find` looks at."""
        want = Want()
        for path in self.paths:
            want.at(path).scalar = True
        return want

    def find(self, record: Mapping[str, Any]) -> int | Refusal:
        """The index of the event type that describes `record`, or why there is not exactly one."""
        tag = look(record, self._type_path) if self._wires else None
        name = None if tag is None else tag_text(tag)
        named = [i for i, s in enumerate(self._schemas) if s.wire is None or s.wire == name]
        found = [
            i for i in named if all(same(look(record, path), want) for path, want in self._schemas[i].when)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            return self._refuse_several(found)
        if not named:
            return self._unknown(name, show(tag))
        return self._refuse_conditions(record, named)

    def _refuse_tag(self, name: str | None, shown: str) -> Refusal:
        path = spell_path(self._type_path)
        listed = ", ".join(f'"{w}"' for w in self._wires[:6]) + (", …" if len(self._wires) > 6 else "")
        close = difflib.get_close_matches(name[:80], self._wires, n=1, cutoff=0.7) if name else []
        return Refusal(
            kind="unmatched",
            message=f"no event type matches: `{path}` is {shown if shown != 'nothing' else 'missing'}",
            path=path,
            expected=f"one of {listed}" if len(self._wires) > 1 else listed,
            got=shown,
            hint=f'did you mean "{close[0]}"?' if close else f"types are {listed}" if listed else "",
        )

    def _refuse_conditions(self, record: Mapping[str, Any], named: Sequence[int]) -> Refusal:
        schema = self._schemas[named[0]]
        path, want, got = next(
            (path, want, got) for path, want in schema.when if not same(got := look(record, path), want)
        )
        place, shown = spell_path(path), show(got)
        return Refusal(
            kind="unmatched",
            message=f"no event type matches: `{schema.name}` is only for `{place}` equal to {show(want)},"
            f" and here it is {shown if got is not None else 'missing'}",
            path=place,
            expected=show(want),
            got=shown,
        )

    def _refuse_several(self, found: Sequence[int]) -> Refusal:
        names = " and ".join(f"`{self._schemas[i].name}`" for i in found[:3])
        return Refusal(
            kind="ambiguous",
            message=f"more than one event type matches: {names}",
            hint="tell them apart by their wire names or by `when`",
        )


def look(record: Mapping[str, Any], path: Path) -> Any:
    """The value at a path, or None where there is none or nothing that could be compared."""
    try:
        value = walk(record, path)
    except Misfit:
        return None
    return None if isinstance(value, Unread) and value.kind != "wrong-type" else value


class Peek:
    """A Struct that holds only what tells event types apart, and the choice by it.

    `choose(e)` gives the number of the one matching row, or None where the slow way must look: none
    matches, several do, or the conditions need it. Raises Clash where no Struct can hold the paths.
    """

    def __init__(
        self, schemas: Sequence[tuple[int, EventSchema]], type_path: Path | None, **config: Any
    ) -> None:
        root = Node(role="object")
        scalar = str | int | float | bool
        for path in ([] if type_path is None else [type_path]) + [p for _, s in schemas for p, _ in s.when]:
            add_leaf(root, path, "any", scalar, False)
        self.struct: type[msgspec.Struct] = build_struct(root, "peek", **config)
        self._tag = None if type_path is None else _getter(root, type_path)
        self._rows: dict[str | None, list[tuple[int, list[tuple[Callable[[Any], Any], Literal]]]]] = {}
        for index, schema in schemas:
            tests = [(_getter(root, path), want) for path, want in schema.when]
            key = None if type_path is None else schema.wire
            self._rows.setdefault(key, []).append((index, tests))

    def choose(self, e: Any) -> int | None:
        """The index of the one event type whose conditions hold."""
        rows = self._rows.get(None, [])
        if self._tag is not None:
            tag = self._tag(e)
            name = tag if tag is None or tag.__class__ is str else tag_text(tag)
            rows = rows if name is None else rows + self._rows.get(name, [])
        found = None
        for index, tests in rows:
            if all(same(get(e), want) for get, want in tests):
                if found is not None:
                    return None
                found = index
        return found


def _getter(root: Node, path: Path) -> Callable[[Any], Any]:
    source = f"lambda e: {chain('e', root, path)[0]}"
    made: Callable[[Any], Any] = eval(source, dict(HELPERS))
    return made
