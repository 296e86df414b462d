"""What spark-submit.sh asks of Kubernetes, as seen by a server that stands in for its API: the pod of the driver."""

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from test_setup import ROOT, copy_of_checkout, submit

pytestmark = pytest.mark.slow


class Api(ThreadingHTTPServer):
    """Takes whatever objects it is given, and keeps them by kind."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, list[dict[str, Any]]] = {}


class _Handler(BaseHTTPRequestHandler):
    def _take(self) -> None:
        thing = yaml.safe_load(self.rfile.read(int(self.headers["Content-Length"])))  # JSON is YAML
        assert isinstance(self.server, Api)
        self.server.objects.setdefault(thing["kind"], []).append(thing)
        thing["metadata"] |= {"uid": "1", "resourceVersion": "1"}
        self._answer(thing)

    do_POST = do_PATCH = do_PUT = _take  # noqa: N815 - the names of the base class

    def do_GET(self) -> None:
        self._answer({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": []})

    def _answer(self, thing: dict[str, Any]) -> None:
        told = json.dumps(thing).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose environment counts as made, and is packed into an archive of nothing."""
    checkout = copy_of_checkout(tmp_path / "attune")
    (checkout / "tools" / "setup.sh").write_text("#!/bin/sh\n")
    (checkout / "tools" / "pack_environment.py").write_text("import sys; open(sys.argv[2], 'w')")
    binaries = checkout / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name, command in (("python", sys.executable), ("spark-submit", Path(sys.executable).with_name("spark-submit"))):
        (binaries / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (binaries / name).chmod(0o755)
    return checkout


def test_the_drivers_pod_has_job_and_environment(api: Api, checkout: Path, tmp_path: Path) -> None:
    """Not run in a cluster: what is seen is that Spark takes the options and example settings, and what it makes of them."""
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    done = submit(
        checkout, "--master", f"k8s://http://127.0.0.1:{api.server_port}", "--properties-file",
        str(ROOT / "conf" / "cluster" / "kubernetes.conf"), "--conf", "spark.kubernetes.container.image=shop/spark:4.0",
        "--conf", f"spark.kubernetes.file.upload.path={uploads.as_uri()}",
        "--conf", "spark.kubernetes.submission.waitAppCompletion=false", "clean", "--as-of", "2026-03-01",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (pod,) = api.objects["Pod"]
    (driver,) = pod["spec"]["containers"]
    variables = {variable["name"]: variable.get("value") for variable in driver["env"]}
    assert variables["PYSPARK_PYTHON"] == variables["PYSPARK_DRIVER_PYTHON"] == "./environment/bin/python"
    assert driver["image"] == "shop/spark:4.0"
    assert "/workspace" in {mount["mountPath"] for mount in driver["volumeMounts"]}
    assert driver["args"][-2:] == ["--as-of", "2026-03-01"]
    properties = "\n".join(text for made in api.objects["ConfigMap"] for text in made.get("data", {}).values())
    (archives,) = [line for line in properties.splitlines() if line.startswith("spark.archives=")]
    assert archives.endswith("environment.tar.gz\\#environment")
    uploaded = {file.name for file in uploads.rglob("*") if file.is_file() and not file.name.startswith(".")}
    assert {"clean.py", "attune.zip", "environment.tar.gz"} <= uploaded
