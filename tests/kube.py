"""A stand-in for Kubernetes: an API server on localhost that records what is posted and runs each job's command here.

It knows what the executor plugin asks: secrets, jobs, their status, pods, logs. A pod is a process in a folder of its
own, in which the working directory /workdir is that folder; a volume is mounted where its path says, which must exist.
"""

import contextlib
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
clusters: [{{name: test, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: test, user: {{}}}}]
"""
NEVER = {"restartCount": 0}


class Pods:
    """The jobs of the cluster: manifests as posted, and a process for each."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder, self.environment = folder, environment
        self.manifests: dict[str, dict[str, Any]] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.lock = threading.Lock()

    def start(self, manifest: dict[str, Any]) -> None:
        """Run the command of a job's one container."""
        name = manifest["metadata"]["name"]
        (container,) = manifest["spec"]["template"]["spec"]["containers"]
        assert container["workingDir"] == "/workdir"
        workdir = self.folder / name
        workdir.mkdir()
        with self.lock, (self.folder / f"{name}.log").open("wb") as log:
            self.manifests[name] = manifest
            self.processes[name] = subprocess.Popen(
                [*container["command"], *container["args"]],
                cwd=workdir,
                env={**self.environment, "KUBERNETES_SERVICE_HOST": "127.0.0.1"},
                stdout=log,
                stderr=log,
            )

    def code(self, name: str) -> int | None:
        """Exit code of a job's pod, None while it runs."""
        with self.lock:
            return self.processes[name].poll()

    def log(self, name: str) -> str:
        """What a pod printed."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def end(self) -> None:
        """Kill what still runs."""
        for process in self.processes.values():
            process.kill()
            process.wait()


def _handler(pods: Pods) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self, body: dict[str, Any], status: int = 200) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.endswith("/jobs"):
                pods.start(body)
            self.answer(body, 201)

        def do_DELETE(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.answer({"kind": "Status", "status": "Success"})

        def do_GET(self) -> None:
            job = re.search(r"/jobs/([\w-]+)/status", self.path) or re.search(r"job-name%3D([\w-]+)", self.path)
            if job is None:  # the log of a container before this one, which there never is
                self.answer({"kind": "Status", "status": "Failure", "reason": "BadRequest", "code": 400}, 400)
                return
            code = pods.code(job[1])
            if "/status" in self.path:
                counts = {} if code is None else {"failed": 1} if code else {"succeeded": 1}
                self.answer({"kind": "Job", "metadata": {"name": job[1]}, "status": counts})
                return
            state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
            container = {
                "name": "snakemake",
                "state": state,
                "image": "",
                "imageID": "",
                "ready": True,
                "restartCount": 0,
            }
            pod = {"metadata": {"name": f"{job[1]}-pod"}, "status": {"containerStatuses": [container]}}
            self.answer({"kind": "PodList", "items": [pod]})

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextlib.contextmanager
def kubernetes(folder: Path, environment: dict[str, str]) -> Iterator[tuple[Pods, dict[str, str]]]:
    """A cluster whose pods have `environment`; gives them, and what a client's environment needs to find it."""
    (folder / "pods").mkdir(parents=True)
    pods = Pods(folder / "pods", environment)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(pods))
    (folder / "kubeconfig").write_text(KUBECONFIG.format(port=server.server_port))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield pods, {"KUBECONFIG": str(folder / "kubeconfig"), "NO_PROXY": "127.0.0.1", "HOME": os.environ["HOME"]}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        pods.end()
