"""Replay and tuning against a hostile world: interrupts at every moment, full disks, names that are no text,
and errors that must not be taken for something else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quell.engine.cli_group import Unreadable
from quell.engine.decision import Refused
from quell.engine.interrupts import undisturbed
from quell.engine.source_base import SourceError
from quell.engine.stepper import Stepper
from quell.replay import backtest, cli_replay, tune_columns
from quell.replay.database import Database
from quell.replay.history_files import find
from quell.replay.interrupt import interruptible
from quell.replay.library import compiled
from tests.cli_support import EVENTS, make_bundle, run, started, write_events

# ------------------------------------------------------------------------- interrupts


def test_a_second_interrupt_does_not_cut_cleaning_up_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """As from somebody who presses Ctrl-C until it ends."""
    begun = shutil.rmtree

    def rmtree(path: str, ignore_errors: bool = False) -> None:
        signal.raise_signal(signal.SIGINT)
        begun(path, ignore_errors=ignore_errors)

    db = Database()
    db._remove.detach()
    monkeypatch.setattr(db, "_remove", lambda: rmtree(db.folder))
    with pytest.raises(KeyboardInterrupt):
        db.close()
    assert not Path(db.folder).exists()


def test_a_database_that_nobody_closes_is_gone_with_the_process(tmp_path: Path) -> None:
    program = "from quell.replay.database import Database\nx = Database()\nraise KeyboardInterrupt"
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=env, timeout=60)
    assert done.returncode != 0
    assert list(tmp_path.iterdir()) == []


class _Raises:
    """Interrupts when it is let go of: Python drops what is raised there."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_that_python_drops_is_raised_again() -> None:
    with Database() as db:

        @interruptible(db.con)
        def work() -> None:
            _Raises()
            for _ in range(1_000):
                db.rows("SELECT count(*) FROM range(1000000) t(i) WHERE i % 7 = 3")
            pytest.fail("nothing stopped it")

        with pytest.raises(KeyboardInterrupt):
            work()
        assert db.value("SELECT 1") == 1


def test_a_dropped_interrupt_at_the_very_end_is_raised_too() -> None:
    with Database() as db, pytest.raises(KeyboardInterrupt), interruptible(db.con):
        _Raises()


def test_what_an_interrupted_query_fails_with_is_the_interrupt() -> None:
    def work() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            raise duckdb.InvalidInputException("a function failed") from error

    with Database() as db, pytest.raises(KeyboardInterrupt), interruptible(db.con):
        work()


def test_other_signals_and_errors_pass_as_they_are() -> None:
    with Database() as db:
        with pytest.raises(ValueError, match="mine"), interruptible(db.con):
            raise ValueError("mine")
        heard: list[int] = []
        former = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
        try:
            with interruptible(db.con):
                signal.raise_signal(signal.SIGINT)
        finally:
            signal.signal(signal.SIGINT, former)
        assert heard == [signal.SIGINT]


def test_signals_wait_for_an_undisturbed_block() -> None:
    done = []

    @undisturbed()
    def work() -> None:
        signal.raise_signal(signal.SIGINT)
        done.append(True)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done


_WORKING = """
from quell.replay import cli_replay
from quell.replay.cli import main

@main.command("slow")
def slow():
    with cli_replay.opened(None, None) as db:
        print("working", flush=True)
        db.rows("SELECT count(*) FROM range(1000000) a, range(100000000) b WHERE (a.range * b.range) % 7 = 3")

import sys
sys.argv = ["quell", "slow"]
main()
"""


