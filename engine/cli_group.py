"""The outermost layer of the command line: exit codes, and errors as one line instead of a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from quell.engine.interrupts import TERMINATED, end_on_request, hear_no_more

OK = 0
FINDINGS = 1
USAGE = 2
UNREADABLE = 3
DEFECT = 70
INTERRUPTED = 130
CLOSED = 141

EXIT_CODES: dict[int, str] = {
    OK: "all is well",
    FINDINGS: "findings: errors in policies, failing tests, files that `fmt --check` would change",
    USAGE: "the command itself is wrong: an unknown option, a missing argument",
    UNREADABLE: "input that cannot be read, or output that cannot be written",
    DEFECT: "a defect of Quell itself",
    INTERRUPTED: "interrupted (Ctrl-C)",
    CLOSED: "the reader of a pipe went away",
    TERMINATED: "asked to end (SIGTERM)",
}
"""Every exit status of `quell`, with what it means."""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Unreadable(click.ClickException):
    """Input that cannot be read, or output that cannot be written; `hint` is what to try."""

    exit_code = UNREADABLE

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def show(self, file: Any = None) -> None:
        """One line on standard error, and the hint on another."""
        say_error(self.message, self.hint)


def say_error(message: str, hint: str | None = None) -> None:
    """Print an error to standard error, coloured where somebody looks."""
    _say(click.style("error", fg="red", bold=True), message, hint)


def say_warning(message: str, hint: str | None = None) -> None:
    """Print a warning to standard error in the same way."""
    _say(click.style("warning", fg="yellow", bold=True), message, hint)


def _say(head: str, message: str, hint: str | None) -> None:
    from quell.engine.cli_output import visible

    bright = coloured(sys.stderr)
    click.echo(f"{head}: {visible(message)}", err=True, color=bright)
    if hint:
        click.echo(f"  {click.style('hint', fg='green')}: {visible(hint)}", err=True, color=bright)


def coloured(stream: Any) -> bool:
    """Whether a stream gets colours: a terminal does, unless NO_COLOR is set or TERM is dumb, and
    whatever is when FORCE_COLOR is."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return bool(getattr(stream, "isatty", bool)()) and os.environ.get("TERM") != "dumb"


class _Closed(Exception):
    """The reader of standard output went away."""


class Commands(click.Group):
    """A group whose commands are listed as they were added, and whose failures are told in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of their adding."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; a command that does not exist gets a hint."""
        from quell.grammar.diagnostics import did_you_mean

        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = did_you_mean(args[0], self.commands) if args else None
            if near and "did you mean" not in error.message.lower():
                raise click.UsageError(f"there is no command `{args[0]}`: {near}", ctx) from error
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """As click does; what was written is flushed while a closed pipe can still be told apart."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            raise _Closed from error
        return result

    def __call__(self, *args: Any, **how: Any) -> Any:
        """Run as the one thing that a process does."""
        end_on_request()
        try:
            return self.main(*args, **how)
        except KeyboardInterrupt:  # one more, while the first was told
            sys.exit(INTERRUPTED)
        finally:
            hear_no_more()

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and end the process with a status of `EXIT_CODES`, whatever happens."""

        def run() -> Any:
            return super(Commands, self).main(
                args=args,
                prog_name=prog_name or "quell",
                complete_var=complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )

        if not standalone_mode:
            return run()
        _leave(_guarded(run))


def _guarded(run: Callable[[], Any]) -> int:
    """The exit status of what `run` does."""
    _provide_streams()
    for stream in (sys.stdout, sys.stderr):
        # What a terminal cannot show, lone surrogates in file names too, must not end the run.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = run()
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except (_Closed, BrokenPipeError):
        _mute()
        return CLOSED
    except click.ClickException as error:
        if isinstance(error, click.UsageError):
            _say_usage(error)
        else:
            error.show()
        return error.exit_code
    except OSError as error:
        if os.environ.get("QUELL_DEBUG"):
            raise
        if not error.filename:
            _mute()  # what could not be written now cannot be at the end either
        say_error(told_os_error(error))
        return UNREADABLE
    except Exception as error:
        if os.environ.get("QUELL_DEBUG"):
            raise
        _say_defect(error)
        return DEFECT
    return status if isinstance(status, int) else OK


def _provide_streams() -> None:
    """Stand-ins for standard streams that were closed before the process began."""
    nowhere = Path(os.devnull)
    if sys.stdin is None:
        sys.stdin = nowhere.open(encoding="utf-8")
    if sys.stdout is None:
        sys.stdout = nowhere.open("w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = nowhere.open("w", encoding="utf-8")


def told_os_error(error: OSError) -> str:
    """What the operating system refused, in one line."""
    reason = (error.strerror or "it cannot be used").lower()
    return f"`{error.filename}`: {reason}" if error.filename else reason


def _say_usage(error: click.UsageError) -> None:
    """A wrong command: what is wrong, how it is meant, where to read more."""
    message = " ".join(error.format_message().split())  # click lists choices in lines of their own
    say_error(message[:1].lower() + message[1:].rstrip("."))
    if error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"  `{error.ctx.command_path} --help` says more", err=True)


def _say_defect(error: Exception) -> None:
    if isinstance(error, MemoryError):
        say_error(
            "there is not enough memory for this", "a smaller file may do, or fewer events with --limit"
        )
        return
    said = " ".join(str(error).split())
    said = said if len(said) <= 200 else said[:200] + "…"
    say_error(
        f"this is a defect of Quell, please report it: {type(error).__name__}{': ' + said if said else ''}",
        "run it again with QUELL_DEBUG=1 for what belongs in the report",
    )


def _mute() -> None:
    """Send what is still buffered for a closed pipe nowhere, so that Python's own flush is silent."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        return  # not a real file, so nothing will complain


def _leave(status: int) -> NoReturn:
    sys.exit(status)
