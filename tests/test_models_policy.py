"""Models in policies: declared, checked, asked only where needed, named in decisions, explained."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.bundle import Files
from quell.engine.compile import analyse, build
from quell.engine.decision import Decision, ModelUsed
from quell.engine.decision_files import ParquetWriter
from quell.engine.diagram import diagram
from quell.engine.explain import Explainer
from quell.engine.explanation import Explanation
from quell.engine.policy_tests import run_tests
from quell.engine.stepper import Stepper
from quell.grammar.source import Source
from quell.signals.models import Feature, Predictor
from tests.bundles import START, Judged, engine, findings, sound
from tests.model_files import model_of
from tests.onnx_files import onnx_of

SCHEMA = """
entity User
event message from "message"
  at       time = $.at
  author   User = $.author
  content  text = $.content default ""
  country  text? = $.country
  kind     one of ["post", "reply"]? = $.kind
  stars    number? = $.stars
  bot      bool? = $.bot
  joined   time? = $.joined
event login from "login"
  at    time = $.at
  user  User = $.user
"""
SPAM = """
features: length, country, stars, bot, burst
categories of country: "de", "fr", "post"
length > 3: 0.5
country in "de", "post": -1
stars > 2: 2
stars > 4: -3
bot > 0.5: 1.5
burst > 2: 1
"""
MODEL = """
model spam from "spam.lgb"
  burst   = count(message by author within 1m)
  bot     = bot
  country = country
  length  = length(content)
  stars   = stars
"""
RULES = """
let likely = spam > 70%
score risk
  10 when likely
  5 when spam > 30% because "{spam}"
let often = count(message by author within 1m where spam > 60%)
let by_sureness = distinct(author of message by round(spam * 4) within 1m)
rule sure on message
  when likely and often >= 2
  then block
  because "{spam} {often} {by_sureness} {risk}"
rule again on message
  when risk >= 15 and stars < 3
  then flag
rule odd on message
  when squared > 0.5
  then review
model squared from "squared.lgb"
  spam = spam
