"""The forms that a browser runs: a LiteRT file of inputs of fixed lengths, and a TensorFlow.js model."""

import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from urlseq.cards import write_file
from urlseq.encoding import to_answers
from urlseq.errors import ExportError, MissingPackage
from urlseq.export.litert import convert, put
from urlseq.graph import Graph
from urlseq.learned import LearnedCopy
from urlseq.vectorize import pad, to_matrix

# In TensorFlow.js each iteration of a loop costs by itself; more steps in one make the model's file longer.
STRIDE = 4
# The page's folder in a checkout of the project; an installed package has none.
WEB = Path(__file__).parents[2] / "web"


@dataclasses.dataclass
class Lengths:
    """How long an input and an answer may be in two of a LiteRT file's signatures, for one row of `length` bytes, EOS
    included: `answer_` and `attention_`, each with the length appended. LiteRT.js has no inputs of any length.
    """

    length: int
    max_answer_bytes: int

    def functions(self, graph: Graph) -> dict:
        """The two functions of one input, by name: the answer, and the answer with attention."""
        return {f"{name}_{self.length}": self.function(graph, name == "attention") for name in ("answer", "attention")}

    def function(self, graph: Graph, attention: bool):
        decode = tf.function(lambda tokens: graph.decode(tokens, self.max_answer_bytes, attention=attention))
        return decode.get_concrete_function(tf.TensorSpec([1, self.length], tf.int32, name="tokens"))


def write_litert_web(copy: LearnedCopy, path: Path) -> list[Lengths]:
    """One file with signatures for a few lengths, so that a short input does not pay for a long one."""
    graph, longest = (
        Graph(copy.model, copy.max_answer_bytes, put),
        pad(np.zeros((1, copy.max_input_bytes + 1))).shape[1],
    )
    lengths = [Lengths(length, min(graph.max_answer_bytes, 2 * length + 64))
               for length in (64, 128, 256) if length < longest]  # fmt: skip
    lengths.append(Lengths(longest, graph.max_answer_bytes))
    functions = {name: function for each in lengths for name, function in each.functions(graph).items()}
    write_file(path, convert(copy, graph, functions))
    return lengths


def litert_web_answers(path: Path, lengths: list[Lengths], inputs: Sequence[str],
                       reverse_output: bool = False) -> Iterator[tuple[str, float, bool]]:  # fmt: skip
    """The file's (answer, confidence, ended), by the shortest signature that is long enough for the answer."""
    interpreter = Interpreter(str(path), num_threads=1)
    for row, text in enumerate(inputs):
        for each in lengths:
            if len(text.encode()) >= each.length:
                continue
            name = ("answer", "attention")[row % 2]  # both are to be right
            run = interpreter.get_signature_runner(f"{name}_{each.length}")
            found = run(tokens=to_matrix([text], each.length).astype(np.int32))
            if found["ended"][0]:
                break
        answer = to_answers(found["answer"], reverse_output)[0]
        yield answer, float(found["confidence"][0]), bool(found["ended"][0])


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


def tensorflowjs_answers(folder: Path, inputs: Sequence[str], encoding: dict) -> list[tuple[str, float, bool]] | None:
    """The model's (answer, confidence, ended) in Node; None where that, or the page's folder, is missing."""
    script = WEB / "answers.mjs"
    if shutil.which("node") is None or not script.is_file() or not (WEB / "node_modules").is_dir():
        return None
    command = ["node", str(script), str(folder)]
    given = json.dumps({"encoding": encoding, "inputs": list(inputs)})
    process = subprocess.run(command, input=given, capture_output=True, text=True)
    if process.returncode != 0:
        raise ExportError(f"TensorFlow.js can't run the model in Node: {process.stderr.strip()[-2000:]}")
    return [(record["answer"], record["confidence"], record["ended"]) for record in json.loads(process.stdout)]
