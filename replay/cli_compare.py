"""What `quell replay` adds for a change of policies: `--against`, `--fail-if`, `--markdown`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from quell.engine.cli_bundle import Broken, print_findings, read
from quell.engine.cli_files import STDIO, write_text
from quell.engine.cli_group import FINDINGS, OK, Unreadable, say_error
from quell.engine.cli_output import Busy, console, count, print_json, say, stderr, stdout
from quell.replay.cli_features import check_outs
from quell.replay.cli_replay_options import together

if TYPE_CHECKING:
    from quell.engine.compile import Analysis, Build
    from quell.replay.gates import Checked
    from quell.replay.report_data import Backtest, Comparison
    from quell.replay.revisions import Other

MOST_SHOWN = 10
"""Errors of the other policies that are printed."""

change_options: Callable[[Any], Any] = together(
    click.option(
        "--against",
        metavar="OTHER",
        help="Say what changes against other policies: a folder, or a git revision of this one (HEAD, main).",
    ),
    click.option(
        "--fail-if",
        "gates",
        multiple=True,
        metavar="EXPR",
        help="Exit 1 if this holds, such as 'new_blocks > 0.1%' (may be repeated; see below).",
    ),
    click.option(
        "--markdown",
        metavar="FILE|-",
        help="Write a summary for the comment of a pull request (- is standard output).",
    ),
)
"""What changes, and whether that may be."""


class Change:
    """What was asked about a change, checked before any work is done. Used as a context, it holds the folder
    of a revision."""

    def __init__(self, policies: str, build: Build, asked: dict[str, Any], events: Sequence[str]) -> None:
        self._stack = ExitStack()
        self.policies, self.build = policies, build
        self.other: Other | None = None
        self.other_build: Build | None = None
        self._asked = asked
        _check_markdown(asked, events)

    def __enter__(self) -> Change:
        try:
            if self._asked["against"] is not None:
                self.other = self._found(self._asked["against"])
                self.other_build = _built_other(self.other)
            self.gates = self._read_gates()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _found(self, against: str) -> Other:
        from quell.replay.revisions import RevisionError, other_policies

        if self._asked["event"] is not None:
            raise click.UsageError("`--event` explains one version: leave out `--against`")
        try:
            with Busy("reading the other policies"):
                return self._stack.enter_context(other_policies(against, self.policies))
        except RevisionError as error:
            raise Unreadable(error.message, error.hint) from error

    def _read_gates(self) -> list[Checked]:
        from quell.engine.decision_summary import verdict_order
        from quell.replay.gate_text import GateError
        from quell.replay.gates import Known, gate_of

        builds = [b for b in (self.build, self.other_build) if b is not None]
        known = Known(
            frozenset(r for b in builds for r in b.analysis.symbols.rules),
            frozenset(v for b in builds for v in verdict_order(b.analysis.symbols)),
            self.other is not None,
            self._asked["labels"] is not None,
        )
        try:
            return [gate_of(text, known) for text in self._asked["gates"]]
        except GateError as error:
            raise click.UsageError(f"`--fail-if`: {error}") from error

    # -------------------------------------------------------------------------------- the report

    def judge(self, report: Backtest | Comparison) -> None:
        """Put into a report which gates pass and which fail."""
        from quell.replay.gates import judge

        report.gates = [judge(gate, report) for gate in self.gates]

    def tell(self, report: Backtest | Comparison, view: Callable[[], None]) -> int:
        """Write and print a report that was judged; gives the exit status. `view` prints it for a person."""
        import msgspec

        markdown = self._asked["markdown"]
        if markdown is not None:
            self._write_markdown(report, markdown)
        if self._asked["as_json"]:
            print_json(msgspec.to_builtins(report))
        elif markdown != STDIO:
            view()
        failed = [g for g in report.gates if g.failed]
        if failed and (self._asked["as_json"] or markdown == STDIO):
            for gate in failed:
                say_error(f"`{gate.text}`: {gate.shown}")
        return FINDINGS if failed else OK

    def _write_markdown(self, report: Backtest | Comparison, to: str) -> None:
        from quell.replay.markdown import markdown

        made = markdown(report, command_line(click.get_current_context()))
        if to == STDIO:
            stdout().write(made)
        else:
            write_text(Path(to), made)
            say(f"wrote {to}")


def _check_markdown(asked: dict[str, Any], events: Sequence[str]) -> None:
    """Refuse a file that cannot be written before any work is done."""
    to = asked["markdown"]
    if to is None:
        return
    if to == STDIO:
        if asked["as_json"]:
            raise click.UsageError("`--json` and `--markdown -` both want standard output")
        return
    check_outs(events, asked["labels"], (to, ()))


def _built_other(other: Other) -> Build:
    """The other policies ready to run; their errors are printed as theirs."""
    from quell.engine.compile import build

    analysis = read(str(other.folder), lints=False)
    if analysis.report.errors:
        _print_errors(analysis, other)
        raise Broken
    with Busy("compiling the other policies"):
        return build(analysis)


def _print_errors(analysis: Analysis, other: Other) -> None:
    errors = [d for d in analysis.diagnostics if d.severity == "error"]
    print_findings(errors[:MOST_SHOWN], analysis, stderr())
    told = f"{count(len(errors), 'error')} in the policies of {other.title}, which --against names"
    out = console(stderr())
    out.print(told, style="red", soft_wrap=True)
    for note in other.notes if other.revision else ():
        out.print(note, style="dim", soft_wrap=True)


def command_line(context: click.Context) -> str:
    """The command that was given, to be given again: without where its output went."""
    from quell.signals.show import show_time

    words = ["quell", context.command.name or ""]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if isinstance(parameter, click.Argument):
            words.insert(2, quote(str(value)))
        if parameter.name in ("markdown", "as_json", "html", "out", "explain", "memory", "threads"):
            continue
        if not isinstance(parameter, click.Option) or value in (parameter.default, None, (), False):
            continue
        name = parameter.opts[0]
        for one in value if isinstance(value, tuple) else (value,):
            timed = parameter.name in ("start", "until", "known_by") and isinstance(one, int)
            words += [name] if one is True else [name, quote(show_time(one) if timed else str(one))]
    return " ".join(words)
