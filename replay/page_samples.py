"""The samples of a report, packed for the page: equal texts once, and no more than fits.

The page builds the tree of an explanation from this. What is not of use on a page is left out: raw values
beside those that a person reads, and rules that neither matched nor were missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from quell.engine.cli_output import visible
from quell.replay.page_words import stamp
from quell.replay.reasons import nearly
from quell.replay.report_data import Sample

SHOWN = 160
"""Characters of one value in an explanation."""
CONTENT = 600
"""Characters of a field of the event."""
MOST_PARTS = 80
"""Parts of one condition."""
ROOM_SAMPLES = 300_000
ROOM_EXPLANATIONS = 500_000
"""Bytes of JSON that samples and their explanations may take; what is beyond is left to `quell explain`."""
STATES = {"": 0, "true": 1, "false": 2, "missing": 3}
ROLES = {"": 0, "decided": 10, "not needed": 20}
OPENED = ("fired", "shadow", "held", "missing")

Packed = list[Any]
Builtins = Mapping[str, Any]


class Packer:
    """Takes samples one after the other, and gives each a number. `texts` are those that the packed samples
    name by place."""

    def __init__(self, samples: int = ROOM_SAMPLES, explanations: int = ROOM_EXPLANATIONS) -> None:
        self.texts: dict[str, int] = {"": 0}
        self.samples: list[dict[str, Any]] = []
        self.left_out = 0
        self.names: Mapping[str, str] = {}
        """In a comparison: new names of rules by old ones."""
        self._known: dict[int, int] = {}
        self._room = [samples, explanations]

    def take(self, groups: Iterable[Sequence[Sample]]) -> list[list[int]]:
        """The places of the samples of each group. Groups take turns, so that each has some before one has
        many."""
        held = [list(group) for group in groups]
        places: list[list[int]] = [[] for _ in held]
        for turn in range(max([len(g) for g in held], default=0)):
            for group, found in zip(held, places, strict=True):
                if turn < len(group):
                    place = self._add(group[turn])
                    if place is not None:
                        found.append(place)
        return places

    def _add(self, sample: Sample) -> int | None:
        """A sample's place; None where there is no room left. An event met before keeps its place."""
        if sample.n in self._known:
            return self._known[sample.n]
        packed = head(sample)
        size = len(msgspec.json.encode(packed))
        if size > self._room[0]:
            self.left_out += 1
            return None
        self._room[0] -= size
        self._explain(sample, packed)
        self.samples.append(packed)
        self._known[sample.n] = len(self.samples) - 1
        return len(self.samples) - 1

    def _explain(self, sample: Sample, packed: dict[str, Any]) -> None:
        if sample.explanation is None:
            return
        before = len(self.texts)
        told: tuple[tuple[Builtins | None, Mapping[str, str]], ...]
        told = ((sample.explanation, {}), (sample.other, self.names))
        rules = {near.rule for near in sample.near}
        for explained, names in told:
            if explained:
                rules |= {names.get(str(r["rule"]), str(r["rule"])) for r in explained["rules"] if _opened(r)}
        made = {"x": self._explanation(sample.explanation, rules, {})}
        if sample.other is not None:
            made["o"] = self._explanation(sample.other, rules, self.names, fields=False)
        new = list(self.texts)[before:]
        size = len(msgspec.json.encode([made, new]))
        if size > self._room[1]:
            for text in new:
                del self.texts[text]
            return
        self._room[1] -= size
        packed.update(made)

    def _explanation(
        self, e: Builtins, rules: set[str], now: Mapping[str, str], fields: bool = True
    ) -> dict[str, Any]:
        """The rules among `rules`, by the names that they have `now`."""
        opened = [r for r in e["rules"] if now.get(r["rule"], r["rule"]) in rules]
        names: dict[str, None] = {}
        shown = [self._rule(r, names, now.get(r["rule"])) for r in opened]
        made: dict[str, Any] = {"r": shown, "c": len(e["rules"]) - len(opened)}
        if fields:
            made["f"] = [
                [self.text(f["name"]), self.text(f["shown"], CONTENT), *_more(self.text(f.get("why", "")))]
                for f in e["fields"]
            ]
        made["v"] = [
            [self.text(v["name"]), self.text(v["shown"]), self.text(v["text"])]
            for v in e["values"]
            if v["name"] in names
        ]
        told = [*e.get("problems", ()), *e.get("warnings", ()), *_effects(e["decision"])]
        if told:
            made["w"] = [self.text(t, 300) for t in told]
        return made

    def _rule(self, rule: Builtins, names: dict[str, None], now: str | None) -> dict[str, Any]:
        made: dict[str, Any] = {
            "n": self.text(rule["rule"]),
            "s": rule["outcome"],
            "t": self._part(rule["condition"], names, {}, [MOST_PARTS]),
        }
        if now is not None:
            made["k"] = self.text(now)
        for key, field in (("b", "because"), ("h", "held"), ("o", "rollout")):
            if rule.get(field):
                made[key] = self.text(rule[field], 300)
        if rule.get("effects"):
            made["e"] = [
                [self.text(f["text"], 200), int(f["done"]), *_more(self.text(f.get("why", "")))]
                for f in rule["effects"]
            ]
        return made

    def _part(self, part: Builtins, names: dict[str, None], seen: dict[str, None], room: list[int]) -> Packed:
        """`[text, shown, state and role, note, parts, points]`, without what is empty at the end."""
        room[0] -= 1
        state, role = part.get("state", ""), part.get("role", "")
        if part["kind"] in ("let", "score", "model"):
            names[part["text"]] = None
        inner, note = part, part.get("note", "")
        if part["kind"] == "let" and state and len(part.get("parts", ())) == 1:
            inner = part["parts"][0]
            note = note or inner.get("note", "")
        parts: list[Packed] = []
        if role != "not needed":
            for child in inner.get("parts", ()):
                if room[0] <= 0:
                    break
                if not child.get("state"):
                    if child["text"] in seen:
                        continue
                    seen[child["text"]] = None
                parts.append(self._part(child, names, seen, room))
        told = part.get("why", "") if state == "missing" or part["value"] is None else note
        packed = [
            self.text(part["text"], 300),
            self.text("" if state else part["shown"]),
            STATES[state] + ROLES[role],
            self.text(told),
            parts,
            part.get("points") or 0,
        ]
        while len(packed) > 3 and packed[-1] in (0, [], self.text("")):
            packed.pop()
        return packed

    def text(self, value: str, longest: int = SHOWN) -> int:
        """The place of a text among those of the page."""
        return self.texts.setdefault(visible(value, longest), len(self.texts))


