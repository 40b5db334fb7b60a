"""What can be wrong with a model file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelProblem:
    """Why a model file cannot be used, and what to try."""

    message: str
    hint: str | None = None


class BadModel(Exception):
    """A model file that cannot be used."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.problem = ModelProblem(message, hint)
