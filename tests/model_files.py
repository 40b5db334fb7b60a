"""Small LightGBM models written by hand, so that a test can say what a model does.

    objective: binary
    features: length, links, country
    categories of country: "de", "fr", "us"
    links > 1: 2
    country in "de", "us": -1.5
    always: 0.25

Each line below the features is a tree of one split: what it adds to the sum when it holds, 0 otherwise and
where the feature is missing. The objective makes the model's number of the sum.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

_ABOVE = re.compile(r"(\S+) > (\S+): (\S+)")
_AMONG = re.compile(r"(\S+) in (.+): (\S+)")


def model_of(said: str) -> bytes:
    """The text model that a few lines describe."""
    objective, features, categories = "binary sigmoid:1", [""], dict[str, list[str | float]]()
    trees: list[str] = []
    for line in filter(None, map(str.strip, said.split("\n"))):
        key, _, value = line.rpartition(": ")
        if key == "objective":
            objective = "binary sigmoid:1" if value == "binary" else value
        elif key == "features":
            features = value.split(", ")
        elif key.startswith("categories of "):
            categories[key.removeprefix("categories of ")] = _values(value)
        elif key == "always":
            trees.append(_leaf(len(trees), value))
        elif (above := _ABOVE.fullmatch(line)) is not None:
            trees.append(_split(len(trees), features.index(above[1]), float(above[2]), 10, f"0 {above[3]}"))
        elif (among := _AMONG.fullmatch(line)) is not None:
            known = categories[among[1]]
            bits = sum(1 << known.index(v) for v in _values(among[2]))
            made = _split(len(trees), features.index(among[1]), 0, 1, f"{among[3]} 0", 1)
            trees.append(made.replace("is_linear", f"cat_boundaries=0 1\ncat_threshold={bits}\nis_linear"))
        else:
            raise ValueError(line)
    return lightgbm_text(objective, features, trees, categories)


def _values(text: str) -> list[str | float]:
    values: list[str | float] = json.loads(f"[{text}]")
    return values


def _leaf(number: int, value: str) -> str:
    return (
        f"Tree={number}\nnum_leaves=1\nnum_cat=0\nsplit_feature=\nsplit_gain=\nthreshold=\ndecision_type=\n"
        f"left_child=\nright_child=\nleaf_value={value}\nleaf_weight=\nleaf_count=\ninternal_value=\n"
        "internal_weight=\ninternal_count=\nis_linear=0\nshrinkage=1\n\n\n"
    )


def _split(
    number: int, feature: int, threshold: float, decision: int, leaves: str, categories: int = 0
) -> str:
    return (
        f"Tree={number}\nnum_leaves=2\nnum_cat={categories}\nsplit_feature={feature}\nsplit_gain=1\n"
        f"threshold={threshold!r}\ndecision_type={decision}\nleft_child=-1\nright_child=-2\n"
        f"leaf_value={leaves}\nleaf_weight=1 1\nleaf_count=1 1\ninternal_value=0\ninternal_weight=0\n"
        "internal_count=2\nis_linear=0\nshrinkage=1\n\n\n"
    )


def lightgbm_text(
    objective: str,
    features: Sequence[str],
    trees: Sequence[str],
    categories: Mapping[str, Sequence[str | float]],
    head: Mapping[str, str] | None = None,
) -> bytes:
    """A text model as the library writes it; `head` changes lines of its head."""
    infos = [":".join(map(str, range(len(categories[f])))) if f in categories else "[0:1]" for f in features]
    fields = {
        "version": "v4",
        "num_class": "1",
        "num_tree_per_iteration": "1",
        "label_index": "0",
        "max_feature_idx": str(len(features) - 1),
        "objective": objective,
        "feature_names": " ".join(features),
        "feature_infos": " ".join(infos),
        "tree_sizes": " ".join(str(len(t.encode())) for t in trees),
        **(head or {}),
    }
    lines = "".join(f"{k}={v}\n" for k, v in fields.items())
    order = [features.index(f) for f in categories]
    tail = f"[categorical_feature: {','.join(map(str, sorted(order)))}]\n"
    mapped = json.dumps([list(categories[f]) for f in features if f in categories] or None)
    return (
        f"tree\n{lines}\n{''.join(trees)}end of trees\n\nfeature_importances:\n\nparameters:\n{tail}"
        f"\nend of parameters\n\npandas_categorical:{mapped}\n"
    ).encode()
