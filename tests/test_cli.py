"""The command line as a user meets it: what each command prints, writes and ends with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest

from quell.engine.cli_group import EXIT_CODES
from quell.grammar.codes import CODES
from quell.replay.cli import main
from quell.signals.functions import REGISTRY
from tests.cli_support import POLICIES, colourless, make_bundle, run

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


def broken(tmp_path: Path) -> Path:
    """A bundle with one error and what follows from it."""
    return make_bundle(tmp_path / "broken", POLICIES.replace("then block", "then blok"))


# ------------------------------------------------------------------------------------------ help


def test_help_names_every_command_and_exit_status() -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    for name in main.commands:
        assert re.search(rf"^  {name} ", shown.output, re.MULTILINE)
    for code, meaning in EXIT_CODES.items():
        assert re.search(rf"^\s+{code}\s+{re.escape(meaning)}$", shown.output, re.MULTILINE)
    assert run("-h").output == shown.output


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_has_help_with_an_example(name: str) -> None:
    shown = run(name, "--help")
    assert shown.exit_code == 0
    assert "Example:" in shown.output
    assert f"  quell {name}" in shown.output
    assert main.commands[name].short_help
    for option in main.commands[name].params:
        if isinstance(option, click.Option):
            assert option.help or option.opts == ["--format"], f"{option.opts} of {name} has no help"


def test_version() -> None:
    shown = run("--version")
    assert shown.exit_code == 0
    assert re.fullmatch(r"quell \S+ on Python 3\.\d+\.\d+\n", shown.output)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("chekc",), "did you mean `check`?"),
        (("check",), "missing argument"),
        (("check", "x", "--colour"), "no such option"),
        (("decide", "x"), "--events"),
        (("functions", "lenght"), "did you mean `length`?"),
        (("functions", "--group", "tex"), "there is no group `tex`"),
        (("functions", "--json", "--markdown"), "either"),
        (("codes", "cycel"), "did you mean `cycle`?"),
        (("demo", "--events", "10"), "at least 8,000"),
        (("explain", "x"), "--event"),
        (("fmt", "-", "x"), "stands alone"),
        (("decide", "x", "--events", "e", "--out", "o.txt"), "does not say what to write"),
        (("decide", "x", "--events", "e", "--limit", "0"), "limit"),
    ],
)
def test_a_wrong_command_ends_in_2_and_says_what_is_meant(args: tuple[str, ...], said: str) -> None:
    wrong = run(*args)
    assert wrong.exit_code == 2
    assert said in wrong.stderr
    assert "--help` says more" in wrong.stderr
    assert wrong.stdout == ""


# ------------------------------------------------------------------------------------------ init


def test_init_copies_the_starter_bundle(tmp_path: Path) -> None:
    made = run("init", tmp_path / "new")
    assert made.exit_code == 0
    shipped = {
        p.relative_to(ROOT / "policies").as_posix()
        for p in (ROOT / "policies").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts and p.suffix != ".py" and p.name != "py.typed"
    }
    copied = {
        p.relative_to(tmp_path / "new").as_posix() for p in (tmp_path / "new").rglob("*") if p.is_file()
    }
    assert copied == shipped
    assert {"quell.toml", "README.md", "schema.quell"} < copied
    for name in copied:
        assert (tmp_path / "new" / name).read_bytes() == (ROOT / "policies" / name).read_bytes()
    assert f"quell check {tmp_path / 'new'}" in made.stdout
    assert run("check", tmp_path / "new").exit_code == 0


def test_init_refuses_what_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine.txt").write_text("mine", encoding="utf-8")
    refused = run("init", tmp_path / "x")
    assert refused.exit_code == 3
    assert "is not empty: it holds mine.txt" in refused.stderr
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["mine.txt"]
    on_file = run("init", tmp_path / "x" / "mine.txt")
    assert on_file.exit_code == 3
    assert "is a file" in on_file.stderr


def test_init_takes_an_empty_folder_and_a_fresh_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert run("init", tmp_path).exit_code == 0
    assert (tmp_path / "schema.quell").is_file()


# ----------------------------------------------------------------------------------------- check


def test_check_of_a_sound_bundle(bundle: Path) -> None:
    checked = run("check", bundle)
    assert checked.exit_code == 0
    assert "1 event, 3 rules, 1 list, 3 tests" in checked.stdout
    assert checked.stderr == ""


def test_check_shows_every_error_with_its_line(tmp_path: Path) -> None:
    policies = POLICIES.replace("then block", "then blok").replace("burst >= 3", "brust >= 3")
    checked = run("check", make_bundle(tmp_path / "b", policies))
    assert checked.exit_code == 1
    for part in ("error[unknown-verdict]", "then blok", "error[unknown-name]", "when brust >= 3", "^^^^^"):
        assert part in checked.stdout
    assert "did you mean `burst`?" in checked.stdout
    assert re.search(r"^\d+ errors, \d+ warnings? in ", checked.stdout, re.MULTILINE)


def test_check_as_json(tmp_path: Path, bundle: Path) -> None:
    sound = json.loads(run("check", bundle, "--json").stdout)
    assert (sound["errors"], sound["rules"], sound["tests"], sound["events"]) == (0, 3, 3, ["message"])
    checked = run("check", broken(tmp_path), "--json")
    assert checked.exit_code == 1
    data = json.loads(checked.stdout)
    assert data["errors"] == sum(d["severity"] == "error" for d in data["diagnostics"]) > 0
    first = next(d for d in data["diagnostics"] if d["code"] == "unknown-verdict")
    line = POLICIES.splitlines().index("  then block") + 1
    assert (first["file"], first["line"], first["column"]) == ("p.quell", line, 8)
    assert first["hint"] == "did you mean `block`?"


def test_warnings_as_errors(tmp_path: Path) -> None:
    warned = make_bundle(tmp_path / "w", POLICIES + '\nlist spare from "lists/bad_words.txt" as words\n')
    checked = run("check", warned)
    assert checked.exit_code == 0
    assert "warning[unused-name]" in checked.stdout
    assert run("check", warned, "--warnings-as-errors").exit_code == 1
    assert run("check", warned, "--warnings-as-errors", "--json").exit_code == 1


def test_costs_are_printed_and_the_dearest_stands_first(bundle: Path) -> None:
    costs = json.loads(run("check", bundle, "--costs", "--json").stdout)["costs"]
    assert {c["rule"] for c in costs} == {"flood", "bad_word", "shouting"}
    assert all(c["microseconds"] > 0 for c in costs)
    assert costs == sorted(costs, key=lambda c: -c["microseconds"])
    table = run("check", bundle, "--costs").stdout
    assert re.search(rf"message +{costs[0]['rule']} +{costs[0]['microseconds']:.2f}", table)


@pytest.mark.parametrize("args", [("check",), ("test",), ("graph",), ("explain", "--source")])
def test_a_bundle_that_is_not_there_cannot_be_read(args: tuple[str, ...], tmp_path: Path) -> None:
    gone = run(args[0], tmp_path / "gone", *args[1:])
    assert gone.exit_code == 3
    assert f"there is no folder `{tmp_path / 'gone'}`" in gone.stderr
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert run(args[0], tmp_path / "file", *args[1:]).exit_code == 3


def test_a_folder_without_policies_is_a_finding(tmp_path: Path) -> None:
    empty = run("check", tmp_path)
    assert empty.exit_code == 1
    assert "error[empty-bundle]" in empty.stdout


def test_policies_that_are_no_text_are_a_finding(bundle: Path) -> None:
    (bundle / "bad.quell").write_bytes(b"rule \xff\xfe")
    checked = run("check", bundle)
    assert checked.exit_code == 1
    assert "`bad.quell` is not UTF-8 text (byte 5)" in checked.stdout


# ------------------------------------------------------------------------------------------- fmt


def test_fmt_changes_once_and_then_nothing(bundle: Path) -> None:
    file = bundle / "p.quell"
    file.write_text(POLICIES.replace("when burst >= 3", "when   burst>=3"), encoding="utf-8")
    run("fmt", bundle)
    once = file.read_text(encoding="utf-8")
    assert "when burst >= 3" in once
    again = run("fmt", bundle)
    assert again.exit_code == 0
    assert "0 files changed, 1 left as it is" in again.stderr
    assert file.read_text(encoding="utf-8") == once
    assert run("fmt", bundle, "--check").exit_code == 0


def test_fmt_check_and_diff_change_nothing(bundle: Path) -> None:
    file = bundle / "p.quell"
    messy = POLICIES.replace("when burst >= 3", "when   burst>=3")
    file.write_text(messy, encoding="utf-8")
    checked = run("fmt", "--check", file)
    assert checked.exit_code == 1
    assert f"would change {file}" in checked.stdout
    shown = run("fmt", "--diff", file)
    assert shown.exit_code == 0
    assert "-  when   burst>=3" in shown.stdout
    assert "+  when burst >= 3" in shown.stdout
    assert run("fmt", "--diff", "--check", file).exit_code == 1
    assert file.read_text(encoding="utf-8") == messy


def test_fmt_of_standard_input() -> None:
    done = run("fmt", "-", stdin="let  x=1+1\n")
    assert (done.exit_code, done.stdout) == (0, "let x = 1 + 1\n")
    assert run("fmt", "-", "--check", stdin="let  x=1+1\n").exit_code == 1
    assert run("fmt", "-", "--check", stdin="let x = 1 + 1\n").exit_code == 0


def test_fmt_leaves_what_does_not_parse_and_says_so(bundle: Path) -> None:
    file = bundle / "p.quell"
    file.write_text("let  x=1+1\n\nrule what\n  when 1 +\n", encoding="utf-8")
    done = run("fmt", file)
    assert done.exit_code == 1
    assert "error[" in done.stderr
    text = file.read_text(encoding="utf-8")
    assert text.startswith("let x = 1 + 1\n")
    assert "rule what\n  when 1 +\n" in text


def test_fmt_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "x.quell").write_bytes(b"\xff\xff")
    for path in (tmp_path / "x.quell", tmp_path / "gone", tmp_path / "x.quell" / "y"):
        done = run("fmt", path)
        assert done.exit_code == 3, path
        assert done.stderr.startswith("error: ")
    (tmp_path / "empty").mkdir()
    assert run("fmt", tmp_path / "empty").exit_code == 3


def test_fmt_keeps_a_files_mode(bundle: Path) -> None:
    file = bundle / "p.quell"
    file.write_text("let  x=1\n", encoding="utf-8")
    file.chmod(0o640)
    run("fmt", file)
    assert file.read_text(encoding="utf-8") == "let x = 1\n"
    assert file.stat().st_mode & 0o777 == 0o640


# ------------------------------------------------------------------------------------------ test


def test_tests_that_pass(bundle: Path) -> None:
    done = run("test", bundle)
    assert done.exit_code == 0
    assert "3 tests passed" in done.stdout
    assert "a bad word is blocked" not in done.stdout
    assert "a bad word is blocked" in run("test", bundle, "-v").stdout


def test_a_test_that_fails_says_what_happened(tmp_path: Path) -> None:
    failing = make_bundle(tmp_path / "f", POLICIES.replace("burst >= 3\n", "burst >= 4\n"))
    done = run("test", failing)
    assert done.exit_code == 1
    assert "2 tests passed, 1 failed" in done.stdout
    assert "expect challenge by flood on the last" in done.stdout
    assert "the verdict is allow" in done.stdout
    data = json.loads(run("test", failing, "--json").stdout)
    assert (data["passed"], data["failed"]) == (2, 1)
    outcomes = {t["title"]: t["outcome"] for t in data["tests"]}
    assert outcomes["the third message within a minute is challenged"] == "failed"


def test_tests_by_text(bundle: Path) -> None:
    data = json.loads(run("test", bundle, "-k", "BAD", "-k", "shout", "--json").stdout)
    assert [t["title"] for t in data["tests"]] == ["a bad word is blocked", "shouting is noted in shadow"]
    assert run("test", bundle, "-k", "p.quell").exit_code == 0
    none = run("test", bundle, "-k", "no such test")
    assert none.exit_code == 2
    assert "no test has that" in none.stderr


def test_errors_stop_the_commands_that_need_a_sound_bundle(tmp_path: Path) -> None:
    folder = broken(tmp_path)
    (tmp_path / "e.jsonl").write_text("{}\n", encoding="utf-8")
    for args in (
        ("test", folder),
        ("graph", folder),
        ("explain", folder, "--source"),
        ("decide", folder, "--events", tmp_path / "e.jsonl"),
    ):
        done = run(*args)
        assert done.exit_code == 1, args
        assert done.stdout == ""
        assert "error[unknown-verdict]" in done.stderr
        assert re.search(r"\d+ errors? in the policies of ", done.stderr)


# ------------------------------------------------------------------------------------- reference


def test_functions_are_those_of_the_registry() -> None:
    data: list[dict[str, Any]] = json.loads(run("functions", "--json").stdout)
    assert sorted(row["name"] for row in data) == REGISTRY.names()
    markdown = run("functions", "--markdown").stdout
    table = run("functions").stdout
    for row in REGISTRY.rows():
        assert f"### `{row.name}`" in markdown
        assert row.spelled() in markdown
        assert re.search(rf"^  {row.name}\b", table, re.MULTILINE)


def test_one_function_in_full() -> None:
    row = REGISTRY.get("length")
    assert row is not None
    shown = run("functions", "length").stdout
    assert row.spelled() in shown
    for example in row.examples:
        assert example.expression in shown
    (data,) = json.loads(run("functions", "length", "--json").stdout)
    assert data["signature"] == row.spelled()
    assert run("functions", "--group", row.group).stdout.count(row.spelled()) == 1


def test_codes_are_those_of_the_compiler() -> None:
    data = json.loads(run("codes", "--json").stdout)
    assert [row["code"] for row in data] == list(CODES)
    shown = run("codes", "cycle").stdout
    assert shown.startswith("cycle")
    assert "error" in shown


# --------------------------------------------------------------------------------------- colours


def test_colours_only_where_they_are_wanted(tmp_path: Path) -> None:
    folder = broken(tmp_path)
    assert colourless(run("check", folder).output)
    assert not colourless(run("check", folder, env={"FORCE_COLOR": "1", "NO_COLOR": ""}).output)
    assert colourless(run("check", folder, env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).output)


# -------------------------------------------------------------------------------------- failures


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Any:
    """Run a command that fails with an error nobody foresaw."""

    def fail() -> None:
        raise error

    monkeypatch.setitem(main.commands, "fail", click.Command("fail", callback=fail))
    return run("fail")


def test_a_defect_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUELL_DEBUG", raising=False)
    done = failing(monkeypatch, KeyError("a\nb"))
    assert done.exit_code == 70
    assert done.stderr.splitlines()[0] == (
        "error: this is a defect of Quell, please report it: KeyError: 'a\\nb'"
    )
    assert "QUELL_DEBUG=1" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_a_defect_shows_its_trace_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUELL_DEBUG", "1")
    with pytest.raises(AssertionError):  # `run` lets no other exception pass
        failing(monkeypatch, KeyError("x"))


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(), 141, ""),
        (PermissionError(13, "Permission denied", "/etc/shadow"), 3, "`/etc/shadow`: permission denied"),
        (OSError(28, "No space left on device"), 3, "no space left on device"),
        (MemoryError(), 70, "not enough memory"),
        (RecursionError("too deep"), 70, "RecursionError"),
    ],
)
def test_failures_have_a_status_and_no_trace(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, said: str
) -> None:
    monkeypatch.delenv("QUELL_DEBUG", raising=False)
    done = failing(monkeypatch, error)
    assert done.exit_code == status
    assert said in done.stderr
