"""`quell functions` and `quell codes`: the reference, from the registries that the compiler reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, get_args

import click

from quell.engine.cli_group import OK
from quell.engine.cli_output import console, print_json, words

if TYPE_CHECKING:
    from rich.console import Console

    from quell.signals.registry import Function


@click.command("functions", short_help="The functions of the language.")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--group", metavar="G", help="Only one group, such as text or time.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--markdown", is_flag=True, help="As Markdown.")
def functions(name: str | None, group: str | None, as_json: bool, markdown: bool) -> int:
    """The functions of the language.

    Without NAME, all of them by group; with it, everything about one.

    \b
    Example:
      quell functions
      quell functions similarity
      quell functions --group time
    """
    if as_json and markdown:
        raise click.UsageError("either --json or --markdown")
    rows = _chosen(name, group)
    if as_json:
        print_json([_as_data(row) for row in rows])
    elif markdown:
        click.echo(_as_markdown(rows, whole=name is None and group is None), nl=False)
    elif name is not None:
        _print_one(console(), rows[0])
    else:
        _print_groups(console(), rows, signatures=group is not None)
    return OK


def _chosen(name: str | None, group: str | None) -> list[Function]:
    from quell.grammar.diagnostics import did_you_mean
    from quell.signals.functions import REGISTRY
    from quell.signals.registry import Group

    if name is not None:
        row = REGISTRY.get(name)
        if row is None:
            near = did_you_mean(name, REGISTRY.names())
            raise click.UsageError(f"there is no function `{name}`: {near or '`quell functions` lists all'}")
        return [row]
    order = list(get_args(Group))
    if group is not None and group not in order:
        raise click.UsageError(f"there is no group `{group}`: there are {', '.join(order)}")
    rows = [r for r in REGISTRY.rows() if group in (None, r.group)]
    return sorted(rows, key=lambda r: (order.index(r.group), r.name))


def _as_data(row: Function) -> dict[str, Any]:
    return {
        "name": row.name,
        "group": row.group,
        "signature": row.spelled(),
        "doc": row.doc,
        "parameters": [
            {"name": p.name, "type": str(p.type), "literal": p.literal, "default": p.default}
            for p in row.parameters
        ],
        "result": str(row.result),
        "attribute": row.attribute,
        "cost_microseconds": row.cost,
        "bounds": None if row.bounds is None else [_finite(b) for b in row.bounds],
        "examples": [{"expression": e.expression, "value": e.value} for e in row.examples],
    }


def _finite(bound: float) -> float | None:
    """A bound as JSON has it: none where there is no end."""
    return bound if abs(bound) < 1.8e308 else None


def _first_sentence(doc: str) -> str:
    """The first sentence of a documentation, without its full stop."""
    text = " ".join(doc.split())
    end = text.find(". ")
    return (text if end < 0 else text[:end]).rstrip(".")


def _print_groups(out: Console, rows: Iterable[Function], signatures: bool) -> None:
    from rich.padding import Padding
    from rich.table import Table

    group = ""
    made: Table | None = None
    for row in rows:
        if row.group != group:
            if made is not None:
                out.print(made)
                out.print()
            group = row.group
            out.print(words((group, "bold")))
            made = None
        if signatures:
            out.print(words("  ", (row.spelled(), "cyan")), soft_wrap=True)
            out.print(Padding(row.doc, (0, 0, 1, 4)))
            continue
        if made is None:
            made = Table.grid(padding=(0, 2, 0, 0))
            made.add_column(width=22, no_wrap=True)
            made.add_column()
        made.add_row(words("  ", (row.name, "cyan")), _first_sentence(row.doc))
    if made is not None:
        out.print(made)
        out.print()
    if not signatures:
        out.print(words(("`quell functions NAME` says everything about one", "dim")))


def _print_one(out: Console, row: Function) -> None:
    from rich.padding import Padding

    out.print(words((row.spelled(), "bold cyan")), soft_wrap=True)
    out.print(Padding(row.doc, (1, 0, 1, 2)))
    if row.attribute and row.parameters:
        out.print(f"  also written {row.parameters[0].name}.{row.name}")
    for p in row.parameters:
        if p.literal or p.default is not None:
            default = "" if p.default is None else f", {p.default!r} unless given".replace("'", '"')
            out.print(
                f"  {p.name}: {'written out in the policy' if p.literal else 'may be left out'}{default}"
            )
    for example in row.examples:
        out.print(words("  ", (example.expression, "cyan"), ("  is  ", "dim"), example.value), soft_wrap=True)
    out.print(words((f"\n  group {row.group}; about {row.cost:g} µs a call", "dim")))


def _as_markdown(rows: list[Function], whole: bool) -> str:
    lines: list[str] = ["# Functions", ""] if whole else []
    group = ""
    for row in rows:
        if row.group != group and len(rows) > 1:
            group = row.group
            lines += [f"## {group[:1].upper()}{group[1:]}", ""]
        lines += [f"### `{row.name}`", "", "```", row.spelled(), "```", "", row.doc, ""]
        if row.examples:
            lines += ["| expression | value |", "|---|---|"]
            lines += [f"| {_cell(e.expression)} | {_cell(e.value)} |" for e in row.examples]
            lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Code in a cell of a Markdown table."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}".replace("|", "\\|")


@click.command("codes", short_help="What the codes of findings mean.")
@click.argument("code", required=False, metavar="[CODE]")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def codes(code: str | None, as_json: bool) -> int:
    """What the codes of findings mean.

    Every error and warning of `quell check` has a code that stays the same.

    \b
    Example:
      quell codes silenced-by-missing
    """
    from quell.grammar.codes import CODES
    from quell.grammar.diagnostics import did_you_mean

    if code is not None and code not in CODES:
        near = did_you_mean(code, CODES)
        raise click.UsageError(f"there is no code `{code}`: {near or '`quell codes` lists all'}")
    chosen = CODES if code is None else {code: CODES[code]}
    if as_json:
        print_json(
            [{"code": c, "severity": row.severity, "meaning": row.meaning} for c, row in chosen.items()]
        )
        return OK
    from rich.table import Table

    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True)
    made.add_column(no_wrap=True)
    made.add_column()
    for c, row in chosen.items():
        made.add_row(c, words((row.severity, "red" if row.severity == "error" else "yellow")), row.meaning)
    console().print(made)
    return OK
