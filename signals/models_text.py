"""LightGBM's text models, read with care before the library sees them.

The library trusts what it reads: a file that is cut off, or was changed by hand, can end the process. So
every number that it will use as a place, a length or a count is checked here first (the trees in
models_trees.py), and what cannot be told whole is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from quell.signals.models import Category, Feature
from quell.signals.models_file import BadModel
from quell.signals.models_trees import Tree, read_tree

FORMATS = range(3, 5)
"""The versions of the format that the library reads as it wrote them."""
OBJECTIVES = frozenset(
    (
        "regression", "regression_l1", "huber", "fair", "quantile", "mape", "poisson", "gamma", "tweedie",
        "binary", "cross_entropy", "cross_entropy_lambda", "lambdarank", "rank_xendcg", "custom",
    )
)  # fmt: skip
"""What a model with one output can be trained for; `custom` is a function of whoever trained it."""
MAX_FEATURES = 10_000
EXPLAINED = 200
"""The depth of trees that the library is asked to explain: it takes the square of that in memory."""
MAX_TREES = 200_000
_BEGIN, _TREES_END, _END = "tree\n", "\nend of trees\n", "\nend of parameters\n"
_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_INFO = re.compile(rf"none|\[(?:{_NUMBER}|-?inf|-?nan):(?:{_NUMBER}|-?inf|-?nan)\]|-?[0-9]+(?::-?[0-9]+)*")
_PARAMETER = re.compile(rf"sqrt|[a-z_]+:{_NUMBER}", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,9}", re.ASCII)
_CATEGORICAL = re.compile(r"^\[categorical_feature: ([0-9]+(?:,[0-9]+)*)\]$", re.M)
_PANDAS = "pandas_categorical:"
_CUT = "copy the file again: a whole model has `end of trees` and `end of parameters` near its end"


@dataclass(frozen=True, slots=True)
class TextModel:
    """What a text model says of itself. `largest` bounds how large the sum of its trees can be, None where
    that cannot be told; `average` says that the trees are averaged,
    `explains` that the library can say how much each feature moves them, `cost` about how many
    microseconds a row takes."""

    text: str
    features: tuple[Feature, ...]
    objective: tuple[str, ...]
    trees: int
    largest: float | None
    average: bool
    explains: bool
    cost: float


def read_text_model(data: bytes) -> TextModel:
    """Check a text model from its first byte to its last. Raises BadModel."""
    text = _text(data)
    head_end = text.find("\nTree=0\n")
    trees_end = text.find(_TREES_END)
    head = _fields(text[len(_BEGIN) : head_end if 0 <= head_end < trees_end or trees_end < 0 else trees_end])
    _check_version(head)
    if trees_end < 0 or not text.startswith(_END, text.find(_END, trees_end)):
        raise BadModel("the file ends before the model does", _CUT)
    _check_outputs(head)
    names, infos = _features(head)
    blocks = list(_blocks(text, head, head_end, trees_end))
    trees = [read_tree(number, block, len(names)) for number, block in enumerate(blocks)]
    end = text.index(_END, trees_end) + len(_END)
    features = _with_categories(names, infos, trees, text[trees_end:end], text[end:])
    parts = [t.largest for t in trees]
    explains = all(t.depth <= EXPLAINED and not t.linear for t in trees)
    largest = None if any(p is None for p in parts) else sum(p for p in parts if p is not None)
    objective = _objective(head)
    return TextModel(
        _rewritten(head, objective, trees),
        features,
        objective,
        len(trees),
        largest,
        "average_output" in head,
        explains,
        _cost(trees),
    )


def _cost(trees: list[Tree]) -> float:
    """Microseconds for one row: the call, and the way down each tree."""
    return round(2 + sum(0.1 + 0.01 * tree.depth for tree in trees) / 3, 1)


def _rewritten(head: dict[str, str], objective: tuple[str, ...], trees: list[Tree]) -> str:
    """The model as the library is given it: what was checked, word for word, and nothing else."""
    width = int(head["max_feature_idx"]) + 1
    lines = [
        "tree", f"version={head['version']}", "num_class=1", "num_tree_per_iteration=1", "label_index=0",
        f"max_feature_idx={width - 1}",
        *([f"objective={' '.join(objective)}"] if objective != ("custom",) else []),
        *(["average_output"] if "average_output" in head else []),
        "feature_names=" + " ".join(f"f{i}" for i in range(width)),
        "feature_infos=" + head["feature_infos"],
        "tree_sizes=" + " ".join(str(len(t.text)) for t in trees),
    ]  # fmt: skip
    return "\n".join([*lines, "", "".join(t.text for t in trees) + "end of trees", ""])


def _text(data: bytes) -> str:
    if data.startswith(b"tree\r\n"):
        raise BadModel(
            "the line ends of the file were changed, so its parts are not where it says",
            "copy it as a binary file, or keep git from changing it: `*.lgb -text` in .gitattributes",
        )
    if not data.startswith(_BEGIN.encode()):
        raise BadModel(*_other(data))
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BadModel(
            f"byte {error.start} is not UTF-8, so this is no text model of LightGBM", _SAVE
        ) from None
    if "\0" in text or "\r" in text:
        raise BadModel("the file holds bytes that no text model of LightGBM has", _SAVE)
    return text


_SAVE = 'save the model with `booster.save_model("spam.lgb")`'


def _other(data: bytes) -> tuple[str, str]:
    if not data.strip():
        return "the file is empty", _SAVE
    start = data[:4_096].lstrip()
    if start.startswith(b"version https://git-lfs"):
        return "the file is a Git LFS pointer, not the model", "fetch it with `git lfs pull`"
    if start.startswith(b"{") and b"learner" in start:
        return "the file is a model of XGBoost, and Quell runs LightGBM and ONNX", "convert it to ONNX"
    if start.startswith(b"{"):
        return "the file is JSON, not a text model of LightGBM", _SAVE + ", not dump_model()"
    if data.startswith(b"\x80"):
        return "the file is a Python pickle, which Quell never opens", _SAVE
    if data.startswith(b"PK"):
        return "the file is a zip archive, not a text model of LightGBM", "unpack it"
    if start.startswith(b"version="):
        return "the file does not begin with `tree`, as a text model of LightGBM does", _CUT
    return "the file is not a text model of LightGBM", _SAVE + "; ONNX models end in .onnx"


def _fields(block: str) -> dict[str, str]:
    out: dict[str, str] = {}
    for line in block.split("\n"):
        key, _, value = line.partition("=")
        if key and key in out:
            raise BadModel(f"`{_shown(key)}` stands twice at the head of the model")
        if key:
            out[key] = value
    return out


def _shown(text: str) -> str:
    cut = text if len(text) <= 40 else text[:39] + "…"
    return "".join(c if c.isprintable() and c != "`" else "?" for c in cut)


def _check_version(head: dict[str, str]) -> None:
    said = head.get("version", "")
    version = re.fullmatch(r"v([0-9]{1,4})", said, re.ASCII)
    if version is None:
        raise BadModel("the head of the model does not say the version of its format", _CUT)
    number = int(version[1])
    if number >= FORMATS.stop:
        raise BadModel(
            f"the model was written by a newer LightGBM: its format is {said}, and formats up to "
            f"v{FORMATS.stop - 1} are read",
            "upgrade Quell, or save the model with LightGBM 4",
        )
    if number < FORMATS.start:
        raise BadModel(
            f"the model was written by an old LightGBM: its format is {said}",
            "load it with LightGBM 4 and save it again",
        )


def _count(head: dict[str, str], key: str) -> int:
    said = head.get(key, "")
    if not _COUNT.fullmatch(said):
        raise BadModel(f"the head of the model does not say `{key}` as a number", _CUT)
    return int(said)


def _check_outputs(head: dict[str, str]) -> None:
    classes, objective = _count(head, "num_class"), head.get("objective", "").split(" ")[0]
    if classes != 1 or _count(head, "num_tree_per_iteration") != 1 or objective.startswith("multiclass"):
        raise BadModel(
            f"the model tells {classes} classes apart, and a model of a policy gives one number",
            "train a binary model for the class that rules act on",
        )


def _objective(head: dict[str, str]) -> tuple[str, ...]:
    words = tuple(head.get("objective", "custom").split(" "))
    known = words[0] in OBJECTIVES and all(_PARAMETER.fullmatch(w) for w in words[1:])
    if words[0] == "binary":
        known = len(words) == 2 and words[1].startswith("sigmoid:") and float(words[1][8:]) > 0
    if not known:
        raise BadModel(
            f"the model was trained for `{_shown(' '.join(words))}`, which is no objective of LightGBM"
        )
    return words


def _features(head: dict[str, str]) -> tuple[list[str], list[str]]:
    names, infos = head.get("feature_names", "").split(" "), head.get("feature_infos", "").split(" ")
    wanted = _count(head, "max_feature_idx") + 1
    if wanted > MAX_FEATURES:
        raise BadModel(f"the model has {wanted:,} features, and {MAX_FEATURES:,} are allowed")
    for key, found in (("feature_names", names), ("feature_infos", infos)):
        if len(found) != wanted or not all(found):
            raise BadModel(f"`{key}` of the model does not list as many features as there are: {wanted}")
    seen: set[str] = set()
    for name in names:
        if not name.isprintable() or "`" in name:
            raise BadModel(f"the feature `{_shown(name)}` has a character that no name can have")
        if name in seen:
            raise BadModel(f"the model has two features called `{_shown(name)}`")
        seen.add(name)
    for name, info in zip(names, infos, strict=True):
        if not _INFO.fullmatch(info):
            raise BadModel(f"`feature_infos` of the model says nothing sensible of `{_shown(name)}`")
    return names, infos


def _blocks(text: str, head: dict[str, str], head_end: int, trees_end: int) -> Iterator[str]:
    """The text of each tree. The library finds them by the lengths in the head, so those must be true."""
    sizes = head.get("tree_sizes", "").split()
    if not all(_COUNT.fullmatch(s) for s in sizes) or len(sizes) > MAX_TREES or "tree_sizes" not in head:
        raise BadModel("`tree_sizes` of the model is no list of lengths", _CUT)
    if not sizes:
        raise BadModel("the model has no trees", "it was saved before it was trained")
    where = f"the trees of the model are not where its head says: {len(sizes)} trees"
    encoded = text if text.isascii() else None
    if head_end < 0 or head_end > trees_end:
        raise BadModel(where, _CUT)
    body = (
        text[head_end + 1 : trees_end + 1].encode() if encoded is None else text[head_end + 1 : trees_end + 1]
    )
    at = 0
    for number, size in enumerate(map(int, sizes)):
        block = body[at : at + size]
        shown = block if isinstance(block, str) else block.decode(errors="replace")
        if len(block) != size or not shown.startswith(f"Tree={number}\n") or not shown.endswith("\n\n"):
            raise BadModel(where, _CUT)
        yield shown
        at += size
    if at != len(body):
        raise BadModel(where, _CUT)


def _with_categories(
    names: list[str], infos: list[str], trees: list[Tree], tail: str, after: str
) -> tuple[Feature, ...]:
    said = _CATEGORICAL.search(tail)
    categorical = {int(i) for i in said[1].split(",")} if said is not None else set()
    categorical |= {i for i, info in enumerate(infos) if info[0] != "[" and info != "none"}
    categorical |= {i for tree in trees for i in tree.categorical}
    if any(i >= len(names) for i in categorical):
        raise BadModel("the parameters of the model name a categorical feature that there is not")
    mapped = _mapping(after, bool(categorical))
    if mapped is None:
        return tuple(Feature(n, i in categorical) for i, n in enumerate(names))
    if len(mapped) != len(categorical):
        raise BadModel(
            f"the model has {len(categorical)} categorical features and numbers the categories of "
            f"{len(mapped)}, so which are whose cannot be told",
            "train it with every categorical column of pandas as a categorical feature",
        )
    own = dict(zip(sorted(categorical), mapped, strict=True))
    return tuple(Feature(n, i in own, own.get(i)) for i, n in enumerate(names))


def _mapping(after: str, needed: bool) -> list[tuple[Category, ...]] | None:
    """The categories that the file's last line numbers, one list for each categorical feature in order."""
    lines = [line for line in after.split("\n") if line]
    if not lines and not needed:
        return None
    if len(lines) != 1 or not lines[0].startswith(_PANDAS):
        raise BadModel(
            "the file ends before the line `pandas_categorical:`, which numbers the categories",
            "copy the file again; where there are no categories but numbers, add pandas_categorical:null",
        )
    try:
        said = json.loads(lines[0][len(_PANDAS) :])
    except (ValueError, RecursionError):
        raise BadModel("the line `pandas_categorical:` at the end of the file is not whole", _CUT) from None
    if said is None or said == []:
        return None
    if not isinstance(said, list) or not all(_categories(each) for each in said):
        raise BadModel("the line `pandas_categorical:` at the end of the file does not list categories")
    return [tuple(each) for each in said]


def _categories(each: object) -> bool:
    return (
        isinstance(each, list)
        and all(isinstance(c, str | int | float | bool) for c in each)
        and len(set(each)) == len(each)
    )
