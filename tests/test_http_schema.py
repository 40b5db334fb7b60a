"""schemathesis against the API's own description: whatever is sent, the answer is one that is described."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from quell.engine.http_app import make_app
from quell.engine.http_operations import OPERATIONS
from quell.engine.openapi import shown_path
from tests.http_support import Keyring, keyring, parts_of

EXAMPLES = 12
"""For each operation and each way to make requests."""


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return keyring(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def described(ring: Keyring) -> Any:
    """The description, and the application behind it."""
    app = make_app(parts_of(keys=ring.keys))
    return schemathesis.openapi.from_asgi("/openapi.json", app, headers=ring.headers("admin"))


@schemathesis.serializer("application/x-ndjson")
def as_lines(context: Any, value: Any) -> bytes:
    """Whatever was made for the body, as it is."""
    return str(value).encode("utf-8", "surrogatepass")


MEANING = ("decide", "decideMany", "decideStream", "label", "labels")
"""What is right in form may be refused for what it means: a time that is none, a label not declared."""
LENIENT = ("decide", "decideMany", "decideStream")
"""An optional value of the wrong kind is missing and told; an event in a list is refused in its place."""


def asked(row: Any, mode: GenerationMode) -> bool:
    """Whether there is something to get wrong."""
    return mode is not GenerationMode.NEGATIVE or bool(row.parameters or row.body)


CASES = [(row, mode) for row in OPERATIONS for mode in GenerationMode if asked(row, mode)]


@pytest.mark.parametrize(("row", "mode"), CASES, ids=[f"{row.name}-{mode.value}" for row, mode in CASES])
def test_every_answer_is_described(row: Any, mode: GenerationMode, described: Any, ring: Keyring) -> None:
    operation = described[shown_path(row.path)][row.method]
    left_out: list[Any] = [positive_data_acceptance] if row.name in MEANING else []
    left_out += [negative_data_rejection] if row.name in LENIENT else []

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES)
    def ask(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(headers=ring.headers("admin"), excluded_checks=left_out)

    ask()
