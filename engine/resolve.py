"""Names to declarations: one namespace, event schemas with their shapes, ladders.

Everything is reported; what is broken is left out, so that later passes see only what holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quell.engine.schema import EventSchema, Field
from quell.engine.symbols import DEFAULT_LADDER, Ladder, Symbols
from quell.grammar import tree
from quell.grammar.diagnostics import Related, Report, did_you_mean
from quell.grammar.literals import spell_path
from quell.grammar.types import PLAIN, Type, entity, list_of, record
from quell.signals.functions import REGISTRY

RESERVED = frozenset(
    ("now", "this", "any", "all", "none", "true", "false", "missing", "not", "and", "or", "fired", "remote")
)
_TABLES: tuple[tuple[type[tree.Declaration], str, str], ...] = (
    (tree.Entity, "entities", "entity"),
    (tree.Shape, "shapes", "shape"),
    (tree.EventDecl, "events", "event"),
    (tree.Let, "lets", "let"),
    (tree.ListDecl, "lists", "list"),
    (tree.Model, "models", "model"),
    (tree.Score, "scores", "score"),
    (tree.Rule, "rules", "rule"),
)

_OTHER_WORDS = {
    word: f"write {type_}"
    for type_, words in (
        ("text", ("string", "str", "char", "varchar", "uuid", "url")),
        ("number", ("int", "integer", "float", "double", "decimal", "long", "numeric")),
        ("bool", ("boolean", "flag")),
        ("time", ("datetime", "timestamp", "date", "instant")),
        ("duration", ("timedelta", "interval", "period")),
        ("list<text>", ("array", "set", "strings")),
        ('one of ["…"]', ("enum",)),
    )
    for word in words
}
"""What other languages call the types."""
_DEFAULTS = {
    "bool": "false",
    "number": "0",
    "text": '""',
    "duration": "0s",
    "list": "[]",
    "time": '"2026-01-31T12:00:00Z"',
    "ip": '"192.0.2.1"',
}
"""What a default of each type may look like."""


def resolve(files: Sequence[tree.PolicyFile], report: Report) -> Symbols:
    """The bundle's names. Files and their order carry no meaning."""
    symbols = Symbols()
    declarations = [d for f in sorted(files, key=lambda f: f.file) for d in f.declarations]
    _declare(declarations, symbols, report)
    for name, shape in symbols.shapes.items():
        symbols.shape_fields[name] = _fields(shape.fields, symbols, report, {})
    _nest_records(symbols, report)
    for name in symbols.events:
        _schema(name, symbols, report)
    _tell_apart(symbols, report)
    _membership(symbols)
    _field_clashes(symbols, report)
    _ladders([d for d in declarations if isinstance(d, tree.Verdicts)], symbols, report)
    return symbols


def _declare(declarations: list[tree.Declaration], symbols: Symbols, report: Report) -> None:
    first: dict[str, tree.Ident] = {}
    kinds: dict[str, str] = {}
    titles: dict[str, tree.Test] = {}
    for declaration in declarations:
        if isinstance(declaration, tree.Test):
            _declare_test(declaration, symbols, titles, report)
            continue
        for cls, table, kind in _TABLES:
            if isinstance(declaration, cls):
                ident: tree.Ident = declaration.name  # type: ignore[attr-defined]  # each class in _TABLES has one
                if ident.name in RESERVED or (kind in ("entity", "shape") and ident.name in PLAIN):
                    report.add(
                        "reserved-name",
                        f"`{ident.name}` is a word of the language",
                        ident.span,
                        hint="give yours another name",
                    )
                elif ident.name in first:
                    report.add(
                        "declared-twice",
                        f"`{ident.name}` is already declared, as a {kinds[ident.name]}",
                        ident.span,
                        hint="a name is declared once in a bundle; give one of them another name",
                        related=[Related(first[ident.name].span, "first declared here")],
                    )
                elif kind in ("let", "entity") and REGISTRY.get(ident.name) and _callable(declaration):
                    report.add(
                        "reserved-name",
                        f"`{ident.name}` is a function of the language",
                        ident.span,
                        hint="give yours another name",
                    )
                else:
                    first[ident.name] = ident
                    kinds[ident.name] = kind
                    getattr(symbols, table)[ident.name] = declaration
    for _, table, _ in _TABLES:
        setattr(symbols, table, dict(sorted(getattr(symbols, table).items())))


