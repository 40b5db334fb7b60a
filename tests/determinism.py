"""Answers that must be the same on every machine, version of Python and seed of its hashes.

    python tests/determinism.py            decides fixed policies and prints digests of every answer
    python tests/determinism.py CASES      decides the bundles and events in a JSON file instead

`.ci/run` runs the first under several versions and seeds and compares what they print to the byte, and
tests/test_generated.py the second. Where two differ, the line says which part did: the starter bundle's
decisions, one function of the language, lists, diagnostics, decisions that wait, generated code, or a table of
a replay by columns.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from importlib.resources import as_file, files
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from quell.engine.bundle import Files
from quell.engine.carry import sections
from quell.engine.compile import Build, analyse, build
from quell.engine.decision import Decision, Reply
from quell.engine.events import Decoded
from quell.engine.stepper import Stepper
from quell.engine.waiting import Waiting
from quell.grammar.diagnostics import plain
from quell.grammar.source import Source
from quell.grammar.types import Type
from quell.replay.backtest_report import Asked, backtest_of, prepare, read
from quell.replay.database import Database
from quell.replay.run import decide
from quell.replay.simulate import simulate, simulate_lines
from quell.signals.functions import REGISTRY
from quell.signals.registry import Function
from quell.signals.remote_types import Answer, Request

EVENTS = 20_000
SEED = 11
TEXTS = 1_500
REPLAYED = 3_000

encode = msgspec.json.Encoder().encode


def digest(parts: Iterable[bytes]) -> str:
    """A short digest of many answers, each after its length."""
    made = sha256()
    for part in parts:
        made.update(len(part).to_bytes(8, "big"))
        made.update(part)
    return made.hexdigest()[:24]


def sources_of(made: Build) -> list[bytes]:
    """The generated functions of a bundle."""
    return [p.program.source.encode("utf-8", "surrogatepass") for p in made.programs.values()]


# ------------------------------------------------------------ the starter bundle


def starter() -> Iterator[str]:
    """The starter bundle over the beginning of a simulated day."""
    with as_file(files("quell.policies")) as folder:
        engine = Stepper.load(folder)
    yield f"starter: version {engine.version}, generated code {digest(sources_of(engine.bundle))}"
    answers: list[bytes] = []
    verdicts: Counter[str] = Counter()
    fired: Counter[str] = Counter()
    samples: list[str] = []
    for event in islice(simulate(SEED, EVENTS), EVENTS):
        answer = engine.decide(encode({k: v for k, v in event.items() if k != "truth"}))
        answers.append(encode(answer))
        verdicts[
            answer.verdict if isinstance(answer, Decision) else f"refused {getattr(answer, 'kind', '')}"
        ] += 1
        if isinstance(answer, Decision):
            fired.update(f.rule for f in answer.fired)
            if len(answer.fired) > 1 and len(samples) < 5:
                samples.append(answers[-1].decode())
    yield f"starter: {len(answers)} decisions {digest(answers)}"
    yield f"starter: verdicts {sorted(verdicts.items())}"
    yield f"starter: fired {sorted(fired.items())}"
    yield from (f"starter: {sample}" for sample in samples)


# ------------------------------------------------------------ every function

AWKWARD = (
    "",
    " ",
    "a",
    "Buy ch3ap F0ll0wers now!!! http://bad.test/a?b=c https://xn--bcher-kva.example.co.uk/x",
    "mail me: A.B+c@Mailinator.com, @user #tag #größe +44 20 7946 0958",
    "İstanbul ı I ß ſ K Å Ω ﬁ ﬀ ǆ ᾳ ŉ ΐ",
    "e\u0301 é \u1e9b\u0323 \u0344 \uac00 \u1100\u1161",
    "аррӏе pаypаl раураl ｐａｙｐａｌ 𝐩𝐚𝐲𝐩𝐚𝐥",
    "😀 👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈 🇫🇷🇩 ☺ ☺️ 1️⃣ #️⃣",
    "a\u200bb\u200c\u200d\ufeff\u00ad\u2060c \u202eabc\u202c",
    "\0\x01\x1f\x7f\x85\u2028\u2029 \t\r\n\x0b\x0c\xa0",
    "\ud7ff\ue000\uffff\U00010000\U0010ffff",
    "10.0.0.1 2001:DB8::1 ::ffff:1.2.3.4 999.1.1.1 1.2.3",
    "2026-03-29T02:30:00+01:00",
    "1e308",
    "-0.0",
    "12,5",
    "عربي ١٢٣ हिन्दी १२३ 日本語 テスト 中文 한국어 ไทย",
    "x" * 400,
    "ab" * 150 + "c",
    "aaaa bbbb aaaa bbbb aaaa",
    "http://[::1]:80/ http://user:pw@host.test:8080/p//q http://1.2.3.4 ftp://x.y bit.ly/abc",
    "пример.рф münchen.de sub.domain.co.uk a.b.c.kawasaki.jp",
)
RANGES = (
    (0x20, 0x7E),
    (0x20, 0x7E),
    (0xA0, 0x24F),
    (0x300, 0x36F),
    (0x370, 0x5FF),
    (0x900, 0x97F),
    (0x1E00, 0x1FFF),
    (0x2000, 0x206F),
    (0x3040, 0x30FF),
    (0x4E00, 0x4E40),
    (0xAC00, 0xAC40),
    (0xFB00, 0xFB4F),
    (0xFE00, 0xFE0F),
    (0xFF00, 0xFFEF),
    (0x1D400, 0x1D7FF),
    (0x1F1E6, 0x1F1FF),
    (0x1F300, 0x1FAFF),
    (0x0, 0x1F),
)
NUMBERS = (
    0,
    -0.0,
    1,
    -1,
    0.5,
    2.5,
    -2.5,
    1e-320,
    5e-324,
    2**53,
    2**53 + 2,
    1e16,
    1e308,
    -1e308,
    123456.789,
    0.1,
)
TIMES = (
    "1970-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "2026-03-29T00:59:59Z",
    "2026-03-29T01:00:00Z",
    "2026-10-25T00:59:59.5Z",
    "2024-02-29T23:59:59Z",
    "1582-10-10T00:00:00Z",
    "2011-12-30T09:00:00Z",
)


class Numbers:
    """A stream of numbers that is the same everywhere (the generator of Numerical Recipes, high bits)."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def below(self, most: int) -> int:
        """The next number from 0, below `most`."""
        self._state = (self._state * 1_664_525 + 1_013_904_223) % 2**32
        return (self._state >> 8) % most


