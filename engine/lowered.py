"""What the compiler knows once names and types hold: stores, rules and effects over graph nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from quell.grammar import tree
from quell.grammar.source import NOWHERE, Span
from quell.grammar.types import Type

StoreKind = Literal["count", "distinct", "number", "event"]
"""What a store keeps of each event: its time; or with it a value, as which it is counted."""


IDENTITY_SHOWN = 8
"""Characters of a counter's identity that a node shows."""


@dataclass(frozen=True, slots=True)
class StoreSource:
    """How one event type feeds a store: nodes of that event's graph. `rule` counts that rule's firings;
    `shadow` the firings that it keeps for the record."""

    event: str
    rule: str | None
    keys: tuple[int, ...]
    value: int | None
    where: int | None

    @property
    def counted(self) -> tuple[int, ...]:
        """What is counted: the keys, and the value if there is one."""
        return self.keys if self.value is None else (*self.keys, self.value)

    @property
    def nodes(self) -> tuple[int, ...]:
        """Every node that the counting needs."""
        return self.counted if self.where is None else (*self.counted, self.where)


@dataclass(slots=True)
class Store:
    """What several readings of one counter share: which events, under which key, which value.

    `identity` says what is counted, so that equal counters are one and a renamed one stays itself; `text`
    says it in the analyst's words, the same whichever of its readings came first. `resolution` is what the
    start of a window is rounded down to, in microseconds, None where windows are exact. `longest` is the
    longest window read, in microseconds (None: ever); `oldest` how far back a reading's window may end,
    `recent` how far back readings look that are not for ever, `words` the words by which it is read. `span`
    is where its resolution was first written, and `exact` the identity that it would have without one.
    """

    identity: str
    kind: StoreKind
    sources: tuple[StoreSource, ...]
    text: str
    resolution: int | None = None
    span: Span = NOWHERE
    exact: str = ""
    longest: int | None = 0
    oldest: int = 0
    recent: int = 0
    words: set[str] = field(default_factory=set)
    shadow: bool = False

    def widen(self, word: str, within: int | None, before: int) -> None:
        """Keep enough for one more reading, by a word of the language."""
        self.words.add(word)
        if within is None or self.longest is None:
            self.longest = None
        else:
            self.longest = max(self.longest, within + before)
        self.oldest = max(self.oldest, before)
        self.recent = max(self.recent, (within or 0) + before)


@dataclass(frozen=True, slots=True)
class LoweredLimit:
    """At most `count` times per key in any window of `every` microseconds."""

    count: int
    keys: tuple[int, ...]
    every: int


@dataclass(frozen=True, slots=True)
class LoweredEffect:
    """One effect: `kind` decides which of the other fields say something.

    verdict: `name`. label, unlabel: `name`, `entity`, `target` node (text or a list), `lasts` microseconds
    or None for ever. send: `name` is the sink, `payload` names and nodes.
    """

    kind: Literal["verdict", "label", "unlabel", "send"]
    name: str
    entity: str = ""
    target: int | None = None
    lasts: int | None = None
    payload: tuple[tuple[str, int, Type], ...] = ()
    limit: LoweredLimit | None = None


@dataclass(frozen=True, slots=True)
class LoweredRule:
    """A rule on one event type, over the nodes of that event's graph."""

    rule: tree.Rule = field(repr=False)
    event: str
    condition: int
    effects: tuple[LoweredEffect, ...]
    because: int | None
    share: float | None
    bucket: tuple[int, ...]
    live: bool
    exempt_by: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.rule.name.name

    @property
    def first_name(self) -> str:
        """The rule's oldest name, which its rollout buckets hang on."""
        return self.rule.formerly[-1].name if self.rule.formerly else self.name


@dataclass(frozen=True, slots=True)
class NamedValue:
    """A let or score as a node of an event's graph, for tests and `explain`."""

    name: str
    node: int
    span: Span
