"""The data folder of a service, as every command that looks into one takes it: `DIR` as the first word, or
`--data DIR`, or else `quell-data`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

DATA = "quell-data"
"""The folder of a service's data, unless said otherwise."""


def data_folder(
    own: str = "",
    *,
    least: int = 0,
    most: int | None = 0,
    is_own: Callable[[str], bool] = lambda word: False,
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Decorates a command that looks into a data folder, which it gets as `data`.

    `own` are the words that the command itself takes, as help shows them, `least` to `most` of them (None:
    any number); it gets them as `words` if there may be any. The word before those is the folder, unless
    `--data` names it; the first of fewer is too, unless it must be the command's own or `is_own` says so.
    """

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @click.option("--data", metavar="DIR", help=f"The data folder of `quell serve`.  [default: {DATA}]")
        @click.argument("said", metavar=f"[DIR] {own}".strip(), nargs=-1)
        @wraps(command)
        def run(*args: Any, data: str | None, said: tuple[str, ...], **more: Any) -> int:
            folder, words = told_apart(said, data, least, most, is_own)
            if len(words) < least:
                raise click.UsageError(f"missing argument `{own}`")
            return command(*args, data=folder, **({} if most == 0 else {"words": words}), **more)

        return run

    return decorate


def told_apart(
    said: tuple[str, ...], data: str | None, least: int, most: int | None, is_own: Callable[[str], bool]
) -> tuple[str, tuple[str, ...]]:
    """The folder, and the words that are the command's own. Raises click.UsageError where there are more than
    it may have."""
    folder, words = data, said
    if data is None and len(said) > least and (len(said) - 1 == most or not is_own(said[0])):
        folder, words = said[0], said[1:]
    if most is not None and len(words) > most:
        if data is not None and len(words) == most + 1:
            raise click.UsageError(f"the data folder is named twice: `{words[0]}` and --data {data}")
        raise click.UsageError(f"there are too many words: `{words[-1]}` is one more than is known")
    return DATA if folder is None else folder, words
