"""A TFLite network of a few numbers, written by hand: the mean colour of the eyes, and one logit of it."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


def mean_colour_network(
    weights: tuple[float, float, float], bias: float, height: int = 64, width: int = 128
) -> bytes:
    """A file that takes ``(1, height, width, 3)`` float32; its features are the three means, its logit weighs them."""
    constants = {
        "axes": np.array([1, 2], np.int32),
        "weights": np.array([weights], np.float32),
        "bias": np.array([bias], np.float32),
    }
    shapes = {"eyes": [1, height, width, 3], "axes": [2], "weights": [1, 3], "bias": [1]}
    shapes |= {"means": [1, 3], "logit": [1, 1]}
    names = list(shapes)
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.description = 3, "mean colour"
    model.buffers = [schema.BufferT()]
    graph.tensors = []
    for name in names:
        tensor = schema.TensorT()
        tensor.name, tensor.shape = name, shapes[name]
        tensor.type = schema.TensorType.INT32 if name == "axes" else schema.TensorType.FLOAT32
        tensor.buffer = 0
        if name in constants:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(constants[name].tobytes(), np.uint8)
            tensor.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(tensor)
    mean, dense = schema.ReducerOptionsT(), schema.FullyConnectedOptionsT()
    mean.keepDims = False
    steps = [
        (schema.BuiltinOperator.MEAN, ["eyes", "axes"], "means", schema.BuiltinOptions.ReducerOptions, mean),
        (
            schema.BuiltinOperator.FULLY_CONNECTED,
            ["means", "weights", "bias"],
            "logit",
            schema.BuiltinOptions.FullyConnectedOptions,
            dense,
        ),
    ]
    model.operatorCodes, graph.operators = [], []
    for number, (kind, taken, given, option, values) in enumerate(steps):
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = kind
        code.version = 1
        model.operatorCodes.append(code)
        operator.opcodeIndex = number
        operator.inputs = [names.index(name) for name in taken]
        operator.outputs = [names.index(given)]
        operator.builtinOptionsType, operator.builtinOptions = option, values
        graph.operators.append(operator)
    graph.inputs, graph.outputs = [names.index("eyes")], [names.index("logit")]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
