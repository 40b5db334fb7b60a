"""Remote models and quell.toml: a model that nobody answers, a target that no model asks."""

from __future__ import annotations

from collections.abc import Mapping

from quell.engine.bundle import SETTINGS
from quell.engine.symbols import Symbols
from quell.grammar.diagnostics import Report, did_you_mean
from quell.grammar.source import Span
from quell.signals.remote_types import RemoteSpec, Target


def lint_remote(
    symbols: Symbols, remotes: Mapping[str, RemoteSpec], targets: Mapping[str, Target], report: Report
) -> None:
    """Report remote models without a target, and targets without a model."""
    for name, spec in remotes.items():
        if spec.target not in targets:
            report.add(
                "no-target",
                f"{SETTINGS} does not say who answers `{name}`: it has no [remote.{spec.target}]",
                symbols.models[name].source.span,
                hint=did_you_mean(spec.target, targets)
                or f'write [remote.{spec.target}] with url = "https://…", or callable = true',
            )
    asked = {spec.target for spec in remotes.values()}
    for target in targets:
        if target not in asked:
            report.add(
                "no-target",
                f"no model is from remote `{target}`, which {SETTINGS} configures",
                Span(SETTINGS, 0, 0),
                hint=did_you_mean(target, asked),
            )
