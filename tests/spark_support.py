"""A real S3 server on the loopback interface, which enforces access: versitygw, started and stopped by tests."""

import contextlib
import datetime
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
ACCESS, SECRET = "tester", "a-secret-for-tests"


def server_program() -> Path | None:
    """Where `bash setup_colab.sh --dev` puts it (with Go), or wherever it is on the path."""
    fetched = ROOT / ".cache" / "bin" / "versitygw"
    found = fetched if fetched.exists() else shutil.which("versitygw")
    return Path(found) if found else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """Serves each folder in `folder` as a bucket, private at first; yields the server's address."""
    port, notes = free_port(), folder.parent / "s3-notes"
    notes.mkdir(exist_ok=True)
    # Where it is written who may do what; not beside the files, since not every file system has attributes.
    words = [server_program(), "--port", f"127.0.0.1:{port}", "--quiet", "posix", "--sidecar", notes,
             "--default-etag", '"test"', folder]  # fmt: skip
    environment = os.environ | {"ROOT_ACCESS_KEY_ID": ACCESS, "ROOT_SECRET_ACCESS_KEY": SECRET}
    with (folder.parent / "s3.log").open("w") as log:
        process = subprocess.Popen(words, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def wait_for(port: int, process: subprocess.Popen, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError("The S3 server did not start.")


def open_to_all(server: str, bucket: str) -> None:
    """Lets everybody list and read the bucket, and nobody write."""
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    actions = ["s3:ListBucket", "s3:GetObject"]
    statement = {"Effect": "Allow", "Principal": "*", "Action": actions, "Resource": resources}
    body = json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()
    urllib.request.urlopen(signed_put(server, f"/{bucket}", "policy=", body), timeout=30).close()


def signed_put(server: str, path: str, query: str, body: bytes) -> urllib.request.Request:
    """A PUT with Amazon's signature, version 4, so that the tests need no client of Amazon's."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": server.split("://")[1], "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
               "x-amz-date": now}  # fmt: skip
    names = ";".join(headers)
    lines = ["PUT", path, query, *(f"{name}:{value}" for name, value in headers.items()), "", names]
    request = "\n".join([*lines, headers["x-amz-content-sha256"]])
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = ("AWS4" + SECRET).encode()
    for word in [*scope.split("/"), to_sign]:
        key = hmac.digest(key, word.encode(), "sha256")
    signature = f"AWS4-HMAC-SHA256 Credential={ACCESS}/{scope},SignedHeaders={names},Signature={key.hex()}"
    return urllib.request.Request(
        f"{server}{path}?{query}", data=body, headers=headers | {"Authorization": signature}, method="PUT"
    )