def _callable(declaration: tree.Declaration) -> bool:
    return isinstance(declaration, tree.Entity) or (
        isinstance(declaration, tree.Let) and declaration.parameters is not None
    )


def _declare_test(test: tree.Test, symbols: Symbols, titles: dict[str, tree.Test], report: Report) -> None:
    title = test.title.plain or ""
    earlier = titles.setdefault(title, test)
    if earlier is not test:
        report.add(
            "declared-twice",
            "two tests have this title",
            test.title.span,
            hint="a title names a test in reports; give one of them another",
            related=[Related(earlier.title.span, "the first one")],
        )
    symbols.tests.append(test)


# ------------------------------------------------------------------- fields


def named_type(
    written: tree.TypeName, symbols: Symbols, report: Report, *, shapes: bool = False
) -> Type | None:
    """The type that a declaration writes, or None when reported. Shapes only as elements of lists."""
    base = _named(written, symbols, report, shapes)
    return base.maybe() if base is not None and written.optional else base


def _named(written: tree.TypeName, symbols: Symbols, report: Report, shapes: bool) -> Type | None:
    if written.name == "one of":
        return Type("enum", values=tuple(dict.fromkeys(written.values)))
    if written.name == "list":
        if written.element is None:
            report.add(
                "unknown-type", "a list needs the type of its elements", written.span, hint="write list<text>"
            )
            return None
        if written.element.optional:
            report.add(
                "unknown-type",
                "the elements of a list are never missing",
                written.element.span,
                hint="leave out the `?` there: an element that is missing is left out of the list",
            )
            return None
        element = named_type(written.element, symbols, report, shapes=True)
        return None if element is None else list_of(element)
    if written.element is not None:
        report.add("unknown-type", f"`{written.name}` holds no elements", written.span, hint="only list does")
        return None
    if written.name in PLAIN:
        return PLAIN[written.name]
    if written.name in symbols.entities:
        return entity(written.name)
    if written.name in symbols.shapes:
        if shapes:
            return record(written.name)
        report.add(
            "unknown-type",
            f"the shape `{written.name}` can only be the element of a list here",
            written.span,
            hint=f"write list<{written.name}>, or `with {written.name}` on the event",
        )
        return None
    known = [*PLAIN, *symbols.entities, *symbols.shapes, "list"]
    report.add(
        "unknown-type",
        f"there is no type `{written.name}`",
        written.span,
        hint=_OTHER_WORDS.get(written.name.lower())
        or did_you_mean(written.name, known)
        or f"types are {', '.join(PLAIN)}, list<…>, one of […] and the bundle's entities",
    )
    return None


def _fields(
    written: tuple[tree.FieldDecl, ...], symbols: Symbols, report: Report, known: dict[str, tree.FieldDecl]
) -> tuple[Field, ...]:
    out: list[Field] = []
    for declared in written:
        name = declared.name.name
        if name in known:
            report.add(
                "declared-twice",
                f"`{name}` is already a field here",
                declared.name.span,
                related=[Related(known[name].name.span, "first declared here")],
            )
            continue
        if name in RESERVED:
            report.add("reserved-name", f"`{name}` is a word of the language", declared.name.span)
            continue
        known[name] = declared
        type_ = named_type(declared.type, symbols, report)
        if type_ is None or not _path_fits(declared, type_, report):
            continue
        made = _default(declared, type_, report)
        if made is not None:
            out.append(made)
    return tuple(out)


