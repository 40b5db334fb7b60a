"""All functions of the language, in one registry."""

from __future__ import annotations

from quell.signals import (
    links,
    network,
    numbers,
    sequences,
    text,
    text_bands,
    text_finders,
    text_measures,
    text_normalise,
    times,
)
from quell.signals.forms import FORMS
from quell.signals.registry import Registry

REGISTRY = Registry()
for _module in (
    text,
    text_normalise,
    text_measures,
    text_finders,
    text_bands,
    links,
    network,
    sequences,
    numbers,
    times,
):
    REGISTRY.add(*_module.ROWS)
REGISTRY.add(*FORMS)
