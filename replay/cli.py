"""The `quell` command: the commands of the online half, and those that need a history."""

from __future__ import annotations

import sys

import click

from quell.engine.cli_check import check
from quell.engine.cli_decide import decide
from quell.engine.cli_explain import explain
from quell.engine.cli_fmt import fmt
from quell.engine.cli_graph import graph
from quell.engine.cli_group import EXIT_CODES, Commands
from quell.engine.cli_init import init
from quell.engine.cli_journal import journal
from quell.engine.cli_keys import keys
from quell.engine.cli_outbox import outbox
from quell.engine.cli_reference import codes, functions
from quell.engine.cli_serve import serve
from quell.engine.cli_test import test
from quell.engine.cli_versions import versions
from quell.replay.cli_demo import demo
from quell.replay.cli_features import features
from quell.replay.cli_replay import replay
from quell.replay.cli_train import train
from quell.replay.cli_tune import tune

_EPILOG = "\b\nExit status:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in EXIT_CODES.items())


def _version(ctx: click.Context, option: click.Parameter, asked: bool) -> None:
    if not asked or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        known = version("quell")
    except PackageNotFoundError:
        known = "(not installed as a package)"
    python = ".".join(str(part) for part in sys.version_info[:3])
    click.echo(f"quell {known} on Python {python}")
    ctx.exit()


@click.group(
    cls=Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Say the version and exit.",
)
def main() -> None:
    """Detection policies for trust and safety: write rules, test them, decide events.

    \b
    A first look:
      quell demo
      quell init policies
      quell check policies && quell test policies
      quell replay policies --events history.jsonl
    """


for _command in (
    demo,
    init,
    check,
    test,
    decide,
    serve,
    explain,
    replay,
    tune,
    features,
    train,
    fmt,
    graph,
    versions,
    journal,
    outbox,
    functions,
    codes,
    keys,
):
    main.add_command(_command)

if __name__ == "__main__":
    main()