def _path_fits(declared: tree.FieldDecl, type_: Type, report: Report) -> bool:
    segments = declared.path.segments
    stars = segments.count(None)
    if not segments:
        report.add(
            "bad-path", "`$` alone is the whole event", declared.path.span, hint="name a part, such as $.id"
        )
        return False
    if len(segments) > 32:
        report.add("bad-path", "this path has more than 32 steps", declared.path.span)
        return False
    if stars and type_.kind != "list":
        report.add(
            "bad-path",
            f"`{spell_path(segments)}` gives a list, and `{declared.name.name}` is a {type_}",
            declared.path.span,
            hint=f"write list<{type_.present()}>",
        )
        return False
    if stars > 1:
        report.add("bad-path", "a path may go over the elements of one list only", declared.path.span)
        return False
    return True


def _default(declared: tree.FieldDecl, type_: Type, report: Report) -> Field | None:
    name, path = declared.name.name, declared.path.segments
    if declared.default is None:
        return Field(name, type_, path)
    if type_.optional:
        report.add(
            "missing-default",
            f"`{name}` has a default, so it is never missing",
            declared.default.span,
            hint="leave out the `?`, or the default",
        )
        return None
    ok, value = literal_value(declared.default, type_)
    if not ok:
        report.add(
            "missing-default",
            f"`{name}` is a {type_}, and this default is none",
            declared.default.span,
            hint=f"such as {_DEFAULTS[type_.kind]}" if type_.kind in _DEFAULTS else None,
        )
        return None
    return Field(name, type_, path, value, True)


def literal_value(written: tree.Expr, type_: Type) -> tuple[bool, Any]:
    """Whether a literal can stand for a value of the type, and the run-time value."""
    if isinstance(written, tree.Missing):
        return type_.optional, None
    if isinstance(written, tree.Bool):
        return type_.kind == "bool", written.value
    if isinstance(written, tree.Number):
        return type_.kind == "number", written.value
    if isinstance(written, tree.Duration):
        return type_.kind == "duration", written.micros
    if isinstance(written, tree.ListLiteral) and type_.kind == "list" and type_.element is not None:
        items = [literal_value(i, type_.element) for i in written.items]
        return all(ok for ok, _ in items), [v for _, v in items]
    if isinstance(written, tree.Text) and written.plain is not None:
        return _text_value(written.plain, type_)
    return False, None


def _text_value(text: str, type_: Type) -> tuple[bool, Any]:
    if type_.kind in ("text", "entity"):
        return True, text
    if type_.kind == "enum":
        return text in type_.values, text
    function = REGISTRY.get(type_.kind) if type_.kind in ("ip", "time") else None
    if function is not None and function.call is not None:
        value = function.call(text)
        return value is not None, value
    return False, None


def _nest_records(symbols: Symbols, report: Report) -> None:
    """Give each field of a list of a shape the fields of that shape; a shape inside itself is an error."""
    done: dict[str, tuple[Field, ...]] = {}

    def expand(name: str, path: tuple[str, ...]) -> tuple[Field, ...]:
        if name in done:
            return done[name]
        if name in path:
            report.add(
                "cycle",
                f"the shape `{name}` holds itself",
                symbols.shapes[name].name.span,
                hint="a record cannot hold itself",
            )
            return ()
        done[name] = tuple(nest(f, (*path, name)) for f in symbols.shape_fields[name])
        return done[name]

    def nest(f: Field, path: tuple[str, ...]) -> Field:
        element = f.type.element
        if element is None or element.kind != "record":
            return f
        return Field(f.name, f.type, f.path, f.default, f.has_default, expand(element.name, path))

    for name in symbols.shapes:
        expand(name, ())
    symbols.shape_fields.update(done)


# ------------------------------------------------------------------- events


