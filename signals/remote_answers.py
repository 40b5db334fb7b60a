"""From what a target answered to values of the types that the policy says it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from quell.grammar.types import Type
from quell.signals.remote_types import RemoteSpec
from quell.signals.values import Unfit, plain, scalar

MAX_TEXT = 10_000
"""Characters of one text in an answer."""
MAX_ITEMS = 1_000
"""Elements of one list in an answer."""

Reader = Callable[[Any], tuple[Any, str]]


def reader(spec: RemoteSpec) -> Reader:
    """What reads one answer of a model: the answer to its value, as in `Answer`, and what was wrong with it
    ("" where nothing was)."""
    columns = tuple((name, type_.optional, _converter(type_)) for name, type_ in spec.columns)
    alone = not spec.gives
    named = " or ".join(f"`{name}`" for name, _, _ in columns[:5])

    def read(answer: Any) -> tuple[Any, str]:
        answer = plain(answer)
        if alone and not isinstance(answer, Mapping):
            answer = {columns[0][0]: answer}
        if not isinstance(answer, Mapping):
            return None, "answered something else than an object"
        if not any(name in answer for name, _, _ in columns):  # more likely a mistake than nothing to say
            return None, f"answered without {named}"
        value: dict[str, Any] = {}
        wrong = ""
        for name, optional, convert in columns:
            value[name], fault = _column(answer.get(name), optional, convert)
            if fault and not wrong:
                wrong = f"`{name}` {fault}"
        if alone:
            return value[columns[0][0]], wrong
        return (value if not wrong or any(v is not None for v in value.values()) else None), wrong

    return read


def left_out(spec: RemoteSpec, answer: Any) -> str:
    """What to say of names that the policy says are given and a fair answer does not have; "" for none.
    Null says that the model cannot tell, which is nothing to speak of."""
    answer = plain(answer)
    if not isinstance(answer, Mapping):
        return ""
    lacking = [f"`{name}`" for name, _ in spec.columns if name not in answer]
    return f"answered without {', '.join(lacking[:5])}" if lacking else ""


def _column(given: Any, optional: bool, convert: Callable[[Any], Any]) -> tuple[Any, str]:
    """One value of an answer, and what was wrong with it."""
    given = plain(given)
    if given is None:
        return None, "" if optional else "is not in the answer"
    try:
        return convert(given), ""
    except Unfit as error:
        return None, f"is not {error.expected}"


def _converter(type_: Type) -> Callable[[Any], Any]:
    if type_.kind == "list":
        assert type_.element is not None
        return _list(_converter(type_.element))
    convert, words = scalar(type_)

    def bounded(given: Any) -> Any:
        if isinstance(given, str) and len(given) > MAX_TEXT:
            raise Unfit("too-large", f"a text of at most {MAX_TEXT:,} characters")
        value = convert(given)
        if value is None:
            raise Unfit("missing-field", words)
        return value

    return bounded


def _list(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(given: Any) -> Any:
        if not isinstance(given, list | tuple):
            raise Unfit("wrong-type", "a list")
        if len(given) > MAX_ITEMS:
            raise Unfit("too-many", f"a list of at most {MAX_ITEMS:,} elements")
        return [convert(plain(v)) for v in given]

    return read
