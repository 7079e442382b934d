"""Copies for TensorFlow Serving: numbered versions of a model, each checked, with requests that warm it up.

The requests are written in TensorFlow Serving's own protocol; its Python stubs come by `setup_colab.sh --serve`.
"""

import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import tensorflow as tf

from urlseq.export import ExportError, answered, check, saved_model_answers, texts_to_check, write_saved_model
from urlseq.files import beside
from urlseq.learned import LearnedCopy, copy_of

# Where TensorFlow Serving looks for requests to replay before a version answers anyone.
WARM_UP = "assets.extra/tf_serving_warmup_requests"
WARM_UP_BATCHES = (1, 1, 8, 64)


def add_version(copy: LearnedCopy, folder: str | Path, texts: Sequence[str] | None = None, *,
                version: int | None = None, count: int = 200) -> Path:  # fmt: skip
    """Adds a copy to a model's folder as its next version, and returns that version's folder.

    It answers `count` texts first, by default inputs like those that it learned from, and has to say what the copy
    says. It appears whole or not at all, and no version that is there is ever written to: TensorFlow Serving may
    watch the folder, and turns to the highest number. Raises ExportError, FileExistsError where the `version` asked
    for is there or a file has the next one's name, and ValueError where no texts are known to check with.
    """
    folder = Path(folder)
    if version is not None and version < 1:
        raise ValueError(f"Versions are numbered from 1, so {version} can't be one.")
    copy = copy_of(copy.model, copy.card, None)  # no function travels along: confidence alone decides about trust
    texts = texts_to_check(copy, texts, count)
    part = beside(folder / "new")  # TensorFlow Serving passes over what is no number
    try:
        part.mkdir()
        write_saved_model(copy, part)
        check("SavedModel", texts, answered(copy, texts), saved_model_answers(part, texts))
        write_warm_up(part, folder.name, texts)
        return put_in_place(part, folder, version)
    except tf.errors.OpError as error:  # a full disk, for instance, which TensorFlow has errors of its own for
        raise ExportError(f"No version was added to {folder}: {error.message}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def versions(folder: str | Path) -> list[int]:
    """The numbers of the versions in a model's folder, ascending."""
    return sorted(int(path.name) for path in Path(folder).glob("[0-9]*") if path.name.isdigit() and path.is_dir())


def put_in_place(part: Path, folder: Path, version: int | None) -> Path:
    """Gives a new version its number. A rename fails where another writer has taken that in the meantime."""
    while True:
        number = version or max(versions(folder), default=0) + 1
        path = folder / str(number)
        if version is not None and path.exists():
            raise FileExistsError(f"{path} is there already, and versions are never overwritten: leave out the number.")
        try:
            return part.rename(path)
        except OSError:
            if not path.is_dir():  # a file may have that name, which is no version
                raise


def stubs():
    """The messages of TensorFlow Serving: (PredictRequest, PredictionLog)."""
    try:
        from tensorflow_serving.apis.predict_pb2 import PredictRequest
        from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
    except ImportError as error:
        raise ExportError(f"TensorFlow Serving's stubs are missing ({error}): bash setup_colab.sh --serve") from None
    return PredictRequest, PredictionLog


def request(name: str, texts: Sequence[str | bytes], signature: str = "serving_default"):
    """A PredictRequest of texts to the model `name`."""
    made = stubs()[0]()
    made.model_spec.name, made.model_spec.signature_name = name, signature
    made.inputs["text"].CopyFrom(tf.make_tensor_proto(list(texts), tf.string, [len(texts)]))
    return made


def write_warm_up(version: Path, name: str, texts: Sequence[str]) -> None:
    """Requests of one and of several texts, to both signatures of texts: what is slow once is then done already."""
    rng = random.Random("warm-up")
    path = version / WARM_UP
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for size in WARM_UP_BATCHES:
            batch = rng.choices(texts, k=size)
            for signature in ("serving_default", "embedding"):
                log = stubs()[1]()
                log.predict_log.request.CopyFrom(request(name, batch, signature))
                writer.write(log.SerializeToString())


def warm_up_requests(version: str | Path) -> Iterator:
    """The PredictRequests that a version's folder holds."""
    for record in tf.data.TFRecordDataset(str(Path(version) / WARM_UP)):
        yield stubs()[1].FromString(record.numpy()).predict_log.request