def texts() -> list[str]:
    """Awkward texts: fixed ones, ones put together from them, and ones of characters drawn from ranges."""
    dice = Numbers(7)
    out: list[str] = list(AWKWARD)
    while len(out) < TEXTS:
        if dice.below(3) == 0:
            one, two = AWKWARD[dice.below(len(AWKWARD))], AWKWARD[dice.below(len(AWKWARD))]
            out.append(one[dice.below(len(one) + 1) :] + two[: dice.below(len(two) + 1)])
            continue
        chars: list[str] = []
        for _ in range(dice.below(40)):
            low, high = RANGES[dice.below(len(RANGES))]
            chars.append(chr(low + dice.below(high - low + 1)))
        out.append("".join(chars))
    return out


SCHEMA = """
entity User labels "seen", "often"

shape part
  name  text   = $.name
  price number = $.price

event note from "note"
  id      text       = $.id
  at      time       = $.at
  author  User       = $.author
  x       text       = $.x
  y       text       = $.y
  n       number     = $.n
  m       number     = $.m
  when_   time       = $.when
  span    duration?  = $.span
  addr    ip?        = $.addr
  texts   list<text> = $.texts
  parts   list<part> = $.parts

list l_exact    from "exact"    as exact
list l_words    from "words"    as words
list l_domains  from "domains"  as domains
list l_cidrs    from "cidrs"    as cidrs
list l_prefixes from "prefixes" as prefixes
list l_patterns from "patterns" as patterns
list l_table    from "table"    as domains gives risk number, since time

score mixed
  0.1 when x contains "a" because "has a"
  0.2 when length(x) > 3 because "{length(x)} characters"
  minus 0.7 when author labelled "seen" because "seen {label_age(author, "seen")} ago"

rule seen on note
  when count(note by author within 10m) >= 2
  then label author "seen" for 1h
       flag limit 2 per author every 5m
  rollout 70% by author

rule often on note
  when distinct(fingerprint(x) of note by author within 1h where length(x) > 0) reaches 3
  then label author "often"
       unlabel author "seen"
       review
"""

