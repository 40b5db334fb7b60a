"""The model files that policies name: loaded, and held against the inputs that each declaration gives."""

from __future__ import annotations

from collections.abc import Mapping

from quell.engine.bundle import Files
from quell.engine.decision import ModelUsed
from quell.engine.python_backend import Program
from quell.engine.symbols import Symbols
from quell.grammar import tree
from quell.grammar.diagnostics import Report, did_you_mean
from quell.signals.models import MAX_MODEL_BYTES, LoadedModel, Model, load_model

SHOWN = 8
"""Features that a message names."""


def load_models(symbols: Symbols, files: Files, report: Report) -> dict[str, Model]:
    """Every model that loads and has its inputs, by name. A file that several name is read once."""
    read: dict[str, LoadedModel | None] = {}
    out: dict[str, Model] = {}
    for name, declared in symbols.models.items():
        if declared.remote:
            continue
        fits = _local(declared, report)
        file = declared.source.plain or ""
        if file not in read:
            data = files.read(file, declared.source.span, report, MAX_MODEL_BYTES, _untrained(name))
            read[file] = None if data is None else load_model(file, data)
        loaded = read[file]
        if loaded is None:
            continue
        if loaded.problem is not None:
            message = f"{file}: {loaded.problem.message}"
            report.add("bad-model", message, declared.source.span, hint=loaded.problem.hint)
        elif loaded.model is not None and _inputs(declared, loaded.model, report) and fits:
            out[name] = loaded.model
    return out


def _untrained(name: str) -> str:
    """What to do about a model whose file is not there."""
    return f"make it with quell train … --model {name}, or copy it there"


def used_models(program: Program, models: Mapping[str, Model]) -> tuple[ModelUsed, ...]:
    """The models that a generated function may ask, in order of name."""
    asked = {what for kind, what in program.needs.values() if kind == "model"}
    return tuple(ModelUsed(name, models[name].digest[:16]) for name in sorted(asked))


def _local(declared: tree.Model, report: Report) -> bool:
    """Report what only a remote model has."""
    parts = (("gives", declared.gives[0] if declared.gives else None), ("when", declared.gate))
    ok = True
    for word, part in (*parts, ("wait", declared.wait)):
        if part is not None:
            message = f"`{word}` belongs to remote models, and this one is a file"
            report.add("bad-input", message, part.span, hint="take it away, or write from remote")
            ok = False
    return ok


def _inputs(declared: tree.Model, model: Model, report: Report) -> bool:
    """Whether a declaration gives each feature of its model once; what is not so is reported."""
    known = {f.name: None for f in model.features}
    given: set[str] = set()
    written = {ident.name for ident, _ in declared.inputs}
    lacking = [name for name in known if name not in written]
    ok = not lacking
    for ident, _ in declared.inputs:
        if ident.name not in known:
            near = did_you_mean(ident.name, lacking) or did_you_mean(ident.name, known)
            hint = near or (
                f"it still needs {_names(lacking)}" if lacking else f"it has {_names(list(known))}"
            )
            message = f"the model `{declared.name.name}` has no feature `{ident.name}`"
            report.add("bad-input", message, ident.span, hint=hint)
            ok = False
        elif ident.name in given:
            report.add("bad-input", f"the input `{ident.name}` is given twice", ident.span)
            ok = False
        given.add(ident.name)
    if lacking:
        noun = "feature" if len(lacking) == 1 else "features"
        message = f"`{declared.name.name}` gives nothing for the {noun} {_names(lacking)} of its model"
        hint = f"add a line such as {_spelled(lacking[0])} = …; missing is a value too"
        report.add("bad-input", message, declared.name.span, hint=hint)
    return ok


def _names(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(f"`{n}`" for n in names[:SHOWN]) + more


def _spelled(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else f"`{name}`"
