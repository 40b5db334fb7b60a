"""Generated functions to callables: every name they use is bound to a store, list, scan or helper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

from quell.engine import operations
from quell.engine.lowered import Store as StoreSpec
from quell.engine.operations import bind
from quell.engine.python_backend import Program
from quell.signals.counters import each, keys_of
from quell.signals.memory import Memory
from quell.signals.models import Model
from quell.signals.patterns import search
from quell.signals.policy_lists import PolicyList
from quell.signals.rollout import inside
from quell.signals.scan import Scan
from quell.signals.show import show
from quell.signals.state import State
from quell.signals.stores import Store
from quell.signals.stores import make_store as store_of

UNSET = object()
"""What a variable holds before it is worked out."""


def kleene_not(value: bool | None) -> bool | None:
    """Not, missing when missing."""
    return None if value is None else not value


def any_of(values: Sequence[bool | None]) -> bool | None:
    """True if any is, else missing if any is, else false."""
    return True if True in values else None if None in values else False


def all_of(values: Sequence[bool | None]) -> bool | None:
    """False if any is, else missing if any is, else true."""
    return False if False in values else None if None in values else True


def present_of(values: Sequence[Any]) -> list[Any]:
    """The values that are not missing."""
    return [v for v in values if v is not None]


def without(now: int | None, added: int) -> int | None:
    """A count without what the present event added; missing when the count is."""
    return None if now is None else now - added


def reaches(now: int | None, added: int, threshold: float) -> bool | None:
    """Whether a count is at a threshold now and was below it before the present event."""
    return None if now is None else now >= threshold > now - added


def rises(now: float | None, before: float | None, threshold: float) -> bool | None:
    """Whether a sum is at a threshold now and was below it before the present event."""
    return None if now is None or before is None else now >= threshold > before


HELPERS: dict[str, Any] = {
    "kleene_not": kleene_not,
    "kleene_any_of": any_of,
    "kleene_all_of": all_of,
    "present_of": present_of,
    "reaches": reaches,
    "rises": rises,
    "without": without,
    "each": each,
    "keys_of": keys_of,
    "inside": inside,
}
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "finite": operations.finite,
    "in_time": operations.in_time,
    "in_duration": operations.in_duration,
    "divide": lambda a, b: operations.divide((), a, b),
    "floor_divide": lambda a, b: operations.floor_divide((), a, b),
    "modulo": lambda a, b: operations.modulo((), a, b),
    "duration_scale": lambda a, b: operations.scale((), a, b),
    "duration_shrink": lambda a, b: operations.shrink((), a, b),
    "total": operations.total,
    "kleene_and": operations.kleene_and,
    "kleene_or": operations.kleene_or,
}


def make_store(spec: StoreSpec, memory: Memory) -> Store:
    """An empty store for a counter."""
    return store_of(
        spec.kind,
        spec.text,
        spec.longest,
        sorted(spec.words),
        spec.oldest > 0,
        spec.resolution or 0,
        memory,
        spec.recent,
    )


@dataclass(frozen=True, slots=True)
class Linked:
    """A program with what does not depend on the state already bound: code and shared objects."""

    program: Program
    code: CodeType
    shared: Mapping[str, Any]
    models: Mapping[str, Model]

    def bind(
        self, state: State, stores: Mapping[str, StoreSpec], injected: Mapping[str, Any]
    ) -> Callable[..., Any]:
        """The function over a state. `injected` is read at every call, for tests that supply values."""
        space: dict[str, Any] = dict(self.shared)
        for name, (kind, what) in self.program.needs.items():
            if kind == "store":
                if what not in state.stores:
                    state.stores[what] = make_store(stores[what], state.memory)
                space[name] = state.stores[what]
            elif kind == "labels":
                space[name] = state.label(*what)
            elif kind == "model":
                space[name] = self.models[what].predictor()
            elif kind == "injected":
                space[name] = injected
        exec(self.code, space)
        made: Callable[..., Any] = space[_function_name(self.program)]
        return made


def _function_name(program: Program) -> str:
    return program.source.split("(", 1)[0].removeprefix("def ")


def link(program: Program, lists: Mapping[str, PolicyList], models: Mapping[str, Model]) -> Linked:
    """Compile a program and bind everything but its state."""
    shared: dict[str, Any] = {"UNSET": UNSET, "__builtins__": _BUILTINS}
    for name, (kind, what) in program.needs.items():
        if kind == "codes":
            shared[name] = _codes(models[what[0]], what[1])
        elif kind not in ("store", "labels", "model", "injected"):
            shared[name] = _resolve(kind, what, lists)
    return Linked(program, compile(program.source, f"<decide {program.event}>", "exec"), shared, models)


def _codes(model: Model, place: int) -> Callable[[Any, float], float]:
    """How a value becomes the number that a model has for its category."""
    return model.features[place].codes.get


_BUILTINS = {
    f.__name__: f for f in (any, all, len, abs, min, max, str, int, float, list, dict, bool, set, round)
}
"""All of Python that generated code can reach."""


def _resolve(kind: str, what: Any, lists: Mapping[str, PolicyList]) -> Any:
    if kind == "object":
        return what
    if kind == "const":
        return what
    if kind == "operation":
        return _OPERATIONS[what]
    if kind == "helper":
        return HELPERS[what]
    if kind == "function":
        return bind(what)
    if kind == "show":
        return lambda value: show(value, what)
    if kind == "list":
        return lists[what]
    if kind == "search":
        return search(*what)
    if kind == "scan":
        return _scan(what, lists)
    raise AssertionError(f"nothing fills a {kind}")


def _scan(
    wanted: Sequence[tuple[str, Any]], lists: Mapping[str, PolicyList]
) -> Callable[[str], Sequence[int]]:
    """One pass over a text for patterns and lists; what it finds are places in `wanted`, patterns first."""
    patterns = [(data[0], data[1]) for op, data in wanted if op == "match"]
    return Scan(patterns, [lists[data[0]] for op, data in wanted if op == "list_match"]).scan
