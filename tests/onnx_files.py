"""Small ONNX models: the weighted sum of the inputs, as a probability, in every form that one may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from onnx import TensorProto, helper, numpy_helper

Output = Literal["sum", "probability", "two columns", "map", "three columns"]


def onnx_of(
    weights: Sequence[float] = (0.5, 2.0),
    output: Output = "probability",
    properties: Mapping[str, str] | None = None,
    named: Sequence[str] = (),
    kind: int = TensorProto.FLOAT,
    extra: Sequence[Any] = (),
) -> bytes:
    """A model of the weighted sum. `named` gives each input as one number of its own; without it there is one
    row `x`. `extra` are more nodes."""
    dtype = np.float32 if kind == TensorProto.FLOAT else np.float64
    constants = {"w": np.array([[w] for w in weights], dtype), "one": np.array([1], dtype)}
    nodes = [helper.make_node("MatMul", ["row", "w"], ["sum"]), *extra]
    if named:
        nodes.insert(0, helper.make_node("Concat", list(named), ["row"], axis=1))
        inputs = [helper.make_tensor_value_info(n, kind, [None, 1]) for n in named]
    else:
        nodes.insert(0, helper.make_node("Identity", ["x"], ["row"]))
        inputs = [helper.make_tensor_value_info("x", kind, [None, len(weights)])]
    if output != "sum":
        nodes.append(helper.make_node("Sigmoid", ["sum"], ["probability"]))
    if output in ("two columns", "map", "three columns"):
        columns = ["other", "probability"] + ["other"] * (output == "three columns")
        nodes.append(helper.make_node("Sub", ["one", "probability"], ["other"]))
        nodes.append(helper.make_node("Concat", columns, ["probabilities"], axis=1))
    if output == "map":
        zipped = helper.make_node(
            "ZipMap", ["probabilities"], ["classes"], domain="ai.onnx.ml", classlabels_int64s=[0, 1]
        )
        label = helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0)
        outputs = [helper.make_tensor_value_info("label", TensorProto.INT64, [None])]
        map_type = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(kind, []))
        outputs.append(helper.make_value_info("classes", helper.make_sequence_type_proto(map_type)))
        nodes += [zipped, label]
    else:
        name = "probabilities" if output.endswith("columns") else output
        outputs = [helper.make_tensor_value_info(name, kind, [None, None])]
    initial = [numpy_helper.from_array(array, key) for key, array in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initial)
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=8)
    for key, value in ({"feature_names": "length, links"} if properties is None else properties).items():
        model.metadata_props.add(key=key, value=value)
    made: bytes = model.SerializeToString()
    return made
