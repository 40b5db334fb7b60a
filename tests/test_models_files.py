"""Model files that are broken, cut off, of another kind, or hostile: told when read, and nothing worse."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from quell.signals.models import load_model
from quell.signals.models_text import read_text_model
from tests.model_files import lightgbm_text, model_of
from tests.test_models import SAID, trained

NUMBERS = SAID.replace('categories of country: "de", "fr", "us"\n', "").replace(
    'country in "de", "us"', "country > 3"
)


def told(data: bytes, name: str = "m.lgb") -> str:
    """What is said of a file that must not load."""
    found = load_model(name, data)
    assert found.model is None
    assert found.problem is not None
    return found.problem.message


def test_a_model_cut_off_at_any_byte_is_refused() -> None:
    whole = model_of(SAID)
    for cut in range(len(whole) - 1):  # the last byte is a line end
        assert load_model("m.lgb", whole[:cut]).problem is not None, whole[:cut][-60:]
    assert load_model("m.lgb", whole[:-1]).problem is None


def test_a_model_without_categories_may_lack_nothing_but_the_line_about_them() -> None:
    whole = model_of(NUMBERS)
    end = whole.index(b"end of parameters\n") + len(b"end of parameters\n")
    for cut in range(len(whole)):
        found = load_model("m.lgb", whole[:cut])
        blank = cut >= end and not whole[end:cut].strip()
        assert (found.problem is None) == (blank or cut == len(whole) - 1), whole[:cut][-60:]


@pytest.mark.slow
def test_a_trained_model_cut_off_anywhere_is_refused() -> None:
    whole = trained(rounds=3)
    for cut in range(0, len(whole) - 1, 11):
        assert load_model("m.lgb", whole[:cut]).problem is not None, cut


WRONG = {
    b"": "the file is empty",
    b" \n": "the file is empty",
    b"hello\n": "the file is not a text model of LightGBM",
    b'{"name": "tree"}': "the file is JSON, not a text model of LightGBM",
    b'{"learner": {}}': "the file is a model of XGBoost, and Quell runs LightGBM and ONNX",
    b"\x80\x04\x95": "the file is a Python pickle, which Quell never opens",
    b"PK\x03\x04": "the file is a zip archive, not a text model of LightGBM",
    b"version https://git-lfs.github.com/spec/v1\n": "the file is a Git LFS pointer, not the model",
    b"tree\r\nversion=v4\r\n": "the line ends of the file were changed, so its parts are not where it says",
    b"tree\nversion=v4\n\xff": "byte 16 is not UTF-8, so this is no text model of LightGBM",
    b"tree\nversion=v4\n\0": "the file holds bytes that no text model of LightGBM has",
    b"tree\nversion=v4\n": "the file ends before the model does",
    b"tree\n": "the head of the model does not say the version of its format",
    b"tree\nversion=v5\n": (
        "the model was written by a newer LightGBM: its format is v5, and formats up to v4 are read"
    ),
    b"tree\nversion=v2\n": "the model was written by an old LightGBM: its format is v2",
}


@pytest.mark.parametrize("data", WRONG, ids=WRONG.get)
def test_what_is_no_model_is_told_apart(data: bytes) -> None:
    assert told(data) == WRONG[data]


HEADS: dict[str, tuple[dict[str, str], str]] = {
    "classes": (
        {"num_class": "3", "objective": "multiclass num_class:3", "num_tree_per_iteration": "3"},
        "the model tells 3 classes apart, and a model of a policy gives one number",
    ),
    "objective": (
        {"objective": "nonsense"},
        "the model was trained for `nonsense`, which is no objective of LightGBM",
    ),
    "sigmoid": (
        {"objective": "binary sigmoid:-1"},
        "the model was trained for `binary sigmoid:-1`, which is no objective of LightGBM",
    ),
    "width": (
        {"max_feature_idx": "7"},
        "`feature_names` of the model does not list as many features as there are: 8",
    ),
    "wide": ({"max_feature_idx": "99999999"}, "the model has 100,000,000 features, and 10,000 are allowed"),
    "twice": ({"feature_names": "a a c"}, "the model has two features called `a`"),
    "names": ({"feature_names": "a `b` c"}, "the feature `?b?` has a character that no name can have"),
    "infos": ({"feature_infos": "[0:1] [0:1] x"}, "`feature_infos` of the model says nothing sensible of"),
    "sizes": ({"tree_sizes": "1 2 3"}, "the trees of the model are not where its head says: 3 trees"),
    "lengths": ({"tree_sizes": "99999999999"}, "`tree_sizes` of the model is no list of lengths"),
    "none": ({"tree_sizes": ""}, "the model has no trees"),
}


@pytest.mark.parametrize("case", HEADS)
def test_heads_that_do_not_fit(case: str) -> None:
    head, expected = HEADS[case]
    trees = re.findall(r"Tree=.*?\n\n\n", model_of(SAID).decode(), re.S)
    categories = {"country": ["de", "fr", "us"]}
    features = ["length", "links", "country"]
    assert told(lightgbm_text("binary sigmoid:1", features, trees, categories, head)).startswith(expected)


TREES = {
    ("left_child=-1", "left_child=5"): "tree 0 of the model has branches that do not make a tree",
    ("left_child=-1", "left_child=-2"): "tree 0 of the model has branches that do not make a tree",
    ("right_child=-2", "right_child=0"): "tree 0 of the model has branches that do not make a tree",
    ("split_feature=1", "split_feature=3"): (
        "tree 0 of the model has a split on a feature that the model does not have"
    ),
    ("num_leaves=2", "num_leaves=3"): "tree 0 of the model has `leaf_value` with 2 numbers where 3 belong",
    ("num_leaves=2", "num_leaves=0"): "tree 0 of the model has num_leaves=0, and 1 to 131072 can be",
    ("threshold=1.0", "threshold=1e999"): (
        "tree 0 of the model has `threshold` with a number that is too large or too small to be one"
    ),
    ("threshold=1.0", "threshold=1e-320"): (
        "tree 0 of the model has `threshold` with a number that is too large or too small to be one"
    ),
    ("threshold=1.0", "threshold=one"): (
        "tree 0 of the model has `threshold` with something that is no number"
    ),
    ("decision_type=10", "decision_type=64"): (
        "tree 0 of the model has a kind of decision that does not exist"
    ),
    ("decision_type=10", "decision_type=1"): (
        "tree 0 of the model has a split on categories that it does not list"
    ),
    ("cat_boundaries=0 1", "cat_boundaries=0 9"): (
        "tree 1 of the model has `cat_threshold` with 1 numbers where 9 belong"
    ),
    ("cat_boundaries=0 1", "cat_boundaries=1 0"): (
        "tree 1 of the model has `cat_boundaries` that do not rise from 0"
    ),
    (
        "leaf_value=0 2",
        "leaf_value=0 2\nleaf_value=1 1",
    ): "tree 0 of the model has a line that is not one of a tree",
}


@pytest.mark.parametrize("change", TREES)
def test_trees_that_are_none(change: tuple[str, str]) -> None:
    old, new = change
    trees = re.findall(r"Tree=.*?\n\n\n", model_of(SAID).decode(), re.S)
    assert any(old in t for t in trees)
    changed = [t.replace(old, new, 1) for t in trees]
    data = lightgbm_text(
        "binary sigmoid:1", ["length", "links", "country"], changed, {"country": ["de", "fr", "us"]}
    )
    assert told(data) == TREES[change]


def test_categories_must_be_whose_is_clear() -> None:
    whole = model_of(SAID)
    line = b'pandas_categorical:[["de", "fr", "us"]]'
    assert "numbers the categories of 2" in told(whole.replace(line, b'pandas_categorical:[["de"], ["a"]]'))
    for said in (b"{}", b"[1]", b"[[[]]]", b'[["de", "de"]]', b"[[null]]"):
        message = "the line `pandas_categorical:` at the end of the file does not list categories"
        assert told(whole.replace(line, b"pandas_categorical:" + said)) == message
    assert "is not whole" in told(whole.replace(line, b"pandas_categorical:" + b"[" * 100_000))
    # Without names a category is its number.
    found = load_model("m.lgb", whole.replace(line, b"pandas_categorical:null")).model
    assert found is not None
    assert found.predict([0, 0, 2]) == load_model("m.lgb", whole).model.predict([0, 0, "us"])  # type: ignore[union-attr]  # it loads


def test_the_library_is_given_nothing_but_what_was_checked() -> None:
    whole = model_of(NUMBERS)
    noisy = whole.replace(b"\nend of parameters", b"[max_depth: 1e999]\n[zz: \xc3\xa9]\nend of parameters")
    assert read_text_model(noisy).text == read_text_model(whole).text
    assert load_model("m.lgb", noisy).model is not None


HOSTILE = """
import random, re, sys
import numpy as np
from quell.signals.models import load_model

