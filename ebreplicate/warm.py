"""A warm process that forks one child a command, so that a short run does not pay seconds of imports.

Importing torch, pandas and matplotlib takes longer than a smoke-scale run. With EBREPLICATE_WARM=1 (the Snakefile sets
it) the command line hands itself to a server that has them imported; the server forks, the child works with the
client's own stdin, stdout, stderr, folder and environment, and its exit code comes back. The numbers are those of a
fresh process: the server computes nothing before it forks. The server is started by the first client, serves only its
own user and its own version of the code, and ends by itself when idle.
"""

import contextlib
import fcntl
import gc
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

IDLE_SECONDS = 20
START_SECONDS = 120
LONGEST_PATH = 100
"""Bytes of a socket's path; Linux takes 107, macOS 103."""


def wanted() -> bool:
    """True if this process should hand its command to the warm server."""
    return os.environ.get("EBREPLICATE_WARM") == "1" and hasattr(os, "fork") and hasattr(socket, "send_fds")


def _folder() -> Path:
    """Folder of the sockets: this user's alone."""
    folder = Path(tempfile.gettempdir()) / f"ebreplicate-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = folder.stat()
    if owner.st_uid != os.getuid() or owner.st_mode & 0o077:
        raise PermissionError(f"{folder} is not private to this user")
    return folder


def _address() -> Path:
    """Socket of this interpreter and this version of the source: edited code is never served by an old process."""
    here = Path(__file__).parent
    state = [sys.executable, str(here)]
    for file in sorted(here.rglob("*.py")):
        info = file.stat()
        state.append(f"{file}:{info.st_mtime_ns}:{info.st_size}")
    address = _folder() / f"{hashlib.sha256(chr(0).join(state).encode()).hexdigest()[:16]}.sock"
    if len(os.fsencode(address)) > LONGEST_PATH:
        raise OSError(f"{address} is too long for a socket")
    return address


def _connect(address: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(address))
    except OSError:
        connection.close()
        return None
    return connection


def _connected(address: Path) -> socket.socket | None:
    """Connect, starting the server if there is none; None if that does not work out."""
    connection = _connect(address)
    if connection:
        return connection
    with address.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one client starts it, the others wait here
        connection = _connect(address)
        if connection:
            return connection
        server = subprocess.Popen(
            [sys.executable, "-m", "ebreplicate.warm", str(address)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and server.poll() is None:
            connection = _connect(address)
            if connection:
                return connection
            time.sleep(0.02)
    return None


def run(argv: list[str]) -> int | None:
    """Run a command line in the warm server; its exit code, or None if there is no server to be had."""
    try:
        connection = _connected(_address())
    except OSError:
        return None
    if connection is None:
        return None
    with connection:
        request = json.dumps({"argv": argv, "cwd": os.getcwd(), "env": dict(os.environ)}).encode()
        try:
            socket.send_fds(connection, [len(request).to_bytes(4, "big")], [0, 1, 2])
            connection.sendall(request)
            child = int.from_bytes(_receive(connection, 4), "big")
        except OSError:  # the server ended, idle, just as we connected; a child it may have forked ends with us
            return None
        if not child:
            return None

        def forward(number: int, _frame: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, forward)
        code = _receive(connection, 1)
        return code[0] if code else 1  # no code: the child was killed


def _receive(connection: socket.socket, size: int) -> bytes:
    """Receive exactly `size` bytes, or nothing if the peer is gone."""
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            return b""
        data += part
    return data


PRELOADED = (
    "fvcore.nn",
    "scipy.stats",
    "seaborn",
    "sklearn.datasets",
    "torch._dynamo",  # optimisers and the FLOP counter import it at their first call, which takes seconds
    "torch.utils.flop_counter",
    "ebreplicate.report.pipeline",
    "ebreplicate.stages",
)


def _preload() -> None:
    """Import what commands need. Nothing is computed here, so no thread pool exists when children are forked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in PRELOADED:
            import_module(name)


def _child(connection: socket.socket, fds: list[int], request: dict[str, Any]) -> None:
    """Work in a forked child; never returns."""
    from ebreplicate.__main__ import main

    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)

    def watch() -> None:  # the client is gone (killed): so is its job
        if not connection.recv(1):
            os._exit(1)

    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.chdir(str(request["cwd"]))
        os.environ.clear()
        os.environ.update(request["env"])
        os.environ["EBREPLICATE_WARM"] = "0"
        argv = list(request["argv"])
        sys.argv = ["ebreplicate", *argv]
        threading.Thread(target=watch, daemon=True).start()
        code = main(argv)
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        with contextlib.suppress(OSError):
            connection.sendall(bytes([code & 0xFF]))
        os._exit(code)


def serve(address: Path) -> None:
    """Listen at `address` until idle: no client for IDLE_SECONDS."""
    _preload()
    gc.collect()
    gc.freeze()  # the children's collector then leaves the shared pages alone
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the kernel
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen(64)
        listener.settimeout(IDLE_SECONDS)
        while True:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                break
            with connection:
                _serve_one(listener, connection)
    address.unlink(missing_ok=True)


def _serve_one(listener: socket.socket, connection: socket.socket) -> None:
    """Fork a child for one request."""
    connection.settimeout(10)
    try:
        head, fds, _, _ = socket.recv_fds(connection, 4, 3)
        request = json.loads(_receive(connection, int.from_bytes(head, "big")))
    except (OSError, ValueError):
        return
    connection.settimeout(None)
    child = os.fork()
    if child == 0:
        listener.close()
        _child(connection, fds, request)
    for fd in fds:
        os.close(fd)
    with contextlib.suppress(OSError):
        connection.sendall(child.to_bytes(4, "big"))


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
