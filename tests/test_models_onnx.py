"""ONNX models: every form of input and output, and what is refused."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pytest
from onnx import TensorProto, helper, load_from_string

from quell.signals.models import load_model
from tests.onnx_files import Output, onnx_of
from tests.test_models import loaded


def told(data: bytes) -> str:
    """What is said of a file that must not load."""
    found = load_model("m.onnx", data)
    assert found.model is None
    assert found.problem is not None
    return found.problem.message


def near(total: float) -> object:
    return pytest.approx(1 / (1 + math.exp(-total)), abs=1e-6)


@pytest.mark.parametrize("output", ["two columns", "map"])
def test_of_two_classes_it_is_the_probability_of_class_1(output: Output) -> None:
    model = loaded(onnx_of(output=output), "m.onnx")
    assert [f.name for f in model.features] == ["length", "links"]
    assert (model.bounds, model.probability) == ((0, 1), True)
    assert model.predict([1, 1]) == near(2.5)
    assert model.predict([-1, 0.25]) == near(0)


def test_one_number_is_a_probability_where_the_file_says_so() -> None:
    model = loaded(onnx_of(), "m.onnx")
    assert (model.bounds, model.probability) == ((-math.inf, math.inf), False)
    said = {"feature_names": "length, links", "output": "probability"}
    model = loaded(onnx_of(properties=said), "m.onnx")
    assert (model.bounds, model.probability) == ((0, 1), True)
    # What is no probability after all is missing.
    model = loaded(onnx_of(output="sum", properties=said), "m.onnx")
    assert [model.predict(row) for row in ([1, 0], [1, 1])] == [0.5, None]


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE])
def test_many_rows_are_as_each_alone(kind: int) -> None:
    model = loaded(onnx_of(kind=kind), "m.onnx")
    dice = np.random.default_rng(1)
    x = dice.normal(size=(300, 2)) * 10
    x[dice.random(x.shape) < 0.1] = math.nan
    one = model.predictor()
    alone = [one(*row) for row in x.tolist()]
    assert [None if math.isnan(v) else v for v in model.predict_rows(x).tolist()] == alone
    assert alone == [model.predict([None if math.isnan(v) else v for v in row]) for row in x.tolist()]
    assert [v is None for v in alone] == np.isnan(x).any(axis=1).tolist()
    assert model.predict([1e300, 0]) in (None, 1.0)  # beyond a float it is infinite
    assert not model.certain


def test_names_of_features() -> None:
    by_json = loaded(onnx_of(properties={"feature_names": json.dumps(["a b", "c"])}), "m.onnx")
    assert [f.name for f in by_json.features] == ["a b", "c"]
    by_input = loaded(onnx_of(named=["length", "links"], properties={}), "m.onnx")
    assert [f.name for f in by_input.features] == ["length", "links"]
    assert by_input.predict([1, 1]) == near(2.5)
    alone = loaded(onnx_of([0.5], properties={}), "m.onnx")
    assert [f.name for f in alone.features] == ["x"]
    assert told(onnx_of(properties={})) == "the model does not name its features"
    assert told(onnx_of(properties={"feature_names": "a"})) == (
        "the model has 2 features, and its `feature_names` names 1"
    )
    for said in ("[1, 2]", "[", "a,,b", ""):
        message = "the property `feature_names` of the model is no list of names"
        assert told(onnx_of(properties={"feature_names": said})) == message
    assert told(onnx_of(properties={"feature_names": "a, a"})) == "the model has two features with one name"


def test_what_is_not_one_number_is_refused() -> None:
    assert told(onnx_of(output="three columns")) == (
        "the model gives 3 numbers, and a model of a policy gives one"
    )
    model = load_from_string(onnx_of())
    model.graph.output.append(helper.make_tensor_value_info("sum", TensorProto.FLOAT, [None, 1]))
    assert told(model.SerializeToString()) == (
        "the model has 2 outputs that may be its number: `probability`, `sum`"
    )


def test_inputs_that_are_no_numbers_are_refused() -> None:
    cast = helper.make_node("Cast", ["count"], ["counted"], to=TensorProto.FLOAT)
    model = load_from_string(onnx_of(extra=[cast]))
    model.graph.input.append(helper.make_tensor_value_info("count", TensorProto.INT64, [None, 1]))
    assert told(model.SerializeToString()) == (
        "the input `count` is a tensor(int64), and Quell gives floats and doubles"
    )
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.FLOAT
    assert told(model.SerializeToString()) == (
        "the inputs are neither one row nor one number each: `x` takes several numbers"
    )


@pytest.mark.parametrize("name", ["RandomNormalLike", "Bernoulli"])
def test_a_model_that_draws_is_refused(name: str) -> None:
    drawn = helper.make_node(name, ["sum"], ["drawn"])
    assert told(onnx_of(extra=[drawn])) == (
        f"the model draws random numbers ({name}), and one event must have one answer"
    )


def test_draws_hidden_in_a_branch_or_a_function_are_found() -> None:
    drawn = helper.make_node("RandomUniform", [], ["drawn"], shape=[1])
    out = helper.make_tensor_value_info("drawn", TensorProto.FLOAT, [1])
    branch = helper.make_graph([drawn], "b", [], [out])
    choice = helper.make_node("If", ["one"], ["chosen"], then_branch=branch, else_branch=branch)
    assert "draws random numbers" in told(onnx_of(extra=[choice]))
    model = load_from_string(onnx_of())
    sets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("own", "F", [], ["drawn"], [drawn], sets))
    assert "draws random numbers" in told(model.SerializeToString())


def test_loops_and_other_files_are_refused() -> None:
    body = helper.make_graph([], "b", [], [])
    loop = helper.make_node("Loop", ["", ""], ["looped"], body=body)
    assert told(onnx_of(extra=[loop])) == (
        "the model has a loop, and nothing in a policy runs without a bound"
    )
    model = load_from_string(onnx_of())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    assert told(model.SerializeToString()) == (
        "the model keeps its numbers in another file, and nothing outside the file is read"
    )


def test_a_file_cut_off_at_any_byte_is_refused() -> None:
    whole = onnx_of()
    for cut in range(len(whole)):
        assert told(whole[:cut])
    assert told(b"hello") == "the file is not a whole ONNX model"
    assert told(onnx_of() + b"\x0f") == "the file is not a whole ONNX model"


def test_without_the_package_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = load_model("m.onnx", onnx_of()).problem
    assert found is not None
    assert found.message == "an ONNX model needs the package onnxruntime, which is not installed"
    assert found.hint == "pip install 'quell[onnx]'"


def test_no_change_to_a_file_raises() -> None:
    whole, dice = onnx_of(output="map"), np.random.default_rng(2)
    for _ in range(300):
        data = bytearray(whole)
        for at in dice.integers(0, len(data), 3):
            data[at] = dice.integers(0, 256)
        model = load_model("m.onnx", bytes(data)).model
        if model is not None:
            model.predict([1.0] * len(model.features))
