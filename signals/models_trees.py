"""One tree of a LightGBM text model, checked for everything that the library takes on trust."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TypeVar

from quell.signals.models_file import BadModel

_T = TypeVar("_T", int, float)

MAX_LEAVES = 131_072
"""What the library itself allows."""
SMALLEST = 2.2250738585072014e-308
"""The smallest double of full precision."""
_INTS = re.compile(r" *(?:-?[0-9]{1,10}(?: +|$))*", re.ASCII)
_FLOAT = r"-?[0-9]{1,330}(?:\.[0-9]{1,40})?(?:[eE][-+]?[0-9]{1,3})?|-?nan|-?inf"
_FLOATS = re.compile(rf" *(?:(?:{_FLOAT})(?: +|$))*", re.ASCII)
_SPLIT = ("split_feature", "decision_type", "left_child", "right_child")
"""What a tree says of each split in whole numbers, and needs to."""
_CATEGORICAL, _MISSING, _DECISIONS = 1, 12, 12


@dataclass(frozen=True, slots=True)
class Tree:
    """What is known of a tree: the categorical features that it splits on; the largest size of what it gives,
    None where that depends on the row; how deep it is; whether its leaves are linear. `text` is the tree as
    the library is given it: nothing but what was checked.
    """

    categorical: frozenset[int]
    largest: float | None
    depth: int
    linear: bool
    text: str


class _Reader:
    """The fields of one tree; every complaint says which tree."""

    def __init__(self, number: int, block: str) -> None:
        self.number = number
        self.fields: dict[str, str] = {}
        self.checked: dict[str, str] = {}
        for line in block.rstrip("\n").split("\n")[1:]:
            key, equals, value = line.partition("=")
            if not equals or key in self.fields:
                raise self.bad("a line that is not one of a tree")
            self.fields[key] = value

    def bad(self, what: str) -> BadModel:
        """The complaint."""
        return BadModel(f"tree {self.number} of the model has {what}", "train and save the model again")

    def one(self, key: str, least: int, most: int) -> int:
        """A field that is one whole number."""
        values = self.ints(key, 1)
        if not least <= values[0] <= most:
            raise self.bad(f"{key}={values[0]}, and {least} to {most} can be")
        return values[0]

    def ints(self, key: str, count: int) -> list[int]:
        """A field with so many whole numbers."""
        text = self.fields.get(key, "")
        if not _INTS.fullmatch(text):
            raise self.bad(f"`{key}` with something that is no whole number")
        return self._counted(key, list(map(int, text.split())), count)

    def floats(self, key: str, count: int) -> list[float]:
        """A field with so many numbers."""
        text = self.fields.get(key, "")
        if not _FLOATS.fullmatch(text):
            raise self.bad(f"`{key}` with something that is no number")
        words = text.split()
        values = self._counted(key, list(map(float, words)), count)
        # The library ends the process over a number beyond the largest double, or below the smallest.
        if not _usual(values) and not all(map(_holds, values, words)):
            raise self.bad(f"`{key}` with a number that is too large or too small to be one")
        return values

    def text(self) -> str:
        """The tree as the library reads one, made of the fields that were asked for."""
        lines = "".join(f"{key}={value}\n" for key, value in self.checked.items())
        return f"Tree={self.number}\n{lines}\n\n"

    def _counted(self, key: str, values: list[_T], count: int) -> list[_T]:
        if len(values) != count:
            raise self.bad(f"`{key}` with {len(values)} numbers where {count} belong")
        self.checked[key] = " ".join(self.fields.get(key, "").split())
        return values


def _usual(values: list[float]) -> bool:
    """Whether all are of a size that doubles hold in full: the common case, told quickly."""
    if not values or math.isnan(sum(values)):
        return not values
    return min(map(abs, values)) >= SMALLEST and max(map(abs, values)) < math.inf


def _holds(value: float, word: str) -> bool:
    """Whether a double holds a number as it is written."""
    if SMALLEST <= abs(value) < math.inf:
        return True
    if value:
        return not math.isfinite(value) and word[-1].isalpha()
    return not any(c in "123456789" for c in word.lower().partition("e")[0])


def read_tree(number: int, block: str, features: int) -> Tree:
    """Check a tree of a model with so many features. Raises BadModel."""
    tree = _Reader(number, block)
    leaves = tree.one("num_leaves", 1, MAX_LEAVES)
    splits = leaves - 1
    categories = tree.one("num_cat", 0, splits)
    values = tree.floats("leaf_value", leaves)
    # How many rows each part was trained on: what explains a number is weighed by them.
    for key, count in (("leaf_count", leaves), ("internal_count", splits)):
        if splits and key in tree.fields:
            tree.ints(key, count)
    if "shrinkage" in tree.fields:
        tree.floats("shrinkage", 1)
    used, depth = _splits(tree, splits, categories, features) if splits else (frozenset[int](), 0)
    linear = "is_linear" in tree.fields and tree.one("is_linear", 0, 1) == 1
    if linear:
        _linear(tree, leaves, features)
    finite = not linear and all(math.isfinite(v) for v in values)
    return Tree(used, max(map(abs, values)) if finite else None, depth, linear, tree.text())


def _splits(tree: _Reader, splits: int, categories: int, features: int) -> tuple[frozenset[int], int]:
    split_on, decisions, left, right = (tree.ints(key, splits) for key in _SPLIT)
    thresholds = tree.floats("threshold", splits)
    if not all(0 <= f < features for f in split_on):
        raise tree.bad("a split on a feature that the model does not have")
    if not all(0 <= d < 16 and d & _MISSING < _DECISIONS for d in decisions):
        raise tree.bad("a kind of decision that does not exist")
    # Every split but the first and every leaf hang under one split: so nothing is walked in a circle.
    if sorted([*left, *right]) != [*range(-splits - 1, 0), *range(1, splits)]:
        raise tree.bad("branches that do not make a tree")
    places = [t for t, d in zip(thresholds, decisions, strict=True) if d & _CATEGORICAL]
    if not all(0 <= p < categories and p == int(p) for p in places):
        raise tree.bad("a split on categories that it does not list")
    if categories:
        bounds = tree.ints("cat_boundaries", categories + 1)
        if bounds[0] != 0 or bounds != sorted(bounds):
            raise tree.bad("`cat_boundaries` that do not rise from 0")
        words = tree.ints("cat_threshold", bounds[-1])
        if not all(0 <= w < 1 << 32 for w in words):
            raise tree.bad("`cat_threshold` with a number that is too large")
    used = frozenset(f for f, d in zip(split_on, decisions, strict=True) if d & _CATEGORICAL)
    return used, _depth(left, right)


def _depth(left: list[int], right: list[int]) -> int:
    """How many splits stand above the deepest leaf."""
    depth, level = 0, [0]
    while level:
        depth += 1
        level = [child for split in level for child in (left[split], right[split]) if child >= 0]
    return depth


def _linear(tree: _Reader, leaves: int, features: int) -> None:
    counts = tree.ints("num_features", leaves)
    if not all(0 <= c <= features for c in counts):
        raise tree.bad("a leaf with more features than there are")
    tree.floats("leaf_const", leaves)
    tree.floats("leaf_coeff", sum(counts))
    if not all(0 <= f < features for f in tree.ints("leaf_features", sum(counts))):
        raise tree.bad("a leaf on a feature that the model does not have")
