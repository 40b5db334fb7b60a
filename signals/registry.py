"""The registry of the language's functions: one row per function, and everything made from it.

The checker reads signatures here, the planner costs, the Python back end the Python form, and the
reference, hover and completion the documentation. The rows live in the modules that implement
them; `quell.signals.functions` collects them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from quell.grammar.types import Type

Group = Literal[
    "text", "links and mail", "network", "lists", "numbers", "time", "state", "policy lists", "scores"
]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its name, type, and whether its argument must be a literal in the policy.

    `default` is the literal used when the argument is left out (None: it is required).
    """

    name: str
    type: Type
    literal: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True)
class Example:
    """An expression and the value it has, both as an analyst writes them: `size([1])` is `1`."""

    expression: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function of the language.

    `call` takes present values (never None) in the order of the parameters and returns the value or
    None for missing; it is pure, deterministic on every machine, and raises nothing. Its running time
    is bounded by its arguments' sizes, near-linear or capped with the cap told in `doc`.

    `inline` is a Python expression with ``{0}``, ``{1}`` for the arguments, used by the Python back end
    in place of a call where it says exactly the same. `prepare` turns literal arguments into a
    specialised one-argument-less callable once, at compile time: it receives the literal arguments in
    order and returns what is then called with the others. `cost` is microseconds per call for a text of
    100 characters on a small machine. `form` marks what the compiler itself evaluates (counters, label
    and list forms): such a row has no `call` and `signature` shows how it is written. `bounds` is the
    least and greatest number it can give.

    `sql` is the function in DuckDB's SQL, where that says exactly the same: an expression with ``{0}``,
    ``{1}`` for the arguments, typed as the columns of a replay are (numbers as DOUBLE, times and durations as
    BIGINT), ``{all}`` for all of them with commas between, and ``{python}`` for the function as Python does
    it, for the cases that SQL cannot say. Of one argument alone it is NULL for NULL. With `prepare` it is a
    function from the literal arguments to the expression, or to None where there is none.
    """

    name: str
    group: Group
    doc: str
    parameters: tuple[Parameter, ...] = ()
    result: Type
    call: Callable[..., Any] | None = None
    inline: str | None = None
    sql: str | Callable[..., str | None] | None = None
    prepare: Callable[..., Callable[..., Any]] | None = None
    variadic: bool = False
    cost: float = 0.2
    attribute: bool = False
    form: bool = False
    signature: str = ""
    bounds: tuple[float, float] | None = None
    examples: tuple[Example, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if not self.form and self.call is None and self.prepare is None:
            raise ValueError(f"function {self.name} has neither a form nor a call")

    def spelled(self) -> str:
        """How the function is written, for the reference: ``replace(x: text, …) -> text``."""
        if self.signature:
            return self.signature
        shown = ", ".join(f"{p.name}: {p.type}" for p in self.parameters)
        more = ", …" if self.variadic else ""
        return f"{self.name}({shown}{more}) -> {self.result}"


class Registry:
    """Functions by name. A name is registered once."""

    def __init__(self) -> None:
        self._rows: dict[str, Function] = {}

    def add(self, *rows: Function) -> None:
        """Add rows; a second row under one name raises ValueError."""
        for row in rows:
            if row.name in self._rows:
                raise ValueError(f"function {row.name} is registered twice")
            self._rows[row.name] = row

    def get(self, name: str) -> Function | None:
        """The row called `name`, or None."""
        return self._rows.get(name)

    def names(self) -> list[str]:
        """All names, in order."""
        return sorted(self._rows)

    def rows(self) -> list[Function]:
        """All rows, by name."""
        return [self._rows[n] for n in sorted(self._rows)]
