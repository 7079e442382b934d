"""The LiteRT file of a copy: one graph for inputs of any length, in batches of any size, for programs of all kinds."""

import hashlib
import tempfile
from pathlib import Path

import flatbuffers
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from tensorflow.compiler.tf2xla.python import xla

from urlseq.cards import CARD, card_file, locked, read_card, write_file
from urlseq.graph import Graph
from urlseq.learned import LearnedCopy


def add_litert(copy: LearnedCopy, folder: str | Path) -> Path:
    """Writes a copy's LiteRT file into the folder where the copy is, names it in the card, and returns the file."""
    folder, data = Path(folder), litert_model(copy)
    digest = hashlib.sha256(data).hexdigest()
    path = folder / f"litert-{digest[:12]}.tflite"
    with locked(folder):
        write_file(path, data)
        write_file(folder / CARD, card_file(read_card(folder) | {"litert": [path.name, digest]}))
        for other in set(folder.glob("litert-*")) - {path}:
            other.unlink(missing_ok=True)
    return path


def litert_model(copy: LearnedCopy) -> bytes:
    """A LiteRT file with the signature `answer`: `tokens` int32 [batch, time] and `limit`, an int32, to the outputs of
    `Graph.decode` and the `midrange`, for which a limit of 1 is enough.
    """
    graph = Graph(copy.model, copy.max_answer_bytes, put)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32, name="tokens"),
                                  tf.TensorSpec([], tf.int32, name="limit")])  # fmt: skip
    def answer(tokens, limit):
        return graph.decode(tokens, limit, midrange=True)

    return convert(copy, graph, {"answer": answer})


def convert(copy: LearnedCopy, graph: Graph, functions: dict) -> bytes:
    """A LiteRT file with these functions, by name, as its signatures, which share the weights: in 8 or in 16 bits where
    these hold each of the copy's weights exactly.
    """
    halves = all(np.array_equal(array, array.astype(np.float16)) for array in copy.model.get_weights())
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(graph, folder, signatures=functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(functions))
        if halves:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        return compact(converter.convert())


def put(rows, index, new):
    """`rows` with the `new` ones from `index` on, in place: TensorFlow has this operation for compilers alone."""
    return xla.dynamic_update_slice(rows, new, tf.stack([index] + [0] * (len(rows.shape) - 1)))


def rounded(model, precision: str) -> list[np.ndarray]:
    """A Keras model's weights, each as a number of this precision holds it.

    For `int8` each column has steps of its own, a power of two, of which no number is more than 127. What the graph
    makes one matrix of, all kernels of a layer, has the same steps.
    """
    if precision != "int8":
        return [weights.astype(precision).astype(np.float32) for weights in model.get_weights()]
    found = []
    for layer in model.layers:
        weights = layer.get_weights()
        kernels = [array for array in weights if array.ndim == 2]
        steps = steps_of(np.concatenate(kernels), 1) if kernels else None
        found += [np.round(array / steps) * steps if array.ndim == 2 else array.astype(np.float16).astype(np.float32)
                  for array in weights]  # fmt: skip
    return found


def steps_of(array: np.ndarray, axis: int) -> np.ndarray:
    """For each channel along an axis the smallest power of two of which no number there is more than 127."""
    others = tuple(other for other in range(array.ndim) if other != axis)
    largest = np.abs(array).max(axis=others, keepdims=True)
    return np.exp2(np.ceil(np.log2(np.maximum(largest, 1e-30) / 127))).astype(np.float32)


def compact(model: bytes) -> bytes:
    """A LiteRT file with its weights of 16 bits in 8 where that changes none of them, and without names of tensors.

    The converter's own 8 bits round the numbers in between, too, which changes answers.
    """
    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in parsed.operatorCodes]
    packed: dict[int, tuple | None] = {}  # by buffer: the subgraphs share them
    for subgraph in parsed.subgraphs:
        for operator in subgraph.operators:
            if codes[operator.opcodeIndex] == schema.BuiltinOperator.DEQUANTIZE:
                tensor = subgraph.tensors[operator.inputs[0]]
                if tensor.buffer not in packed:
                    packed[tensor.buffer] = pack(parsed.buffers[tensor.buffer], tensor.shape)
                if packed[tensor.buffer] is not None:
                    tensor.type, tensor.quantization = schema.TensorType.INT8, packed[tensor.buffer]
        for tensor in subgraph.tensors:
            tensor.name = None
    for code in parsed.operatorCodes:  # the version that knows steps for each channel
        if max(code.builtinCode, code.deprecatedBuiltinCode) == schema.BuiltinOperator.DEQUANTIZE:
            code.version = max(code.version, 5)
    builder = flatbuffers.Builder(len(model))
    builder.Finish(parsed.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def pack(buffer, shape) -> schema.QuantizationParametersT | None:
    """Makes a buffer of 16-bit floats one of 8-bit integers and returns their steps; None where these are not exact."""
    weights = np.frombuffer(bytes(bytearray(buffer.data)), np.float16).reshape(shape).astype(np.float32)
    if weights.ndim < 2 or not weights.any():  # zeros of all shapes share a buffer
        return None
    for axis in sorted(range(weights.ndim), key=lambda axis: -weights.shape[axis]):
        steps = steps_of(weights, axis)
        numbers = weights / steps
        if np.array_equal(numbers, np.round(numbers)):
            buffer.data = numbers.astype(np.int8).ravel().view(np.uint8).tolist()
            found = schema.QuantizationParametersT()
            found.scale, found.zeroPoint = steps.ravel().tolist(), [0] * steps.size
            found.quantizedDimension = axis
            return found
    return None
