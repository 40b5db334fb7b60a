"""Events from bytes or Python values: a Struct per event type that decodes only what a policy reads.

A `Decoder` is made for the event types of a bundle and the fields its policies use. For each type it
generates msgspec Structs that follow the JSON paths, so that everything else in an event is skipped
unread, and Python that finishes them. Events of the expected shape take that fast path. Whatever it does
not accept is read again value by value: an optional value of the wrong kind is then missing and
reported, a required one refuses the event, and every refusal says where, what was expected, what came.

Where a JSON object has one key twice, the last one counts. Parts of an event that no policy reads need
only be JSON in UTF-8; they may hold anything.
"""

from __future__ import annotations

import codecs
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from quell.engine.event_code import LeafCode
from quell.engine.event_match import Matcher, Path, look
from quell.engine.event_pick import (
    MAX_DEPTH,
    pick_object,
    refuse_depth,
    refuse_encoding,
    refuse_object,
    refuse_size,
    refuse_surrogate,
    too_deep,
)
from quell.engine.event_plan import Plan, draft, plan_fast
from quell.engine.event_problems import KINDS, Problem, Refusal, refuse_fields
from quell.engine.hand import HAND, HandAction, hand_want, read_hand
from quell.engine.schema import EventSchema
from quell.grammar.literals import spell_path
from quell.signals.values import Unfit, words_for

__all__ = ["KINDS", "Decoded", "Decoder", "LeafCode", "Problem", "Refusal"]

FALL_BACK = (msgspec.DecodeError, Unfit, RecursionError)

MAX_BYTES = 1 << 20
"""An event is at most this long unless a decoder is told otherwise."""


class Decoded(msgspec.Struct, gc=False):
    """An event ready to be decided.

    `index` and `event` are its type (the position among the decoder's schemas, and the name), `e` the
    Struct that `Decoder.loader` expressions read, `at` its time in microseconds, and `problems` the
    optional values that were of the wrong kind and so count as missing.
    """

    index: int
    event: str
    e: Any
    at: int
    problems: tuple[Problem, ...] = ()