def _schema(name: str, symbols: Symbols, report: Report) -> None:
    event = symbols.events[name]
    known: dict[str, tree.FieldDecl] = {}
    fields: list[Field] = []
    for shape in event.shapes:
        if shape.name not in symbols.shapes:
            report.add(
                "unknown-event",
                f"there is no shape `{shape.name}`",
                shape.span,
                hint=did_you_mean(shape.name, symbols.shapes),
            )
            continue
        for declared, made in _pair(symbols.shapes[shape.name].fields, symbols.shape_fields[shape.name]):
            if declared.name.name in known:
                report.add(
                    "declared-twice",
                    f"`{declared.name.name}` comes from two shapes of `{name}`",
                    shape.span,
                    related=[
                        Related(known[declared.name.name].name.span, "the first one"),
                        Related(declared.name.span, "the second one"),
                    ],
                )
                continue
            known[declared.name.name] = declared
            fields.append(made)
    own = _fields(event.fields, symbols, report, known)
    fields.extend(
        Field(
            f.name,
            f.type,
            f.path,
            f.default,
            f.has_default,
            symbols.shape_fields.get(f.type.element.name, ()),
        )
        if f.type.element is not None and f.type.element.kind == "record"
        else f
        for f in own
    )
    when = tuple(w for w in (_when(path, value, report) for path, value in event.when) if w is not None)
    at = next((f for f in fields if f.name == "at"), None)
    if at is None or at.type.kind != "time":
        report.add(
            "bad-event",
            f"`{name}` does not say when it happened",
            event.name.span,
            hint="give it a field `at time = $.…`",
        )
        return
    if not at.required:
        report.add(
            "bad-event",
            f"the time of `{name}` may be missing",
            known["at"].name.span if "at" in known else event.name.span,
            hint="`at` must be a plain time: an event without one cannot be placed in the history",
        )
        return
    wire = event.wire.plain if event.wire is not None else None
    if event.wire is not None and wire is not None and wire.startswith("quell."):
        report.add(
            "bad-event",
            f'"{wire}" cannot be an event\'s type: what begins with `quell.` is kept for Quell',
            event.wire.span,
            hint="such entries say what people do by hand",
        )
        return
    symbols.schemas[name] = EventSchema(name, wire, when, tuple(fields), "at")


def _pair(written: tuple[tree.FieldDecl, ...], made: tuple[Field, ...]) -> list[tuple[tree.FieldDecl, Field]]:
    by_name = {f.name: f for f in made}
    out = []
    for declared in written:
        f = by_name.pop(declared.name.name, None)
        if f is not None:
            out.append((declared, f))
    return out


def _when(path: tree.Path, value: tree.Expr, report: Report) -> tuple[tuple[Any, ...], Any] | None:
    if None in path.segments or not path.segments:
        report.add("bad-path", "a condition on an event's kind looks at one place", path.span)
        return None
    if isinstance(value, tree.Number | tree.Bool):
        return path.segments, value.value
    if isinstance(value, tree.Text) and value.plain is not None:
        return path.segments, value.plain
    report.add("type-mismatch", "compare a path with text, a number, true or false", value.span)
    return None


def _tell_apart(symbols: Symbols, report: Report) -> None:
    """Report events that one record could be both of, as far as the declarations say."""
    schemas = list(symbols.schemas.values())
    for i, a in enumerate(schemas):
        for b in schemas[i + 1 :]:
            if a.wire is not None and b.wire is not None and a.wire != b.wire:
                continue
            said = dict(a.when)
            if any(path in said and not _same_literal(said[path], value) for path, value in b.when):
                continue
            span = symbols.events[b.name].name.span
            report.add(
                "bad-event",
                f"`{a.name}` and `{b.name}` cannot be told apart",
                span,
                hint='give them different `from "…"` names, or a `when $.… == …` each',
                related=[Related(symbols.events[a.name].name.span, "the other one")],
            )


def _same_literal(a: Any, b: Any) -> bool:
    return (
        isinstance(a, bool) == isinstance(b, bool)
        and isinstance(a, str) == isinstance(b, str)
        and bool(a == b)
    )


