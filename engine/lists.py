"""The list files that policies name: loaded, with their troubles told at the declaration."""

from __future__ import annotations

from quell.engine.bundle import Files
from quell.engine.resolve import named_type
from quell.engine.symbols import Symbols
from quell.grammar import tree
from quell.grammar.diagnostics import Report, did_you_mean
from quell.grammar.types import Type
from quell.signals.policy_lists import PolicyList, load_list

KINDS = ("exact", "words", "domains", "cidrs", "prefixes", "patterns")
COLUMN_KINDS = ("text", "number", "bool", "time", "duration", "ip", "entity")


def load_lists(symbols: Symbols, files: Files, report: Report, lints: bool = True) -> dict[str, PolicyList]:
    """Every list that loads, by name."""
    out: dict[str, PolicyList] = {}
    for name, declared in symbols.lists.items():
        columns = _columns(declared, symbols, report)
        kind = declared.kind.name
        if kind not in KINDS:
            report.add(
                "unknown-word",
                f"there is no kind of list `{kind}`",
                declared.kind.span,
                hint=did_you_mean(kind, KINDS) or "kinds are " + ", ".join(KINDS),
            )
            continue
        data = files.read(declared.file.plain or "", declared.file.span, report)
        if data is None or columns is None:
            continue
        loaded = load_list(name, declared.file.plain or "", data, kind, columns)
        for problem in loaded.problems:
            if problem.severity == "error" or lints:
                where = (
                    f"{declared.file.plain}:{problem.line}: " if problem.line else f"{declared.file.plain}: "
                )
                report.add(problem.code, where + problem.message, declared.file.span, hint=problem.hint)
        if loaded.list is not None:
            out[name] = loaded.list
    return out


def _columns(
    declared: tree.ListDecl, symbols: Symbols, report: Report
) -> tuple[tuple[str, Type], ...] | None:
    out: dict[str, Type] = {}
    for column in declared.columns:
        type_ = named_type(column.type, symbols, report)
        if type_ is None:
            return None
        if type_.kind not in COLUMN_KINDS:
            report.add("unknown-type", f"a column cannot be a {type_}", column.type.span)
            return None
        if column.name.name in out:
            report.add("declared-twice", f"`{column.name.name}` is already a column", column.name.span)
            return None
        out[column.name.name] = type_.present()
    return tuple(out.items())
