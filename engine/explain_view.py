"""An explanation on a terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import IO, TYPE_CHECKING, Any

from quell.engine.cli_output import console, utf8, verdict_style, visible, words
from quell.engine.explanation import EffectResult, Explanation, Part, RuleResult, Value
from quell.engine.lowered import IDENTITY_SHOWN
from quell.engine.symbols import Ladder

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text
    from rich.tree import Tree

LONGEST = 160
"""Characters of one value that are shown; JSON has all."""
_OUTCOMES = {
    "fired": ("fired", "bold green"),
    "shadow": ("would have fired", "bold cyan"),
    "held": ("held back", "bold yellow"),
    "missing": ("missing", "bold magenta"),
    "not matched": ("not matched", "dim"),
}
_STATES = {"true": "green", "false": "red", "missing": "magenta", "": ""}


def print_explanation(
    explanation: Explanation,
    ladder: Ladder,
    stream: IO[str] | None = None,
    *,
    full: bool = False,
    rules: Collection[str] = (),
) -> None:
    """The whole explanation. `full` opens every rule; `rules` leaves only some, opened."""
    out = console(stream)
    _print_head(out, explanation, ladder)
    _print_fields(out, explanation)
    shown = [r for r in explanation.rules if not rules or r.rule in rules]
    opened = [r for r in shown if full or rules or r.outcome in ("fired", "shadow", "held")]
    for rule in opened:
        print_rule(out, rule)
    closed = [r for r in shown if r not in opened]
    for outcome in ("missing", "not matched"):
        _print_closed(out, [r for r in closed if r.outcome == outcome], outcome)
    _print_values(out, explanation, opened)


def _print_head(out: Console, explanation: Explanation, ladder: Ladder) -> None:
    decision = explanation.decision
    style = verdict_style(ladder.rank(decision.verdict), len(ladder.verdicts))
    parts: list[str | tuple[str, str]] = [(decision.event, "bold")]
    if decision.id is not None:
        parts.append(f" {visible(decision.id, 60)}")
    parts += [f" at {explanation.time}: ", (decision.verdict, f"bold {style}")]
    out.print(words(*parts), soft_wrap=True)
    told = ((decision.fired, "fired"), (decision.shadow, "in shadow"), (decision.held, "held back"))
    for found, what in told:
        if found:
            out.print(words((f"  {what}: ", "dim"), ", ".join(f.rule for f in found)), soft_wrap=True)
    for change in decision.labels:
        until = f" until {change.until}" if change.until is not None else ""
        verb = "label" if change.on else "unlabel"
        out.print(
            f'  {verb} {change.entity} "{visible(change.id, 60)}" "{change.label}"{until} ({change.rule})',
            soft_wrap=True,
        )
    for asked in decision.outranked:
        verb = "label" if asked.on else "unlabel"
        whom = f'{asked.entity} "{visible(asked.id, 60)}" "{asked.label}"'
        out.print(f"  {verb} {whom} ({asked.rule}) is outranked by {visible(asked.by, 60)}", soft_wrap=True)
    for sent in decision.sends:
        out.print(f'  send "{sent.sink}" {_payload(sent.payload)} ({sent.rule})', soft_wrap=True)
    for question in decision.asked:
        gave = question.reason or visible(str(question.value), 200)
        out.print(words(("  asked: ", "dim"), f"{question.model}, {question.status}: {gave}"), soft_wrap=True)
    for problem in explanation.problems:
        out.print(words(("  counts as missing: ", "yellow"), visible(problem, 300)), soft_wrap=True)
    for warning in explanation.warnings:
        out.print(words(("  note: ", "yellow"), warning), soft_wrap=True)


def _print_fields(out: Console, explanation: Explanation) -> None:
    out.print()
    rows = [
        (f.name, visible(f.shown, LONGEST), "magenta" if f.value is None else "", f.why)
        for f in explanation.fields
    ]
    _print_rows(out, rows)


def _print_rows(out: Console, rows: list[tuple[str, str, str, str]]) -> None:
    """Names with their values, and what there is to say of each."""
    made = grid()
    for name, shown, style, more in rows:
        tail = f"  {visible(more, 300)}" if more else ""
        made.add_row(words((f"  {name}", "dim")), words((shown, style), (tail, "dim")))
    out.print(made)


def grid() -> Table:
    """Two columns without lines: names, and what stands beside them."""
    from rich.table import Table

    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    return made


# -------------------------------------------------------------------- rules


def print_rule(out: Console, rule: RuleResult) -> None:
    """One rule with its condition, part by part, and what came of it."""
    from rich.tree import Tree

    what, style = _OUTCOMES[rule.outcome]
    head = words(("\n" + rule.rule, "bold"), "  ", (what, style), (f"  {rule.place}", "dim"))
    out.print(head, soft_wrap=True)
    if rule.held:
        out.print(words(("  held back by: ", "yellow"), visible(rule.held, 200)), soft_wrap=True)
    elif rule.rollout:
        out.print(words(("  rollout: ", "dim"), visible(rule.rollout, 200)), soft_wrap=True)
    if rule.because is not None:
        out.print(words(("  because: ", "dim"), visible(rule.because, 500)), soft_wrap=True)
    tree = Tree("", hide_root=True, guide_style="dim")
    condition = rule.condition
    joined = condition.kind in ("and", "or") and not condition.role
    if joined and condition.kind == "or":
        _grow(out, tree, condition, {})
    else:
        seen: dict[str, None] = {}
        for part in condition.parts if joined else [condition]:
            _grow(out, tree, part, seen)
    out.print(_indented(tree))
    for effect in rule.effects:
        out.print(_effect(out, effect), soft_wrap=True)


def _indented(tree: Tree) -> Any:
    from rich.padding import Padding

    return Padding(tree, (0, 0, 0, 2), expand=False)


def _grow(out: Console, tree: Tree, part: Part, seen: dict[str, None]) -> None:
    """Add a condition to a tree, with the values it rests on."""
    branch = tree.add(_condition(out, part))
    if part.role == "not needed":
        return
    inner = part.parts[0] if part.kind == "let" and len(part.parts) == 1 else part
    if inner.kind in ("and", "or"):
        for child in inner.parts:
            _grow(out, branch, child, seen)
        return
    for child in inner.parts:
        if child.kind == "score" and child.parts and child.text not in seen:
            _score(out, branch, child, seen)
        elif child.state and child.kind != "field":
            _grow(out, branch, child, seen)
        else:
            for text in _details(child, seen):
                branch.add(text)


def _score(out: Console, tree: Tree, part: Part, seen: dict[str, None]) -> None:
    """A score and what each of its lines adds."""
    seen[part.text] = None
    branch = tree.add(words((f"{visible(part.text, 120)} ", "dim"), f"= {part.shown}"))
    for line in part.parts:
        _grow(out, branch, line, seen)


def _condition(out: Console, part: Part) -> Text:
    """One line about a condition."""
    if part.role == "not needed":
        return words(
            (f"{_mark(out, 'skipped')} {visible(part.text, 300)}", "dim"), ("  not needed", "dim italic")
        )
    pieces: list[str | tuple[str, str]] = [(f"{_mark(out, part.state)} ", _STATES[part.state])]
    if part.points is not None:
        adds = part.points if part.state == "true" else 0
        pieces.append((f"{adds:+g} " if adds else " 0 ", "bold" if adds else "dim"))
    pieces.append(visible(part.text, 300))
    if part.kind == "let" and len(part.parts) == 1 and part.parts[0].kind not in ("and", "or"):
        pieces.append((f" = {visible(part.parts[0].text, 300)}", "dim"))
    note = part.note or (part.parts[0].note if part.kind == "let" and part.parts else "")
    if note:
        pieces.append((f"  {visible(note, 200)}", "cyan"))
    if part.state == "missing":
        pieces.append((f"  missing: {visible(part.why, 200)}" if part.why else "  missing", "magenta"))
    if part.role == "decided":
        pieces.append(("  decided" if not utf8(out.file) else "  ← decided", "bold"))
    return words(*pieces)


def _mark(out: Console, state: str) -> str:
    good = utf8(out.file)
    return {
        "true": "✓" if good else "+",
        "false": "✗" if good else "-",
        "missing": "?",
        "skipped": "·" if good else ".",
    }.get(state, "=")


def _details(part: Part, seen: dict[str, None]) -> Iterator[Text]:
    """A value and those it is made of, each told once."""
    if part.text in seen or part.role == "not needed":
        return
    seen[part.text] = None
    pieces: list[str | tuple[str, str]] = [(f"{visible(part.text, 120)} ", "dim")]
    pieces.append(("= " + visible(part.shown, LONGEST), "magenta" if part.value is None else ""))
    more = part.why if part.value is None else part.note
    if more:
        pieces.append((f"  {visible(more, 200)}", "cyan"))
    yield words(*pieces)
    for child in part.parts:
        yield from _details(child, seen)


def _effect(out: Console, effect: EffectResult) -> Text:
    arrow = "→" if utf8(out.file) else "->"
    style = "" if effect.done else "dim"
    pieces: list[str | tuple[str, str]] = [(f"  {arrow} {visible(effect.text, 300)}", style)]
    if not effect.done:
        pieces.append(
            (f"  not done{': ' + effect.why if effect.why else ''}", "yellow" if effect.why else "dim")
        )
    return words(*pieces)


def _payload(payload: dict[str, Any]) -> str:
    import json

    return visible(json.dumps(payload, ensure_ascii=False), 200)


def _print_closed(out: Console, rules: list[RuleResult], outcome: str) -> None:
    """Rules that did not match, one line each: the part that decided, and the values it rests on."""
    if not rules:
        return
    what, style = _OUTCOMES[outcome]
    out.print(words((f"\n{what}", style)))
    made = grid()
    for rule in rules:
        part = rule.deciding()
        told = [f"{c.text} = {c.shown}" for c in _leaf_values(part)][:3]
        reason = part.why if outcome == "missing" else "; ".join(told) or part.note
        made.add_row(
            f"  {rule.rule}",
            words(
                (f"{_mark(out, part.state)} ", _STATES[part.state]),
                visible(part.text, 120),
                (f"  {visible(reason, 200)}" if reason else "", "dim"),
            ),
        )
    out.print(made)


def _leaf_values(part: Part) -> Iterator[Part]:
    for child in part.parts:
        if child.state and child.parts:
            yield from _leaf_values(child)
        else:
            yield child


def _stands_for(value: Value) -> str:
    """What a named value stands for; of a counter also what it is known by, as `quell graph` shows it."""
    reading = value.part.reading if value.part is not None else None
    return value.text if reading is None else f"{value.text}  #{reading.identity[:IDENTITY_SHOWN]}"


def _print_values(out: Console, explanation: Explanation, opened: list[RuleResult]) -> None:
    """What the named values that were met stand for."""
    met = {p.text for rule in opened for p in _needed(rule.condition) if p.kind in ("let", "score", "model")}
    rows = [
        (v.name, visible(v.shown, 60), "magenta" if v.value is None else "", _stands_for(v))
        for v in explanation.values
        if v.name in met
    ]
    if rows:
        out.print(words(("\nnamed values", "bold")))
        _print_rows(out, rows)


def _needed(part: Part) -> Iterator[Part]:
    if part.role == "not needed":
        return
    yield part
    for child in part.parts:
        yield from _needed(child)