def head(sample: Sample) -> dict[str, Any]:
    """What is told of a sample while it is closed."""
    made: dict[str, Any] = {
        "n": sample.n, "p": visible(sample.place, 200), "e": sample.event,
        "t": stamp(sample.at, seconds=True),
        "v": sample.verdict, "r": list(sample.rules), "c": visible(sample.command, 400),
    }  # fmt: skip
    optional = (("i", sample.id), ("w", sample.entity), ("m", sample.message), ("b", sample.before))
    made |= {key: visible(value, 300) for key, value in optional if value is not None}
    if sample.near:
        made["k"] = [visible(nearly(near), 300) for near in sample.near]
    quoted = _prose(sample.explanation)
    if quoted:
        made["q"] = visible(" ".join(quoted.split()), 160)
    if sample.label is not None:
        made["l"] = sample.label
    return made


def _prose(explanation: Builtins | None) -> str:
    """What a person wrote in the event: the longest text of several words among its fields."""
    fields = explanation["fields"] if explanation else ()
    written = [f["value"] for f in fields if isinstance(f["value"], str) and f["type"].rstrip("?") == "text"]
    return max([w for w in written if " " in w.strip()], key=len, default="")


def _opened(rule: Builtins) -> bool:
    return rule["outcome"] in OPENED


def _more(place: int) -> list[int]:
    return [place] if place else []


def _effects(decision: Builtins) -> Iterable[str]:
    """What came of a decision beside its verdict, in words."""
    for c in decision.get("labels", ()):
        until = f" until {c['until']}" if c.get("until") else ""
        verb = "label" if c["on"] else "unlabel"
        yield f'{verb} {c["entity"]} "{c["id"]}" "{c["label"]}"{until} ({c["rule"]})'
    for s in decision.get("sends", ()):
        yield f'send to "{s["sink"]}" ({s["rule"]})'