"""
SQUARED = "objective: regression\nfeatures: spam\nspam > 0.5: 0.75\nspam > 0.9: 1e10"
FILES = {"spam.lgb": model_of(SPAM).decode(), "squared.lgb": model_of(SQUARED).decode()}
TEXT = SCHEMA + MODEL + RULES


def test_an_event_is_decided_by_the_number_of_a_model() -> None:
    made = engine(TEXT, FILES)
    decision = made.decide({"type": "message", "at": START, "author": "a", "content": "hello", "stars": 3})
    assert isinstance(decision, Decision)
    assert [f.rule for f in decision.fired] == ["odd"]  # 0.5 + 2: sigmoid(2.5) is above 0.5 and above 0.9
    again = made.decide({"type": "message", "at": START, "author": "a", "content": "hello", "stars": 3})
    assert isinstance(again, Decision)
    odds = 1 / (1 + math.exp(-2.5))
    assert [f.message for f in again.fired] == [None, f"{odds!r} 2 1 15"]


events = st.fixed_dictionaries(
    {"type": st.just("message"), "at": st.just(START), "author": st.sampled_from("ab")},
    optional={
        "content": st.sampled_from(["", "hello", "hi"]),
        "country": st.sampled_from(["de", "fr", "xx", None]),
        "stars": st.one_of(st.integers(0, 6), st.floats(0, 6), st.just(10**300)),
        "bot": st.booleans(),
    },
)


@given(st.lists(events, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_generated_code_and_interpreter_agree(history: list[dict[str, Any]]) -> None:
    judged = Judged(TEXT, FILES)
    for event in history:
        judged.decide(event)


# ------------------------------------------------------------- declarations


def declared(inputs: str, file: str = "spam.lgb") -> str:
    return (
        f'{SCHEMA}\nmodel spam from "{file}"\n{inputs}\nrule r on message\n  when spam > 80%\n  then flag\n'
    )


def test_inputs_are_held_against_the_features() -> None:
    assert findings(declared("  lenght = 1\n  country = country\n  stars = stars\n  bot = bot"), FILES) == [
        (
            "bad-input: `spam` gives nothing for the features `length`, `burst` of its model "
            "(add a line such as length = …; missing is a value too)"
        ),
        "bad-input: the model `spam` has no feature `lenght` (did you mean `length`?)",
    ]
    whole = "  length = 1\n  country = country\n  stars = stars\n  bot = bot\n  burst = missing\n"
    assert findings(declared(whole), FILES) == []
    assert findings(declared(whole + "  bot = bot"), FILES) == ["bad-input: the input `bot` is given twice"]
    assert findings(declared(whole + "  wait 3s"), FILES) == [
        (
            "bad-input: `wait` belongs to remote models, and this one is a file "
            "(take it away, or write from remote)"
        )
    ]


TYPES = {
    "at - joined": "a duration (divide by a unit: … / 1d)",
    "at": "a time (say how long ago it was: (at - x) / 1d)",
    "words(content)": "a list<text> (size(…) is how many elements a list has)",
    "content": "a text (train the model with this column as a category, or give it something counted)",
    "author": "a User (train the model with this column as a category, or give it something counted)",
}


@pytest.mark.parametrize("written", TYPES)
def test_a_number_is_wanted(written: str) -> None:
    inputs = f"  length = {written}\n  country = country\n  stars = stars\n  bot = bot\n  burst = 1"
    what = TYPES[written].replace(" (", "? (", 1) if "joined" in written else TYPES[written]
    assert findings(declared(inputs), FILES) == [
        f"type-mismatch: the feature `length` takes a number, and this is {what}"
    ]


def test_a_category_is_wanted() -> None:
    inputs = "  length = 1\n  country = {}\n  stars = stars\n  bot = bot\n  burst = 1"
    for fits in ("country", "kind", "author", '"de"', "missing", 'country ?? "xx"'):
        assert findings(declared(inputs.format(fits)), FILES) == [], fits
    assert findings(declared(inputs.format("stars")), FILES) == [
        (
            "type-mismatch: the feature `country` is one of the model's own categories, and this is a "
            'number? (they are "de", "fr", "post")'
        )
    ]


def test_files_that_are_not_there_or_broken_are_told_at_load() -> None:
    assert findings(declared("  length = 1", "gone.lgb"), FILES) == [
        (
            'missing-file: there is no file "gone.lgb" in the bundle '
            "(make it with quell train … --model spam, or copy it there)"
        )
    ]
    assert findings(declared("  length = 1", "../spam.lgb"), FILES)[0].startswith("outside-bundle: ")
    half = FILES["spam.lgb"][:700]
    assert findings(declared("  length = 1"), {"spam.lgb": half}) == [
        (
            "bad-model: spam.lgb: the file ends before the model does (copy the file again: a whole model "
            "has `end of trees` and `end of parameters` near its end)"
        )
    ]


def test_a_model_means_something_where_its_inputs_are() -> None:
    text = SCHEMA + MODEL + "rule r on login\n  when spam > 80%\n  then flag\n"
    assert any(f.startswith("not-on-event: `login` has no field `bot`") for f in findings(text, FILES))
    ring = SCHEMA + 'model a from "squared.lgb"\n  spam = b\nlet b = a + 1\n'
    assert [f.partition(" (")[0] for f in findings(ring, FILES)] == ["cycle: `a` needs itself: a → b → a"]


def test_a_raw_score_is_no_percentage() -> None:
    head = SCHEMA + MODEL + 'model squared from "squared.lgb"\n  spam = spam\n'
    rule = "rule r on message\n  when {}\n  then flag\n"
    expected = [
        (
            "type-mismatch: `squared` gives a raw score, not a probability (LightGBM, regression) "
            "(compare with a number, such as 0.8, or train it as a binary model)"
        )
    ]
    for written in ("squared > 80%", "80% <= squared", "squared > (80%)", "also > 80%"):
        assert findings(head + "let also = squared\n" + rule.format(written), FILES) == expected, written
    for written in ("squared > 0.8", "spam > 80%", "squared / 2 > 40%"):
        assert findings(head + rule.format(written), FILES) == [], written


def test_lints_know_what_a_model_can_give() -> None:
    def codes(condition: str) -> set[str]:
        text = SCHEMA + MODEL + f"rule r on message\n  when {condition}\n  then flag\n"
        files = Files("t", {"p": Source("p", text)}, extra={k: v.encode() for k, v in FILES.items()})
        return {d.code for d in analyse(files).diagnostics} - {"missing-test", "unused-name"}

    assert codes("spam > 80") == {"never-true"}
    assert codes("spam >= 0") == {"always-true"}
    assert codes("spam is missing") == {"constant-condition"}
    assert codes("spam > 80%") == set()  # though country, stars and bot may be missing


# ------------------------------------------------------------------ running


@dataclass
class Counted:
    """A model that notes what it is asked."""

    asked: list[tuple[float, ...]] = field(default_factory=list)
    features: tuple[Feature, ...] = (Feature("length"), Feature("stars"))
    bounds: tuple[float, float] = (0.0, 1.0)
    probability: bool = True
    certain: bool = True
    kind: str = "counted"
    cost: float = 8.0
    digest: str = "0123456789abcdef" * 4

    def predictor(self) -> Predictor:
        def predict(*row: float) -> float:
            self.asked.append(row)
            return 0.5

        return predict

    def predict(self, row: Sequence[Any]) -> float | None:
        return 0.5

    def contributions(self, row: Sequence[Any]) -> None:
        return None

    def predict_rows(self, matrix: Any) -> Any:
        raise NotImplementedError


def counting(rules: str) -> tuple[Counted, Stepper]:
    """A bundle with a model that notes what it is asked, as `spam`."""
    text = SCHEMA + 'model spam from "x.lgb"\n  stars = stars\n  length = length(content)\n' + rules
    model = Counted()
    analysis = analyse(Files("t", {"p": Source("p", text)}), lints=False, models={"spam": model})
    assert not analysis.report.errors, analysis.report.errors
    return model, Stepper(build(analysis))


def test_a_model_is_asked_once_and_only_where_a_rule_is_undecided() -> None:
    model, made = counting(
        'rule a on message\n  when spam > 10% and content contains "x"\n  then flag\n  because "{spam}"\n'
        "rule b on message\n  when (stars > 3 or spam > 20%) and spam < 90%\n  then flag\n"
        'rule c on message\n  when spam > 30% and country == "de"\n  then flag\n'
    )
    base = {"type": "message", "at": START, "author": "a"}
    made.decide({**base, "content": "xy", "stars": 5, "country": "de"})
    assert model.asked == [(2, 5)]
    model, alone = counting('rule a on message\n  when spam > 10% and content contains "x"\n  then flag\n')
    alone.decide({**base, "content": "y"})
    assert model.asked == []
    alone.decide({**base, "content": "x"})
    assert len(model.asked) == 1
    assert math.isnan(model.asked[0][1])


def test_the_cheaper_model_is_asked_first() -> None:
    inputs = "  length = 1\n  stars = stars\n"
    text = f'{SCHEMA}\nmodel a from "a.lgb"\n{inputs}model b from "b.lgb"\n{inputs}'
    text += "rule r on message\n  when a > 60% and b > 60%\n  then flag\n"
    for dear in ("a", "b"):
        models = {name: Counted(cost=80.0 if name == dear else 3.0) for name in ("a", "b")}
        analysis = analyse(Files("t", {"p": Source("p", text)}), lints=False, models=dict(models))
        Stepper(build(analysis)).decide({"type": "message", "at": START, "author": "a"})
        assert {name: len(m.asked) for name, m in models.items()} == {"a": 1, "b": 1, dear: 0}


def test_decisions_name_the_models_that_their_event_may_ask() -> None:
    _, made = counting("rule a on message\n  when spam > 10%\n  then flag\n")
    asked = made.decide({"type": "message", "at": START, "author": "a"})
    other = made.decide({"type": "login", "at": START, "user": "a"})
    assert isinstance(asked, Decision)
    assert isinstance(other, Decision)
    assert asked.models == (ModelUsed("spam", "0123456789abcdef"),)
    assert b'"models":[{"model":"spam","digest":"0123456789abcdef"}]' in msgspec.json.encode(asked)
    assert other.models == ()
    written = io.BytesIO()
    writer = ParquetWriter(written)
    writer.write(asked, "")
    writer.write(other, "")
    writer.close()
    rows = pq.read_table(io.BytesIO(written.getvalue())).to_pylist()
    assert [r["models"] for r in rows] == [[{"model": "spam", "digest": "0123456789abcdef"}], []]


def test_another_file_is_another_version_and_the_same_counters() -> None:
    other = {**FILES, "spam.lgb": model_of(SPAM + "always: 1").decode()}
    one, two = sound(TEXT, FILES), sound(TEXT, other)
    assert one.version() != two.version()
    assert sound(TEXT, FILES).version() == one.version()
    assert set(one.lowerer.stores) == set(two.lowerer.stores)
    renamed = sound(TEXT.replace("spam", "junk").replace("junk.lgb", "spam.lgb"), {
        **FILES, "squared.lgb": model_of(SQUARED.replace("spam", "junk")).decode()
    })  # fmt: skip
    assert set(renamed.lowerer.stores) == set(one.lowerer.stores)


def test_onnx_behind_the_same_declaration() -> None:
    text = SCHEMA + 'model spam from "spam.onnx"\n  links = stars\n  length = length(content)\n'
    text += "rule r on message\n  when spam > 80%\n  then flag\n"
    files = Files("t", {"p": Source("p", text)}, extra={"spam.onnx": onnx_of(output="map")})
    analysis = analyse(files, lints=False)
    assert not analysis.report.errors
    made = Stepper(build(analysis))
    base = {"type": "message", "at": START, "author": "a"}
    decided = [made.decide({**base, **more}) for more in ({"stars": 3}, {"stars": 0}, {})]
    assert [getattr(d, "verdict", None) for d in decided] == ["flag", "allow", "allow"]


def test_tests_supply_a_model_and_it_is_not_asked() -> None:
    text = SCHEMA + 'model spam from "x.lgb"\n  stars = stars\n  length = 1\n'
    text += "rule r on message\n  when spam > 80%\n  then flag\n"
    text += 'test "t"\n  given message { author: "a" } with spam = 0.95\n  expect flag by r\n'
    model = Counted()
    analysis = analyse(Files("t", {"p": Source("p", text)}), lints=False, models={"spam": model})
    assert not analysis.report.errors, analysis.report.errors
    assert [t.outcome for t in run_tests(analysis).tests] == ["passed"]
    assert model.asked == []


def test_an_explanation_shows_what_went_in_and_what_moved_it() -> None:
    made = engine(TEXT, FILES)
    event = {"type": "message", "at": START, "author": "a", "content": "hello", "stars": 3}
    found = Explainer(made).decide(event)
    assert isinstance(found, Explanation)
    value = next(v for v in found.values if v.name == "spam")
    assert value.text.startswith("spam.lgb (LightGBM, binary, ")
    assert value.part is not None
    assert value.part.kind == "model"
    assert value.part.note.startswith("moved most by ")
    assert [(p.text, p.shown) for p in value.part.parts] == [
        ("burst = count(message by author within 1m)", "1"),
        ("bot = bot", "missing"),
        ("country = country", "missing"),
        ("length = length(content)", "5"),
        ("stars = stars", "3"),
    ]


def test_a_model_stands_in_the_picture() -> None:
    picture = diagram(sound(TEXT, FILES))
    models = {s.lines: s.key for s in picture.shapes.values() if s.kind == "model"}
    spam, squared = models[("spam",)], models[("squared",)]
    assert any(a.start == spam and a.end == squared for a in picture.arrows)
