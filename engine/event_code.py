"""Python source for one event type: how each field is read from its Struct, and how it is checked.

The decoder leaves values as msgspec gave them wherever reading them later is as cheap: the source of a
field (`LeafCode`) is an expression that the compiler pastes where the field is first needed. Times,
durations and addresses are converted by the generated `check`, because they can be wrong in ways that
msgspec does not see and a wrong one must be known before any rule runs.

A field that is not one scalar at a path of keys also has a *spare* attribute on the Struct, which holds
its run-time value when the event did not come through the fast path, or when `check` computed it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import msgspec

from quell.engine.event_expressions import (
    HELPERS,
    chain,
    is_chain,
    plain_name,
    present,
    sound_source,
    wrap,
)
from quell.engine.event_layout import (
    Clash,
    Node,
    add_field,
    add_leaf,
    build_struct,
    element_type,
    enum_has_integers,
)
from quell.engine.schema import EventSchema, Field, Segment
from quell.grammar.types import Type

Path = tuple[Segment, ...]
_EAGER: dict[str, str] = {"time": "micros", "duration": "span", "ip": "address"}


@dataclass(frozen=True, slots=True)
class LeafCode:
    """How a field's run-time value is read from a decoded event.

    `source` is a Python expression over `e` (the event's Struct) and `at` (its time in microseconds);
    it gives None for a missing value and never raises. It may bind names that begin with ``_v``, so it
    belongs on the right of an assignment, not inside a comprehension's source. `helpers` are the names
    it uses besides. `raw` says that it is one chain of attributes, so that keeping its value in a
    variable saves nothing on a single use.
    """

    source: str
    helpers: Mapping[str, object]
    raw: bool


@dataclass(slots=True)
class EventCode:
    """Everything generated for one event type.

    `struct` is what JSON is decoded to, or None where only the slow way fits; `check(e)` finishes a
    decoded Struct and gives the event's time, or None (or Unfit) where the slow way must look; `make`
    builds the Struct from run-time values by field name; `sound(e, record)` raises Unfit where a Struct
    that msgspec made of a Python dict holds what none made of JSON could (None: not worth finding out).
    """

    struct: type[msgspec.Struct] | None
    check: Callable[[Any], int | None]
    make: Callable[[Mapping[str, Any]], Any]
    sound: Callable[[Any, Mapping[str, Any]], None] | None
    leaves: dict[str, LeafCode]
    source: str


def generate(
    schema: EventSchema,
    fields: Sequence[Field],
    constants: Mapping[str, str],
    pins: Sequence[tuple[Path, Any]] = (),
    **config: Any,
) -> EventCode:
    """Generate the code of an event for its used `fields` (`at` among them).

    `constants` are fields whose value the event's type already tells; `pins` are places that must hold
    one of the values an annotation allows; `config` goes to the root Struct. Raises Clash where pins
    and fields want the same place; fields that clash with one another give an event without `struct`.
    """
    reading = [f for f in fields if f.name not in constants]
    try:
        writer = _Writer(schema, reading, pins, config)
    except Clash:
        if pins:
            raise
        writer = _Writer(schema, reading, (), config, flat=True)
    return writer.finish(constants)


@dataclass(slots=True)
class _Writer:
    """Writes the source of one event type."""

    schema: EventSchema
    fields: Sequence[Field]
    pins: Sequence[tuple[Path, Any]]
    config: Mapping[str, Any]
    flat: bool = False
    root: Node = field(default_factory=Node)
    spare: dict[str, str] = field(default_factory=dict)
    names: int = 0
    consts: dict[str, Any] = field(default_factory=dict)
    struct: type[msgspec.Struct] | None = None
    made: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        others = [f for f in self.fields if not self.is_at(f)]
        users = Counter(f.path for f in others)
        for f in others:
            if self.flat or users[f.path] > 1 or not _is_plain_scalar(f):
                self.spare[f.name] = f"s{len(self.spare)}_{plain_name(f.name)}"
        if not self.flat:
            for f in self.fields:
                add_field(self.root, f)
            for path, annotation in self.pins:
                add_leaf(self.root, path, f"pin {annotation}", annotation, True)
        name = plain_name(self.schema.name) or "event"
        self.struct = build_struct(self.root, name, self.spare.values(), **self.config)

    def is_at(self, f: Field) -> bool:
        """Whether a field is the event's time, under this name or another."""
        at = self.schema.at
        same = self.schema.field(at)
        return f.name == at or (
            not self.flat and same is not None and f.path == same.path and f.type.kind == "time"
        )

    # -- expressions -------------------------------------------------------------------------------

    def fresh(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    def field(self, f: Field, base: str, node: Node, inside: bool) -> str:
        """The run-time value of a field below `base`, or its default, or None. `inside` a record,
        nothing was checked beforehand."""
        stars = None in f.path
        path = f.path[: f.path.index(None)] if stars else f.path
        raw, leaf, maybe = chain(base, node, path)
        empty = f.type.kind == "entity" and not f.required
        if not stars and not maybe and not empty:
            return self.value(f, f.type, raw, leaf, inside)
        name, bind = raw, raw
        if not is_chain(raw):
            name = self.fresh("_v")
            bind = f"({name} := {raw})"
        value = self.collect(f, name, leaf) if stars else self.value(f, f.type, name, leaf, inside)
        missing = self.literal(f)
        if inside and f.required and maybe:
            return f"must(None if {bind} is None else {value})"
        if value == name and missing == "None":
            return raw
        if missing == "None" and not empty and value.startswith(f"str({name}) if"):
            return f"str({name}) if {bind}.__class__ is int else {name}"  # None passes through
        if not maybe and not empty:
            return value
        test = f'{bind} is None or {name} == ""' if empty else f"{bind} is None"
        return f"{missing} if {test} else {value}"

    def value(self, f: Field, kind: Type, x: str, node: Node, inside: bool) -> str:
        """The run-time value of the raw value `x`, which is present and a name or chain of names."""
        if kind.kind == "list" and kind.element is not None:
            return self.listing(f, x, node, kind.element)
        if kind.kind == "record":
            pairs = (f"{inner.name!r}: {self.field(inner, x, node, True)}" for inner in f.record)
            return "{" + ", ".join(pairs) + "}"
        if kind.kind in _EAGER:
            return f"{_EAGER[kind.kind]}({x})"
        if kind.kind == "entity" and inside and f.required and kind is f.type:
            return f"named({x})"
        if node.kind == "plain":
            return x
        if kind.kind in ("text", "entity") or (kind.kind == "enum" and enum_has_integers(kind)):
            return f"str({x}) if {x}.__class__ is int else {x}"
        return x

    def listing(self, f: Field, source: str, node: Node, element: Type) -> str:
        """The list at `source` with each element converted, nulls left out."""
        x = self.fresh("x")
        value = self.value(f, element, x, node.element(), True)
        return f"[{value} for {x} in {source} if {present(x, element)}]"

    def collect(self, f: Field, source: str, node: Node) -> str:
        """What ``[*]`` (once or more) in the path of `f` collects, beginning at the list `source`."""
        rest = f.path[f.path.index(None) :]
        loops: list[str] = []
        element = element_type(f)
        while True:
            x = self.fresh("x")
            node, rest = node.element(), rest[1:]
            star = rest.index(None) if None in rest else len(rest)
            raw, node, maybe = chain(x, node, rest[:star])
            rest = rest[star:]
            loop = f"for {x} in {source} if {x} is not None"
            if not rest:
                break
            loops.append(loop)
            source = f"({wrap(raw)} or ())" if maybe else raw
        if raw == x:
            loop = f"for {x} in {source} if {present(x, element)}"
        else:
            bind, name = raw, raw
            if not is_chain(raw):
                name = self.fresh("_v")
                bind = f"({name} := {raw})"
            loop += f" and {present(bind, element, name)}"
            raw = name
        whole = f"[{self.value(f, element, raw, node, True)} {' '.join([*loops, loop])}]"
        return f"bounded({whole})" if loops else whole

    def literal(self, f: Field) -> str:
        """A field's default as source; what has no short exact spelling becomes a constant."""
        value = f.default if f.has_default else None
        if value is None or isinstance(value, (bool, str, int)):
            return repr(value)
        if isinstance(value, float) and isfinite(value):
            return repr(value)
        name = f"default_{len(self.consts)}_{plain_name(f.name)}"
        self.consts[name] = value
        return name

    # -- functions ---------------------------------------------------------------------------------

    def finish(self, constants: Mapping[str, str]) -> EventCode:
        at = next(f for f in self.fields if f.name == self.schema.at)
        lines, leaves = [], dict[str, str]()
        converted: set[Path] = set()
        for f in self.fields:
            if self.is_at(f):
                leaves[f.name] = "at"
            elif self.flat:
                leaves[f.name] = f"e.{self.spare[f.name]}"
            else:
                more, leaves[f.name] = self.place(f, converted)
                lines += more
        for name, value in constants.items():
            leaves[name] = repr(value)
        body = [*lines, "return None" if self.flat else f"return {self.field(at, 'e', self.root, False)}"]
        source = "def check(e):\n" + "".join(f"    {line}\n" for line in body)
        source += f"\n\ndef make(v):\n    return {self.making()}\n"
        sound = sound_source(self.root) if not self.flat else None
        source += "" if sound is None else f"\n\n{sound}"
        scope: dict[str, Any] = {**HELPERS, **self.consts, **self.made}
        exec(compile(source, f"<event {self.schema.name}>", "exec"), scope)
        helpers = {**HELPERS, **self.consts}
        return EventCode(
            struct=None if self.flat else self.struct,
            check=scope["check"],
            make=scope["make"],
            sound=scope.get("sound"),
            leaves={
                name: LeafCode(
                    text,
                    {k: v for k, v in helpers.items() if k in text},
                    is_chain(text) or name in constants,
                )
                for name, text in leaves.items()
            },
            source=source,
        )

    def place(self, f: Field, converted: set[Path]) -> tuple[list[str], str]:
        """The lines `check` needs for a field, and the field's source."""
        keys_only = all(isinstance(s, str) for s in f.path)
        if keys_only and f.type.kind in _EAGER:
            return self.convert_in_place(f, converted), self.spared(f, self.stored(f))
        source = self.field(f, "e", self.root, False)
        if _is_eager(f):
            spare = f"e.{self.spare[f.name]}"
            lines = [f"{spare} = {source}"]
            if f.required:
                lines += [f"if {spare} is None:", "    return None"]
            return lines, spare
        lines = []
        if f.required and f.type.kind == "entity":
            raw, _, maybe = chain("e", self.root, f.path)
            test = f'{wrap(raw)} in (None, "")' if maybe else f'{raw} == ""'
            lines = [f"if {test}:", "    return None"]
        elif f.required and not keys_only and None not in f.path:
            lines = [f"if {wrap(chain('e', self.root, f.path)[0])} is None:", "    return None"]
        elif f.required and None in f.path:
            head = f.path[: f.path.index(None)]
            raw, _, maybe = chain("e", self.root, head)
            lines = [f"if {wrap(raw)} is None:", "    return None"] if maybe else []
        return lines, self.spared(f, source)

    def convert_in_place(self, f: Field, converted: set[Path]) -> list[str]:
        if f.path in converted:
            return []
        converted.add(f.path)
        raw, _, maybe = chain("e", self.root, f.path)
        target = raw.rsplit(" and ", 1)[-1]
        change = f"{target} = {_EAGER[f.type.kind]}({target})"
        return [f"if {wrap(raw)} is not None:", f"    {change}"] if maybe else [change]

    def stored(self, f: Field) -> str:
        """The source of a field whose place already holds its run-time value."""
        raw, _, maybe = chain("e", self.root, f.path)
        missing = self.literal(f)
        if not maybe or missing == "None":
            return raw
        name = self.fresh("_v")
        return f"{missing} if ({name} := {raw}) is None else {name}"

    def spared(self, f: Field, source: str) -> str:
        if f.name not in self.spare:
            return source
        spare = f"e.{self.spare[f.name]}"
        return f"{spare} if {spare} is not None else {wrap(source)}"

    def making(self) -> str:
        """The expression that builds the root Struct from run-time values `v`."""
        slots = {f.path: f.name for f in self.fields if f.name not in self.spare}
        extra = [f"{attr}=v.get({name!r})" for name, attr in self.spare.items()]
        return self.making_of(self.root, (), slots, extra)

    def making_of(self, node: Node, path: Path, slots: Mapping[Path, str], extra: Sequence[str]) -> str:
        parts = list(extra)
        for key, child in node.children.items():
            inner = (*path, key)
            if child.role == "object":
                parts.append(f"{child.attr}={self.making_of(child, inner, slots, [])}")
            elif inner in slots:
                parts.append(f"{child.attr}=v.get({slots[inner]!r})")
            else:
                parts.append(f"{child.attr}=None")
        name = "_".join(["S", *(plain_name(str(s)) for s in path)])
        while name in self.made:
            name += "_"
        self.made[name] = node.struct
        return f"{name}({', '.join(parts)})"


def _is_plain_scalar(f: Field) -> bool:
    """Whether the field is one scalar at a path of keys."""
    return f.type.kind not in ("list", "record") and all(isinstance(s, str) for s in f.path)


def _is_eager(f: Field) -> bool:
    """Whether reading the field can fail after msgspec accepted it, so that `check` must do it."""
    several = sum(s is None for s in f.path) > 1
    return several or _has_eager(f.type, f)


def _has_eager(kind: Type, f: Field) -> bool:
    if kind.kind == "list" and kind.element is not None:
        return _has_eager(kind.element, f)
    if kind.kind == "record":
        return any(_is_eager(r) or _can_fail(r) for r in f.record)
    return kind.kind in _EAGER


def _can_fail(inner: Field) -> bool:
    """Whether a record's required field can be missing although its Struct was decoded."""
    keys_only = all(isinstance(s, str) for s in inner.path)
    return inner.required and (inner.type.kind == "entity" or not keys_only)
