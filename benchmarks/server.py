"""A small stand-in for TensorFlow Serving, in its own protocol, for where its container can't run: tests, notebooks.

    python -m benchmarks.server serving/urlparse --port 8500

It knows TensorFlow and the protocol, and nothing of copies: any SavedModel in a numbered folder will do.
"""

import argparse
import concurrent.futures
import time
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2, prediction_service_pb2_grpc

WARM_UP = "assets.extra/tf_serving_warmup_requests"


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers `Predict` by the newest version of the model in a folder."""

    def __init__(self, folder: Path):
        numbers = [int(path.name) for path in folder.glob("[0-9]*") if path.name.isdigit()]
        if not numbers:
            raise FileNotFoundError(f"{folder} has no numbered version of a model.")
        self.name, self.version = folder.name, max(numbers)
        path = folder / str(self.version)
        self.model = tf.saved_model.load(str(path))
        self.warm_up(path / WARM_UP)

    def warm_up(self, path: Path) -> None:
        for record in tf.data.TFRecordDataset(str(path)) if path.exists() else ():
            self.answer(prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request)

    def Predict(self, request, context):
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else self.version
        if (spec.name, version) != (self.name, self.version):
            message = f"This is {self.name}, version {self.version}, not {spec.name}, version {version}."
            context.abort(grpc.StatusCode.NOT_FOUND, message)
        try:
            return self.answer(request)
        except (KeyError, TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error)[:500])

    def answer(self, request):
        name = request.model_spec.signature_name or "serving_default"
        if name not in self.model.signatures:
            raise KeyError(f"There is no signature {name}; there are {', '.join(self.model.signatures)}.")
        inputs = {key: tf.constant(tf.make_ndarray(proto)) for key, proto in request.inputs.items()}
        response = predict_pb2.PredictResponse()
        response.model_spec.CopyFrom(request.model_spec)
        response.model_spec.version.value = self.version
        for key, tensor in self.model.signatures[name](**inputs).items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(tensor.numpy(), tensor.dtype, tensor.shape))
        return response


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a model's folder, with numbered versions in it")
    parser.add_argument("--port", type=int, default=0, help="on the loopback interface (default: any that is free)")
    arguments = parser.parse_args()
    start = time.perf_counter()
    # As TensorFlow Serving, it takes requests of any size; how large an answer may be is for the client to say.
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", -1)])
    service = Service(arguments.folder)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port(f"127.0.0.1:{arguments.port}")
    server.start()
    seconds = time.perf_counter() - start
    print(f"{service.name}, version {service.version}, at 127.0.0.1:{port}, ready after {seconds:.1f} s", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
