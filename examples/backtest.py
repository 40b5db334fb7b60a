"""How well the starter bundle does on a made-up day, worked out as in a notebook.

    python examples/backtest.py

`backtest` gives the figures of `quell replay` as plain data, and the tables they were made of as DuckDB
relations and Arrow tables, for the questions that no report foresees. Each function below is a cell to copy;
what they need is a folder of policies, files of events, and labels where there are any.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from quell.replay import BacktestResult, backtest
from quell.replay.simulate import FEWEST_EVENTS, simulate

POLICIES = Path(__file__).parent.parent / "policies"


def history(folder: Path) -> tuple[Path, Path]:
    """A simulated day, and what its events really were: record n of the one is record n of the other."""
    events, truth = folder / "events.jsonl", folder / "truth.jsonl"
    with events.open("w", encoding="utf-8") as lines, truth.open("w", encoding="utf-8") as labels:
        for event in simulate(events=FEWEST_EVENTS, seed=7):
            lines.write(json.dumps({name: value for name, value in event.items() if name != "truth"}) + "\n")
            labels.write(json.dumps(event["truth"]) + "\n")
    return events, truth


def verdicts(result: BacktestResult) -> Iterator[str]:
    """The figures, as the report has them: what was given, and how well, this verdict or a graver one."""
    for row in result.report.verdicts:
        told = f"{row.verdict:<10} {row.count:>6,}"
        if row.quality is not None and row.quality.precision.value is not None:
            precision, recall = row.quality.precision, row.quality.recall
            told += f"  precision {precision.value:.1%} ({precision.low:.0%} to {precision.high:.0%})"
            told += f", recall {recall.hits} of {recall.of}"
        yield told


def repeated(result: BacktestResult) -> Iterator[str]:
    """What no report says: how often the same people are blocked, by a query over the tables."""
    blocked = result.table("decisions").filter("verdict = 'block'")
    people = blocked.aggregate("entity, count(*) AS times", "entity")
    found = people.aggregate(
        "CASE WHEN times < 5 THEN 'up to 4' ELSE '5 and more' END AS often, count(*)", "often"
    )
    for often, count in sorted(found.fetchall()):
        yield f"blocked {often} times: {count} people"


def by_hour(result: BacktestResult) -> Iterator[str]:
    """The tables go into pandas, polars or a plot by way of Arrow."""
    decisions = result.arrow("decisions").select(["at", "verdict"]).to_pylist()
    hours = Counter(row["at"].hour for row in decisions if row["verdict"] == "block")
    for hour, count in sorted(hours.items()):
        yield f"{hour:02d}:00 {count:>4}  {'#' * (count // 5 + 1)}"


def main() -> None:
    """Replay once, and look at it from three sides."""
    with TemporaryDirectory() as folder:
        events, truth = history(Path(folder))
        with backtest(POLICIES, events, labels=truth, positive="abuse", explained=False) as result:
            for title, cell in (("Verdicts", verdicts), ("Blocked", repeated), ("By hour", by_hour)):
                print(title, *(f"  {line}" for line in cell(result)), sep="\n")


if __name__ == "__main__":
    main()