def _membership(symbols: Symbols) -> None:
    for name in symbols.schemas:
        symbols.members[name] = (name,)
    for shape in symbols.shapes:
        having = [n for n in symbols.schemas if any(s.name == shape for s in symbols.events[n].shapes)]
        symbols.members[shape] = tuple(having)
    having_field: dict[str, set[str]] = {}
    for name, schema in symbols.schemas.items():
        for f in schema.fields:
            having_field.setdefault(f.name, set()).add(name)
    symbols.field_events = {k: frozenset(v) for k, v in sorted(having_field.items())}


def _field_clashes(symbols: Symbols, report: Report) -> None:
    """A field with the name of a let, list, model, score or event would be read for it."""
    for table in (symbols.lets, symbols.lists, symbols.models, symbols.scores):
        for name, declaration in list(table.items()):
            if name in symbols.field_events:
                event = min(symbols.field_events[name])
                places = [
                    *symbols.events[event].fields,
                    *(f for s in symbols.shapes.values() for f in s.fields),
                ]
                other = next(f.name.span for f in places if f.name.name == name)
                report.add(
                    "declared-twice",
                    f"`{name}` is also a field of `{event}`",
                    declaration.name.span,  # type: ignore[attr-defined]  # every declaration in these tables has one
                    hint="give one of them another name",
                    related=[Related(other, "the field")],
                )
                del table[name]


# ------------------------------------------------------------------ ladders


def _ladders(declared: list[tree.Verdicts], symbols: Symbols, report: Report) -> None:
    general: tree.Verdicts | None = None
    special: dict[str, tree.Verdicts] = {}
    for verdicts in declared:
        if not verdicts.events:
            if general is not None:
                report.add(
                    "declared-twice",
                    "the verdicts are already declared",
                    verdicts.span,
                    related=[Related(general.span, "first declared here")],
                )
            else:
                general = verdicts
            continue
        for ident in verdicts.events:
            for event in events_named(ident, symbols, report):
                if event in special:
                    report.add(
                        "declared-twice",
                        f"the verdicts for `{event}` are already declared",
                        ident.span,
                        related=[Related(special[event].span, "first declared here")],
                    )
                else:
                    special[event] = verdicts
    default = _ladder(general, report) if general is not None else None
    default = default or Ladder(DEFAULT_LADDER, DEFAULT_LADDER[0])
    made = {id(v): _ladder(v, report) for v in {id(v): v for v in special.values()}.values()}
    for event in symbols.schemas:
        own = made.get(id(special[event])) if event in special else None
        symbols.ladders[event] = own or default
    symbols.ladders[""] = default


def _ladder(written: tree.Verdicts, report: Report) -> Ladder | None:
    names = [i.name for i in written.ladder]
    for i, ident in enumerate(written.ladder):
        if ident.name in names[:i]:
            report.add("declared-twice", f"`{ident.name}` stands twice on the ladder", ident.span)
            return None
    failure = written.failure.name if written.failure is not None else names[0]
    if failure not in names:
        assert written.failure is not None
        report.add(
            "unknown-verdict",
            f"`{failure}` is not on this ladder",
            written.failure.span,
            hint=did_you_mean(failure, names) or "the ladder is " + " < ".join(names),
        )
        return None
    return Ladder(tuple(names), failure)


def events_named(ident: tree.Ident, symbols: Symbols, report: Report) -> tuple[str, ...]:
    """The events that a name stands for; reported when there are none."""
    if ident.name in symbols.members:
        members = symbols.members[ident.name]
        if not members:
            report.add(
                "unknown-event",
                f"no event has the shape `{ident.name}`",
                ident.span,
                hint=f"write `with {ident.name}` on an event",
            )
        return members
    if ident.name in symbols.events or ident.name in symbols.shapes:
        return ()  # declared but broken, and reported there
    report.add(
        "unknown-event",
        f"there is no event or shape `{ident.name}`",
        ident.span,
        hint=_instead_of_event(ident.name, symbols),
    )
    return ()


def _instead_of_event(name: str, symbols: Symbols) -> str | None:
    if name in symbols.rules:
        return f"`{name}` is a rule: its firings are counted as `fired {name}`"
    return did_you_mean(name, symbols.members)