base, seed, count = open(sys.argv[1], "rb").read(), int(sys.argv[2]), int(sys.argv[3])
dice, accepted = random.Random(seed), 0
words = b"-1 0 1 2 3 7 -7 99999999 2147483648 nan inf 1e999 1e-320".split(b" ") + [b""]


def sized(data):
    # Lengths that are true again, so that the change itself is what is met.
    first, last = data.find(b"\\nTree=0\\n"), data.find(b"\\nend of trees\\n")
    if not 0 < first < last:
        return data
    body = data[first + 1 : last + 1]
    starts = [m.start() for m in re.finditer(rb"^Tree=[0-9]+$", body, re.M)] + [len(body)]
    sizes = b" ".join(b"%d" % (b - a) for a, b in zip(starts, starts[1:]))
    return re.sub(rb"\\ntree_sizes=[^\\n]*\\n", b"\\ntree_sizes=" + sizes + b"\\n", data, count=1)


def changed():
    lines, data = base.split(b"\\n"), bytearray(base)
    kind = dice.randrange(5)
    if kind == 0:
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data))] = dice.choice(b"0123456789-.e =\\n\\xff")
        return bytes(data)
    if kind == 1:
        start = dice.randrange(len(data))
        del data[start : start + dice.randrange(1, 200)]
        return bytes(data)
    at = dice.randrange(len(lines))
    if kind == 2:
        lines.insert(at, dice.choice(lines)) if dice.random() < 0.5 else lines.pop(at)
    else:
        key, equals, value = lines[at].partition(b"=")
        parts = value.split(b" ")
        parts[dice.randrange(len(parts))] = dice.choice(words)
        lines[at] = key + equals + b" ".join(parts)
    return sized(b"\\n".join(lines))


