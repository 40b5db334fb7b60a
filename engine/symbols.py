"""The names of a bundle, resolved: what `resolve` gives and every later pass reads."""

from __future__ import annotations

from dataclasses import dataclass, field

from quell.engine.schema import EventSchema, Field
from quell.grammar import tree

DEFAULT_LADDER = ("allow", "flag", "review", "challenge", "block")
"""The verdicts of a bundle that declares none."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """Verdicts from the mildest to the gravest, and the one given when deciding fails."""

    verdicts: tuple[str, ...]
    failure: str

    def rank(self, verdict: str) -> int:
        """Where a verdict stands, the mildest at 0. Raises ValueError for one that is not there."""
        return self.verdicts.index(verdict)


@dataclass(slots=True)
class Symbols:
    """Every declaration by name, in order of name, and what was worked out of them.

    `members` gives the events that an event's or a shape's name stands for; `field_events` the events that
    have a field of that name; `ladders` the ladder of each event.
    """

    entities: dict[str, tree.Entity] = field(default_factory=dict)
    shapes: dict[str, tree.Shape] = field(default_factory=dict)
    events: dict[str, tree.EventDecl] = field(default_factory=dict)
    lets: dict[str, tree.Let] = field(default_factory=dict)
    lists: dict[str, tree.ListDecl] = field(default_factory=dict)
    models: dict[str, tree.Model] = field(default_factory=dict)
    scores: dict[str, tree.Score] = field(default_factory=dict)
    rules: dict[str, tree.Rule] = field(default_factory=dict)
    tests: list[tree.Test] = field(default_factory=list)
    ladders: dict[str, Ladder] = field(default_factory=dict)
    schemas: dict[str, EventSchema] = field(default_factory=dict)
    shape_fields: dict[str, tuple[Field, ...]] = field(default_factory=dict)
    members: dict[str, tuple[str, ...]] = field(default_factory=dict)
    field_events: dict[str, frozenset[str]] = field(default_factory=dict)

    def labels(self, entity: str) -> tuple[str, ...]:
        """The labels that an entity of this kind can carry."""
        declared = self.entities.get(entity)
        return tuple(t.plain or "" for t in declared.labels) if declared else ()

    def values(self) -> list[str]:
        """Every name that can stand for a value in an expression."""
        return sorted({*self.lets, *self.lists, *self.models, *self.scores, *self.field_events})
