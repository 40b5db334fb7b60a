"""A backtest or a comparison as Markdown, made for the comment of a pull request.

What events say is hostile: it is put into the text so that nothing of it is taken for Markdown, HTML, a
mention or a link.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from quell.engine.cli_output import count, percent
from quell.replay.headline import change, headline, other, overall
from quell.replay.reasons import both, nearly, renamed
from quell.replay.report_data import Backtest, Comparison, Gate, Quality, RuleRow, Sample

LONGEST = 60_000
"""Characters: what the common hosts take, with room to spare."""
MOST_RULES = 30
MOST_SAMPLES = 5
_LONGEST_TEXT = 200
_MARKUP = re.compile(r"[\\`*_{}\[\]<>|~&\"]")
_ALIVE = re.compile(r"@|(?<!&)#|\b(?:https?|ftp|mailto|www)(?=[:.])", re.IGNORECASE)
_APART = "\u200b"
"""A space of no width. Mentions and links are looked for after references have been read, so only what stands
between their characters stops them."""


def code(value: str, longest: int = _LONGEST_TEXT) -> str:
    """Text from outside as a code span on one line: nothing in it means anything."""
    shown = "".join(c if c.isprintable() else " " for c in value[: longest + 1])
    shown = shown.replace("|", "¦").replace("`", "'").strip()
    return f"`{shown if len(shown) <= longest else shown[: longest - 1] + '…'}`" if shown else ""


def text(value: str) -> str:
    """A sentence of ours with names in it, as plain text within Markdown."""
    shown = "".join(c if c.isprintable() else " " for c in value)
    shown = _MARKUP.sub(lambda m: f"&#{ord(m[0])};", shown)
    return _ALIVE.sub(lambda m: m[0] + _APART, shown)


def fenced(command: str) -> list[str]:
    """A command in a block of its own, fenced longer than anything in it."""
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", command)), default=0))
    return [f"{ticks}sh", command.replace("\n", " "), ticks]


def markdown(report: Backtest | Comparison, command: str = "") -> str:
    """The whole comment, of at most `LONGEST` characters. `command` is what makes it again."""
    made = ""
    for most in (MOST_SAMPLES, 1, 0):
        for rules in (MOST_RULES, 5):
            made = "\n".join(_parts(report, command, most, rules)) + "\n"
            if len(made) <= LONGEST:
                return made
    return made[: LONGEST - 40].rpartition("\n")[0] + "\n\n(cut here: this was too long)\n"


def _parts(report: Backtest | Comparison, command: str, most: int, rules: int) -> Iterable[str]:
    if isinstance(report, Comparison):
        yield from _comparison(report, report.gates, most, rules)
    else:
        yield from _backtest(report, report.gates, most, rules)
    if command:
        yield from (
            "",
            "<details><summary>To make this again</summary>",
            "",
            *fenced(command),
            "",
            "</details>",
        )


# --------------------------------------------------------------------------------- a comparison


def _comparison(made: Comparison, gates: Sequence[Gate], most: int, rules: int) -> Iterable[str]:
    yield f"## {_sign(gates)}Quell: what this change of policies changes"
    yield ""
    yield f"**{headline(made)}**"
    yield ""
    yield f"{_of_history(made.after)}, against {code(made.against or made.before.policies)}."
    yield from _gates(gates)
    yield from _flows(made)
    if made.changed and (also := other(made.differences)):
        yield from ("", f"Beside verdicts: {', '.join(also)}.")
    yield from _rules(made, rules)
    yield from _quality_change(made)
    yield from _counters(made)
    yield from _looks(made)
    yield from _samples("Newly caught", made.newly_caught, made.caught, most, renamed(made))
    yield from _samples("Newly let go", made.newly_let_go, made.let_go, most, renamed(made))
    yield from _notes([*made.notes, *made.after.notes])


def _sign(gates: Sequence[Gate]) -> str:
    if not gates:
        return ""
    return "✘ " if any(g.failed for g in gates) else "✔ "


def _of_history(report: Backtest) -> str:
    source = report.source
    files = ", ".join(code(f.rpartition("/")[2]) for f in source.files[:3])
    more = f" and {len(source.files) - 3:,} more files" if len(source.files) > 3 else ""
    period = f", {source.first} to {source.last}" if source.first and source.last else ""
    return f"{count(report.events, 'event')} of {files}{more}{period}"


def _gates(gates: Sequence[Gate]) -> Iterable[str]:
    if not gates:
        return
    yield from ("", "| | fails if | came out as |", "|---|---|---|")
    for gate in gates:
        yield f"| {'✘ fails' if gate.failed else '✔ passes'} | {code(gate.text)} | {text(gate.shown)} |"


def _flows(made: Comparison) -> Iterable[str]:
    """Verdicts before in rows and now in columns, where any event changed."""
    if not made.changed:
        return
    before = [v for v in made.ladder if any(f.before == v for f in made.flows)]
    after = [v for v in made.ladder if any(f.after == v for f in made.flows)]
    counts = {(f.before, f.after): f.count for f in made.flows}
    yield from ("", "### Verdicts", "", "| before ↓ now → | " + " | ".join(code(v) for v in after) + " |")
    yield "|---|" + "--:|" * len(after)
    for was in before:
        cells = []
        for now in after:
            n = counts.get((was, now), 0)
            cells.append("" if not n else f"{n:,}" if was == now else f"**{n:,}**")
        yield f"| {code(was)} | " + " | ".join(cells) + " |"


def _rules(made: Comparison, most: int) -> Iterable[str]:
    if not made.rules:
        return
    yield from ("", "### Rules", "", "| rule | change | before | now | newly | no longer | newly on |")
    yield "|---|---|--:|--:|--:|--:|--:|"
    for rule in made.rules[:most]:
        entities = count(rule.entities_newly, "entity", "entities") if rule.entities_newly else ""
        yield (
            f"| {code(rule.rule)} | {text(change(rule))} | {rule.before:,} | {rule.after:,} | "
            f"{_more(rule.newly, '+')} | {_more(rule.no_longer, '−')} | {entities} |"
        )
    if len(made.rules) > most:
        yield from ("", f"and {count(len(made.rules) - most, 'more rule')}")


def _more(number: int, sign: str) -> str:
    return f"{sign}{number:,}" if number else ""


def _quality_change(made: Comparison) -> Iterable[str]:
    rows: list[tuple[str, Quality | None, Quality | None]] = []
    before, after = overall(made.before), overall(made.after)
    if before is not None and after is not None:
        rows.append(("all", before, after))
    rows += [
        (r.rule, r.before_quality, r.after_quality) for r in made.rules if r.before_quality or r.after_quality
    ]
    if not rows:
        return
    yield from ("", "### Against the labels", "")
    yield "| | precision before | now | recall before | now |"
    yield "|---|--:|--:|--:|--:|"
    for name, was, now in rows[:MOST_RULES]:
        cells = [_share(q, of) for of in ("precision", "recall") for q in (was, now)]
        yield f"| {name if name == 'all' else code(name)} | " + " | ".join(cells) + " |"


def _share(quality: Quality | None, of: str) -> str:
    if quality is None:
        return ""
    rate: Any = getattr(quality, of)
    return percent(rate.hits, rate.of)


def _counters(made: Comparison) -> Iterable[str]:
    cold = [c for c in made.counters if c.status != "gone"]
    if not cold:
        return
    yield from ("", "### Counters that begin cold", "")
    yield "When this goes live they know nothing of what came before, unless a journal fills them."
    yield ""
    for c in cold[:MOST_RULES]:
        how = "counts for ever" if c.cold == "always" else f"is cold for {c.cold}"
        longer = ", which now looks further back" if c.status == "longer" else ""
        yield f"- {code(c.counter)}{longer}: {how}"
    if len(cold) > MOST_RULES:
        yield f"- and {len(cold) - MOST_RULES:,} more"


def _looks(made: Comparison) -> Iterable[str]:
    if made.looks_different:
        yield from ("", "### Only looks different", "")
        yield from (f"- {_ticked(line)}" for line in made.looks_different[:MOST_RULES])


def _ticked(line: str) -> str:
    """A sentence of ours, whose names stand in backticks."""
    parts = line.split("`")
    return "".join(code(p) if i % 2 else text(p) for i, p in enumerate(parts))


def _samples(
    title: str, samples: Sequence[Sample], of: int, most: int, names: Mapping[str, str]
) -> Iterable[str]:
    if not samples or not most:
        return
    yield from ("", f"<details><summary>{title}: {min(len(samples), most)} of {of:,}</summary>", "")
    for sample in samples[:most]:
        label = "" if sample.label is None else f", labelled {'positive' if sample.label else 'negative'}"
        yield f"- {_event(sample)}: {code(sample.before or '')} → {code(sample.verdict)}{label}"
        before, now = both(sample, names)
        for when, lines in (("before", before), ("now", now)):
            yield from (f"  - {when}: {code(line, 300)}" for line in lines)
        if not before and not now and sample.message:
            yield f"  - {code(sample.message)}"
    yield from ("", "</details>")


def _event(sample: Sample) -> str:
    who = f" by {code(sample.entity)}" if sample.entity else ""
    named = f" {code(sample.id)}" if sample.id else ""
    return f"{code(sample.event)}{named}{who} at {sample.at} ({code(sample.place)})"


def _notes(notes: Sequence[str]) -> Iterable[str]:
    if notes:
        yield from ("", "<details><summary>To know</summary>", "")
        yield from (f"- {_ticked(note)}" for note in notes[:20])
        yield from ("", "</details>")


# ------------------------------------------------------------------------------------ a backtest


def _backtest(report: Backtest, gates: Sequence[Gate], most: int, rules: int) -> Iterable[str]:
    first = report.verdicts[0] if report.verdicts else None
    acted = report.events - (first.count if first else 0)
    share = percent(acted, report.events, 2)
    yield f"## {_sign(gates)}Quell: what {code(report.bundle)} would have done"
    yield ""
    mild = code(first.verdict) if first else ""
    told = f"{count(acted, 'event')} of {report.events:,} ({share})"
    yield f"**{told} would have had another verdict than {mild}.**"
    yield from ("", f"{_of_history(report)}.")
    yield from _gates(gates)
    yield from ("", "### Verdicts", "", "| verdict | events | share |", "|---|--:|--:|")
    for verdict in report.verdicts:
        cells = (code(verdict.verdict), f"{verdict.count:,}", percent(verdict.count, report.events, 2))
        yield "| " + " | ".join(cells) + " |"
    yield from _rule_rows(report, rules)
    shown = [(r, r.samples[0]) for r in sorted(report.rules, key=_most_first) if r.samples]
    if shown and most:
        yield from (
            "",
            f"<details><summary>Samples of {count(min(len(shown), 2 * most), 'rule')}</summary>",
            "",
        )
        for rule, sample in shown[: 2 * most]:
            told = f": {code(sample.because)}" if sample.because else ""
            yield f"- {code(rule.rule)} on {_event(sample)}{told}"
        yield from ("", "</details>")
    yield from _missed(report, most)
    yield from _notes(report.notes)


def _missed(report: Backtest, most: int) -> Iterable[str]:
    """Positives that were let through, with the rules that were nearest to catching them."""
    shown = report.samples_missed[:most]
    if not shown:
        return
    few = f"{len(shown)} of {report.missed:,}"
    yield from ("", f"<details><summary>Missed: {few} labelled positive and let through</summary>", "")
    for sample in shown:
        yield f"- {_event(sample)}"
        yield from (f"  - {code(nearly(near), 300)}" for near in sample.near)
    yield from ("", "</details>")


def _most_first(rule: RuleRow) -> tuple[int, str]:
    return (-rule.fired, rule.rule)


def _rule_rows(report: Backtest, most: int) -> Iterable[str]:
    labelled = report.labelled is not None
    titles = ["rule", "mode", "fired", "rate", "entities", "only it", *["precision", "recall"] * labelled]
    yield from ("", "### Rules", "", "| " + " | ".join(titles) + " |")
    yield "|---|---|" + "--:|" * (len(titles) - 2)
    rows = sorted(report.rules, key=_most_first)
    for rule in rows[:most]:
        cells = [code(rule.rule), rule.mode, f"{rule.fired:,}", percent(rule.fired, rule.events, 2)]
        cells += [f"{rule.entities:,}", f"{rule.only:,}"]
        cells += [_share(rule.quality, of) for of in ("precision", "recall")] if labelled else []
        yield "| " + " | ".join(cells) + " |"
    if len(rows) > most:
        yield from ("", f"and {count(len(rows) - most, 'more rule')}")
