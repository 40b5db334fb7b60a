"""What events weigh: a number field, or a number at a path of the record, such as money or reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quell.engine.cli_output import count
from quell.engine.compile import Build
from quell.engine.schema import Field
from quell.grammar.diagnostics import did_you_mean
from quell.grammar.literals import path as read_path
from quell.replay.backtest_frame import HEAVIEST, WEIGHT
from quell.replay.backtest_values import Beside, number_of
from quell.replay.database import quoted
from quell.replay.history import History
from quell.replay.named_values import NotAValue


@dataclass(slots=True)
class Weight:
    """A weight: the fields that give it by event type, or the column of a path."""

    text: str
    fields: Mapping[str, Field] = field(default_factory=dict)
    column: str | None = None

    def attach(self, history: History) -> tuple[str, list[str]]:
        """Put what events weigh in a table (n, weight in millionths); gives its name and what to say of it.
        Raises NotAValue where no event weighs anything."""
        table = quoted(f"{history.schema}_weights")
        history.db.con.execute(
            f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT n, round(value * {WEIGHT})::BIGINT AS weight "
            f"FROM ({self._values(history)}) WHERE value BETWEEN 0 AND {HEAVIEST}"
        )
        weighed = history.db.value(f"SELECT count(*) FROM {table}")
        if not weighed:
            raise NotAValue(f"no event of the history has a number at `{self.text}`")
        wrong = history.db.value(
            f"SELECT count(*) FROM ({self._values(history)}) WHERE NOT value BETWEEN 0 AND {HEAVIEST}"
        )
        notes = []
        if left := history.events - weighed - wrong:
            notes.append(f"{count(left, 'event')} without `{self.text}` weigh nothing")
        if wrong:
            notes.append(f"{count(wrong, 'event')} with a `{self.text}` below 0 or beyond 1e12 weigh nothing")
        return table, notes

    def _values(self, history: History) -> str:
        if self.column is None:
            return number_of(history, self.fields)
        value = f"try_cast(json_extract_string({quoted(self.column)}, '$') AS DOUBLE)"
        return (
            f"SELECT n, CASE WHEN isfinite(v) THEN v END AS value "
            f"FROM (SELECT n, {value} AS v FROM {history.table('all')})"
        )


def read_weight(text: str, build: Build, beside: Beside) -> Weight:
    """A weight by what the command line says; what it needs of the records goes to `beside`. Raises
    NotAValue."""
    text = text.strip()
    if text.startswith("$"):
        return _at_path(text, beside)
    schemas = build.analysis.symbols.schemas
    found = {event: of for event, schema in schemas.items() if (of := schema.field(text)) is not None}
    numbers = {event: of for event, of in found.items() if of.type.kind == "number"}
    if not found:
        known = sorted({f.name for s in schemas.values() for f in s.fields if f.type.kind == "number"})
        hint = did_you_mean(text, known) or f"write $.{text} for what only the history has"
        raise NotAValue(f"no event has a field `{text}` to weigh by", hint)
    if not numbers:
        of = next(iter(found.values()))
        raise NotAValue(f"`{text}` is a {of.type.present()}, and events are weighed by a number")
    for event, of in numbers.items():
        beside.field(event, of)
    return Weight(text, numbers)


def _at_path(text: str, beside: Beside) -> Weight:
    try:
        path = read_path(text)
    except ValueError as error:
        raise NotAValue(f"the weight `{text}` cannot be read: {error}", "write $.amount") from error
    if not path or None in path:
        raise NotAValue(f"the weight `{text}` is not one number", "write $.amount")
    return Weight(text, column=beside.path(path))
