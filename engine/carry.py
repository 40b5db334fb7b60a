"""What an engine remembers, for another one: of the same bundle after a restart, or of a changed one.

A state is told in sections, one for each store, label and limit, so that neither writing nor reading it
holds all of it twice. What means the same in the other bundle is kept: a counter by its identity, whatever
its name; a label that is still declared; a limit of the same measure. What is new begins with the first
event that follows, and what is gone is dropped and told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from quell.engine.compile import Build
from quell.engine.link import make_store
from quell.engine.stepper import Answering, Stepper, unasked
from quell.signals.memory import Memory
from quell.signals.state import State
from quell.signals.stores import Store

Section = list[Any]
"""What it is (`state`, `store`, `labels`, `limit`), what it is called, and plain values."""


class SnapshotReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of a state in a bundle: counters, labels and limits that were `kept`; counters that are
    `cold` because they are new; those that were kept and are cold in part, since they now look back further
    than was kept (`longer`); and what was `dropped` because nothing of the bundle means it any more.
    `version` is that of the bundle that the state was made with. `previous` says why an earlier snapshot had
    to be taken."""

    version: str
    kept: tuple[str, ...] = ()
    longer: tuple[str, ...] = ()
    cold: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    previous: str | None = None


def sections(stepper: Stepper) -> Iterator[Section]:
    """All that a stepper remembers, each section made when asked for. Nothing may be decided in between.

    Decisions that wait are not in it: what they would have done to labels is lost with the process.
    """
    state, bundle = stepper.state, stepper.bundle
    name = bundle.analysis.files.name
    clock = state.clock.dump()
    yield [
        "state",
        name,
        {"version": bundle.version, "seq": stepper.seq, "began": state.began, "clock": clock},
    ]
    for identity, store in sorted(state.stores.items()):
        yield ["store", identity, [store.name, store.dump()]]
    for (entity, label), held in sorted(state.labels.items()):
        if held.keys():
            yield ["labels", entity, [label, held.dump()]]
    for identity, limit in sorted(state.limits.items()):
        if limit.keys():
            yield ["limit", identity, limit.dump()]


def restore(stepper: Stepper, told: Iterable[Section]) -> SnapshotReport:
    """Fill a stepper that has decided nothing from the sections of another. Raises ValueError, TypeError or
    LookupError for what are none; the stepper is of no use then."""
    filling = _Filling(stepper)
    for kind, name, what in told:
        filling.take(kind, name, what)
    return filling.done()


class _Filling:
    """A stepper being filled, and what is to be told of it."""

    def __init__(self, stepper: Stepper) -> None:
        self.stepper = stepper
        self.state = stepper.state
        self.version: str | None = None
        self.kept: list[str] = []
        self.longer: list[str] = []
        self.cold: list[str] = []
        self.dropped: list[str] = []
        self.filled: set[str] = set()

    def take(self, kind: str, name: str, what: Any) -> None:
        """Take in one section."""
        if kind == "state":
            self._state(what)
        elif self.version is None:
            raise ValueError("a state begins with its own section")
        elif kind == "store":
            self._store(name, what[0], what[1])
        elif kind == "labels":
            self._labels(name, what[0], what[1])
        elif kind == "limit":
            self._limit(name, what)
        else:
            raise ValueError(f"there is no section of the kind `{kind}`")

    def _state(self, what: Mapping[str, Any]) -> None:
        self.version = str(what["version"])
        self.stepper.seq = int(what["seq"])
        self.state.clock.load(what["clock"])
        self.state.began = self.state.memory.began = what["began"]
        self.state.memory.horizon = self.state.clock.horizon

    def _store(self, identity: str, text: str, dumped: dict[str, Any]) -> None:
        store = self.state.stores.get(identity)
        if store is None:
            self.dropped.append(text)
            return
        try:
            store.load(dumped)
        except ValueError:  # the readings of now need what was not kept then
            return
        self.filled.add(identity)
        (self.longer if widened(store, dumped["longest"], self.state.clock.greatest) else self.kept).append(
            store.name
        )

    def _labels(self, entity: str, label: str, dumped: list[Any]) -> None:
        text = f'{entity} "{label}"'
        if label not in self.stepper.bundle.analysis.symbols.labels(entity):
            self.dropped.append(text)
            return
        self.state.label(entity, label).load(dumped)
        self.kept.append(text)

    def _limit(self, identity: str, dumped: list[Any]) -> None:
        limit = self.state.limits.get(identity)
        if limit is None or (limit.count, limit.every) != (dumped[0], dumped[1]):
            self.dropped.append(limit_text(identity))
            return
        limit.load(dumped)
        self.kept.append(limit_text(identity))

    def done(self) -> SnapshotReport:
        """The report, once everything was taken."""
        if self.version is None:
            raise ValueError("a state begins with its own section")
        reached = self.state.clock.greatest
        for identity, store in self.state.stores.items():
            if identity not in self.filled and reached is not None:
                store.began = reached + 1  # it has seen none of those up to then
                self.cold.append(store.name)
        self.stepper.watch_cold()
        kept, longer, cold, dropped = (
            tuple(sorted(t)) for t in (self.kept, self.longer, self.cold, self.dropped)
        )
        return SnapshotReport(self.version, kept, longer, cold, dropped)


