"""Rules to conditions and effects over graph nodes, once per event type they are on."""

from __future__ import annotations

from quell.engine.lower import Lowerer, Scope, template
from quell.engine.lower_lists import with_columns
from quell.engine.lower_operators import label_ok
from quell.engine.lowered import LoweredEffect, LoweredLimit, LoweredRule
from quell.engine.resolve import events_named
from quell.grammar import tree
from quell.grammar.diagnostics import Related, did_you_mean
from quell.grammar.types import Type, is_textual

MODES = ("live", "shadow", "off")
SEVERITIES = ("low", "medium", "high", "critical")
MAX_EVERY = 3_660 * 86_400_000_000


def lower_rules(low: Lowerer) -> dict[str, list[LoweredRule]]:
    """The rules of every event type, in order of name. A rule that is off is checked and left out."""
    exempting = _exemptions(low)
    out: dict[str, list[LoweredRule]] = {event: [] for event in low.symbols.schemas}
    former: dict[str, tree.Ident] = {}
    for name, rule in low.symbols.rules.items():
        _former_names(low, rule, former)
        low.here = rule.name.span
        complete = _clauses(low, rule)
        if rule.condition is None:
            continue
        mode = rule.mode.name if rule.mode is not None else "live"
        events = [e for ident in rule.events for e in events_named(ident, low.symbols, low.report)]
        for event in dict.fromkeys(events):
            made = _rule(low, rule, event, mode == "live", exempting.get(name, ()))
            if made is not None and complete and mode != "off":
                out[event].append(made)
    return out


def _former_names(low: Lowerer, rule: tree.Rule, former: dict[str, tree.Ident]) -> None:
    """Report old names that are another rule's, now or formerly: the two would share buckets and limits."""
    for old in rule.formerly:
        first = former.setdefault(old.name, old)
        if first is not old:
            low.report.add(
                "declared-twice",
                f"`{old.name}` is already the old name of a rule",
                old.span,
                hint="a rule keeps the history of its old names, so only one can have each",
                related=[Related(first.span, "the first one")],
            )
        if old.name in low.symbols.rules:
            low.report.add(
                "declared-twice",
                f"`{old.name}` is the name of a rule, so `{rule.name.name}` was not formerly it",
                old.span,
                related=[Related(low.symbols.rules[old.name].name.span, "that rule")],
            )


def _clauses(low: Lowerer, rule: tree.Rule) -> bool:
    """Whether the rule has what every rule needs, and the words it uses are known."""
    ok = True
    if not rule.events:
        low.report.add(
            "bad-event",
            f"`{rule.name.name}` does not say which events it is on",
            rule.name.span,
            hint="write on message after the name",
        )
        ok = False
    if rule.condition is None:
        low.report.add("syntax", f"`{rule.name.name}` has no condition", rule.name.span, hint="write when …")
        ok = False
    for ident, known, what in ((rule.mode, MODES, "mode"), (rule.severity, SEVERITIES, "severity")):
        if ident is not None and ident.name not in known:
            low.report.add(
                "unknown-word",
                f"there is no {what} `{ident.name}`",
                ident.span,
                hint=did_you_mean(ident.name, known) or f"it is one of {', '.join(known)}",
            )
            ok = False
    if rule.rollout is not None and not 0 <= rule.rollout.share <= 1:
        low.report.add("bad-window", "a rollout is from 0% to 100%", rule.rollout.span)
        ok = False
    return ok


def _rule(
    low: Lowerer, rule: tree.Rule, event: str, live: bool, exempt_by: tuple[str, ...]
) -> LoweredRule | None:
    scope = Scope(event, shadow=not live)
    assert rule.condition is not None
    condition = low.condition(rule.condition, scope, "what follows `when`")
    effects = [_effect(low, e, scope) for e in rule.effects if not isinstance(e, tree.Exempt)]
    sound = _effects_fit(low, rule)
    because = template(low, rule.because, scope, "tell") if rule.because is not None else None
    bucket = [low.expr(k, scope) for k in rule.rollout.keys] if rule.rollout is not None else []
    if not sound or condition is None or any(e is None for e in effects) or any(b is None for b in bucket):
        return None
    if rule.because is not None and because is None:
        return None
    if rule.rollout is not None and not _keys_ok(
        low, [b for b in bucket if b is not None], rule.rollout.keys, scope
    ):
        return None
    return LoweredRule(
        rule,
        event,
        condition,
        tuple(e for e in effects if e is not None),
        because,
        rule.rollout.share if rule.rollout is not None else None,
        tuple(b for b in bucket if b is not None),
        live,
        exempt_by,
    )


