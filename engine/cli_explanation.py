"""An explanation of one decision, to read in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quell.engine.cli_output import console, count, visible, words
from quell.engine.explanation import EffectResult, Explanation, FieldValue, Part, RuleResult, Value

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

LONGEST = 160
"""Characters of a value that are shown."""
_STATES = {"true": "green", "false": "red", "missing": "yellow", "": ""}
_OUTCOMES = {"fired": "bold green", "shadow": "magenta", "held": "cyan", "missing": "yellow", "not matched": "dim"}


def print_explanation(explained: Explanation, everything: bool = False) -> None:
    """Print it; rules that did not match in one line each, unless everything is wanted."""
    out = console()
    decision = explained.decision
    name = f" {visible(decision.id, 60)}" if decision.id is not None else ""
    out.print(
        words((f"{decision.event}{name}", "bold"), f" at {explained.time}: ", (decision.verdict, "bold cyan")),
        soft_wrap=True,
    )
    for problem in explained.problems:
        out.print(words(("counts as missing: ", "yellow"), visible(problem, 300)), soft_wrap=True)
    for warning in explained.warnings:
        out.print(words(("late: ", "yellow"), visible(warning, 300)), soft_wrap=True)
    _print_fields(out, explained.fields)
    _print_values(out, explained.values)
    matched = [r for r in explained.rules if r.outcome != "not matched"]
    rest = [r for r in explained.rules if r.outcome == "not matched"]
    _heading(out, "rules")
    for rule in matched if not everything else explained.rules:
        _print_rule(out, rule)
    if rest and not everything:
        _print_rest(out, rest)


def _heading(out: Console, text: str) -> None:
    out.print()
    out.print(text, style="bold")


def _print_fields(out: Console, fields: list[FieldValue]) -> None:
    from rich.table import Table

    _heading(out, "event")
    made = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        made.add_column(overflow="fold")
    for field in fields:
        made.add_row(f"  {field.name}", words((field.type, "dim")), _value(field.shown, field.why))
    out.print(made)


def _print_values(out: Console, values: list[Value]) -> None:
    from rich.table import Table

    if not values:
        return
    _heading(out, "values")
    made = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        made.add_column(overflow="fold")
    for value in values:
        note = value.part.note if value.part is not None else ""
        text = words((visible(value.text, 200), "dim"), (f"  {visible(note, 200)}" if note else "", "dim italic"))
        made.add_row(f"  {value.name}", _value(value.shown, value.why), text)
    out.print(made)


def _value(shown: str, why: str) -> Text:
    if why:
        return words(("missing", "yellow"), (f": {visible(why, LONGEST)}", "dim"))
    return words((visible(shown, LONGEST), "cyan"))


def _print_rule(out: Console, rule: RuleResult) -> None:
    from rich.tree import Tree

    mode = "" if rule.mode == "live" or rule.outcome == "shadow" else f" ({rule.mode})"
    title = words(
        ("  " + rule.rule, "bold"), "  ", (rule.outcome, _OUTCOMES[rule.outcome]), mode, (f"  {rule.place}", "dim")
    )
    out.print()
    out.print(title, soft_wrap=True)
    if rule.held:
        out.print(words(("    held back by ", "cyan"), visible(rule.held, 300)), soft_wrap=True)
    elif rule.rollout:
        out.print(words(("    rollout: ", "dim"), visible(rule.rollout, 300)), soft_wrap=True)
    if rule.because is not None:
        out.print(words(("    because ", "dim"), visible(rule.because, 400)), soft_wrap=True)
    for effect in rule.effects:
        out.print(_effect(effect), soft_wrap=True)
    tree = Tree(_part(rule.condition), guide_style="dim")
    _branches(tree, rule.condition)
    from rich.padding import Padding

    out.print(Padding(tree, (0, 0, 0, 4)))


def _effect(effect: EffectResult) -> Text:
    if effect.done:
        return words(("    does    ", "green"), visible(effect.text, 300))
    why = f": {visible(effect.why, 200)}" if effect.why else ""
    return words(("    not done", "yellow"), f" {visible(effect.text, 300)}", (why, "dim"))


def _branches(tree: Tree, part: Part) -> None:
    for inner in part.parts:
        if inner.role == "not needed":
            tree.add(_part(inner))  # nothing below it was asked for
        else:
            _branches(tree.add(_part(inner)), inner)


def _part(part: Part) -> Text:
    if part.role == "not needed":
        return words((f"{visible(part.text, LONGEST)}  not needed", "dim"))
    pieces: list[str | tuple[str, str]] = []
    if part.state:
        pieces += [(f"{part.state}", _STATES[part.state]), "  ", visible(part.text, LONGEST)]
    else:
        pieces += [visible(part.text, LONGEST), ("  is  ", "dim"), (visible(part.shown, LONGEST), "cyan")]
    if part.points is not None:
        pieces.append((f"  {part.points:+g}", "magenta"))
    if part.note:
        pieces.append((f"  {visible(part.note, LONGEST)}", "dim"))
    if part.why:
        pieces.append((f"  {visible(part.why, LONGEST)}", "yellow"))
    if part.role == "decided":
        pieces.append(("  ← decided", "bold"))
    return words(*pieces)


def _print_rest(out: Console, rest: list[RuleResult]) -> None:
    from rich.table import Table

    _heading(out, f"{count(len(rest), 'rule')} did not match")
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for rule in rest:
        made.add_row(f"  {rule.rule}", words(("false: ", "red"), (visible(rule.decided, LONGEST), "dim")))
    out.print(made)
    out.print(words(("\n--rule R shows one of them in full, --all shows everything", "dim")))
