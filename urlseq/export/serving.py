"""Copies for TensorFlow Serving: numbered versions of a model, each checked, with requests that warm it up.

The requests are written in TensorFlow Serving's own protocol; its Python stubs come with the extra `serve`.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from urlseq.cards import locked
from urlseq.errors import ExportError, InvalidSetting, MissingPackage
from urlseq.export import check, inputs_to_check, new_folder
from urlseq.export.saved_model import saved_model_answers, write_saved_model
from urlseq.learned import LearnedCopy

try:
    from tensorflow_serving.apis.predict_pb2 import PredictRequest
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
except ImportError as error:
    raise MissingPackage(f"TensorFlow Serving's stubs are missing ({error}): bash setup_colab.sh --serve") from None

# Where TensorFlow Serving looks for requests to replay before a version answers anyone.
WARM_UP = "assets.extra/tf_serving_warmup_requests"
WARM_UP_BATCHES = (1, 1, 8, 64)


def add_version(copy: LearnedCopy, folder: str | Path, inputs: Sequence[str] | None = None, *,
                version: int | None = None, count: int = 200) -> Path:  # fmt: skip
    """Adds a copy to a model's folder as its next version, and returns that version's folder.

    First it answers up to `count` inputs, by default the held-out ones that the card keeps, and each answer has to
    equal the copy's. It appears whole or not at all, and none that is there is ever written to, so TensorFlow Serving
    may watch the folder. Raises ExportError, also where the `version` is there already, and InvalidSetting.
    """
    folder = Path(folder)
    if version is not None and version < 1:
        raise InvalidSetting(f"Versions are numbered from 1, so {version} can't be one.")
    new_version(folder, version)  # before the work: a number that is taken is told at once
    inputs = inputs_to_check(copy, inputs, count)
    with new_folder(folder / "next") as temporary:  # TensorFlow Serving passes over what is no number
        write_saved_model(copy, temporary)
        found = saved_model_answers(temporary, inputs, copy.reverse_output)
        check("SavedModel", inputs, copy.decode(inputs), found)
        write_warm_up(temporary, folder.name, inputs)
        return put_in_place(temporary, folder, version)


def versions(folder: str | Path) -> list[int]:
    """The numbers of the versions in a model's folder, ascending."""
    return sorted(int(path.name) for path in Path(folder).glob("[0-9]*") if path.name.isdigit() and path.is_dir())


def new_version(folder: Path, version: int | None) -> Path:
    """Where a version is to be, by default the next one. Raises ExportError where something is there already."""
    path = folder / str(version or max(versions(folder), default=0) + 1)
    if path.exists():
        raise ExportError(f"{path} is there already, and is never overwritten: give another number.")
    return path


def put_in_place(temporary: Path, folder: Path, version: int | None) -> Path:
    """Gives a new version its number, while no other writer does."""
    with locked(folder):
        return temporary.rename(new_version(folder, version))


def request(name: str, inputs: Sequence[str | bytes], signature: str = "serving_default") -> PredictRequest:
    """A request with inputs for the model `name`."""
    made = PredictRequest()
    made.model_spec.name, made.model_spec.signature_name = name, signature
    made.inputs["text"].CopyFrom(tf.make_tensor_proto(list(inputs), tf.string, [len(inputs)]))
    return made


def write_warm_up(version: Path, name: str, inputs: Sequence[str]) -> None:
    """Requests with one and with several inputs for both signatures of texts: what is slow once is then done."""
    rng = random.Random("warm-up")
    path = version / WARM_UP
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for size in WARM_UP_BATCHES:
            batch = rng.choices(inputs, k=size)
            for signature in ("serving_default", "embedding"):
                log = PredictionLog()
                log.predict_log.request.CopyFrom(request(name, batch, signature))
                writer.write(log.SerializeToString())