def _effects_fit(low: Lowerer, rule: tree.Rule) -> bool:
    """Whether the effects can stand together."""
    limits = [e.limit for e in rule.effects if isinstance(e, tree.Exempt) and e.limit is not None]
    for limit in limits:
        low.report.add("bad-effect", "an exemption has no limit", limit.span, hint="leave it out")
    verdicts = [e for e in rule.effects if isinstance(e, tree.Verdict)]
    for verdict in verdicts[1:]:
        low.report.add(
            "bad-effect", "a rule asks for one verdict", verdict.name.span, hint="keep the graver one"
        )
    return not limits and len(verdicts) <= 1


def _effect(low: Lowerer, effect: tree.Effect, scope: Scope) -> LoweredEffect | None:
    limit = _limit(low, effect.limit, scope) if effect.limit is not None else None
    if effect.limit is not None and limit is None:
        return None
    if isinstance(effect, tree.Verdict):
        return _verdict(low, effect, limit, scope)
    if isinstance(effect, tree.SetLabel | tree.RemoveLabel):
        return _label(low, effect, limit, scope)
    assert isinstance(effect, tree.Send)
    return _send(low, effect, limit, scope)


def _verdict(
    low: Lowerer, effect: tree.Verdict, limit: LoweredLimit | None, scope: Scope
) -> LoweredEffect | None:
    ladder = low.symbols.ladders[scope.event].verdicts
    if effect.name.name not in ladder:
        same = len({ladder.verdicts for ladder in low.symbols.ladders.values()}) == 1
        low.report.add(
            "unknown-verdict",
            f"there is no verdict `{effect.name.name}`" + ("" if same else f" for `{scope.event}`"),
            effect.name.span,
            hint=did_you_mean(effect.name.name, ladder) or "the ladder is " + " < ".join(ladder),
        )
        return None
    return LoweredEffect("verdict", effect.name.name, limit=limit)


def _label(
    low: Lowerer, effect: tree.SetLabel | tree.RemoveLabel, limit: LoweredLimit | None, scope: Scope
) -> LoweredEffect | None:
    target = low.typed(effect.target, scope)
    if target is None:
        return None
    made, type_ = target
    element = type_.element if type_.kind == "list" and type_.element is not None else type_
    if element.kind != "entity":
        low.report.add(
            "bad-effect",
            f"labels sit on entities, and this is a {type_}",
            effect.target.span,
            hint="name a field such as author",
        )
        return None
    if not label_ok(low, element.name, effect.label):
        return None
    lasts: int | None = None
    if isinstance(effect, tree.SetLabel) and effect.duration is not None:
        lasts = low.constant(effect.duration, scope, "duration", "how long a label lasts")
        if lasts is None:
            return None
        if not 0 < lasts <= 100 * MAX_EVERY:
            low.report.add("bad-window", "a label lasts longer than nothing", effect.duration.span)
            return None
    kind = "label" if isinstance(effect, tree.SetLabel) else "unlabel"
    return LoweredEffect(kind, effect.label.plain or "", element.name, made, lasts, limit=limit)  # type: ignore[arg-type]  # one of two literals


def _send(low: Lowerer, effect: tree.Send, limit: LoweredLimit | None, scope: Scope) -> LoweredEffect | None:
    payload: list[tuple[str, int, Type]] = []
    names: set[str] = set()
    for ident, written in effect.payload.pairs if effect.payload is not None else ():
        if ident.name in names:
            low.report.add("declared-twice", f"`{ident.name}` stands twice in this record", ident.span)
            return None
        names.add(ident.name)
        made = low.typed(written, scope)
        if made is None:
            return None
        if made[1].kind == "regex":
            low.report.add("bad-effect", "a pattern cannot be sent", written.span)
            return None
        payload.append((ident.name, made[0], with_columns(low, made[1])))
    if not effect.sink.plain:
        low.report.add(
            "bad-effect", "a sink needs a name", effect.sink.span, hint='write send "mod-queue" { … }'
        )
        return None
    return LoweredEffect("send", effect.sink.plain, payload=tuple(payload), limit=limit)


