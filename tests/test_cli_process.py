"""`quell` as a process: exit statuses, pipes, signals, encodings, what it loads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli_support import EVENTS, command, make_bundle, quell, started, write_events

HEAVY = ("lark", "pyarrow", "duckdb", "re2", "msgspec", "rich", "rapidfuzz", "quell.engine.compile")
"""What `quell --help` must not wait for."""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


@pytest.mark.slow
def test_exit_statuses(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "p.quell").write_text("rule x on y\n  when 1 +\n", encoding="utf-8")
    for args, status in (
        (("check", bundle), 0),
        (("check", tmp_path / "bad"), 1),
        (("check",), 2),
        (("check", tmp_path / "gone"), 3),
        (("test", bundle), 0),
        (("fmt", "--check", tmp_path / "bad"), 1),
    ):
        done = quell(*args)
        assert done.returncode == status, (args, done.stderr)
        assert b"Traceback" not in done.stderr


def test_the_installed_command_is_this_one() -> None:
    script = Path(sys.executable).with_name("quell")
    if not script.exists():
        pytest.skip("the project is not installed beside this Python")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("quell ")


def test_help_is_quick_because_it_loads_little() -> None:
    program = (
        "import sys\nfrom quell.replay.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print('LOADED', *sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stdout.split("LOADED ")[1].split()
    assert "click" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_a_reader_that_goes_away_ends_it_quietly(bundle: Path, tmp_path: Path) -> None:
    events = write_events(tmp_path / "e.jsonl", EVENTS[:1] * 30_000)
    args = command("decide", bundle, "--events", events, "--out", "-")
    with started(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["verdict"] == "allow"
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(60) == 141
    assert said == b""


def test_decisions_come_one_by_one_from_a_stream_and_interrupting_is_clean(bundle: Path) -> None:
    args = command("decide", bundle, "--events", "-", "--out", "-")
    pipe = subprocess.PIPE
    with started(args, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for event, verdict in ((EVENTS[0], "allow"), (EVENTS[1], "block")):
            process.stdin.write(json.dumps(event).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["verdict"] == verdict
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        said = process.stderr.read().decode()
    assert said.strip() == "interrupted"


def test_an_interrupted_run_leaves_no_half_written_file(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "d.jsonl"
    args = command("decide", bundle, "--events", "-", "--out", out)
    with started(args, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(EVENTS[0]).encode() + b"\n")
        process.stdin.flush()
        until = time.monotonic() + 60
        while not list(tmp_path.glob(".d.jsonl.*.part")):
            assert time.monotonic() < until, "it never began to write"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_devices_are_written_to_and_not_replaced(bundle: Path, tmp_path: Path) -> None:
    events = write_events(tmp_path / "e.jsonl")
    fifo = tmp_path / "pipe.jsonl"
    os.mkfifo(fifo)
    args = command("decide", bundle, "--events", events, "--out", fifo)
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE):
        lines = fifo.read_bytes().splitlines()
    assert len(lines) == len(EVENTS)
    assert fifo.is_fifo()


def test_json_is_json_where_the_terminal_knows_ascii_only(bundle: Path, tmp_path: Path) -> None:
    word = {**EVENTS[3], "at": "Ünïcode \U0001f600"}
    events = write_events(tmp_path / "e.jsonl", [word, EVENTS[0]])
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = quell("decide", bundle, "--events", events, "--json", env=ascii_only)
    assert done.stdout.isascii()
    samples = json.loads(done.stdout)["refusals"][0]["samples"]
    assert "Ünïcode \U0001f600" in samples[0]["message"]
    table = quell("decide", bundle, "--events", events, env=ascii_only)
    assert table.returncode == 0
    assert b"####" in table.stdout
    assert b"\\xdcn\\xefcode" in table.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_is_told_once(bundle: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command("check", bundle), stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 3
    assert done.stderr == b"error: no space left on device\n"


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_closed_streams_are_no_defect(bundle: Path, closed: int) -> None:
    program = f"import os, sys; os.close({closed}); os.execv(sys.executable, {command('check', bundle)!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr == b""


def test_a_file_name_that_is_no_text_is_told(bundle: Path) -> None:
    done = quell("decide", bundle, "--events", os.fsdecode(b"gone-\xff.jsonl"))
    assert done.returncode == 3
    assert done.stderr.startswith(b"error: there is no file `gone-")
    assert b"Traceback" not in done.stderr


def test_nothing_is_coloured_in_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "p.quell").write_text("rule x on y\n  when 1 +\n", encoding="utf-8")
    plain = {"FORCE_COLOR": "", "NO_COLOR": ""}
    done = quell("check", tmp_path, env=plain)
    assert b"error[" in done.stdout
    assert b"\x1b" not in done.stdout
    assert b"\x1b[" in quell("check", tmp_path, env={"FORCE_COLOR": "1", "NO_COLOR": ""}).stdout
