"""The warm process: one server serves many commands, brings back what they say, and takes their end with them."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
import torch
from snake import ROOT, servers, warmth

from ebreplicate import warm
from ebreplicate.specs.spec import Recipe, Search, canonical
from ebreplicate.store.store import Store

BAD = ["tabulate", "fig1_existance", "--scale", "smoke"]
ENDLESS = Recipe(epochs=100_000, batch_size=20, milestones=(), augment="none")
LONG = Search("vgg16", "digits", ENDLESS, 0, 0.0625, 60, 40)


def workers(folder):
    """Commands that servers in `folder` are working on."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child for server in servers(folder) for child in server.children()]
    return []


def until(condition, seconds=60.0):
    """What `condition` returns once that is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("it did not happen")


@pytest.fixture(scope="module")
def private():
    """Environment of clients of one server, which hear Ctrl-C even where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with warmth() as environment:
        yield os.environ | environment
    signal.signal(signal.SIGINT, before)


def client(env, *argv, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "ebreplicate", *argv],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def test_exit_code_and_message_come_back_from_one_server(private, tmp_path):
    (tmp_path / "here").mkdir()
    seen = []
    for _ in range(2):
        process = client(private, *BAD, cwd=tmp_path / "here")
        out, err = process.communicate(timeout=200)
        assert (process.returncode, out) == (2, "")
        assert err.startswith("error: experiment: unknown name 'fig1_existance'; did you mean 'fig1_existence'?")
        assert len(err.splitlines()) == 1
        seen += [server.pid for server in servers(private["TMPDIR"])]
    assert len(seen) == 2
    assert seen[0] == seen[1]
    # Asked directly, so that it cannot have run in the client: None would mean that there was no server.
    code = f"from ebreplicate import warm; print(warm.run({BAD!r}))"
    direct = subprocess.run([sys.executable, "-c", code], env=private, capture_output=True, text=True, timeout=200)
    assert (direct.stdout, direct.stderr) == ("2\n", err)
    until(lambda: [s.pid for s in servers(private["TMPDIR"])] == seen[:1])  # its child may not have gone yet


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=["TERM", "INT", "KILL"])
def test_a_client_that_ends_takes_its_work_along(private, tmp_path, number):
    process = client(private, "search", canonical(LONG), "--results", str(tmp_path), "--device", "cpu")
    try:
        (worker,) = until(lambda: workers(private["TMPDIR"]))
        server = worker.parent()
        folder = Store(tmp_path).folder(LONG)
        until(folder.is_dir)  # it is training
        process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode != 0
    until(lambda: not worker.is_running())
    assert server.is_running()
    assert not Store(tmp_path).done(LONG)


@pytest.fixture
def temporary(monkeypatch):
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path, which is too long for a socket in a run on many cores
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def test_the_address_is_that_of_the_source_and_of_the_interpreter(temporary, monkeypatch):
    package = temporary / "package"
    (package / "sub").mkdir(parents=True)
    source = package / "sub" / "module.py"
    source.write_text("x = 1\n")
    monkeypatch.setattr(warm, "__file__", str(package / "warm.py"))
    first = warm._address()
    assert first == warm._address()
    assert os.path.dirname(first) == str(temporary / f"ebreplicate-{os.getuid()}")

    (package / "notes.txt").write_text("no source")
    assert warm._address() == first
    os.utime(source, ns=(0, source.stat().st_mtime_ns + 1))
    second = warm._address()
    source.write_text("x = 12\n")
    third = warm._address()
    (package / "new.py").write_text("")
    fourth = warm._address()
    monkeypatch.setattr(sys, "executable", "/another/python")
    fifth = warm._address()
    assert len({first, second, third, fourth, fifth}) == 5


def test_a_folder_that_others_can_read_is_not_used(temporary):
    (temporary / f"ebreplicate-{os.getuid()}").mkdir(mode=0o755)
    assert warm.run(BAD) is None


class GoneServer:
    """A connection whose server ended between accepting it and serving it."""

    def __init__(self, error):
        self.error = error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def recv(self, _size):
        return b""

    def sendmsg(self, *_):
        if self.error is not None:
            raise self.error
        return 4

    def sendall(self, _data):
        pass


@pytest.mark.parametrize("error", [BrokenPipeError(), ConnectionResetError(), None], ids=["pipe", "reset", "silence"])
def test_a_server_that_is_just_ending_leaves_the_command_to_the_client(temporary, monkeypatch, error):
    monkeypatch.setattr(warm, "_connected", lambda _: GoneServer(error))
    assert warm.run(BAD) is None


@pytest.mark.parametrize(("value", "wanted"), [("1", True), ("0", False), ("", False), (None, False)])
def test_a_server_is_used_only_where_it_is_asked_for(monkeypatch, value, wanted):
    monkeypatch.delenv("EBREPLICATE_WARM", raising=False)
    if value is not None:
        monkeypatch.setenv("EBREPLICATE_WARM", value)
    assert warm.wanted(["plot"]) is wanted


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (["search", "{}", "--threads", "2"], True),
        (["search", "{}", "--processes", "2"], False),  # as torch.distributed.run starts them: fresh
        (["search", "{}", "--proc=2"], False),
        (["plan"], False),
        ([], False),
    ],
)
def test_commands_of_one_training_or_figure_are_handed_over(monkeypatch, argv, wanted):
    monkeypatch.setenv("EBREPLICATE_WARM", "1")
    assert warm.wanted(argv) is wanted


def test_a_command_arrives_as_it_was_sent(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("A", "x=y z\n'")
    monkeypatch.setenv("B", "")
    argv = ["search", '{"a": "b c"}', "", "--results", "\u00fc"]
    assert warm._unpacked(warm._packed(argv)) == (str(tmp_path), argv, dict(os.environ))


def test_a_client_imports_next_to_nothing():
    code = "import sys, ebreplicate.warm; print(*sorted({'json', 'argparse', 'subprocess', 're'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.slow
def test_children_may_use_a_gpu():
    """CUDA refuses a process whose parent has so much as counted the GPUs."""
    code = """
import os, sys, torch
from ebreplicate import warm

def refused():
    child = os.fork()
    if child == 0:
        os._exit(torch.cuda._is_in_bad_fork())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

warm._preload()
before = refused()
torch.cuda.is_available()
print(before, refused())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "1" if torch.version.cuda else "0"]


def test_a_server_does_not_end_while_it_serves(temporary, monkeypatch):
    """Without that, on a busy machine, jobs of more than the idle time would each start a server of their own."""
    code = """
import os, sys, time
from ebreplicate import warm
warm.IDLE_SECONDS, warm._preload = 0.3, lambda: None
warm._child = lambda connection, *_: (time.sleep(1.5), connection.sendall(bytes([7])), os._exit(0))
warm.serve(sys.argv[1])
"""
    address = str(temporary / "own.sock")
    monkeypatch.setattr(warm, "_address", lambda: address)
    with subprocess.Popen([sys.executable, "-c", code, address], cwd=ROOT) as server:
        until(lambda: os.path.exists(address))
        handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        assert warm.run(BAD) == 7
        for number, handler in handlers.items():
            signal.signal(number, handler)
        assert server.poll() is None
        assert server.wait(60) == 0  # idle, now that its child is gone


def test_no_server_is_started_where_no_socket_can_be(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 90)  # a socket's path has at most 108 bytes
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(a))
    assert warm.run(BAD) is None
    assert started == []