def _limit(low: Lowerer, limit: tree.Limit, scope: Scope) -> LoweredLimit | None:
    every = low.constant(limit.every, scope, "duration", "what follows `every`")
    keys = [low.expr(k, scope) for k in limit.keys]
    if every is None or any(k is None for k in keys):
        return None
    if not 0 < every <= MAX_EVERY:
        low.report.add(
            "bad-window", "a limit holds for longer than nothing and at most 3660d", limit.every.span
        )
        return None
    made = [k for k in keys if k is not None]
    if not _keys_ok(low, made, limit.keys, scope):
        return None
    return LoweredLimit(limit.count, tuple(made), every)


def _keys_ok(low: Lowerer, keys: list[int], written: tuple[tree.Expr, ...], scope: Scope) -> bool:
    for made, expr in zip(keys, written, strict=True):
        type_ = low.graph(scope.event)[made].type
        if not (is_textual(type_) or type_.kind in ("number", "bool", "time", "duration")):
            low.report.add(
                "type-mismatch", f"a key cannot be a {type_}", expr.span, hint="name a field such as author"
            )
            return False
    return True


# --------------------------------------------------------------- exemptions


def _exemptions(low: Lowerer) -> dict[str, tuple[str, ...]]:
    """For every rule, the rules that exempt from it. Exempting rules come first and are never exempted."""
    rules = low.symbols.rules
    exempting = {n for n, r in rules.items() if any(isinstance(e, tree.Exempt) for e in r.effects)}
    out: dict[str, set[str]] = {}
    for name in sorted(exempting):
        reads = _reads_fired(low, rules[name])
        for effect in rules[name].effects:
            if isinstance(effect, tree.Exempt):
                for target in effect.targets:
                    for hit in _targets(low, target, exempting):
                        if not reads:  # else a ring, which would be told a second time
                            out.setdefault(hit, set()).add(name)
    return {k: tuple(sorted(v)) for k, v in out.items()}


def _targets(low: Lowerer, target: tree.Target, exempting: set[str]) -> list[str]:
    rules = low.symbols.rules
    if target.kind == "all":
        return [n for n in rules if n not in exempting]
    if target.kind == "rule":
        if target.name not in rules:
            low.report.add(
                "unknown-rule",
                f"there is no rule `{target.name}`",
                target.span,
                hint=did_you_mean(target.name, rules),
            )
            return []
        if target.name in exempting:
            low.report.add(
                "bad-exempt",
                f"`{target.name}` exempts others itself, so nothing can exempt from it",
                target.span,
                hint="exempting rules are decided first, all at once",
            )
            return []
        return [target.name]
    tags = {t.plain or "" for r in rules.values() for t in r.tags}
    if target.name not in tags:
        low.report.add(
            "unknown-word",
            f'no rule has the tag "{target.name}"',
            target.span,
            hint=did_you_mean(target.name, tags),
        )
        return []
    return [n for n, r in rules.items() if n not in exempting and any(t.plain == target.name for t in r.tags)]


def _reads_fired(low: Lowerer, rule: tree.Rule) -> bool:
    """Whether an exempting rule looks at firings, through lets and counters too; reported when so."""
    seen: set[str] = set()
    stack: list[tree.Node] = [rule.condition] if rule.condition is not None else []
    while stack:
        for inner in tree.walk(stack.pop()):
            if isinstance(inner, tree.Fired):
                low.report.add(
                    "bad-exempt",
                    f"`{rule.name.name}` exempts others, so it is decided before any of them "
                    "and cannot look at `fired`",
                    inner.span,
                )
                return True
            name = (
                inner.name
                if isinstance(inner, tree.Name)
                else inner.function.name
                if isinstance(inner, tree.Call)
                else ""
            )
            if name and name not in seen:
                seen.add(name)
                let, score = low.symbols.lets.get(name), low.symbols.scores.get(name)
                if let is not None:
                    stack.append(let.body)
                if score is not None:
                    stack.append(score)
                if name in low.symbols.models:
                    stack.append(low.symbols.models[name])
    return False
