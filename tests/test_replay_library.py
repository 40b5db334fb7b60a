"""The library's names are what its documentation says they are, however often and in whatever order they are
imported."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import quell.replay


def test_no_module_is_called_like_a_public_name() -> None:
    modules = {module.name for module in pkgutil.iter_modules(quell.replay.__path__)}
    assert not modules & set(quell.replay.__all__)


@pytest.mark.parametrize("order", ["backtest, compare", "compare, backtest"])
def test_the_names_are_functions_at_the_first_and_the_second_import(order: str) -> None:
    line = f"from quell.replay import {order}; assert callable(compare) and callable(backtest)"
    code = f"{line}; {line}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
