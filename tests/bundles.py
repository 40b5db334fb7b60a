"""Bundles written in tests: from text to analyses, engines, interpreters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from quell.engine.agreement import build_probed, differences, probe_differences, probed_nodes, unfit
from quell.engine.bundle import Files
from quell.engine.compile import Analysis, analyse, build
from quell.engine.decision import Decision
from quell.engine.events import Decoded, Refusal
from quell.engine.interpret import Interpreter
from quell.engine.settle import Hit
from quell.engine.stepper import Stepper
from quell.grammar.diagnostics import plain
from quell.grammar.source import Source

SECOND = 1_000_000
START = "2026-01-01T12:00:00Z"


def files(text: str, lists: Mapping[str, str] | None = None) -> Files:
    """A bundle of one policy file, and list files by name."""
    extra = {name: content.encode() for name, content in (lists or {}).items()}
    return Files("written", {"p.quell": Source("p.quell", text)}, extra=extra)


def sound(text: str, lists: Mapping[str, str] | None = None) -> Analysis:
    """A bundle that must have no errors."""
    analysis = analyse(files(text, lists), lints=False)
    errors = [plain(d, analysis.files.sources) for d in analysis.diagnostics if d.severity == "error"]
    assert not errors, "\n".join(errors)
    return analysis


def findings(text: str, lists: Mapping[str, str] | None = None) -> list[str]:
    """The errors of a bundle, each as `code: message (hint)`."""
    found = analyse(files(text, lists), lints=False).diagnostics
    return [
        f"{d.code}: {d.message}" + (f" ({d.hint})" if d.hint else "") for d in found if d.severity == "error"
    ]


def engine(text: str, lists: Mapping[str, str] | None = None) -> Stepper:
    """An engine that decodes every field."""
    return Stepper(build(sound(text, lists), all_fields=True))


class Judged:
    """A bundle run twice over the same events, as it is and with probes, each judged by the interpreter."""

    def __init__(self, text: str, lists: Mapping[str, str] | None = None) -> None:
        self.analysis = sound(text, lists)
        self.engine = Stepper(build(self.analysis, all_fields=True))
        self._probed = Stepper(build_probed(self.analysis))
        self._nodes = {e: probed_nodes(self.analysis, e) for e in self.analysis.symbols.schemas}
        self._values: dict[str, Any] = {}

    def decide(self, event: Mapping[str, Any]) -> Decision:
        """Decide an event and hold generated code and interpreter against each other."""
        made = self._decide(self.engine, event, probed=False)
        self._decide(self._probed, event, probed=True)
        return made

    def values(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Decide an event; gives every let and score by name."""
        self.decide(event)
        return self._values

    def _decide(self, engine: Stepper, event: Mapping[str, Any], *, probed: bool) -> Decision:
        decoded = engine.decode(msgspec.json.encode(event))
        assert not isinstance(decoded, Refusal), str(decoded)
        wrong: list[str] = []

        def observe(decoded: Decoded, hits: list[Hit]) -> None:
            interpreter = Interpreter(engine.bundle, engine.state, decoded, hits)
            wrong.extend(str(d) for d in differences(interpreter, hits))
            if probed:
                wrong.extend(str(d) for d in probe_differences(interpreter, hits))
                wrong.extend(unfit(interpreter, self._nodes[decoded.event]))
            else:
                named = self.analysis.values[decoded.event]
                self._values = {v.name: interpreter.value(v.node) for v in named}

        assert isinstance(decoded, Decoded)
        decision = engine.decide_decoded(decoded, observe)
        assert isinstance(decision, Decision), decision
        assert not wrong, "\n".join(wrong)
        return decision
