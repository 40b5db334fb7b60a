"""What to say of a name that nothing has."""

from __future__ import annotations

from collections.abc import Iterable

from quell.engine.symbols import Symbols
from quell.grammar.diagnostics import did_you_mean
from quell.grammar.source import Span
from quell.grammar.syntax_words import UNITS


def unknown_name(symbols: Symbols, name: str, span: Span, others: Iterable[str]) -> tuple[str, str | None]:
    """The message and the hint for a name at `span` that stands for nothing, not even for one of `others`."""
    if _is_parameter(symbols, name, span):
        message = f"`{name}` is a parameter, and a counter counts the same whoever reads it"
        return message, "write it out; only the key it is read under may differ: by … as …"
    near = did_you_mean(name, [*symbols.values(), *others])
    unit = UNITS.get(name.lower()) if len(name) > 1 else None
    return f"nothing is called `{name}`", near or (f"a duration is written `1{unit}`" if unit else None)


def _is_parameter(symbols: Symbols, name: str, span: Span) -> bool:
    """Whether the function around `span` has a parameter of this name: only a counter hides those."""
    return any(
        let.span.file == span.file
        and let.span.start <= span.start < let.span.end
        and any(p.name.name == name for p in let.parameters or ())
        for let in symbols.lets.values()
    )