@pytest.mark.parametrize(
    ("signals", "status", "said"),
    [([signal.SIGTERM], 143, ""), ([signal.SIGINT] * 5, 130, "interrupted"), ([signal.SIGTERM] * 3, 143, "")],
)
def test_a_process_that_is_asked_to_end_leaves_nothing_behind(
    tmp_path: Path, signals: list[signal.Signals], status: int, said: str
) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with started(
        [sys.executable, "-c", _WORKING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"working\n"
        for number in signals:
            process.send_signal(number)
        _, told = process.communicate(timeout=60)
    assert process.returncode == status
    assert told.decode().strip() == said
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------ disks


def test_a_full_disk_is_told_and_is_no_defect() -> None:
    with pytest.raises(Unreadable, match="no space left on the disk") as told, cli_replay.opened(None, None):
        raise duckdb.IOException('IO Error: Could not write file "x": No space left on device')
    assert "TMPDIR" in str(told.value.hint)
    with pytest.raises(Unreadable, match="cannot be read or written"), cli_replay.opened(None, None):
        raise duckdb.IOException("IO Error: Could not read from file: Input/output error")


def test_a_sweep_that_cannot_keep_its_values_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It took the error for the engine's own, left events out, and tried again at each of the others."""
    bundle, events = make_bundle(tmp_path / "p"), write_events(tmp_path / "e.jsonl")
    asked = []

    def flush(table: object) -> None:
        asked.append(table)
        raise duckdb.IOException("IO Error: No space left on device")

    monkeypatch.setattr(tune_columns, "BATCH", 1)
    monkeypatch.setattr(tune_columns._Table, "_flush", flush)
    done = run("tune", bundle, "--events", events, "--rule", "flood")
    assert done.exit_code == 3
    assert "no space left on the disk" in done.stderr
    assert len(asked) == 1


def test_an_observer_s_error_is_its_own(tmp_path: Path) -> None:
    build = compiled(make_bundle(tmp_path / "p"))
    stepper = Stepper(build)
    decoded = build.decoder.decode(json.dumps(EVENTS[0]).encode())

    def observe(*seen: object) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        stepper.decide_decoded(decoded, observe)  # type: ignore[arg-type]  # it is no refusal


def test_an_event_that_cannot_be_decided_is_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, events = make_bundle(tmp_path / "p"), write_events(tmp_path / "e.jsonl")
    failed = Refused("internal", "deciding failed inside Quell", "allow", "", "message")
    monkeypatch.setattr(Stepper, "decide_decoded", lambda *args: failed)
    with pytest.raises(AssertionError, match="event 1 of the history: deciding failed"):
        backtest(bundle, events)


# ------------------------------------------------------------------------------ names


def odd(folder: Path, name: bytes) -> str:
    """A path whose last part is no text."""
    path = os.fsdecode(os.fsencode(folder) + b"/" + name)
    try:
        Path(path).touch()
    except OSError:
        pytest.skip("this file system takes no such names")
    return path


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_history_whose_name_is_no_text(tmp_path: Path, ending: str) -> None:
    bundle = make_bundle(tmp_path / "p")
    path = odd(tmp_path, b"ev\xff'1." + ending.encode())
    if ending == "jsonl":
        write_events(Path(path))
    else:
        texts = [{k: str(v) for k, v in e.items()} for e in EVENTS]
        columns = pa.schema([(c, pa.string()) for c in ("type", "id", "at", "author", "content", "score")])
        with Path(path).open("wb") as file:
            pq.write_table(pa.Table.from_pylist(texts, schema=columns), file)
    files: list[str | Path] = [
        "--out",
        tmp_path / "o.parquet",
        "--html",
        tmp_path / "o.html",
        "--markdown",
        tmp_path / "o.md",
    ]
    against: list[str | Path] = ["--against", bundle]
    for more in ([], against):
        done = run("replay", bundle, "--events", path, *files, *more)
        assert done.exit_code == 0, done.output
    kept = pq.read_table(tmp_path / "o.parquet")
    assert kept["place"][0].as_py().startswith("ev\\udcff'1." + ending)
    assert "ev\\udcff" in (tmp_path / "o.md").read_text()
    for wanted in ("m2", f"{path}:2", Path(path).name + ":2"):
        assert run("replay", bundle, "--events", path, "--event", wanted).exit_code == 0


def test_a_name_of_nothing_is_not_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_events(tmp_path / "e.jsonl")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="no history is named"):
        find([""])


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("name", ["my policy.quell", "sub dir/p.quell", 'q"u.quell', "t\tb.quell", "ü.quell"])
def test_a_proposed_diff_can_be_applied_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    bundle = make_bundle(tmp_path / "p")
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / "p.quell").rename(bundle / name)
    events = write_events(tmp_path / "e.jsonl")
    done = run("tune", bundle, "--events", events, "--rule", "flood", "--set", "1=7", "--json")
    assert done.exit_code == 0, done.output
    diff = json.loads(done.stdout)["proposal"]["diff"].encode()
    held = (bundle / name).read_bytes()
    tools = [["git", "apply", "-p1", "-"]]
    if shutil.which("patch"):
        tools.append(["patch", "-p1", "--binary"])
    for tool in tools:
        (bundle / name).write_bytes(held)
        applied = subprocess.run(
            tool, input=diff, cwd=bundle, capture_output=True, env={**os.environ, "GIT_DIR": "none"}
        )
        assert applied.returncode == 0, applied
        assert (bundle / name).read_bytes() == held.replace(b"burst >= 3", b"burst >= 7")
