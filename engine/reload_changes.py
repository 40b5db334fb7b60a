"""What changed from one version of a bundle to another, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from quell.engine.bundle import Files, Settings
from quell.engine.compile import ParseCache
from quell.engine.drift_card import MOST_BYTES, card_of
from quell.engine.lists import load_lists
from quell.engine.symbols import Symbols
from quell.grammar import tree
from quell.grammar.diagnostics import Report
from quell.grammar.literals import spell_duration, spell_percent
from quell.grammar.printer import print_expression
from quell.signals.models import MAX_MODEL_BYTES
from quell.signals.policy_lists import PolicyList

MOST = 100
"""Lines that are told."""
_PARTS = (
    ("events", "on"),
    ("condition", "when"),
    ("effects", "then"),
    ("because", "because"),
    ("tags", "tag"),
    ("owner", "owner"),
    ("severity", "severity"),
)
_KINDS = (
    ("entities", "entity"),
    ("shapes", "shape"),
    ("events", "event"),
    ("lets", "let"),
    ("scores", "score"),
)
_DURATIONS = ("lateness",)


def changes(old: Files, new: Files, cache: ParseCache) -> list[str]:
    """What changed, a line each, the rules first; at most MOST lines. Whatever is wrong with either bundle is
    left to those who check it."""
    before, after = _resolved(old, cache), _resolved(new, cache)
    found = [
        *_rules(before.rules, after.rules),
        *(
            line
            for table, kind in _KINDS
            for line in _named(kind, getattr(before, table), getattr(after, table))
        ),
        *_lists(before, after, old, new),
        *_models(before, after, old, new),
        *_verdicts(before, after),
        *_tests(before.tests, after.tests),
        *_settings(old.settings, new.settings),
    ]
    if not found and old.sources != new.sources:
        found = ["comments or layout"]
    return (
        found if len(found) <= MOST else [*found[: MOST - 1], f"and {len(found) - MOST + 1:,} more changes"]
    )


def _resolved(files: Files, cache: ParseCache) -> Symbols:
    from quell.engine.resolve import resolve

    report = Report()
    return resolve(cache.parse(files, report), report)


# --------------------------------------------------------------- declarations


def _rules(before: Mapping[str, tree.Rule], after: Mapping[str, tree.Rule]) -> Iterator[str]:
    renamed = {}
    for name, rule in after.items():
        former = [i.name for i in rule.formerly if i.name in before and i.name not in after]
        if name not in before and former:
            renamed[name] = former[-1]
    for name, rule in after.items():
        known = before.get(renamed.get(name, name))
        if known is None:
            yield f"rule `{name}` added{_resting(rule)}"
            continue
        told = "; ".join(_rule_parts(known, rule))
        if name in renamed:
            yield f"rule `{name}` was `{renamed[name]}`" + (f", changed: {told}" if told else "")
        elif told:
            yield f"rule `{name}` changed: {told}"
    for name in before:
        if name not in after and name not in renamed.values():
            yield f"rule `{name}` removed"


def _mode(rule: tree.Rule) -> str:
    return rule.mode.name if rule.mode is not None else "live"


def _resting(rule: tree.Rule) -> str:
    return f" ({_mode(rule)})" if _mode(rule) != "live" else ""


def _rule_parts(before: tree.Rule, after: tree.Rule) -> Iterator[str]:
    parts = [word for part, word in _PARTS if getattr(before, part) != getattr(after, part)]
    if parts:
        yield ", ".join(parts)
    if _mode(before) != _mode(after):
        yield f"mode {_mode(before)} → {_mode(after)}"
    if before.rollout != after.rollout:
        yield f"rollout {_rollout(before)} → {_rollout(after)}"


def _rollout(rule: tree.Rule) -> str:
    if rule.rollout is None:
        return "none"
    by = ", ".join(print_expression(key) for key in rule.rollout.keys)
    return f"{spell_percent(rule.rollout.share)} by {by}"


def _named(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name, declared in after.items():
        if name not in before:
            yield f"{kind} `{name}` added"
        elif before[name] != declared:
            yield f"{kind} `{name}` changed"
    for name in before:
        if name not in after:
            yield f"{kind} `{name}` removed"


def _verdicts(before: Symbols, after: Symbols) -> Iterator[str]:
    told = set()
    for event, ladder in sorted(after.ladders.items()):  # the one for all events, called "", first
        known = before.ladders.get(event)
        if known is not None and known != ladder:
            change = f"{_ladder(known)} → {_ladder(ladder)}"
            if change not in told:
                yield f"verdicts for `{event}`: {change}" if event else f"verdicts: {change}"
            if not event:
                told.add(change)


def _ladder(ladder: Any) -> str:
    return f"{' < '.join(ladder.verdicts)} (on failure {ladder.failure})"


def _tests(before: Sequence[tree.Test], after: Sequence[tree.Test]) -> Iterator[str]:
    old = {t.title.plain: t for t in before}
    new = {t.title.plain: t for t in after}
    counts = (
        ("added", sum(1 for title in new if title not in old)),
        ("removed", sum(1 for title in old if title not in new)),
        ("changed", sum(1 for title in new if title in old and old[title] != new[title])),
    )
    told = ", ".join(f"{n:,} {word}" for word, n in counts if n)
    if told:
        yield f"tests: {told}"


# ---------------------------------------------------------------- lists, models


def _lists(before: Symbols, after: Symbols, old: Files, new: Files) -> Iterator[str]:
    both = [name for name in after.lists if name in before.lists]
    touched = [n for n in both if _differs(before.lists[n].file, after.lists[n].file, old, new)]
    was, now = _loaded(before, touched, old), _loaded(after, touched, new)
    yield from (f"list `{n}` added" for n in after.lists if n not in before.lists)
    for name in both:
        told = []
        if replace(before.lists[name], file=after.lists[name].file) != after.lists[name]:
            told.append("read in another way")
        if name in was and name in now:
            told.extend(_entries(was[name], now[name]))
        elif name in touched:
            told.append("its file changed")
        if told:
            yield f"list `{name}`: {', '.join(told)}"
    yield from (f"list `{n}` removed" for n in before.lists if n not in after.lists)


def _differs(before: tree.Text, after: tree.Text, old: Files, new: Files) -> bool:
    return _bytes(before, old) != _bytes(after, new)


def _bytes(written: tree.Text, files: Files) -> bytes | None:
    return files.read(written.plain or "", written.span, Report(), MAX_MODEL_BYTES)


def _card(written: tree.Text, files: Files) -> bytes | None:
    return files.read(card_of(written.plain or ""), written.span, Report(), MOST_BYTES)


def _loaded(symbols: Symbols, names: Sequence[str], files: Files) -> dict[str, PolicyList]:
    some = replace(symbols, lists={n: symbols.lists[n] for n in names})
    return load_lists(some, files, Report(), lints=False)


def _entries(before: PolicyList, after: PolicyList) -> Iterator[str]:
    old, new = set(before.entries()), set(after.entries())
    added, removed = len(new - old), len(old - new)
    if added:
        yield f"{added:,} {'entry' if added == 1 else 'entries'} added"
    if removed:
        yield f"{removed:,} {'entry' if removed == 1 else 'entries'} removed"
    if not added and not removed:
        yield "values of its columns changed" if after.columns else "the same entries, written otherwise"


def _models(before: Symbols, after: Symbols, old: Files, new: Files) -> Iterator[str]:
    for name, declared in after.models.items():
        known = before.models.get(name)
        if known is None:
            yield f"model `{name}` added"
            continue
        told = ["declaration"] if known != declared else []
        if not known.remote and not declared.remote:
            told += ["file"] * _differs(known.source, declared.source, old, new)
            told += ["card"] * (_card(known.source, old) != _card(declared.source, new))
        if told:
            yield f"model `{name}`: {' and '.join(told)} changed"
    yield from (f"model `{n}` removed" for n in before.models if n not in after.models)


# ------------------------------------------------------------------ quell.toml


def _settings(before: Settings, after: Settings) -> Iterator[str]:
    for part in fields(Settings):
        old, new = getattr(before, part.name), getattr(after, part.name)
        if part.name == "remote":
            for name in sorted({*old, *new}):
                if name not in old or name not in new:
                    yield f"remote target `{name}` {'added' if name in new else 'removed'}"
                elif old[name] != new[name]:
                    yield f"remote target `{name}` changed"
        elif old != new:
            yield f"setting {part.name}: {_value(part.name, old)} → {_value(part.name, new)}"


def _value(name: str, value: Any) -> str:
    if name in _DURATIONS:
        return spell_duration(value)
    if isinstance(value, str):
        return f"`{value}`" if value else "none"
    if isinstance(value, tuple):
        return "`$" + "".join(f"[{v}]" if isinstance(v, int) else f".{v}" for v in value) + "`"
    return f"{value:,}"
