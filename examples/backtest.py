"""How well the payments bundle would have done in its fortnight, worked out as in a notebook.

    python examples/backtest.py

`backtest` gives the figures of `quell replay` as plain data, and the tables they were made of as DuckDB
relations and Arrow tables, for the questions that no report foresees. Each function below is a cell to copy;
what they need is a folder of policies and files of events.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from quell.replay import BacktestResult, backtest

PAYMENTS = Path(__file__).parent / "payments"
HONEST = ("dora", "finn", "gina", "hal")
FRAUDS = ("x1", "x2", "x3", "x4", "x5", "r99")
"""Customers as the fraud desk knows them by now. Nothing is known of the others."""


def labels(folder: Path) -> Path:
    """What is known, as a file of labels: a column named as the entity, and one that is true or false."""
    file = folder / "known.csv"
    rows = [f"{user},true" for user in FRAUDS] + [f"{user},false" for user in HONEST]
    file.write_text("\n".join(["user,fraud", *rows]) + "\n", encoding="utf-8")
    return file


def verdicts(result: BacktestResult) -> Iterator[str]:
    """The figures, as the report has them."""
    for row in result.report.verdicts:
        told = f"{row.verdict:<10} {row.count:>4} events, {row.share:>5.1%}"
        if row.quality is not None and row.quality.precision.value is not None:
            rate = row.quality.precision
            told += f"; of those or graver {rate.hits} of {rate.of} known customers are frauds"
        yield told


def money(result: BacktestResult) -> Iterator[str]:
    """What no report says: how much money each rule kept from whom, by a query over the tables."""
    hits = result.table("hits").filter("outcome = 'fired' AND verdict = 'block'")
    found = hits.join(result.table("events"), "n").aggregate(
        "rule, count(*) AS hits, count(DISTINCT entity) AS users", "rule"
    )
    for rule, count, users in sorted(found.fetchall()):
        yield f"{rule}: {count} blocked, {users} customers"


def by_hour(result: BacktestResult) -> Iterator[str]:
    """The same tables go into pandas, polars or a plot by way of Arrow."""
    decisions = result.arrow("decisions")
    blocked = [row["at"].hour for row in decisions.select(["at", "verdict"]).to_pylist() if row["verdict"] == "block"]
    for hour in sorted(set(blocked)):
        yield f"{hour:02d}:00  {'#' * blocked.count(hour)}"


def main() -> None:
    """Replay once, and look at it from three sides."""
    with (
        TemporaryDirectory() as folder,
        backtest(PAYMENTS, PAYMENTS / "events.jsonl", labels=labels(Path(folder))) as result,
    ):
        for title, cell in (("Verdicts", verdicts), ("Blocked", money), ("By hour", by_hour)):
            print(title, *(f"  {line}" for line in cell(result)), sep="\n")


if __name__ == "__main__":
    main()
