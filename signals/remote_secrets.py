"""Headers that hold secrets: quell.toml names an environment variable, and only sending fills it in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from quell.signals.remote_types import Target

SECRET = re.compile(r"(?P<before>|[A-Za-z0-9_-]+ )env:(?P<name>[A-Za-z_][A-Za-z0-9_]*)", re.ASCII)
"""The value of a header that is a secret: `env:SCAM_TOKEN`, or `Bearer env:SCAM_TOKEN`."""
_SENDABLE = re.compile(r"[\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?")


class MissingSecret(Exception):
    """Environment variables that targets name are not set, or hold what no header can carry. The message
    names them all, and never what they hold."""


def is_sendable(secret: str) -> bool:
    """Whether a header can carry it."""
    return _SENDABLE.fullmatch(secret) is not None


def fill(targets: Iterable[Target], environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The headers of each target by its name, secrets filled in. Raises MissingSecret."""
    filled: dict[str, dict[str, str]] = {}
    faults: list[str] = []
    for target in targets:
        headers = filled[target.name] = {}
        for header, written in target.headers:
            found = SECRET.fullmatch(written)
            if found is None:
                headers[header] = written
                continue
            name, where = found["name"], f"the header `{header}` of [remote.{target.name}]"
            secret = environ.get(name, "").strip()
            if not secret:
                faults.append(f"the environment has no `{name}`, which {where} needs")
            elif not is_sendable(secret):
                faults.append(f"`{name}` in the environment holds characters that {where} cannot carry")
            else:
                headers[header] = found["before"] + secret
    if faults:
        raise MissingSecret("; ".join(faults))
    return filled
