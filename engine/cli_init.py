"""`quell init`: a copy of the starter bundle to change."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

import click

from quell.engine.cli_files import listing, unusable
from quell.engine.cli_group import OK, Unreadable
from quell.engine.cli_output import console, count, words

_NOT_POLICY = ("__init__.py", "__pycache__", "py.typed")
_ALLOWED = (".git",)
"""What a folder may hold and still count as empty."""


@click.command("init", short_help="Make a bundle of policies to begin from.")
@click.argument("folder", metavar="DIR")
def init(folder: str) -> int:
    """Make a bundle of policies to begin from.

    Copies the starter bundle, policies for a community platform with their tests, lists and model, to DIR,
    which must be empty or not exist yet.

    \b
    Example:
      quell init policies
    """
    target = Path(folder)
    must_be_empty(target)
    written = copy_starter(target)
    _tell(folder, written)
    return OK


def copy_starter(target: Path) -> list[str]:
    """Copy the starter bundle into a folder; gives the names of its files."""
    from importlib.resources import files

    written: list[str] = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        _copy(files("quell.policies"), target, "", written)
    except (OSError, ValueError) as error:
        where = getattr(error, "filename", None) or target
        raise Unreadable(unusable(where, error)) from error
    return written


def _copy(source: Any, target: Path, prefix: str, written: list[str]) -> None:
    for entry in listing(source):
        if entry.name in _NOT_POLICY or entry.name.startswith("."):
            continue
        if entry.is_dir():
            (target / entry.name).mkdir(exist_ok=True)
            _copy(entry, target / entry.name, f"{prefix}{entry.name}/", written)
        elif not entry.name.endswith((".py", ".pyc")):
            (target / entry.name).write_bytes(entry.read_bytes())
            written.append(f"{prefix}{entry.name}")


def must_be_empty(target: Path) -> None:
    """Refuse a folder that holds anything, or cannot be read."""
    try:
        if not target.exists():
            return
        if not target.is_dir():
            raise Unreadable(f"`{target}` is a file", "name a new folder")
        held = [p.name for p in listing(target) if p.name not in _ALLOWED]
    except (OSError, ValueError) as error:
        raise Unreadable(unusable(target, error)) from error
    if held:
        more = f" and {count(len(held) - 1, 'other', 'others')}" if len(held) > 1 else ""
        raise Unreadable(f"`{target}` is not empty: it holds {held[0]}{more}", "name a new folder")


def _tell(folder: str, written: list[str]) -> None:
    out = console()
    policies = sum(name.endswith(".quell") for name in written)
    lists = sum(name.startswith("lists/") for name in written)
    models = sum(name.startswith("models/") and name.endswith(".lgb") for name in written)
    files = count(policies, "policy file", "policy files")
    what = f"{files}, {count(lists, 'list')}, {count(models, 'model')}, settings and a README"
    out.print(words(("made ", "green"), (folder, "bold"), f": {what}"), soft_wrap=True)
    out.print("\nwhat next:")
    named = quote(folder)
    steps = (
        (f"quell check {named}", "say what is wrong, if anything"),
        (f"quell test {named}", "run the tests beside the rules"),
        (f"quell explain {named} --source", "see the function that the rules become"),
        (f"quell decide {named} --events FILE", "decide events of yours"),
        (f"quell serve {named}", "decide over HTTP, and take what is saved"),
    )
    wide = max(len(command) for command, _ in steps)
    for command, why in steps:
        out.print(words("  ", (f"{command:<{wide}}", "cyan"), f"  {why}"), soft_wrap=True)
    first = f"\nfirst, open {folder}/schema.quell: its paths say where your events keep their fields"
    out.print(first, soft_wrap=True)
