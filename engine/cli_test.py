"""`quell test`: the tests beside the rules."""

from __future__ import annotations

import click


@click.command("test", short_help="Run the tests beside the rules.")
@click.argument("policies", metavar="POLICIES")
def test(policies: str) -> int:
    """Run the tests beside the rules."""
    raise click.UsageError("landing")
