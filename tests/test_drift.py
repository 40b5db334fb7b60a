"""Drift of local models against their cards: what is looked at, and that looking changes nothing."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.engine.bundle import Files
from quell.engine.compile import Build, analyse, build
from quell.engine.drift import LEAST, MOST_LOOKS, NEAREST, NEVER, SLOT, SLOTS, Drift, DriftWatch, stability
from quell.engine.drift_card import LEAST_SHARE, baseline, card_of
from quell.engine.metrics import Metrics
from quell.engine.metrics_parts import Parts
from quell.engine.metrics_rows import ROWS
from quell.engine.reload_freeze import Freezer
from quell.engine.stepper import Stepper
from quell.grammar.source import Source
from tests.bundles import sound
from tests.metrics_support import of, samples
from tests.model_files import model_of

POLICY = """
entity User
event post from "post"
  at      time = $.at
  author  User = $.author
  x       number? = $.x
event other from "other"
  at      time = $.at
let posts = count(post by author within 1h)
let others = count(other within 1h)
model spam from "models/spam.lgb"
  x = x
  posts = posts
rule rarely on post
  when x == 9 and spam > 99%
  then flag
rule never on other
  when others > 1000000
  then flag
"""
STEPS = "".join(f"x > {n}: 0.5\n" for n in range(1, 9))
MODEL = model_of(f"features: x, posts\nalways: -2\n{STEPS}posts > 1000: 1\n")


def score(x: float) -> float:
    """What the model gives."""
    return 1 / (1 + math.exp(2 - 0.5 * sum(x > n for n in range(1, 9))))


def card(counts: Mapping[int, int], **more: Any) -> bytes:
    """A card whose test period had so many events of each x."""
    bins = [{"upto": round(score(x), 6) + 1e-6, "events": n} for x, n in sorted(counts.items())]
    mean = sum(score(x) * n for x, n in counts.items()) / sum(counts.values())
    test = {"scores": {"mean": mean, "bins": [*bins, {"upto": 1.0, "events": 0}]}}
    features = [{"name": "x", "missing": 0.1}, {"name": "posts", "missing": 0.0}]
    return json.dumps({"test": test, "features": features, **more}).encode()


EVEN = card(dict.fromkeys(range(1, 10), 1_000))


def bundle(card_: bytes | None = EVEN, model: bytes = MODEL, policy: str = POLICY) -> Build:
    extra = {"models/spam.lgb": model, **({} if card_ is None else {"models/spam.card.json": card_})}
    analysis = analyse(Files("written", {"p.quell": Source("p.quell", policy)}, extra=extra), lints=False)
    assert not analysis.report.errors, analysis.diagnostics
    return build(analysis)


BUILD = bundle()


def event(n: int, x: float | None, type_: str = "post") -> bytes:
    return msgspec.json.encode({"type": type_, "at": 1_700_000_000 + n, "author": f"u{n % 5}", "x": x})


def run(stepper: Stepper, watch: DriftWatch, xs: Iterable[float | None], start: float = 1.0) -> Drift:
    """Decide an event for each value, a hundred a second; gives the figures after."""
    for n, x in enumerate(xs):
        if n % 25 == 0:
            watch.tick(stepper, start + n / 100)
        stepper.decide(event(n, x))
    (found,) = watch.figures()
    return found


def draw(weights: Mapping[int, float], count: int = 40_000) -> list[float]:
    return random.Random(7).choices([float(x) for x in weights], list(weights.values()), k=count)


# ------------------------------------------------------------------------------------ the index


def test_the_index_by_hand() -> None:
    assert stability([0.5, 0.5], [0.5, 0.5]) == 0
    assert stability([0.6, 0.4], [0.5, 0.5]) == pytest.approx(0.1 * math.log(1.2) - 0.1 * math.log(0.8))
    assert stability([1.0, 0.0], [0.0, 1.0]) == pytest.approx(2 * 0.9999 * math.log(10_000))


SHARES = st.lists(st.integers(0, 1_000), min_size=4, max_size=4).filter(any)


@given(SHARES, SHARES)
def test_the_index_is_symmetric_and_no_less_than_nothing(a: list[int], b: list[int]) -> None:
    now, then = ([n / sum(counts) for n in counts] for counts in (a, b))
    found = stability(now, then)
    assert math.isfinite(found)
    assert found >= 0
    assert found == pytest.approx(stability(then, now))


# ------------------------------------------------------------------------------------- the card


def test_a_card_lies_beside_its_model() -> None:
    assert card_of("models/spam.lgb") == "models/spam.card.json"
    assert card_of("spam.v2.onnx") == "spam.v2.card.json"


def test_a_card_as_it_was_made_before() -> None:
    """Cards had a histogram of twenty bins of equal width; thin neighbours are put together."""
    counts = [960, 5, 5, 5, *[0] * 15, 25]
    made = baseline(json.dumps({"test": {"histogram": {"test": counts}}}).encode())
    assert made is not None
    assert made.upto == (0.05, 0.15, math.inf)
    assert made.shares == (0.96, 0.01, 0.03)
    assert made.mean is None
    assert made.missing == {}


@given(st.lists(st.integers(0, 1_000), min_size=2, max_size=30).filter(any))
def test_bins_hold_their_share(counts: list[int]) -> None:
    bins = [{"upto": float(i), "events": n} for i, n in enumerate(counts)]
    made = baseline(json.dumps({"test": {"scores": {"bins": bins}}}).encode())
    assert made is not None
    assert sum(made.shares) == pytest.approx(1)
    assert min(made.shares) >= LEAST_SHARE
    assert made.upto[-1] == math.inf
    assert list(made.upto) == sorted(set(made.upto))


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["test", "scores", "bins", "upto", "events", "histogram"]), inner)
    ),
)


@given(JUNK | st.builds(lambda bins: {"test": {"scores": {"bins": bins}}}, JUNK))
def test_a_hostile_card_is_none_at_all(said: Any) -> None:
    for data in (json.dumps(said).encode(), repr(said).encode("utf-8", "surrogatepass")):
        made = baseline(data)
        assert made is None or sum(made.shares) == pytest.approx(1)


@pytest.mark.parametrize(
    "data", [b"", b"[" * 100_000, b"\xff", b"{}", b'{"test": {"histogram": {"test": [1]}}}']
)
def test_no_card(data: bytes) -> None:
    assert baseline(data) is None


# ---------------------------------------------------------------------------------- the figures


def test_the_same_events_as_the_cards_do_not_drift() -> None:
    found = run(Stepper(BUILD), DriftWatch(), draw(dict.fromkeys(range(1, 10), 1)))
    assert found.looks >= LEAST
    assert found.psi is not None
    assert found.psi < 0.1
    assert found.expected_mean is not None
    assert found.mean == pytest.approx(found.expected_mean, abs=0.05)
    assert sum(found.shares) == pytest.approx(1)
    assert found.missing == 0


def test_other_events_drift() -> None:
    found = run(Stepper(BUILD), DriftWatch(), draw({1: 1, 2: 1, 8: 5, 9: 9}))
    assert found.psi is not None
    assert found.psi > 0.25


def test_events_that_no_rule_asks_the_model_about_count_as_well() -> None:
    """The rule asks it where x is 9 alone; a watch of what it is asked would see nothing but its top."""
    found = run(Stepper(BUILD), DriftWatch(), draw(dict.fromkeys(range(1, 10), 1)))
    assert min(found.shares) > 0.05


def test_missing_inputs_are_told() -> None:
    xs: list[float | None] = [None if n % 4 == 0 else 1 + n % 9 for n in range(40_000)]
    random.Random(3).shuffle(xs)
    found = run(Stepper(BUILD), DriftWatch(), xs)
    x, posts = found.inputs
    assert (x.name, x.expected, posts.expected) == ("x", 0.1, 0.0)
    assert x.missing == pytest.approx(0.25, abs=0.06)
    assert posts.missing == 0


def test_without_a_card_there_is_no_index() -> None:
    found = run(Stepper(bundle(None)), DriftWatch(), draw({1: 1, 9: 1}))
    assert (found.psi, found.expected_mean, found.upto) == (None, None, ())
    assert found.mean == pytest.approx((score(1) + score(9)) / 2, abs=0.1)


def test_few_looks_give_no_index() -> None:
    found = run(Stepper(BUILD), DriftWatch(), draw({1: 1, 9: 1}, count=500))
    assert 0 < found.looks < LEAST
    assert found.psi is None


def test_an_hour_is_remembered() -> None:
    watch, stepper = DriftWatch(), Stepper(BUILD)
    run(stepper, watch, draw({1: 1, 2: 1}, 4_000))
    for minute in range(2 * SLOTS):
        watch.tick(stepper, 100 + minute * SLOT)
        for _ in range(8):
            stepper.decide(event(minute, 9.0))
    (found,) = watch.figures()
    assert found.mean == pytest.approx(score(9))
    assert found.looks <= SLOTS * MOST_LOOKS


# ---------------------------------------------------------------------------------- the looking


@given(
    st.lists(
        st.tuples(st.none() | st.integers(0, 10), st.sampled_from(["post", "other", "none"])), max_size=60
    )
)
def test_looking_changes_no_answer(said: list[tuple[float | None, str]]) -> None:
    plain, watched, watch = Stepper(BUILD), Stepper(BUILD), DriftWatch()
    for n, (x, type_) in enumerate(said):
        watch.tick(watched, n / 10)
        one = event(n, x, type_)
        assert plain.decide(one) == watched.decide(one)
    assert plain.figures() == watched.figures()


def test_a_flood_is_looked_at_no_more_often() -> None:
    watch, stepper = DriftWatch(), Stepper(BUILD)
    looks = []
    for second in range(40):
        before = sum(d.looks for d in watch.figures())
        for quarter in range(4):
            watch.tick(stepper, second + quarter / 4)
            for n in range(500):
                stepper.decide(event(second, float(n % 10)))
        looks.append(sum(d.looks for d in watch.figures()) - before)
    assert max(looks) <= 4 * MOST_LOOKS
    assert sum(looks[-20:]) / 20 < 8
    assert watch.gap > 100
    for second in range(40, 60):
        watch.tick(stepper, second)
    assert watch.gap == NEAREST


def test_an_unlucky_look_costs_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*about: Any) -> Any:
        raise RuntimeError("no")

    monkeypatch.setattr("quell.engine.drift.Interpreter", broken)
    watch, stepper = DriftWatch(), Stepper(BUILD)
    found = run(stepper, watch, draw({1: 1}, 200))
    assert found.looks == 0
    assert stepper.seq == 200


def test_a_model_that_stays_keeps_its_figures_over_a_reload() -> None:
    watch = DriftWatch()
    first = Stepper(BUILD)
    looks = run(first, watch, draw({1: 1}, 400)).looks
    same = Stepper(bundle(policy=POLICY + "\nrule more on post\n  when x == 3 and spam > 1%\n  then flag\n"))
    watch.tick(same, 10)
    assert watch.figures()[0].looks == looks > 0
    assert (first.look, first.look_from) == (None, NEVER)
    watch.tick(Stepper(bundle(card({1: 5, 2: 5}))), 11)
    assert watch.figures()[0].looks == 0
    other = model_of(f"features: x, posts\nalways: -3\n{STEPS}posts > 1000: 1\n")
    run(same, watch, draw({1: 1}, 400), start=12)
    watch.tick(Stepper(bundle(model=other)), 30)
    assert watch.figures()[0].looks == 0


def test_a_bundle_without_models_is_not_looked_at() -> None:
    event_ = 'event post from "post"\n  at time = $.at\n'
    rule = "rule r on post\n  when count(post within 1h) > 9\n  then flag\n"
    stepper, watch = Stepper(build(sound(event_ + rule))), DriftWatch()
    watch.tick(stepper, 1.0)
    assert stepper.look_from == NEVER
    assert watch.figures() == []


def test_the_figures_are_metrics() -> None:
    stepper, now = Stepper(BUILD), [0.0]
    metrics = Metrics(Parts(stepper=lambda: stepper), fresh=0, clock=lambda: now[0])
    for n, x in enumerate(draw(dict.fromkeys(range(1, 10), 1), 20_000)):
        if n % 25 == 0:
            now[0] = n / 100
            metrics.watch([])
        stepper.decide(event(n, x))
    found = samples(metrics)
    for name in ROWS:
        if name.startswith("quell_model_"):
            assert of(found, name), name
    assert sum(of(found, "quell_model_score_expected_ratio", "upto").values()) == pytest.approx(1)
    assert of(found, "quell_model_score_psi", "model")["spam"] < 0.1


def test_a_version_of_a_bundle_keeps_its_cards(root: Any, tmp_path: Any) -> None:
    """What serves reads a frozen copy: the card has to be in it, and another card is another version."""
    policies = tmp_path / "policies"
    shutil.copytree(root / "policies", policies)
    first = Freezer(tmp_path / "a").freeze(policies, "ada", "start")
    assert (first.bundle / "models/spam.card.json").is_file()
    assert not (first.bundle / "models/spam.card.md").exists()
    (policies / "models/spam.card.json").write_text("{}", encoding="utf-8")
    second = Freezer(tmp_path / "b").freeze(policies, "ada", "files changed")
    assert second.content != first.content
    (policies / "models/spam.card.json").unlink()
    third = Freezer(tmp_path / "c").freeze(policies, "ada", "files changed")
    assert not third.problems
    assert not (third.bundle / "models/spam.card.json").exists()


def test_the_starter_models_card_is_read(root: Any) -> None:
    stepper = Stepper.load(root / "policies")
    watch = DriftWatch()
    watch.tick(stepper, 1.0)
    (found,) = watch.figures()
    assert found.model == "spam"
    assert len(found.upto) == 12
    assert sum(found.expected) == pytest.approx(1)
    assert found.expected_mean == pytest.approx(0.028, abs=0.01)
    assert len(found.inputs) == 19