def widened(store: Store, kept: int | None, reached: int | None) -> bool:
    """Whether a filled store looks back further than what it was filled from, which kept so much until the
    time that events had reached; if so it begins where that was surely whole."""
    if store.began is None or kept is None or reached is None:
        return False
    if store.longest is not None and store.longest <= kept:
        return False
    # What happened at that very time may be gone, and so may a late event of before the beginning.
    store.began = max(reached - kept, store.began) + 1
    return True


def limit_text(identity: str) -> str:
    """A limit for people: its rule and effect."""
    return "limit of " + " ".join(identity.split()[:-1])


# ------------------------------------------------------------- in one process


def carry(
    old: Stepper,
    bundle: Build,
    injected: Mapping[str, Any] | None = None,
    answering: Answering = unasked,
) -> tuple[Stepper, SnapshotReport]:
    """A stepper of another bundle that goes on with the memory of an old one, which must decide nothing more.

    What is the same in both is handed over as it is, without a copy.
    """
    settings, state = bundle.analysis.files.settings, old.state
    wanted = _wanted(bundle)
    state.clock.lateness = settings.lateness
    state.clock.let_all_go()  # what waits is lost with the old one
    state.memory.left += settings.max_keys - old.bundle.analysis.files.settings.max_keys
    given = State(memory=state.memory, clock=state.clock, began=state.began, limits=dict(state.limits))
    for identity, store in state.stores.items():
        spec = bundle.analysis.lowerer.stores.get(identity) if identity in wanted else None
        if spec is not None and store.shape == (fresh := make_store(spec, Memory())).shape:
            store.name = fresh.name
            given.stores[identity] = store
    symbols = bundle.analysis.symbols
    given.labels = {key: held for key, held in state.labels.items() if key[1] in symbols.labels(key[0])}
    new = Stepper(bundle, given, injected, answering)
    new.seq = old.seq
    return new, _handed_over(old, new)


def _wanted(bundle: Build) -> set[str]:
    needs = (need for linked in bundle.programs.values() for need in linked.program.needs.values())
    return {what for kind, what in needs if kind == "store"}


def _handed_over(old: Stepper, new: Stepper) -> SnapshotReport:
    """Fill what was not handed over whole, and tell all of it."""
    filling = _Filling(new)
    filling.version = old.version
    before, after = old.state, new.state
    for identity, store in before.stores.items():
        if after.stores.get(identity) is store:
            filling.filled.add(identity)
            filling.kept.append(store.name)
            continue
        after.memory.left += store.keys()
        filling.take("store", identity, [store.name, store.dump()])
    for (entity, label), held in before.labels.items():
        if held.keys():
            gone = (entity, label) not in after.labels
            (filling.dropped if gone else filling.kept).append(f'{entity} "{label}"')
    used = new.limits()
    for identity, limit in before.limits.items():
        if limit.keys():
            same = identity in used and after.limits[identity] is limit
            (filling.kept if same else filling.dropped).append(limit_text(identity))
    after.limits = {identity: after.limits[identity] for identity in used}
    return filling.done()
