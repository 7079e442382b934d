"""The LiteRT file of a copy: one graph for inputs of any length, in batches of any size, for programs of all kinds."""

import hashlib
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from tensorflow.compiler.tf2xla.python import xla

from urlseq.cards import CARD, card_file, locked, read_card, write_file
from urlseq.graph import Graph
from urlseq.learned import LearnedCopy
from urlseq.lite_model import operations, packed


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
    codes = operations(parsed)
    halves = defaultdict(list)  # the tensors with weights of 16 bits, by buffer: the subgraphs share them
    for subgraph in parsed.subgraphs:
        for operator in subgraph.operators:
            if codes[operator.opcodeIndex] == schema.BuiltinOperator.DEQUANTIZE:
                tensor = subgraph.tensors[operator.inputs[0]]
                halves[tensor.buffer].append(tensor)
        for tensor in subgraph.tensors:
            tensor.name = None
    for buffer, tensors in halves.items():
        pack(parsed.buffers[buffer], tensors)
    for code, kind in zip(parsed.operatorCodes, codes, strict=True):
        if kind == schema.BuiltinOperator.DEQUANTIZE:
            code.version = max(code.version, 5)  # the one that knows steps for each channel
    return packed(parsed)


def pack(buffer, tensors: list) -> None:
    """Makes the 16-bit floats in a buffer of some tensors 8-bit integers with steps, where these are exact."""
    weights = np.asarray(buffer.data, np.uint8).view(np.float16).reshape(tensors[0].shape).astype(np.float32)
    if weights.ndim < 2 or not weights.any():  # zeros of all shapes share a buffer
        return
    for axis in sorted(range(weights.ndim), key=lambda axis: -weights.shape[axis]):
        steps = steps_of(weights, axis)
        numbers = (weights / steps).astype(np.int8)
        if np.array_equal(numbers * steps, weights):
            buffer.data = numbers.ravel().view(np.uint8)
            kept = {"scale": steps.ravel(), "zeroPoint": np.zeros(steps.size, np.int64), "quantizedDimension": axis}
            for tensor in tensors:
                tensor.type, tensor.quantization = schema.TensorType.INT8, schema.QuantizationParametersT(**kept)
            return
