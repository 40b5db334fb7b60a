"""The workload of the replay's benchmark: a month of events in a Parquet file, rules, and the same by hand.

The rules come out twice, as a policy and as the SQL that a careful analyst would write for them: one pass
over the file, what the rules say as columns, the rows on which one of them is true kept as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import lightgbm
import numpy as np

from quell.engine.bundle import Files
from quell.engine.compile import Build, analyse, build
from quell.grammar.source import Source
from quell.replay.database import text_literal
from tests.bench.workload import VOCABULARY

DAYS, USERS = 30, 200_000
COUNTRIES = ["US", "IN", "BR", "DE", "FR", "NG", "ID", "PL", "ES", "JP", "TR", "VN"]
DEVICES = ["web", "ios", "android", "api"]
WORDS = VOCABULARY
PLAIN = WORDS.index("free")
"""So many of the words stand in every text; the others, for which rules look, in some."""
FEATURES = ("amount", "age_days", "items", "risk", "followers", "reports", "score")
VERDICTS = ("flag", "review", "block")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its condition in the language, and by hand."""

    name: str
    quell: str
    sql: str


def _rules() -> list[Rule]:
    """Thirty rules of three conditions: numbers and enums, texts, patterns."""
    made = []
    for i in range(30):
        number = f"amount > {930 + 2 * i}" if i % 2 else f"age_days < {6 + i}"
        country = COUNTRIES[i % len(COUNTRIES)]
        if i % 3 == 0:
            listed = [country, COUNTRIES[(i + 5) % len(COUNTRIES)]]
            enum = (
                "country in [" + ", ".join(f'"{c}"' for c in listed) + "]",
                f"country IN ({', '.join(map(text_literal, listed))})",
            )
        else:
            device = DEVICES[i % len(DEVICES)]
            enum = f'device == "{device}"', f"device = {text_literal(device)}"
        third = _third(i)
        made.append(
            Rule(
                f"rule_{i:02d}",
                f"{number} and {enum[0]} and {third[0]}",
                f"{number} AND {enum[1]} AND {third[1]}",
            )
        )
    return made


def _third(i: int) -> tuple[str, str]:
    lures = WORDS[PLAIN:]
    word, other = lures[i % len(lures)], lures[(i + 7) % len(lures)]
    if i % 7 == 6:
        pattern = rf"\b{word[:-1]}[{word[-1]}3]+ ({other}|today|later)\b"
        return f"body matches /{pattern}/", f"regexp_matches(body, {text_literal(pattern)})"
    if i % 5 == 4:
        return f'title contains "{word}"', f"contains(title, {text_literal(word)})"
    if i % 3 == 2:
        return f'body contains "{word}"', f"contains(body, {text_literal(word)})"
    if i % 2:
        return f"risk >= {0.9 - i / 100}", f"risk >= {0.9 - i / 100}"
    return f"items >= {15 + i % 4}", f"items >= {15 + i % 4}"


RULES = _rules()
WINDOWS = {"m1": ("1m", 60), "m10": ("10m", 600), "h1": ("1h", 3_600), "d1": ("1d", 86_400)}
COUNTERS = "".join(f"let {name} = count(event by user within {w})\n" for name, (w, _) in WINDOWS.items()) + (
    "let spent = sum(amount of event by user within 1h)\n"
    "let networks = distinct(network of event by user within 1d)\n"
)
COUNTED = [
    Rule("burst_1m", "m1 >= 2 and amount > 300", "m1 >= 2 AND amount > 300"),
    Rule("burst_10m", "m10 >= 3 and age_days < 300", "m10 >= 3 AND age_days < 300"),
    Rule("burst_1h", "h1 >= 6 and items < 10", "h1 >= 6 AND items < 10"),
    Rule("burst_1d", 'd1 >= 60 and country == "BR"', "d1 >= 60 AND country = 'BR'"),
    Rule("spender", "spent > 4000 and age_days < 400", "spent > 4000 AND age_days < 400"),
    Rule("wanderer", "networks >= 30 and m1 >= 2", "networks >= 30 AND m1 >= 2"),
]
MODELLED = Rule("likely", "odds >= 0.9", "odds >= 0.9")
_FIELDS = f"""entity User

event event from "event"
  id        text    = $.id
  at        time    = $.ts
  user      User    = $.user
  country   one of ["{'", "'.join(COUNTRIES)}"] = $.country
  device    one of ["{'", "'.join(DEVICES)}"] = $.device
  amount    number  = $.amount
  age_days  number  = $.age_days
  items     number  = $.items
  risk      number? = $.risk
  followers number  = $.followers
  reports   number  = $.reports
  score     number  = $.score
  network   text    = $.network
  title     text    = $.title
  body      text    = $.body
"""


def policy(rules: Sequence[Rule], more: str = "") -> str:
    """The rules as a policy, behind further declarations."""
    text = [_FIELDS, more]
    for i, rule in enumerate(rules):
        text.append(f"rule {rule.name} on event\n  when {rule.quell}\n  then {VERDICTS[i % 3]}\n")
    return "\n".join(text)


def bundle(rules: Sequence[Rule], more: str = "", model: bytes | None = None) -> Build:
    """The rules as a bundle."""
    if model is not None:
        more += 'model odds from "odds.lgb"\n' + "".join(f"  {f} = {f}\n" for f in FEATURES)
    extra = {} if model is None else {"odds.lgb": model}
    source = Source("b.quell", policy(rules, more))
    analysis = analyse(Files("bench", {"b.quell": source}, extra=extra), lints=False)
    wrong = [d.message for d in analysis.diagnostics if d.severity == "error"]
    if wrong:
        raise SystemExit(f"the benchmark's own policy is wrong: {wrong[0]}")
    return build(analysis)


