"""`quell train`: a LightGBM model from the history that the policies decide, and its card."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quell.engine.cli_bundle import read_sound
from quell.engine.cli_files import STDIO, missing_parent, same_file, unusable, whole, write_text
from quell.engine.cli_group import Unreadable
from quell.engine.cli_output import Busy, Watch, console, count, print_json, say
from quell.replay.cli_features import (
    FORMATS,
    STEP,
    check_chosen,
    check_out,
    check_rows,
    chosen,
    not_a_value,
    status,
)

if TYPE_CHECKING:
    from quell.engine.compile import Analysis
    from quell.engine.decision_summary import Summary
    from quell.engine.sources import Source
    from quell.replay.model_card import Origin
    from quell.replay.train import Settings
    from quell.replay.train_data import Collector
    from quell.replay.train_labels import LabelFile
    from quell.replay.train_run import Label, Prepared, Task, Trained

SPLIT = "70%"
_SHARE = re.compile(r"([0-9]{1,2}(?:\.[0-9]+)?) ?%", re.ASCII)


@click.command("train", short_help="Fit a model on what the policies saw, and judge it.")
@click.argument("policies", metavar="POLICIES")
@click.option("--events", required=True, metavar="FILE", help="The history, in order.")
@click.option("--label", required=True, metavar="LABEL", help='What is positive: `$.label == "spam"`.')
@click.option("--negative", metavar="LABEL", help="What is negative; whatever is neither is left out.")
@click.option(
    "--labels",
    metavar="FILE",
    help="Read $ paths of labels here: record n belongs to record n of the events.",
)
@click.option("--model", metavar="M", help="Take the inputs that the declaration of this model names.")
@click.option("--values", metavar="NAME,…", help="Take these named values as inputs.")
@click.option("--event", metavar="E", help="Learn from this event type only.")
@click.option(
    "--out", metavar="FILE", help="The model to write; with --model the declared file, unless said."
)
@click.option(
    "--split", default=SPLIT, show_default=True, metavar="N%|TIME", help="Where the test period begins."
)
@click.option("--from", "start", metavar="TIME", help="Leave out what came before.")
@click.option("--until", metavar="TIME", help="Leave out what came then or later.")
@click.option(
    "--rounds", type=click.IntRange(1, 10_000), default=1_000, show_default=True, help="Trees at most."
)
@click.option(
    "--leaves", type=click.IntRange(2, 1_000), default=31, show_default=True, help="Leaves of a tree at most."
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="For sampling.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="What the events are, where the file's ending does not say.",
)
@click.option("--json", "as_json", is_flag=True, help="The card as JSON.")
def train(
    policies: str, events: str, out: str | None, format_: str | None, as_json: bool, **asked: Any
) -> int:
    """Fit a LightGBM model on the values that the engine saw, and judge it on what came later.

    The history is decided in order, as by `quell features`. The model learns from the earlier part of the
    period and is judged on the later one; how many trees it has is decided within the earlier part. The same
    history and policies give the same model to the byte. Beside it come its card, as JSON and as Markdown.

    A label is an expression of the policies, or a path into the records of the history: `$.label == "spam"`,
    `$.kind in ["raid", "flood"]`, `$.reported`. An event without one is left out.

    \b
    Example:
      quell train policies --events mail.parquet --label '$.label == "spam"' --model spam
      quell train policies --events day.jsonl --labels truth.jsonl --label '$.label == "abuse"' \\
        --values burst,links,account_days --out policies/models/spam.lgb
    """
    from quell.replay.named_values import NotAValue
    from quell.replay.train import Settings, Untrainable

    check_chosen(asked["values"], asked["model"])
    settings = Settings(rounds=asked["rounds"], leaves=asked["leaves"], seed=asked["seed"])
    try:
        analysis = _read(policies, asked["model"])
        out = _out(policies, analysis, out, asked["model"])
        _check(events, out, asked["labels"])
        prepared = _prepared(analysis, asked)
        with whole(Path(out)) as stream:  # opened first: a place that cannot be written is told at once
            summary, gathered = _gathered(prepared, events, asked["labels"], format_)
            made = _trained(prepared, gathered, _origin(prepared, events, out, asked), settings)
            stream.write(made.fitted.text.encode())
    except NotAValue as error:
        raise not_a_value(error) from error
    except Untrainable as error:
        raise Unreadable(error.message, error.hint) from error
    _write_cards(made, out)
    _tell(made, summary, out, asked["model"], as_json)
    return status(summary)


# ------------------------------------------------------------------------------------- what is asked


def _read(policies: str, model: str | None) -> Analysis:
    """The bundle; the model that is to be trained stands for missing, whether it is there or not."""
    from quell.replay.untrained import untrained

    return read_sound(policies, untrained(model) if model is not None else None)


def _out(policies: str, analysis: Analysis, out: str | None, model: str | None) -> str:
    """The file to write: what the command says, or else where the declaration looks for it."""
    if out is not None:
        return out
    if model is None:
        raise click.UsageError("`--out` says which file to write, such as policies/models/spam.lgb")
    return str(Path(policies) / (analysis.symbols.models[model].source.plain or ""))


def _check(events: str, out: str, labels: str | None) -> None:
    if events == STDIO:
        raise click.UsageError("a model is made of a file, whose digest its card tells: name one")
    check_out(events, out, (".lgb", ".txt"))
    for path in _cards(out):
        missing_parent(path)
        if same_file(events, path) or (labels is not None and same_file(labels, path)):
            raise click.UsageError(f"`{path}` would overwrite what it is made of")


def _cards(out: str) -> tuple[Path, Path]:
    """The card's files."""
    path = Path(out)
    return path.with_suffix(".card.json"), path.with_suffix(".card.md")


