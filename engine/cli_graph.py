"""`quell graph`: the evaluation graph as a picture for Mermaid or Graphviz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quell.engine.cli_bundle import read_sound
from quell.engine.cli_files import STDIO, missing_parent, write_text
from quell.engine.cli_group import OK
from quell.engine.cli_output import count, say

if TYPE_CHECKING:
    from quell.engine.compile import Analysis

LARGE = 150
"""Shapes from which on a picture is hard to read."""
MERMAID_ARROWS = 500
"""Arrows that Mermaid draws as it comes."""


@click.command("graph", short_help="Draw what the rules are made of.")
@click.argument("policies", metavar="POLICIES")
@click.option("--event", "events", multiple=True, metavar="E", help="Only this event type (may be repeated).")
@click.option("--rule", "rules", multiple=True, metavar="R", help="Only this rule (may be repeated).")
@click.option(
    "--format", "format_", type=click.Choice(["mermaid", "dot"]), default="mermaid", show_default=True
)
@click.option(
    "--detail",
    type=click.Choice(["names", "conditions", "all"]),
    help="Show what is named or shared; also the parts of conditions; or every operation. "
    "[default: conditions with --rule, otherwise names]",
)
@click.option("--out", metavar="FILE", help="Write to a file instead of standard output.")
def graph(
    policies: str,
    events: tuple[str, ...],
    rules: tuple[str, ...],
    format_: str,
    detail: Any,
    out: str | None,
) -> int:
    """Draw what the rules are made of.

    Fields, counters, lists and labels stand on the left, rules on the right; what several rules share is
    drawn once. The picture is text for Mermaid (GitHub and many wikis show it) or Graphviz.

    \b
    Example:
      quell graph policies --event message --format dot | dot -Tsvg > message.svg
      quell graph policies --rule raid_in_progress
    """
    from pathlib import Path

    from quell.engine.diagram import diagram
    from quell.engine.diagram_text import dot, mermaid

    analysis = read_sound(policies)
    _known(events, analysis.symbols.schemas, "event")
    _known(rules, analysis.symbols.rules, "rule")
    chosen = set(events) or (_events_of(analysis, rules) if rules else None)
    picture = diagram(analysis, chosen, set(rules) or None, detail or ("conditions" if rules else "names"))
    text = mermaid(picture) if format_ == "mermaid" else dot(picture)
    if out is None or out == STDIO:
        click.echo(text, nl=False)
    else:
        missing_parent(Path(out))
        write_text(Path(out), text)
    shapes = len(picture.shapes)
    if not shapes:
        say("there is nothing to draw: no rule is on these events")
    elif shapes > LARGE:
        say(f"{count(shapes, 'node')} are many to look at: --event or --rule draw a part")
    if format_ == "mermaid" and len(picture.arrows) > MERMAID_ARROWS:
        say(f"Mermaid draws {MERMAID_ARROWS} arrows unless its `maxEdges` is raised; dot draws all")
    return OK


def _events_of(analysis: Analysis, rules: tuple[str, ...]) -> set[str]:
    """The event types that some rules are on."""
    return {event for event, lowered in analysis.rules.items() if any(r.name in rules for r in lowered)}


def _known(names: tuple[str, ...], known: Any, what: str) -> None:
    from quell.grammar.diagnostics import did_you_mean

    for name in names:
        if name not in known:
            near = did_you_mean(name, known)
            raise click.UsageError(f"there is no {what} `{name}`" + (f": {near}" if near else ""))