def write_events(path: Path, events: int) -> None:
    """A month of events in order of time, several in one second; the same bytes every time."""
    picked = iter(range(1, 100))

    def dice() -> str:
        return f"(hash(i * 128 + {next(picked)}) % 1000000 / 1e6)"

    def words(number: int) -> str:
        """Most texts are everyday words; in one of ten the ones that rules look for are as frequent."""
        return " || chr(32) || ".join(f"words[1 + floor({dice()} * known)::INT]" for _ in range(number))

    def one(values: Sequence[str]) -> str:
        return f"[{', '.join(map(text_literal, values))}][1 + floor({dice()} * {len(values)})::INT]"

    said = {
        "type": "'event'",
        "id": "'e' || lpad(i::VARCHAR, 12, '0')",
        "ts": f"make_timestamp(1767225600000000 + (i * {DAYS * 86_400} // {events}) * 1000000)",
        "user": f"'user-' || floor({USERS} * {dice()} ** 2)::INT",
        "country": one(COUNTRIES),
        "device": one(DEVICES),
        "amount": f"floor({dice()} * 4000) / 4",
        "age_days": f"floor({dice()} * 1000)",
        "items": f"1 + floor({dice()} * 20)::INT",
        "risk": f"CASE WHEN {dice()} < 0.9 THEN round({dice()}, 4) END",
        "followers": f"floor({dice()} ** 4 * 100000)::BIGINT",
        "reports": f"floor({dice()} ** 6 * 50)::INT",
        "score": f"round({dice()} * 2 - 1, 3)",
        "network": f"'net-' || floor(5000 * {dice()})::INT",
        "title": words(4),
        "body": words(12),
    }
    columns = ", ".join(f"{sql} AS {name}" for name, sql in said.items())
    words_ = f"[{', '.join(map(text_literal, WORDS))}] AS words"
    known = f"CASE WHEN {dice()} < 0.1 THEN {len(WORDS)} ELSE {PLAIN} END AS known"
    with duckdb.connect() as con:
        con.execute(
            f"COPY (SELECT {columns} FROM (SELECT i, {words_}, {known} FROM range({events}) r(i))) "
            f"TO {text_literal(str(path))} (FORMAT parquet)"
        )


def trained() -> bytes:
    """A model of a hundred trees over the events' numbers, a tenth of one of which is missing."""
    dice = np.random.default_rng(1)
    x = dice.random((20_000, len(FEATURES))) * [1_000, 1_000, 20, 1, 1e5, 50, 2] - [0, 0, 0, 0, 0, 0, 1]
    x[dice.random(len(x)) < 0.1, 3] = np.nan
    y = (x[:, 0] / 1_000 + x[:, 2] / 20 + dice.normal(size=len(x)) / 3 > 1.2).astype(float)
    data = lightgbm.Dataset(x, y, feature_name=list(FEATURES), params={"verbose": -1})
    settings = {"objective": "binary", "num_leaves": 31, "verbose": -1, "num_threads": 1}
    text: str = lightgbm.train(settings, data, 100).model_to_string()
    return text.encode()


# -------------------------------------------------------------------------------------------- by hand


def by_hand(path: Path, rules: Sequence[Rule], counted: Sequence[Rule] = ()) -> str:
    """The query that keeps the events on which one of the rules is true. What reads counters is asked above
    the windows, all else below them, so that no text is sorted; a window is exact about events of one
    instant."""
    flags = ", ".join(f"({r.sql}) AS {r.name}" for r in rules)
    source = f"read_parquet({text_literal(str(path))}, file_row_number = true)"
    query = f"SELECT *, file_row_number + 1 AS n, {flags} FROM {source}"
    if counted:
        order = "(epoch_us(ts)::HUGEINT * 4294967296 + n)"

        def window(seconds: int) -> str:
            back = f"{seconds * 1_000_000}::HUGEINT * 4294967296"
            return f"(PARTITION BY user ORDER BY {order} RANGE BETWEEN {back} PRECEDING AND CURRENT ROW)"

        windows = [f"count(*) OVER {window(seconds)} AS {name}" for name, (_, seconds) in WINDOWS.items()]
        windows += [f"sum(amount) OVER {window(3_600)} AS spent"]
        windows += [f"count(DISTINCT network) OVER {window(86_400)} AS networks"]
        flags = ", ".join(f"({r.sql}) AS {r.name}" for r in counted)
        query = f"SELECT *, {flags} FROM (SELECT *, {', '.join(windows)} FROM ({query}))"
    names = [r.name for r in (*rules, *counted)]
    return f"SELECT n, id, ts, {', '.join(names)} FROM ({query}) WHERE {' OR '.join(names)}"


def asked_alone(model: Any, path: Path, con: duckdb.DuckDBPyConnection) -> int:
    """The library's own answer about every event, and nothing else: how many are likely."""
    known = con.execute(f"SELECT {', '.join(FEATURES)} FROM read_parquet({text_literal(str(path))})")
    columns = known.fetchnumpy()
    matrix = np.column_stack([np.ma.filled(columns[f].astype(float), np.nan) for f in FEATURES])
    return int((model.predict(matrix) >= 0.9).sum())
