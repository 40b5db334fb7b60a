"""`quell fmt`: policy files in canonical form."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quell.engine.cli_files import STDIO, decoded, existing, read_stdin, read_text, write_text
from quell.engine.cli_group import FINDINGS, OK, Unreadable
from quell.engine.cli_output import console, count, say

if TYPE_CHECKING:
    from rich.console import Console

LARGEST = 64 << 20


@click.command("fmt", short_help="Put policy files in canonical form.")
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Change nothing; print what would change.")
def fmt(paths: tuple[str, ...], check: bool, diff: bool) -> int:
    """Put policy files in canonical form.

    PATHS are .quell files or folders of them; - formats standard input to standard output. Comments and
    the order of declarations stay. What does not parse is left as it is and reported.

    \b
    Example:
      quell fmt policies
      quell fmt --check --diff policies
    """
    if STDIO in paths:
        if len(paths) > 1:
            raise click.UsageError("`-` stands alone: standard input is formatted to standard output")
        return _format_stdin(check, diff)
    out = console()
    changed = broken = total = 0
    for path in _files(paths):
        before = read_text(path, LARGEST)
        after, errors = _formatted(str(path), before)
        total += 1
        broken += _tell_broken(str(path), errors)
        if after == before:
            continue
        changed += 1
        if diff:
            _print_diff(out, str(path), before, after)
        elif check:
            out.print(f"would change {path}", soft_wrap=True)
        if not (check or diff):
            write_text(path, after)
            out.print(f"formatted {path}", soft_wrap=True)
    verb = "would change" if check or diff else "changed"
    left = total - changed
    say(f"{count(changed, 'file')} {verb}, {left:,} left as {'it is' if left == 1 else 'they are'}")
    return FINDINGS if broken or (check and changed) else OK


def _files(paths: tuple[str, ...]) -> Iterator[Path]:
    """The policy files that paths stand for, each once."""
    seen: set[Path] = set()
    for written in paths:
        path = existing(written, "file or folder")
        found = [path]
        if path.is_dir():
            found = sorted(
                p
                for p in path.rglob("*.quell")
                if p.is_file() and not any(part.startswith(".") for part in p.relative_to(path).parts)
            )
            if not found:
                raise Unreadable(f"`{path}` has no policy files", "policy files end in .quell")
        for file in found:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _formatted(name: str, text: str) -> tuple[str, list[str]]:
    """The text in canonical form, and its errors, a line each."""
    from quell.grammar.diagnostics import Report, plain
    from quell.grammar.formatting import format_text
    from quell.grammar.parser import parse
    from quell.grammar.source import Source

    source = Source(name, text)
    report = Report()
    parse(source, report)
    formatted = format_text(source)
    if formatted is None and not report.errors:
        raise Unreadable(f"`{name}` is no policy file")
    lines = [plain(d, {name: source}) for d in report.sorted() if d.severity == "error"]
    return (text if formatted is None else formatted), lines


def _tell_broken(name: str, errors: list[str]) -> int:
    for line in errors[:10]:
        say(line)
    if len(errors) > 10:
        say(f"{name}: and {count(len(errors) - 10, 'more error', 'more errors')}; `quell check` shows all")
    return len(errors)


def _print_diff(out: Console, name: str, before: str, after: str) -> None:
    styles = {"+": "green", "-": "red", "@": "cyan"}
    old, new = before.splitlines(), after.splitlines()
    for line in difflib.unified_diff(old, new, name, f"{name} (formatted)", lineterm=""):
        bold = line.startswith(("+++", "---"))
        out.print(line, style="bold" if bold else styles.get(line[:1]), soft_wrap=True)
    if old == new:
        out.print(f"{name}: only its line ends or its last line change", soft_wrap=True)


def _format_stdin(check: bool, diff: bool) -> int:
    before = decoded(read_stdin(LARGEST), "standard input", LARGEST)
    after, errors = _formatted("standard input", before)
    _tell_broken("standard input", errors)
    if diff:
        _print_diff(console(), "standard input", before, after)
    elif not check:
        click.echo(after, nl=False)
    return FINDINGS if errors or (check and after != before) else OK