for _ in range(count):
    model = load_model("m.lgb", changed()).model
    if model is not None:
        accepted += 1
        rows = np.random.default_rng(accepted).normal(size=(3, len(model.features))) * 5
        rows[0] = np.nan
        one = model.predictor()
        alone = [np.nan if (v := one(*row)) is None else v for row in rows.tolist()]
        assert np.array_equal(model.predict_rows(rows), alone, equal_nan=True)
        assert not model.certain or np.isfinite(alone).all()
        model.contributions([None] * len(model.features))
print(accepted)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["binary", "linear"])
def test_no_change_to_a_model_file_harms_the_process(kind: str, tmp_path: Path) -> None:
    """In a process of its own: what the library makes of rubbish is to end the process."""
    more = {"objective": "regression", "linear_tree": True} if kind == "linear" else {"objective": "binary"}
    model, script = tmp_path / "m.lgb", tmp_path / "hostile.py"
    model.write_bytes(trained(rounds=4, num_leaves=6, **more))
    script.write_text(textwrap.dedent(HOSTILE), encoding="utf-8")
    seed = 5
    done = subprocess.run(
        [sys.executable, str(script), str(model), str(seed), "1200"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"seed {seed}: {done.returncode} {done.stderr[-2_000:]}"
    assert int(done.stdout.split()[-1]) > 50  # some changes leave a model, and those were asked
