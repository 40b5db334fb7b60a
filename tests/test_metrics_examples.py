"""The dashboard and the alerts that come with Quell: they ask for metrics and labels that there are."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quell.engine.logs_events import EVENTS
from quell.engine.metrics_rows import ROWS

FUNCTIONS = frozenset(
    "absent avg changes deriv histogram_quantile increase max min rate sum time topk".split()  # noqa: SIM905
)
WORDS = frozenset(("by", "or", "ignoring", "group_left", "inf"))
PROCESS = frozenset(
    f"process_{name}"
    for name in ("cpu_seconds_total", "resident_memory_bytes", "virtual_memory_bytes", "open_fds", "max_fds")
)
SCRAPED: frozenset[str] = frozenset(("instance", "job"))
"""Labels that Prometheus adds."""


def exposed() -> dict[str, frozenset[str]]:
    """Every name that stands in the text of the metrics, with its labels."""
    out: dict[str, frozenset[str]] = dict.fromkeys(PROCESS, SCRAPED)
    for row in ROWS.values():
        labels = frozenset(row.labels) | SCRAPED
        if row.kind == "counter":
            out[row.name + "_total"] = labels
        elif row.kind == "gauge":
            out[row.name] = labels
        else:
            out |= {
                row.name + "_bucket": labels | {"le"},
                row.name + "_sum": labels,
                row.name + "_count": labels,
            }
    return out


NAMES = exposed()
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def problems(expr: str) -> list[str]:
    """What is wrong with an expression: names that are nothing, labels that none of its metrics has."""
    found: list[str] = []
    bare = re.sub(r'"[^"]*"', '""', expr)
    labels = {name for inside in re.findall(r"\{([^}]*)\}", bare) for name in _NAME.findall(inside)}
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    grouped = r"\b(?:by|ignoring) *\(([^)]*)\)"
    labels |= {name for inside in re.findall(grouped, bare) for name in _NAME.findall(inside)}
    bare = re.sub(grouped, "", bare)
    used = [n for n in _NAME.findall(re.sub(r"\b\d[\w.]*", "", bare)) if n not in FUNCTIONS | WORDS]
    found += [f"no metric is called {name}" for name in used if name not in NAMES]
    known = frozenset[str]().union(*(NAMES.get(name, frozenset()) for name in used))
    found += [f"none of {used} has the label {label}" for label in sorted(labels - known)]
    return found


@pytest.fixture(scope="module")
def dashboard(root: Path) -> Any:
    return json.loads((root / "examples/grafana-dashboard.json").read_text(encoding="utf-8"))


def expressions(dashboard: Any) -> Iterator[tuple[str, str]]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for note in dashboard["annotations"]["list"]:
        if "expr" in note:
            yield note["name"], note["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            asked = variable["query"]["query"].removeprefix("label_values(").removesuffix(")")
            metric, label = asked.split(", ")
            yield variable["name"], f"sum by ({label}) ({metric})"


def test_the_reading_of_expressions_finds_what_is_wrong() -> None:
    assert problems('sum by (rule) (rate(quell_rule_hits_total{mode="live"}[5m]))') == []
    assert problems("sum(rate(quell_rule_hits[5m]))") == ["no metric is called quell_rule_hits"]
    assert problems("sum by (verdict) (quell_rules)") == ["none of ['quell_rules'] has the label verdict"]
    assert problems('quell_rules{verdict="x"}') == ["none of ['quell_rules'] has the label verdict"]
    assert problems("frobnicate(quell_rules)") == ["no metric is called frobnicate"]


def test_every_panel_asks_for_what_there_is(dashboard: Any) -> None:
    wrong = [f"{title}: {p}" for title, expr in expressions(dashboard) for p in problems(expr)]
    assert not wrong, "\n".join(wrong)


def test_what_there_is_has_its_place(dashboard: Any) -> None:
    """A metric that nobody looks at is not worth its bytes; a few are for searches and other dashboards."""
    shown = " ".join(expr for _, expr in expressions(dashboard))
    elsewhere = {
        "quell_newest_event_timestamp_seconds",
        "quell_label_keys",
        "quell_limit_keys",
        "quell_journal_last_number",
        "quell_journal_entries",
        "quell_journal_trouble",
        "quell_outbox_problem",
        "quell_outbox_trouble",
        "quell_outbox_under_way",
        "quell_outbox_died",
        "quell_remade_decisions",
        "quell_http_overloaded",
        "quell_idempotency_keys",
    }
    left = {name for name in ROWS if not re.search(rf"\b{name}(_total|_bucket|_sum)?\b", shown)}
    assert left <= elsewhere


def test_the_dashboard_is_whole(dashboard: Any) -> None:
    """Panels have numbers of their own, lie on the grid without overlap, and ask the chosen source."""
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert dashboard["schemaVersion"] >= 39  # as Grafana 11 writes it
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        assert 0 <= at["x"] <= 24 - at["w"], panel["title"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] in ("row", "timeseries", "stat", "table")
        references = [target["refId"] for target in panel.get("targets", ())]
        assert len(set(references)) == len(references)
        assert references or panel["type"] == "row"
        for source in (panel, *panel.get("targets", ())):
            if panel["type"] != "row":
                assert source["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert all(
        'instance=~"$instance"' in expr for title, expr in expressions(dashboard) if title != "instance"
    )


# ------------------------------------------------------------------------------------- alerts


def alerts(root: Path) -> list[dict[str, str]]:
    """The alerts, by the keys that stand on a line of their own."""
    out: list[dict[str, str]] = []
    for line in (root / "examples/alerts.yml").read_text(encoding="utf-8").splitlines():
        key, colon, value = line.strip().removeprefix("- ").partition(": ")
        if colon and key == "alert":
            out.append({})
        if colon and out:
            out[-1][key] = value
    return out


def test_alerts_ask_for_what_there_is(root: Path) -> None:
    found = alerts(root)
    assert len({alert["alert"] for alert in found}) == len(found) >= 8
    for alert in found:
        assert problems(alert["expr"]) == [], alert["alert"]
        assert alert["labels"] in ("{ severity: page }", "{ severity: ticket }"), alert["alert"]
        assert alert["summary"], alert["alert"]
        assert alert["description"], alert["alert"]


def test_alerts_name_labels_that_their_expressions_keep(root: Path) -> None:
    for alert in alerts(root):
        named = set(re.findall(r"\$labels\.(\w+)", alert["summary"]))
        grouped = re.findall(r"by \(([^)]*)\)", alert["expr"])
        for group in grouped:
            assert named <= set(re.split(r", *", group)) | {"le"}, alert["alert"]


def test_alerts_are_yaml(root: Path) -> None:
    yaml = pytest.importorskip("yaml")
    said = yaml.safe_load((root / "examples/alerts.yml").read_text(encoding="utf-8"))
    (group,) = said["groups"]
    read = {rule["alert"]: rule["expr"] for rule in group["rules"]}
    assert read == {alert["alert"]: alert["expr"] for alert in alerts(root)}


# --------------------------------------------------------------------------------------- page


def rows_of(page: str, heading: str) -> dict[str, list[str]]:
    """The rows of the table below a heading, by their first cell."""
    table = page.split(heading, 1)[1].split("\n\n", 1)[0].split("\n")[2:]
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in table if line.startswith("|")
    ]
    return {row[0].strip("` "): row[1:] for row in cells}


def test_the_page_has_every_metric_and_every_event_of_the_log(root: Path) -> None:
    page = (root / "tests/language/16-health.md").read_text(encoding="utf-8")
    metrics = rows_of(page, "| metric | kind | labels | what it says |")
    names = {row.name + ("_total" if row.kind == "counter" else ""): row for row in ROWS.values()}
    assert set(metrics) == set(names)
    for name, (kind, labels, said) in metrics.items():
        row = names[name]
        assert (kind, re.findall(r"`(\w+)`", labels), said) == (
            row.kind,
            list(row.labels),
            row.help.rstrip("."),
        )
    events = rows_of(page, "| event | level | fields |")
    assert set(events) == set(EVENTS)
    for name, (level, fields) in events.items():
        event = EVENTS[name]
        assert level == logging.getLevelName(event.level).lower()
        assert re.findall(r"`(\w+)`", fields) == [*event.fields, *event.content], name