LISTS = {
    "exact": "a\n\n# comment\n-0.0\nİstanbul ı I\n",
    "words": "now\ncheap f0llowers\nſ\nпример\n日本語\n☺\n",
    "domains": "bad.test\nexample.co.uk\nпример.рф\nmünchen.de\n",
    "cidrs": "10.0.0.0/8\n2001:db8::/32\n1.2.3.4\n",
    "prefixes": "a\nBuy\n10.\nx\n😀\n",
    "patterns": "fr[e3]e\n/ſTRA|ß/i\n^$\n\\bpay\n\\p{Greek}\n",
    "table": "domain,risk,since\nbad.test,0.9,2020-01-01\nco.uk.test,,\nbit.ly,1e-3,2021-05-05T01:02:03.5Z\n",
}

WRITTEN: dict[str, tuple[str, ...]] = {
    "text": ("x", "y", "author"),
    "number": ("n", "m"),
    "time": ("when_", "at"),
    "duration": ("span",),
    "ip": ("addr",),
    "list": ("texts", "words(y)"),
    "regex": (r"/([a-z]+)[^a-z]/", r"/[\pL\d]+/i"),
    "zone": ('"UTC"', '"Europe/Paris"', '"Pacific/Apia"', '"America/St_Johns"'),
    "digits": ("0", "1", "15"),
}


