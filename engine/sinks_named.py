"""Sinks that policies send to, held against those that the operator has set up.

named = sinks_named(analysis)               # {"mod-queue": ("link_flood",)}
for one in unset(named, settings.sinks): …  # named by policies, and in no [sinks.NAME]
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from quell.engine.compile import Analysis

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_MOST_RULES = 3


class Unset(NamedTuple):
    """A sink that nobody has set up: what is wrong, and what to write."""

    sink: str
    message: str
    hint: str


def sinks_named(analysis: Analysis) -> dict[str, tuple[str, ...]]:
    """The sinks that rules send to, in order of name, each with the rules; those with `mode off` send nothing
    and are left out."""
    found: dict[str, set[str]] = {}
    for rules in analysis.rules.values():
        for rule in rules:
            for effect in rule.effects:
                if effect.kind == "send":
                    found.setdefault(effect.name, set()).add(rule.name)
    return {sink: tuple(sorted(found[sink])) for sink in sorted(found)}


def unset(named: Mapping[str, Collection[str]], configured: Collection[str]) -> list[Unset]:
    """The sinks that are named and not set up, in order of name, as they are told."""
    return [not_set_up(sink, named[sink]) for sink in sorted(named) if sink not in configured]


def not_set_up(sink: str, rules: Collection[str]) -> Unset:
    """What is told of a sink that these rules send to and nobody has set up."""
    becomes = "what is sent there becomes dead letters"
    return Unset(sink, f"the sink `{sink}` of {who(rules)} is not set up: {becomes}", to_write(sink))


def unused(named: Collection[str], configured: Collection[str]) -> list[str]:
    """The sinks that are set up and that no rule sends to, in order of name."""
    return sorted(set(configured) - set(named))


def who(rules: Collection[str]) -> str:
    """Which rules: "`a` and `b`"; none are known of a version that decided earlier."""
    shown = [f"`{rule}`" for rule in sorted(rules)]
    if len(shown) > _MOST_RULES:
        return f"{', '.join(shown[:_MOST_RULES])} and {len(shown) - _MOST_RULES:,} more rules"
    return " and ".join(", ".join(shown).rsplit(", ", 1)) or "an earlier version"


def section(sink: str) -> str:
    """The head of a sink's section of service.toml, in which any name may stand."""
    return f"[sinks.{sink if _BARE.fullmatch(sink) else json.dumps(sink, ensure_ascii=False)}]"


def to_write(sink: str) -> str:
    """What to write into service.toml for a sink."""
    return f"write {section(sink)} into service.toml, with a `url` or a `file` below it, and start again"
