"""A warm process that forks one child a command, so that a short run does not pay seconds of imports.

Importing torch, pandas and matplotlib takes longer than a smoke-scale run. With EBREPLICATE_WARM=1 (the Snakefile sets
it) the command line hands itself to a server that has them imported; the server forks, the child works with the
client's own stdin, stdout, stderr, folder and environment, and its exit code comes back. The numbers are those of a
fresh process: the server computes nothing before it forks. The server is started by the first client, serves only its
own user and its own version of the code, and ends by itself when idle.
"""

import contextlib
import fcntl
import os
import signal
import socket
import sys
import zlib

IDLE_SECONDS = 20
START_SECONDS = 120
LONGEST_PATH = 100
"""Bytes of a socket's path; Linux takes 107, macOS 103."""
COMMANDS = ("search", "draw", "retrain", "sparse", "graph", "tabulate", "plot", "compare", "redraw")
"""Commands whose imports take longer than a small run."""

# A client imports this module at the start of every job of the workflow: what only a server needs, or a client that
# starts one, is imported there.


def wanted(argv: list[str]) -> bool:
    """True if this process should hand its command to the warm server. Several processes (--processes) are fresh."""
    able = os.environ.get("EBREPLICATE_WARM") == "1" and hasattr(os, "fork") and hasattr(socket, "SCM_RIGHTS")
    return able and bool(argv) and argv[0] in COMMANDS and not any(word.startswith("--p") for word in argv)


def _folder() -> str:
    """Folder of the sockets: this user's alone."""
    folder = os.path.join(os.environ.get("TMPDIR") or "/tmp", f"ebreplicate-{os.getuid()}")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    owner = os.stat(folder)
    if owner.st_uid != os.getuid() or owner.st_mode & 0o077:
        raise PermissionError(f"{folder} is not private to this user")
    return folder


def _sources(folder: str) -> list[str]:
    """Every source file below `folder`, its time and size."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                found += _sources(entry.path)
            elif entry.name.endswith(".py"):
                info = entry.stat()
                found.append(f"{entry.path}:{info.st_mtime_ns}:{info.st_size}")
    return found


def _address() -> str:
    """Socket of this interpreter and this version of the source: edited code is never served by an old process."""
    here = os.path.dirname(os.path.abspath(__file__))
    state = "\0".join([sys.executable, here, *sorted(_sources(here))]).encode()
    address = os.path.join(_folder(), f"{zlib.crc32(state):08x}{zlib.adler32(state):08x}.sock")
    if len(os.fsencode(address)) > LONGEST_PATH:
        raise OSError(f"{address} is too long for a socket")
    return address


def _connect(address: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        return None
    return connection


def _connected(address: str) -> socket.socket | None:
    """Connect, starting the server if there is none; None if that does not work out."""
    connection = _connect(address)
    if connection:
        return connection
    with open(address.removesuffix(".sock") + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one client starts it, the others wait here
        return _connect(address) or _started(address)


def _started(address: str) -> socket.socket | None:
    """Start the server and connect to it."""
    import subprocess
    import time

    server = subprocess.Popen(
        [sys.executable, "-m", "ebreplicate.warm", address],
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


def _packed(argv: list[str]) -> bytes:
    """Folder, arguments and environment of a command; none of them can hold a zero byte."""
    environment = [name + b"=" + value for name, value in os.environb.items()]
    parts = [os.fsencode(os.getcwd()), str(len(argv)).encode(), *map(os.fsencode, argv), *environment]
    return b"\0".join(parts)


def _unpacked(request: bytes) -> tuple[str, list[str], dict[str, str]]:
    cwd, count, *rest = (os.fsdecode(part) for part in request.split(b"\0"))
    argv, environment = rest[: int(count)], rest[int(count) :]
    return cwd, argv, dict(line.split("=", 1) for line in environment)


def run(argv: list[str]) -> int | None:
    """Run a command line in the warm server; its exit code, or None if there is no server to be had."""
    try:
        connection = _connected(_address())
    except OSError:
        return None
    if connection is None:
        return None
    with connection:
        request = _packed(argv)
        streams = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (0, 1, 2))
        try:
            connection.sendmsg([len(request).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
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
    """Import what commands need. Torch computes nothing here, so no thread pool exists when children are forked."""
    import warnings
    from importlib import import_module

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in PRELOADED:
            import_module(name)
        import_module("ebreplicate.data.arrays").digit_arrays()  # smoke's dataset, in numpy on this thread


def _child(connection: socket.socket, fds: list[int], request: bytes) -> None:
    """Work in a forked child; never returns."""
    import threading

    from ebreplicate.cli import main

    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)

    def watch() -> None:  # the client is gone (killed): so is its job
        if not connection.recv(1):
            os._exit(1)

    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        cwd, argv, environment = _unpacked(request)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environment | {"EBREPLICATE_WARM": "0"})
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


def _alive(children: set[int]) -> set[int]:
    """Those of the processes that are still at work."""
    alive = set()
    for child in children:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            continue
        alive.add(child)
    return alive


def serve(address: str) -> None:
    """Listen at `address` until idle: no client for IDLE_SECONDS, and none still served."""
    import gc

    _preload()
    gc.collect()
    gc.freeze()  # the children's collector then leaves the shared pages alone
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the kernel
    _remove(address)
    children: set[int] = set()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        listener.settimeout(IDLE_SECONDS)
        while True:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                children = _alive(children)
                if not children:
                    break
                continue
            with connection:
                children |= _serve_one(listener, connection)
    _remove(address)


def _remove(address: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(address)


def _serve_one(listener: socket.socket, connection: socket.socket) -> set[int]:
    """Fork a child for one request; the child, or nothing if the request did not arrive."""
    connection.settimeout(10)
    try:
        head, fds, _, _ = socket.recv_fds(connection, 4, 3)
        request = _receive(connection, int.from_bytes(head, "big"))
    except OSError:
        return set()
    connection.settimeout(None)
    if not request:
        return set()
    child = os.fork()
    if child == 0:
        listener.close()
        _child(connection, fds, request)
    for fd in fds:
        os.close(fd)
    with contextlib.suppress(OSError):  # the client is gone, and so is the child's work
        connection.sendall(child.to_bytes(4, "big"))
    return {child}


if __name__ == "__main__":
    serve(sys.argv[1])
