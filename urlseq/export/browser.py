"""The forms that a browser runs: a LiteRT file of inputs of fixed lengths, and a TensorFlow.js model."""

import json
import shutil
import subprocess
import sys
import tempfile
import types
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from urlseq.answering import Decoded
from urlseq.encoding import to_answers
from urlseq.errors import ExportError, MissingPackage
from urlseq.export.litert import convert, put
from urlseq.graph import Graph
from urlseq.learned import LearnedCopy
from urlseq.lite_model import with_floats
from urlseq.vectorize import pad, to_matrix

# In TensorFlow.js each iteration of a loop costs by itself; more steps in one make the model's file longer.
STRIDE = 4
# The page's folder in a checkout of the project; an installed package has none.
WEB = Path(__file__).parents[2] / "web"


def lengths_for(copy: LearnedCopy) -> dict[int, int]:
    """The lengths of rows, EOS included, that the page's LiteRT file takes, and how long an answer may be for each.

    LiteRT.js has no inputs of any length. With a few lengths a short input does not pay for a long one.
    """
    longest, most = pad(np.zeros((1, copy.max_input_bytes + 1))).shape[1], copy.max_answer_bytes
    return {length: min(most, 2 * length + 64) for length in (64, 128, 256) if length < longest} | {longest: most}


def litert_web(copy: LearnedCopy, lengths: dict[int, int]) -> bytes:
    """A LiteRT file with two signatures of one input for each length, such as `answer_64`, and with the attention as
    well `attention_64`.
    """
    graph = Graph(copy.model, copy.max_answer_bytes, put)

    def function(length: int, most: int, attention: bool):
        decode = tf.function(lambda tokens: graph.decode(tokens, most, attention=attention))
        return decode.get_concrete_function(tf.TensorSpec([1, length], tf.int32, name="tokens"))

    functions = {f"{name}_{length}": function(length, most, name == "attention")
                 for length, most in lengths.items() for name in ("answer", "attention")}  # fmt: skip
    return with_floats(convert(copy, graph, functions))


def litert_web_answers(path: Path, lengths: dict[int, int], inputs: Sequence[str],
                       reverse_output: bool = False) -> Decoded:  # fmt: skip
    """The file's answers, each by the shortest signature that is long enough for it."""
    interpreter, decoded = Interpreter(str(path), num_threads=1), Decoded.empty(len(inputs))
    for row, text in enumerate(inputs):
        name = ("answer", "attention")[row % 2]  # both are to be right
        for length in (length for length in lengths if len(text.encode()) < length):
            run = interpreter.get_signature_runner(f"{name}_{length}")
            found = run(tokens=to_matrix([text], length).astype(np.int32))
            if found["ended"][0]:
                break
        answers = to_answers(found["answer"], reverse_output)
        decoded.put([row], Decoded(answers, found["confidence"], found["ended"] > 0))
    return decoded


def write_tensorflowjs(graph: Graph, folder: Path, precision: str) -> None:
    """A TensorFlow.js model: `model.json`, and the weights in files beside it."""
    convert = tensorflowjs_converter()
    decode = tf.function(lambda tokens: graph.decode(tokens, attention=True, stride=STRIDE),
                         input_signature=[tf.TensorSpec([None, None], tf.int32, name="tokens")])  # fmt: skip
    quantization = {"float16": "*"} if precision == "float16" else None
    with tempfile.TemporaryDirectory() as source:
        tf.saved_model.save(graph, source, signatures={"tokens": decode})
        convert(source, str(folder), signature_def="tokens", control_flow_v2=True, quantization_dtype_map=quantization)


def tensorflowjs_converter() -> Callable:
    """The converter of the package `tensorflowjs`, which imports packages that this conversion never uses."""
    unused = ("tensorflow_decision_forests", "tensorflow_hub", "jax", "jax.experimental", "jax.experimental.jax2tf")
    stubs = {name: types.ModuleType(name) for name in unused if name not in sys.modules}
    sys.modules.update(stubs)
    try:
        from tensorflowjs.converters.tf_saved_model_conversion_v2 import convert_tf_saved_model
    except ImportError as error:
        raise MissingPackage(f"TensorFlow.js' converter is missing ({error}): bash setup_colab.sh --export") from None
    finally:  # a later import of one of them is to find the real one
        for name in stubs:
            del sys.modules[name]
    return convert_tf_saved_model


def tensorflowjs_answers(folder: Path, inputs: Sequence[str], encoding: dict) -> Decoded | None:
    """The model's answers in Node; None, and a warning, where that, or the page's folder, is missing."""
    script = WEB / "answers.mjs"
    if shutil.which("node") is None or not script.is_file() or not (WEB / "node_modules").is_dir():
        how = "That takes Node, a checkout of this project, and `npm ci` in its folder web/."
        warnings.warn(f"The TensorFlow.js model is not checked. {how}", stacklevel=4)
        return None
    given = json.dumps({"encoding": encoding, "inputs": list(inputs)})
    process = subprocess.run(["node", script, folder], input=given, capture_output=True, text=True)
    if process.returncode != 0:
        raise ExportError(f"TensorFlow.js can't run the model in Node: {process.stderr.strip()[-2000:]}")
    records = json.loads(process.stdout)
    confidence, ended = (np.array([record[name] for record in records]) for name in ("confidence", "ended"))
    return Decoded([record["answer"] for record in records], confidence, ended)