def calls(row: Function) -> Iterator[str]:
    """The function applied to the fields of an event, in a few ways."""
    for turn in range(3):
        args = []
        for place, p in enumerate(row.parameters):
            kind = p.name if p.name in ("zone", "digits") else _kind(p.type)
            if p.literal and kind in ("text", "var"):
                args.append('"a"' if p.name != "old" or turn % 2 else WRITTEN["regex"][turn // 2])
                continue
            options = WRITTEN["number" if kind == "var" else kind]
            args.append(options[(turn + place) % len(options)])
        yield f"{row.name}({', '.join(args)})"


def _kind(type_: Type) -> str:
    return "text" if type_.kind in ("entity", "enum") else type_.kind


EXTRA = (
    "x in l_exact",
    "x matches l_words",
    "x in l_domains",
    "addr in l_cidrs",
    "x in l_prefixes",
    "x matches l_patterns",
    "found(x, l_words)",
    "found(x, l_patterns)",
    "found(x, l_domains)",
    "urls(x).domain",
    "l_table[x].risk",
    "l_table[x].since",
    "n + m * 3 - n / m",
    "n // m + n % m",
    "when_ - at",
    "at + (span ?? 1h) * n",
    "mixed",
    "reasons(mixed)",
    "x < y",
    "x matches /(?i)pay|ß/ or y matches /^$/",
    "[t of texts where t < x]",
    "texts == words(x)",
    "any parts.price > n",
    "parts",
    "count(note by author within 10m before 1m ago)",
    "distinct(y of note by texts as texts within 1h before this)",
    "count(fired seen by author within 1d)",
    "sum(n of note by author within 10m)",
    "mean(m of note by author within 1h before this)",
    "stddev(n of note by author, addr within 1h)",
    "min(m of note by author within 10m)",
    "max(span of note by texts as texts within 1h before 1m ago)",
    "values(y of note by author within 1h)",
    "first(note by author within 1h where n > 0).x",
    "last(note by author ever).when_",
    "since_last(note by author within 1d)",
    "rate(note by author per 1m within 1h)",
    "sum(m of note by author within 1h resolution 1m)",
    "count(note by author ever)",
    'label_age(author, "seen")',
    '"{x} {n} {when_} {span} {texts}"',
    "hash(x) * hash(y) + n",
    "distance_km(clamp(n, -90, 90), clamp(m, -180, 180), 48.85, 2.35)",
    "log(abs(n) + 1) + sqrt(abs(m))",
)


def functions() -> Iterator[str]:
    """Every function of the language, and what else works on values, over awkward texts and numbers."""
    made_of = [call for row in REGISTRY.rows() if not row.form for call in calls(row)]
    expressions = list(dict.fromkeys([*made_of, *EXTRA]))
    pairs = ",\n    ".join(f"p{i}: {expression}" for i, expression in enumerate(expressions))
    policy = f'{SCHEMA}\nrule all_of_it on note\n  when true\n  then send "all" {{\n    {pairs}\n  }}\n'
    extra = {name: text.encode() for name, text in LISTS.items()}
    analysis = analyse(
        Files("functions", {"all.quell": Source("all.quell", policy)}, extra=extra), lints=False
    )
    made = build(analysis)
    yield f"functions: generated code {digest(sources_of(made))}"
    engine = Stepper(made)
    values: list[list[bytes]] = [[] for _ in expressions]
    decisions: list[bytes] = []
    for event in notes():
        answer = engine.decide(encode(event))
        decisions.append(encode(answer))
        if isinstance(answer, Decision):
            for i, value in enumerate(answer.sends[0].payload.values()):
                values[i].append(encode(value))
    for expression, given in zip(expressions, values, strict=True):
        shown = max(given, key=lambda v: (len(set(v)), v)).decode() if given else ""
        yield f"functions: {expression}: {digest(given)} {shown[:60]!a}"
    yield f"functions: {len(decisions)} decisions {digest(decisions)} {sum(b'refused' in d for d in decisions)} refused"


def notes() -> Iterator[dict[str, Any]]:
    """Events around the awkward texts."""
    dice = Numbers(3)
    all_texts = texts()
    at = 1_772_323_200_000_000
    for i, text in enumerate(all_texts):
        at += (0, 1, 1_000_000, 60_000_000, -5_000_000, 30_000_000)[dice.below(6)]
        other = all_texts[dice.below(len(all_texts))]
        yield {
            "type": "note",
            "id": 2**60 + i,
            "at": at,
            "author": ("u1", "u2", "é", 12345678901234567890)[dice.below(4)],
            "x": text,
            "y": other if dice.below(4) else text[::-1],
            "n": NUMBERS[dice.below(len(NUMBERS))],
            "m": NUMBERS[dice.below(len(NUMBERS))],
            "when": TIMES[dice.below(len(TIMES))],
            "span": (None, 0, 3600, "1h30m", -0.000001, "later")[dice.below(6)],
            "addr": (None, "10.1.2.3", "2001:DB8::5", "8.8.8.8", "no")[dice.below(5)],
            "texts": [all_texts[dice.below(len(all_texts))] for _ in range(dice.below(4))],
            "parts": [{"name": text[:5], "price": dice.below(5) - 2} for _ in range(dice.below(3))],
        }


# ------------------------------------------------------------ findings

BROKEN = """
entity User labels "a"
event e from "e"
  at   time = $.at
  who  User = $.who
  nmae text = $.name
let a = b
let b = a
let c = count(e by who) + 1d
rule r on e when name == "x" and who labelled "b" and fired q and size(nmae) > 3 then blok
rule s on e, f when who == 3 or not nmae or lenght(nmae) > 2 then label who "a" for 0s
rule t on e when any nmae > 3 then send "x" { v: [1, "a"] } limit 2 per nope every nmae
list l from "../up" as exact
list m from "gone" as wods
"""


def findings() -> Iterator[str]:
    """What is said of a bundle with mistakes, and of the lints of a bundle without."""
    given = Files("broken", {"b.quell": Source("b.quell", BROKEN)})
    for found in analyse(given).diagnostics:
        yield f"findings: {plain(found, given.sources)}"
    extra = {name: text.encode() for name, text in LISTS.items()}
    schema = Files("schema", {"s.quell": Source("s.quell", SCHEMA)}, extra=extra)
    for found in analyse(schema).diagnostics:
        yield f"findings: {plain(found, schema.sources)}"


# ------------------------------------------------------------ a run that waits

WAITING = """
entity User labels "seen"

event note from "note"
  id       text = $.id
  at       time = $.at
  author   User = $.author
  x        text? = $.x
  n        number? = $.n

let spread = stddev(n of note by author within 1h)

model echo from remote "echo"
  value  = n
  text   = x
  spread = spread
  when not (author labelled "seen") or n > 0
  gives value number, text text, spread number

rule far on note
  when echo.value > 3 * (echo.spread ?? 1)
  then label author "seen" for 1m
       flag limit 2 per author every 5m
  because "{echo.value} {echo.text} {count(fired far by author within 1h before this)}"

rule again on note
  when count(note by author within 10m where echo.value > 0) >= 3 and since_last(note by author ever) < 1m
  then review
  because "{first(note by author within 1h).x} {max(n of note by author within 1h)}"
"""


def waiting() -> Iterator[str]:
    """Decisions that wait for answers while others pass them and people label, and the state they leave."""
    made = build(analyse(Files("waiting", {"w.quell": Source("w.quell", WAITING)}), lints=False))
    stepper, dice = Stepper(made), Numbers(5)
    under_way: list[Waiting] = []
    replies: list[Reply] = []
    for i, event in enumerate(notes()):
        told = dict(event)
        if i % 97 == 0:
            told = {"type": "quell.label", "entity": "User", "id": "u1", "label": "seen", "by": "ana"}
            told |= {"at": event["at"], "action": ("set", "remove", "release")[i // 97 % 3]}
        entry = stepper.decode(encode(told))
        reply = stepper.admit(entry) if isinstance(entry, Decoded) else stepper.reply(entry)
        take(reply, under_way, replies)
        while under_way and dice.below(3):
            waits = under_way.pop(dice.below(len(under_way)))
            take(stepper.resume(waits, [answered(r) for r in waits.requests]), under_way, replies)
    yield f"waiting: generated code {digest(sources_of(made))}"
    yield f"waiting: {len(replies)} replies {digest(encode(r) for r in replies)} {len(under_way)} under way"
    yield f"waiting: state {digest(encode(section) for section in sections(stepper))}"


def take(reply: Reply | Waiting, under_way: list[Waiting], replies: list[Reply]) -> None:
    """Note a reply, or that it waits."""
    if isinstance(reply, Waiting):
        under_way.append(reply)
    else:
        replies.append(reply)


def answered(request: Request) -> Answer:
    """What was asked, as the answer."""
    return Answer("answered", dict(zip(("value", "text", "spread"), request.inputs, strict=True)))


# ------------------------------------------------------------ a replay by columns

OUTCOME = ("decisions", "hits", "labels", "sends", "outranked", "missing")


def replay_parts(
    made: Build, file: Path, asked: Asked, threads: int | None = None
) -> Iterator[tuple[str, list[bytes]]]:
    """The tables of a replay by columns, row by row, and its report but for the time that it took."""
    with Database(threads=threads) as db:
        prepared = prepare(made, asked)
        outcome = decide(read(db, "replay", prepared, [file]), "replay", way="columns")
        for name in OUTCOME:
            rows = db.rows(f"SELECT * FROM {outcome.table(name)} ORDER BY ALL")
            yield name, [encode(row) for row in rows]
        report = msgspec.structs.replace(backtest_of(outcome, prepared), seconds=0.0)
        yield "report", [encode(report).replace(str(file.parent).encode(), b"")]


def replayed() -> Iterator[str]:
    """The starter bundle over the beginning of a simulated day, all at once."""
    with as_file(files("quell.policies")) as folder:
        made = Stepper.load(folder).bundle
    with tempfile.TemporaryDirectory() as where:
        file = Path(where) / "day.jsonl"
        file.write_bytes(b"".join(islice(simulate_lines(SEED, EVENTS), REPLAYED)))
        for name, parts in replay_parts(made, file, Asked(policies="policies")):
            yield f"replay: {name}: {len(parts)} rows {digest(parts)}"


# ------------------------------------------------------------ given cases


def cases(path: Path) -> Iterator[str]:
    """For each case of a JSON file a digest of its decisions: `sources`, `extra` and `events` are texts."""
    for number, case in enumerate(json.loads(path.read_bytes())):
        sources = {name: Source(name, text) for name, text in case["sources"].items()}
        extra = {name: text.encode("latin-1") for name, text in case["extra"].items()}
        made = build(analyse(Files("case", sources, extra=extra), lints=False))
        engine = Stepper(made)
        answers: list[Reply] = [engine.decide(event) for event in case["events"]]
        yield f"case {number}: {digest(sources_of(made))} {digest(encode(a) for a in answers)}"


def main(arguments: list[str]) -> None:
    """Print every line."""
    parts = [cases(Path(a)) for a in arguments] or [starter(), functions(), findings(), waiting(), replayed()]
    for part in parts:
        for line in part:
            sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
