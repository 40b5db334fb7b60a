"""How the events of a bundle are told apart without reading them twice, where that can be done.

Three ways, the first that fits: one event type alone decodes directly, with its wire name and conditions
as part of its Struct; types told apart by text at one outermost key decode as a tagged union, and only
those that share a wire name or have conditions are looked at first; all others are looked at first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from quell.engine.event_code import EventCode, generate
from quell.engine.event_layout import Clash
from quell.engine.event_match import Path, Peek
from quell.engine.event_reader import Reader
from quell.engine.schema import EventSchema, Field

_WHOLE = re.compile(r"-?[1-9][0-9]{0,17}|0")
Pins = tuple[tuple[Path, Any], ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be read of one event type: of its used `fields`, `constants` have the value that its
    type tells, and the others are to `read`."""

    index: int
    schema: EventSchema
    fields: tuple[Field, ...]
    constants: dict[str, str]
    read: tuple[Field, ...]
    reader: Reader

    def finish(self, pins: Pins = (), **config: Any) -> Plan:
        """The plan of this event, its code generated as `quell.engine.event_code.generate` says."""
        code = generate(self.schema, self.read, self.constants, pins, **config)
        decode = None if code.struct is None else msgspec.json.Decoder(code.struct).decode
        return Plan(
            self.index, self.schema, self.fields, self.constants, self.read, self.reader, code, decode
        )


@dataclass(frozen=True, slots=True)
class Plan(Draft):
    """How one event type is decoded. `decode` gives its Struct where the type is known already; None
    sends its events the slow way."""

    code: EventCode
    decode: Callable[[bytes], Any] | None


@dataclass(slots=True)
class Fast:
    """The fast path over all events: `first` decodes bytes to some Struct; `direct` has, for the Struct
    of an event, its index, name and `check`; `choices`, for the Struct of a first look, the function
    that gives the index of the event it shows, or None."""

    plans: list[Plan]
    first: Callable[[bytes], Any]
    direct: dict[type[Any], tuple[int, str, Callable[[Any], int | None]]] = field(default_factory=dict)
    choices: dict[type[Any], Callable[[Any], int | None]] = field(default_factory=dict)


def draft(index: int, schema: EventSchema, used: Collection[str], type_path: Path) -> Draft:
    """What is to be read of an event: its used fields and its time, which is required unless it has a
    default. Raises ValueError for a schema that cannot be."""
    known = [f.name for f in schema.fields]
    if unknown := sorted(set(used) - set(known)):
        raise ValueError(f"event {schema.name} has no field {unknown[0]}")
    if len(set(known)) < len(known) or schema.at not in known:
        raise ValueError(f"event {schema.name} needs fields of different names, {schema.at} among them")
    fields = tuple(
        replace(f, type=f.type.present()) if f.name == schema.at else f
        for f in schema.fields
        if f.name in used or f.name == schema.at
    )
    told = {path: want for path, want in schema.when if isinstance(want, str)}
    if schema.wire is not None:
        told[type_path] = schema.wire
    constants = {f.name: told[f.path] for f in fields if f.path in told and _is_told(f, told[f.path])}
    read = tuple(f for f in fields if f.name not in constants)
    return Draft(index, schema, fields, constants, read, Reader(read))


def _is_told(f: Field, value: str) -> bool:
    """Whether the field is always `value`, once the event's type is known to be told by it."""
    return f.type.kind == "text" or (f.type.kind == "entity" and value != "") or value in f.type.values


def plan_fast(drafts: Sequence[Draft], type_path: Path) -> Fast:
    """The first way that fits these events."""
    try:
        if len(drafts) == 1:
            return _alone(drafts[0], type_path)
        if all(d.schema.wire is not None for d in drafts) and len(type_path) == 1:
            return _union(drafts, type_path)
    except Clash:
        pass  # a field reads what tells the events apart as another kind: look at it separately
    try:
        return _look_first(drafts, type_path)
    except Clash:
        return Fast([d.finish() for d in drafts], _refuse)


def _refuse(data: bytes) -> Any:
    raise msgspec.DecodeError


def _alone(only: Draft, type_path: Path) -> Fast:
    schema = only.schema
    pins = [] if schema.wire is None else [(type_path, _pin(schema.wire))]
    pins += [(path, _pin(want)) for path, want in schema.when]
    plan = only.finish(tuple(pins))
    if plan.code.struct is None or plan.decode is None:
        return Fast([plan], _refuse)
    return Fast([plan], plan.decode, {plan.code.struct: _direct(plan)})


def _pin(want: str | int | float | bool) -> Any:
    """The annotation of a place that must hold one value; an integer may stand for its text."""
    if isinstance(want, (bool, float)):
        raise Clash
    if isinstance(want, str) and _WHOLE.fullmatch(want):
        return Literal[want, int(want)]
    return Literal[want]


def _direct(plan: Plan) -> tuple[int, str, Callable[[Any], int | None]]:
    return plan.index, plan.schema.name, plan.code.check


def _union(drafts: Sequence[Draft], type_path: Path) -> Fast:
    key = str(type_path[0])
    for d in drafts:
        paths = [f.path for f in d.read] + [path for path, _ in d.schema.when]
        if not isinstance(type_path[0], str) or any(path[:1] == (key,) for path in paths):
            raise Clash
    groups: dict[str, list[Draft]] = {}
    for d in drafts:
        groups.setdefault(d.schema.wire or "", []).append(d)
    if all(_WHOLE.fullmatch(wire) for wire in groups):
        raise Clash  # they may well stand as integers in the JSON, which a union of texts cannot tell
    fast = Fast([], _refuse)
    members: list[Any] = []
    for wire, group in groups.items():
        if len(group) == 1 and not group[0].schema.when:
            plan = group[0].finish(tag_field=key, tag=wire)
            fast.plans.append(plan)
            if plan.code.struct is not None:
                members.append(plan.code.struct)
                fast.direct[plan.code.struct] = _direct(plan)
        else:
            fast.plans += [d.finish() for d in group]
            peek = Peek([(d.index, d.schema) for d in group], None, tag_field=key, tag=wire)
            members.append(peek.struct)
            fast.choices[peek.struct] = peek.choose
    fast.plans.sort(key=lambda plan: plan.index)
    # msgspec does not ask for the tag where only one Struct could be meant, so there are always two.
    union: Any = msgspec.defstruct("other", [], tag_field=key, tag="".join(groups) + "?")
    fast.choices[union] = lambda e: None
    for member in members:
        union = union | member
    fast.first = msgspec.json.Decoder(union).decode
    return fast


def _look_first(drafts: Sequence[Draft], type_path: Path) -> Fast:
    wires = any(d.schema.wire is not None for d in drafts)
    peek = Peek([(d.index, d.schema) for d in drafts], type_path if wires else None)
    first = msgspec.json.Decoder(peek.struct).decode
    return Fast([d.finish() for d in drafts], first, choices={peek.struct: peek.choose})