class Decoder:
    """Decodes the events of a bundle.

    `used` names, for each event, the fields to decode besides its `at`; `type_path` is where an event's
    wire name stands; an event longer than `max_bytes` is refused. Raises ValueError for a schema that
    that cannot be: two events or fields of one name, an unknown field, a path whose type cannot follow it.
    """

    def __init__(
        self,
        schemas: Sequence[EventSchema],
        used: Mapping[str, Collection[str]],
        type_path: Path = ("type",),
        max_bytes: int = MAX_BYTES,
    ) -> None:
        names = [s.name for s in schemas]
        if len(set(names)) < len(names) or not schemas:
            raise ValueError("a decoder needs events, each of another name")
        if unknown := sorted(set(used) - set(names)):
            raise ValueError(f"no event is called {unknown[0]}")
        self.events: tuple[str, ...] = tuple(names)
        self.max_bytes = max_bytes
        self._matcher = Matcher(schemas, type_path)
        self._want = self._matcher.want()
        self._type_path = type_path
        self._typed = any(s.wire is not None for s in schemas)
        self._hand_want = hand_want()
        self._hand_want.at(type_path).scalar = True
        drafts = [draft(i, s, used.get(s.name, ()), type_path) for i, s in enumerate(schemas)]
        for d in drafts:
            for f in d.read:
                self._want.add(f)
        fast = plan_fast(drafts, type_path)
        self._plans = fast.plans
        self._by_name = {p.schema.name: p for p in fast.plans}
        self._first, self._direct, self._choices = fast.first, fast.direct, fast.choices

    # -- decoding ----------------------------------------------------------------------------------

    def decode(self, data: bytes | bytearray | memoryview | str) -> Decoded | Refusal:
        """One event from its JSON. Never raises for what is in `data`, or for something else than JSON."""
        if not isinstance(data, bytes):
            if not isinstance(data, str | bytearray | memoryview):
                return refuse_object()
            try:
                data = data.encode() if isinstance(data, str) else bytes(data)
            except UnicodeEncodeError:
                return refuse_surrogate()
        size = len(data)
        if size > self.max_bytes:
            return refuse_size(size, self.max_bytes)
        if size > 2 * MAX_DEPTH and too_deep(data):
            return refuse_depth()
        if not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError as error:
                return refuse_encoding(error.start)
        try:
            e = self._first(data)
            direct = self._direct.get(e.__class__)
            if direct is None:
                return self._second(data, e)
            index, name, check = direct
            at = check(e)
        except FALL_BACK:
            return self._slow(data)
        return self._slow(data) if at is None else Decoded(index, name, e, at)

    def convert(self, record: Mapping[str, Any]) -> Decoded | Refusal:
        """One event from Python values: a row of a table, a dict of a service that embeds the engine.

        Besides what JSON has, values may be datetimes, dates, timedeltas, Decimals, bytes in UTF-8,
        UUIDs, IP addresses, NumPy scalars and arrays; `Cell` texts of a CSV row stand for any type.
        """
        if not isinstance(record, Mapping):
            return refuse_object()
        try:
            chosen = self._matcher.find(record)
            if isinstance(chosen, Refusal):
                return chosen
            plan = self._plans[chosen]
            return self._convert(plan, record) or self._read(plan, record)
        except RecursionError:
            return refuse_depth()
        except Exception as error:  # the caller's own classes may raise whatever is asked of them
            return Refusal(
                kind="wrong-type",
                message=f"a value cannot be read: it raises {type(error).__name__}",
                expected="plain values",
                path="$",
            )

    def _convert(self, plan: Plan, record: Mapping[str, Any]) -> Decoded | None:
        """The fast path of `convert`: for plain dicts that msgspec accepts."""
        code = plan.code
        if code.struct is None or code.sound is None or record.__class__ is not dict:
            return None
        try:
            e = msgspec.convert(record, code.struct)
            code.sound(e, record)
            at = code.check(e)
        except (msgspec.ValidationError, Unfit, UnicodeError):  # UnicodeError: half of a character pair
            return None
        return None if at is None else Decoded(plan.index, plan.schema.name, e, at)

    def from_values(self, event: str, values: Mapping[str, Any]) -> Decoded | Refusal:
        """An event of a known type from run-time values by field name (a test's, or a history's row).

        The values are taken as they are: they must be of their fields' types, as `quell.grammar.types`
        gives them. Fields that no policy uses are ignored; a required one without a value refuses the
        event; a missing one has its default. Raises KeyError for an unknown event.
        """
        plan = self._by_name[event]
        found: dict[str, Any] = {}
        missing: list[Problem] = []
        for f in plan.fields:
            value = values.get(f.name)
            if value is None and f.has_default:
                value = f.default
            if value is None and f.required and f.name not in plan.constants:
                missing.append(
                    Problem("missing-field", f.name, spell_path(f.path), words_for(f.type), "nothing")
                )
            found[f.name] = value
        if missing:
            return refuse_fields(event, missing)
        return Decoded(plan.index, event, plan.code.make(found), found[plan.schema.at])

    def _second(self, data: bytes, e: Any) -> Decoded | Refusal:
        """Decode again, when a first look told the type."""
        chosen = self._choices[e.__class__](e)
        plan = None if chosen is None else self._plans[chosen]
        if plan is None or plan.decode is None:
            return self._slow(data)
        e = plan.decode(data)
        at = plan.code.check(e)
        return self._slow(data) if at is None else Decoded(plan.index, plan.schema.name, e, at)

    def _slow(self, data: bytes) -> Decoded | Refusal:
        if data.startswith(codecs.BOM_UTF8):
            return self.decode(data[len(codecs.BOM_UTF8) :])
        record = pick_object(data, self._want)
        if isinstance(record, Refusal):
            return record
        chosen = self._matcher.find(record)
        return chosen if isinstance(chosen, Refusal) else self._read(self._plans[chosen], record)

    def _read(self, plan: Plan, record: Mapping[str, Any]) -> Decoded | Refusal:
        values, fatal, problems = plan.reader.read(record)
        if fatal:
            return refuse_fields(plan.schema.name, fatal)
        e = plan.code.make(values)
        return Decoded(plan.index, plan.schema.name, e, values[plan.schema.at], tuple(problems))

    def by_hand(self, refused: Refusal, event: bytes | str | Mapping[str, Any]) -> HandAction | Refusal:
        """What a person did, for an event that was refused because it is no event of the bundle; else the
        refusal. Never raises for what is in `event`."""
        if refused.kind != "unmatched":
            return refused
        if isinstance(event, Mapping):
            record: Any = event
        else:
            data = event.encode() if isinstance(event, str) else bytes(event)
            record = pick_object(data.removeprefix(codecs.BOM_UTF8), self._hand_want)
        kind = None if isinstance(record, Refusal) else look(record, self._type_path)
        if not isinstance(kind, str) or not str.__eq__(kind, HAND):
            return refused
        return read_hand(record)

    # -- what the compiler needs -------------------------------------------------------------------

    def loader(self, event: str, field: str) -> LeafCode:
        """How a used field of an event is read from `Decoded.e` and `Decoded.at`.

        Raises KeyError where the event is unknown, or the field not among those it was made for.
        """
        return self._by_name[event].code.leaves[field]

    def columns(self) -> frozenset[str]:
        """The outermost keys that are looked at: the columns worth reading from a table."""
        by_hand = self._hand_want.members if self._typed else ()
        return frozenset((*self._want.members, *by_hand))

    def source(self, event: str) -> str:
        """The Python generated for an event, for people: its fields, `check` and `make`."""
        plan = self._by_name[event]
        clash = "# decoded value by value: two fields want one place for different kinds\n"
        how = "" if plan.code.struct else clash
        fields = "".join(f"# {name} = {leaf.source}\n" for name, leaf in plan.code.leaves.items())
        return f"{how}{fields}\n{plan.code.source}"