def _prepared(analysis: Analysis, asked: dict[str, Any]) -> Prepared:
    from quell.replay.train_run import prepare

    with Busy("compiling the policies"):
        return prepare(analysis, _task(analysis, asked))


def _task(analysis: Analysis, asked: dict[str, Any]) -> Task:
    from quell.replay.train_labels import read_label
    from quell.replay.train_run import Task

    share, split_at = _split(asked["split"])
    negative = read_label(asked["negative"], analysis) if asked["negative"] is not None else None
    task = Task(
        chosen(analysis, asked["values"], asked["model"]),
        read_label(asked["label"], analysis),
        negative,
        asked["event"],
        _time("--from", asked["start"]),
        _time("--until", asked["until"]),
        share,
        split_at,
    )
    if task.start is not None and task.until is not None and task.start >= task.until:
        raise click.UsageError("`--from` is not before `--until`")
    if asked["labels"] is not None and not any(_in_record(label) for label in (task.label, negative)):
        raise click.UsageError("`--labels` is read by paths: write --label '$.label == \"spam\"'")
    return task


def _in_record(label: Label | None) -> bool:
    from quell.replay.train_labels import RecordLabel

    return isinstance(label, RecordLabel)


def _split(said: str) -> tuple[float | None, int | None]:
    found = _SHARE.fullmatch(said.strip())
    if found is None:
        return None, _time("--split", said)
    share = float(found[1]) / 100
    if not 0 < share < 1:
        raise click.UsageError("`--split` parts the events, so it lies between 0% and 100%")
    return share, None


def _time(option: str, said: str | None) -> int | None:
    from quell.signals.times import time

    if said is None:
        return None
    found = time(said.strip())
    if found is None:
        either = "a share such as 70% or " if option == "--split" else ""
        raise click.UsageError(f"`{option}` takes {either}a time such as 2026-03-01, and this is `{said}`")
    return found


# --------------------------------------------------------------------------------------- what is done


def _gathered(prepared: Prepared, events: str, labels: str | None, format_: Any) -> tuple[Summary, Collector]:
    from quell.engine.decision_summary import Summary
    from quell.engine.sources import SourceError, open_source
    from quell.replay.train_run import gather

    build = prepared.tapped.build
    summary = Summary(build.analysis.symbols)
    try:
        with ExitStack() as stack:
            source: Source = stack.enter_context(
                open_source(
                    events, format=format_, columns=prepared.columns(), max_bytes=build.decoder.max_bytes
                )
            )
            file = stack.enter_context(_labels(labels)) if labels is not None else None
            watch = stack.enter_context(Watch("deciding", source.total))

            def tell(done: int) -> None:
                if done % STEP == 0:
                    watch.tell(source.position, count(done, "event"))

            gathered = gather(prepared, source, file, summary, tell)
    except SourceError as error:
        raise Unreadable(error.message, error.hint or None) from error
    check_rows(prepared.tapped, summary, gathered.counts.rows)
    return summary, gathered


@contextmanager
def _labels(path: str) -> Iterator[LabelFile]:
    from quell.engine.sources import open_source
    from quell.replay.train_labels import LabelFile

    with open_source(path) as source:
        yield LabelFile(source)


def _origin(prepared: Prepared, events: str, out: str, asked: dict[str, Any]) -> Origin:
    from importlib.metadata import version

    from quell.replay.model_card import Origin

    analysis = prepared.tapped.build.analysis
    files = [{"what": "events", **_digest(events)}]
    if asked["labels"] is not None:
        files.append({"what": "labels", **_digest(asked["labels"])})
    negative = prepared.task.negative
    return Origin(
        asked["model"],
        Path(out).name,
        analysis.files.settings.name or analysis.files.name,
        analysis.version(),
        files,
        prepared.task.label.text,
        negative.text if negative is not None else None,
        asked["split"],
        version("lightgbm"),
    )


def _digest(path: str) -> dict[str, Any]:
    """A file's name, length and SHA-256."""
    digest, length = hashlib.sha256(), 0
    try:
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
                length += len(block)
    except OSError as error:
        raise Unreadable(unusable(path, error)) from error
    return {"name": Path(path).name, "bytes": length, "sha256": digest.hexdigest()}


def _trained(prepared: Prepared, gathered: Collector, origin: Origin, settings: Settings) -> Trained:
    from quell.replay.train_run import train as fit

    with Busy("fitting the model"):
        return fit(prepared, gathered, origin, settings)


def _write_cards(made: Trained, out: str) -> None:
    from quell.replay.model_card import as_json, as_markdown

    json_file, page = _cards(out)
    write_text(json_file, as_json(made.card))
    write_text(page, as_markdown(made.card))


def _tell(made: Trained, summary: Summary, out: str, model: str | None, as_json: bool) -> None:
    from quell.engine.cli_summary import print_trouble
    from quell.replay.train_report import print_card

    if as_json:
        print_json(made.card)
        return
    print_card(made.card)
    print_trouble(console(), summary)
    cards = " and ".join(str(p) for p in _cards(out))
    say(f"wrote {out} ({len(made.fitted.text.encode()) / 1000:,.0f} kB), {cards}")
    if model is None:
        console().print("\nTo use it, have it in the policies' folder and declare it:\n", style="dim")
        console().print(_declaration(made, out), soft_wrap=True)


def _declaration(made: Trained, out: str) -> str:
    """How the policies declare the model."""
    name = re.sub(r"\W", "_", Path(out).stem) or "model"
    wide = max(len(n) for n in made.data.names)
    folder = Path(out).parent.name or "models"
    lines = [f'model {name} from "{folder}/{Path(out).name}"']
    return "\n".join([*lines, *(f"  {n:<{wide}} = {n}" for n in made.data.names)])
