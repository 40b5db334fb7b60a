"""Labels of every form judge what was decided as a count by hand does, and bad ones are told in a
sentence."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quell.replay import backtest, choosing, compare
from quell.replay.headline import headline
from quell.replay.labels import LabelsError
from quell.replay.named_values import NotAValue
from quell.replay.quality import wilson
from quell.replay.report_data import Backtest
from tests.backtest_support import Say, Seen, decided, figures, judged, make_events, make_history

EVENTS = make_events()
LADDER = ("allow", "flag", "review", "block")


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_history(tmp_path_factory.mktemp("labels"), EVENTS)


@pytest.fixture(scope="module")
def seen(history: tuple[Path, Path]) -> list[Seen]:
    return decided(history[0], EVENTS)


def run(history: tuple[Path, Path], labels: str | Path, **how: Any) -> Backtest:
    with backtest(*history, labels=labels, explained=False, **how) as made:
        return made.report


def firing(rule: str) -> Callable[[Seen], bool]:
    return lambda s: rule in s.hit


def verdict_in(verdicts: Sequence[str]) -> Callable[[Seen], bool]:
    return lambda s: s.decision.verdict in verdicts


def check(report: Backtest, seen: Sequence[Seen], truth: Say) -> None:
    """Every rule's and verdict's figures are those counted by hand."""
    for rule in report.rules:
        kind = "join" if rule.rule in ("joins", "never") else "message"
        asked = [s for s in seen if s.decision.event == kind]
        assert figures(rule.quality) == judged(asked, firing(rule.rule), truth)
        for sample in rule.samples:
            assert sample.label == truth(seen[sample.n - 1])
    for verdict in report.verdicts[1:]:
        higher = LADDER[LADDER.index(verdict.verdict) :]
        assert figures(verdict.quality) == judged(seen, verdict_in(higher), truth)
    assert report.verdicts[0].quality is None
    said = [truth(s) for s in seen]
    labelled = report.labelled
    assert labelled is not None
    assert (labelled.positive, labelled.negative, labelled.unlabelled) == (
        said.count(True),
        said.count(False),
        said.count(None),
    )
    assert labelled.positive


def spam(s: Seen) -> bool | None:
    label = s.event.get("label")
    return None if label is None else bool(label == "spam")


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Rows in a file of the format that its ending says."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(k for r in rows for k in r)))
            writer.writeheader()
            writer.writerows(rows)
    return path


# --------------------------------------------------------------------------- paths and expressions


def test_a_path_into_the_record(history: tuple[Path, Path], seen: list[Seen]) -> None:
    check(run(history, '$.label == "spam"'), seen, spam)
    check(run(history, '$.label in ["ham"]'), seen, lambda s: None if spam(s) is None else not spam(s))


@pytest.mark.parametrize(("said", "label"), [("yes", True), ("No", False), ("1.0", True), ("0", False)])
def test_a_path_and_a_file_take_the_same_words(tmp_path: Path, said: str, label: bool) -> None:
    paths = make_history(tmp_path, [{**event, "reported": said} for event in EVENTS[:20]])
    rows = write(tmp_path / "truth.csv", [{"id": event["id"], "label": said} for event in EVENTS[:20]])
    for labels in ("$.reported", rows):
        told = run(paths, labels).labelled
        assert told is not None
        assert (told.positive > 0, told.negative > 0) == (label, not label)


def test_rates_have_wilson_intervals(history: tuple[Path, Path], seen: list[Seen]) -> None:
    report = run(history, '$.label == "spam"')
    high = next(r for r in report.rules if r.rule == "high").quality
    assert high is not None
    assert (high.precision.hits, high.precision.of) == (high.right, high.right + high.wrong)
    assert high.precision.value == high.right / (high.right + high.wrong)
    assert (high.precision.low, high.precision.high) == wilson(high.right, high.right + high.wrong)
    assert high.recall.of == high.right + high.missed
    assert (high.false_positives.hits, high.false_positives.of) == (high.wrong, high.wrong + high.spared)


def test_volume_weighs_the_rates(history: tuple[Path, Path], seen: list[Seen]) -> None:
    report = run(history, '$.label == "spam"', weigh="reach")
    high = next(r for r in report.rules if r.rule == "high").quality
    assert high is not None

    def volume(caught: bool, label: bool) -> float:
        chosen = [s for s in seen if s.decision.event == "message" and spam(s) is label]
        return float(sum(s.event["reach"] for s in chosen if ("high" in s.hit) is caught))

    right, wrong = volume(True, True), volume(True, False)
    missed, spared = volume(False, True), volume(False, False)
    assert high.volume_precision == pytest.approx(right / (right + wrong))
    assert high.volume_recall == pytest.approx(right / (right + missed))
    assert high.volume_false_positives == pytest.approx(wrong / (wrong + spared))
    assert report.labelled is not None
    assert report.labelled.volume == "reach"


def test_an_expression_over_what_rules_read(history: tuple[Path, Path], seen: list[Seen]) -> None:
    def truth(s: Seen) -> bool | None:
        score = s.event.get("score") if s.decision.event == "message" else None
        return None if score is None else score > 60

    check(run(history, "score > 60"), seen, truth)


def test_an_expression_over_a_field_that_no_rule_reads(history: tuple[Path, Path], seen: list[Seen]) -> None:
    check(
        run(history, "reach > 40"),
        seen,
        lambda s: s.event["reach"] > 40 if s.decision.event == "message" else None,
    )


def test_an_expression_that_counts(history: tuple[Path, Path], seen: list[Seen]) -> None:
    messages = [s for s in seen if s.decision.event == "message"]

    def truth(s: Seen) -> bool | None:
        if s.decision.event != "message":
            return None
        low = s.decision.at - 1_800_000_000
        counted = [m for m in messages if m.event["author"] == s.event["author"]]
        return sum(low < m.decision.at and m.decision.seq <= s.decision.seq for m in counted) > 2

    check(run(history, "count(message by author within 30m) > 2"), seen, truth)


def test_an_expression_that_counts_with_a_condition_where_both_replays_go_by_columns(
    history: tuple[Path, Path], seen: list[Seen], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "SHORT", 0)
    policies = tmp_path / "policies"
    policies.mkdir()
    text = (history[0] / "p.quell").read_text(encoding="utf-8")
    text = text.replace(
        "count(message by author within 10m)", "count(message by author within 10m where score > 1)"
    )
    (policies / "p.quell").write_text(text, encoding="utf-8")
    reversed_ = tmp_path / "events.jsonl"
    lines = history[1].read_text(encoding="utf-8").splitlines()
    reversed_.write_text("\n".join(reversed(lines)) + "\n", encoding="utf-8")
    messages = [s for s in seen if s.decision.event == "message" and s.event.get("score", 0) > 50]
    for order in ("time", "given"):
        label = "count(message by author within 30m where score > 50) > 1"
        with backtest(policies, reversed_, labels=label, order=order) as result:
            labelled = result.report.labelled
            assert labelled is not None
            assert result.report.ways[0].way != "stepped"
        if order == "time":
            assert labelled.positive == sum(
                sum(
                    low < m.decision.at
                    and m.decision.seq <= s.decision.seq
                    and m.event["author"] == s.event["author"]
                    for m in messages
                )
                > 1
                for s in seen
                if s.decision.event == "message"
                for low in [s.decision.at - 1_800_000_000]
            )


@pytest.mark.parametrize(
    "label", ["fired high", 'author labelled "noisy"', "count(fired high by author ever) > 1"]
)
def test_a_label_that_looks_at_the_policies_own_work_is_refused(
    history: tuple[Path, Path], label: str
) -> None:
    with pytest.raises(NotAValue, match="would judge the policies by themselves"):
        run(history, label)


# ---------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_file_keyed_by_the_events_id(
    history: tuple[Path, Path], seen: list[Seen], tmp_path: Path, ending: str
) -> None:
    rows = [{"id": e["id"], "label": e["label"]} for e in EVENTS if "label" in e]
    file = write(tmp_path / f"l.{ending}", rows)
    check(run(history, file, positive="spam"), seen, spam)
    check(run(history, file, positive="label=spam"), seen, spam)


def test_a_file_keyed_by_place(history: tuple[Path, Path], seen: list[Seen], tmp_path: Path) -> None:
    numbered = enumerate(EVENTS, 1)
    rows = [{"place": f"events.jsonl:{n}", "bad": e["label"] == "spam"} for n, e in numbered if "label" in e]
    check(run(history, write(tmp_path / "l.csv", rows)), seen, spam)


def test_a_file_line_by_line(history: tuple[Path, Path], seen: list[Seen], tmp_path: Path) -> None:
    rows = [{"label": e.get("label"), "kind": "", "campaign": ""} for e in EVENTS]
    file = write(tmp_path / "truth.jsonl", rows)
    report = run(history, file, positive="spam")
    check(report, seen, spam)
    taken, total = {s.row for s in seen}, sum("label" in e for e in EVENTS)
    refused = sum("label" in e for n, e in enumerate(EVENTS, 1) if n not in taken)
    assert f"{refused} of {total} labels belong to records that were refused" in report.notes
    assert not any("the labels end" in note for note in report.notes)
    short = run(history, write(tmp_path / "short.jsonl", rows[:300]), positive="spam")
    assert any(
        note.startswith("the labels end at row 300 and the history at row 400") for note in short.notes
    )
    file = write(tmp_path / "long.jsonl", [*rows, {"label": "spam"}])
    with pytest.raises(LabelsError, match="has a label for row 401, and the history ends at row 400"):
        run(history, file, positive="spam")


def test_a_file_keyed_by_entity(history: tuple[Path, Path], seen: list[Seen], tmp_path: Path) -> None:
    truth: Say = lambda s: {"ann": True, "bob": False}.get(s.who)  # noqa: E731
    rows = [{"entity": "User", "id": "ann", "label": True}, {"entity": "User", "id": "bob", "label": False}]
    check(run(history, write(tmp_path / "a.jsonl", rows)), seen, truth)
    rows = [{"user": "ann", "verdict": "bad"}, {"user": "bob", "verdict": "fine"}]
    check(run(history, write(tmp_path / "b.csv", rows), positive="bad"), seen, truth)


def test_several_kinds_of_entity(history: tuple[Path, Path], seen: list[Seen], tmp_path: Path) -> None:
    rows = [{"entity": "User", "id": "ann", "label": True}, {"entity": "Room", "id": "r1", "label": False}]

    def truth(s: Seen) -> bool | None:
        return True if s.who == "ann" else False if s.event["room"] == "r1" else None

    check(run(history, write(tmp_path / "l.jsonl", rows)), seen, truth)


def test_from_says_since_when_an_entity_is_what_it_is(
    history: tuple[Path, Path], seen: list[Seen], tmp_path: Path
) -> None:
    times = [s.decision.at for s in seen]
    first, second = times[100], times[250]

    def iso(at: int) -> str:
        return datetime.fromtimestamp(at / 1_000_000, UTC).isoformat()

    rows = [
        {"user": "ann", "label": True, "from": iso(first)},
        {"user": "ann", "label": False, "from": iso(second)},
        {"user": "bob", "label": False},
    ]

    def truth(s: Seen) -> bool | None:
        if s.who == "ann":
            return None if s.decision.at < first else s.decision.at < second
        return False if s.who == "bob" else None

    check(run(history, write(tmp_path / "l.csv", rows)), seen, truth)


def test_known_at_tells_what_was_caught_before(
    history: tuple[Path, Path], seen: list[Seen], tmp_path: Path
) -> None:
    middle = seen[200].decision.at
    rows = [
        {"user": "ann", "label": True, "known_at": middle},
        {"user": "bob", "label": False, "known_at": seen[-1].decision.at},
    ]
    file = write(tmp_path / "l.jsonl", rows)
    truth: Say = lambda s: {"ann": True, "bob": False}.get(s.who)  # noqa: E731
    report = run(history, file)
    check(report, seen, truth)
    high = next(r for r in report.rules if r.rule == "high").quality
    assert high is not None
    caught = [s for s in seen if s.who == "ann" and "high" in s.hit]
    assert high.early == sum(s.decision.at < middle for s in caught)
    assert high.early is not None
    assert 0 < high.early < high.right
    report = run(history, file, known_by=middle)
    check(report, seen, lambda s: True if s.who == "ann" else None)
    assert any("became known later" in note for note in report.notes)
    assert any("name no negative" in note for note in report.notes)


def test_rows_without_a_label_column_are_positive(
    history: tuple[Path, Path], seen: list[Seen], tmp_path: Path
) -> None:
    file = write(tmp_path / "bad.csv", [{"user": "ann"}, {"user": "dora"}])
    check(run(history, file), seen, lambda s: True if s.who in ("ann", "dora") else None)


def test_contrary_rows_are_left_out_and_told(
    history: tuple[Path, Path], seen: list[Seen], tmp_path: Path
) -> None:
    rows = [
        {"user": "ann", "label": True},
        {"user": "ann", "label": False},
        {"user": "bob", "label": True},
        {"user": "bob", "label": True},
        {"user": "cem", "label": False},
    ]
    report = run(history, write(tmp_path / "l.jsonl", rows))
    check(report, seen, lambda s: {"bob": True, "cem": False}.get(s.who))
    assert "1 key of the labels, such as `ann`, is both positive and negative, and left out" in report.notes


# -------------------------------------------------------------------------------------- bad labels


BAD: list[tuple[list[dict[str, Any]], dict[str, Any], str, str]] = [
    (
        [{"id": "zz", "label": True}],
        {},
        "the only label",
        "for the id `zz`, and an event's id is such as `e1`",
    ),
    ([{"user": "zed", "label": True}], {}, "the only label", "for the entity `zed`, which no event names"),
    ([{"place": "other.jsonl:3", "label": True}], {}, "the only label", "such as `events.jsonl:2`"),
    ([{"id": "e1", "label": "spam"}], {}, "neither true nor false: it holds `spam`", "--positive VALUE"),
    ([{"id": "e1", "label": "ham"}], {"positive": "spam"}, "no label of .* is `spam`", "`label` holds `ham`"),
    (
        [{"id": "e1", "a": 1, "b": 2}],
        {},
        "no column `label`, and `a`, `b` could be meant",
        "--positive a=VALUE",
    ),
    ([{"entity": "Usr", "id": "ann", "label": True}], {}, "no entity `Usr`", "did you mean `User`"),
    ([{"entity": "User", "label": True}], {}, "a column `entity` and none called `id`", "name both"),
    (
        [{"user": "ann", "room": "r1", "label": True}],
        {},
        "a column for each of `user` and `room`",
        "one kind",
    ),
    ([{"place": "nowhere", "label": True}], {}, "`nowhere` is no place of an event", "day.jsonl:12"),
    ([{"id": "e1", "label": True, "known_at": "soon"}], {}, '`known_at` at l.jsonl:1 is "soon"', ""),
    ([{"id": "e1", "label": True}], {"known_by": 5}, "no column `known_at`", ""),
    (
        [{"id": "e1", "label": True, "known_at": 9}],
        {"known_by": 5},
        "was known by then",
        "a later --known-by",
    ),
    ([{"id": "e1", "label": [1]}], {}, "is a list, not true, false or a text", ""),
    ([{"id": "e1", "label": None}], {}, "labels nothing", ""),
    ([{"id": "e1", "label": True}, {"id": "e1", "label": False}], {}, "is contradicted by another", ""),
    ([], {}, "holds no label", ""),
]


@pytest.mark.parametrize(("rows", "how", "message", "hint"), BAD)
def test_labels_that_cannot_be_are_told(
    history: tuple[Path, Path],
    tmp_path: Path,
    rows: list[dict[str, Any]],
    how: dict[str, Any],
    message: str,
    hint: str,
) -> None:
    file = write(tmp_path / "l.jsonl", rows)
    with pytest.raises(LabelsError, match=message) as caught:
        run(history, file, **how)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("$.nothing", "no event of the history has the label"),
        ("$.label", "neither true nor false"),
        ('$.label == "eggs"', "is true of no event"),
    ],
)
def test_paths_that_label_nothing_are_told(history: tuple[Path, Path], label: str, message: str) -> None:
    with pytest.raises(LabelsError, match=message):
        run(history, label)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"labels": "spammy > 3"}, "`spammy`"),
        ({"labels": "score"}, "is a number"),
        ({"weigh": "score2"}, "no event has a field `score2`"),
        ({"weigh": "author"}, "`author` is a User"),
        ({"weigh": "$.nothing"}, "no event of the history has a number at"),
        ({"positive": "spam"}, "belong to `--labels`"),
    ],
)
def test_what_is_no_value_is_told(history: tuple[Path, Path], how: dict[str, Any], message: str) -> None:
    with pytest.raises(NotAValue, match=message), backtest(*history, **how):
        pass


def test_a_change_says_which_labels_the_newly_caught_have(
    history: tuple[Path, Path], seen: list[Seen], tmp_path: Path
) -> None:
    text = (history[0] / "p.quell").read_text(encoding="utf-8").replace("score > 70", "score > 10")
    changed, events = make_history(tmp_path, EVENTS)
    (changed / "p.quell").write_text(text, encoding="utf-8")
    pairs = list(zip(seen, decided(changed, EVENTS), strict=True))
    turned = [b.event.get("label") for b, a in pairs if b.decision.verdict == "allow" != a.decision.verdict]
    counts = turned.count("spam"), turned.count("ham")
    assert min(counts) > 0
    with compare(history[0], changed, events, labels='$.label == "spam"', explained=False) as made:
        report = made.report
        assert (report.caught, report.caught_labels, report.let_go_labels) == (len(turned), counts, (0, 0))
        assert f"({counts[0]} labelled positive, {counts[1]} negative)" in headline(report)
    with compare(changed, history[0], events, labels='$.label == "spam"', explained=False) as back:
        assert (back.report.caught_labels, back.report.let_go_labels) == ((0, 0), counts)
    with compare(history[0], changed, events, explained=False) as bare:
        assert bare.report.caught_labels is None
        assert "labelled" not in headline(bare.report)
