"""A training told to stop leaves its checkpoint and goes on to the very same numbers."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from ebreplicate import cli as command_line
from ebreplicate import interrupt, stages
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Recipe, Search, canonical
from ebreplicate.store.store import Store

SEARCH = Search("vgg16", "digits", Recipe(epochs=3, batch_size=20, milestones=(2,)), 0, 0.0625, 60, 20)


@pytest.fixture(autouse=True)
def calm():
    yield
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    interrupt.install(None)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_a_time_limit_exits_with_continue_me_until_the_run_is_whole(tmp_path, capsys, monkeypatch):
    cut, whole = Store(tmp_path / "cut"), Store(tmp_path / "whole")
    stages.search(SEARCH, whole, tmp_path, torch.device("cpu"), Keep())
    argv = ["search", canonical(SEARCH), "--results", str(cut.root), "--device", "cpu", "--time-limit", "0"]
    codes = [command_line.main(argv) for _ in range(3)]  # each gets one epoch done, the last has nothing left to stop
    assert codes == [75, 75, 0]
    assert "run the same command again" in capsys.readouterr().err
    assert cut.read(SEARCH)["metrics"] == whole.read(SEARCH)["metrics"]
    assert (cut.folder(SEARCH) / "scores.npy").read_bytes() == (whole.folder(SEARCH) / "scores.npy").read_bytes()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("8h", 28800), ("1.5h", 5400), ("2d", 172800), ("1e-6", 1e-6), ("0", 0)],
)
def test_durations_have_units(text, seconds):
    assert interrupt.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "8 hours", "8hm", "-1", "-5m", "inf", "nan", "1h30m"])
def test_what_is_no_duration_is_refused(text, capsys):
    with pytest.raises(ValueError, match="expected a duration such as 90s, 30m or 8h"):
        interrupt.duration(text)
    with pytest.raises(SystemExit):
        command_line.main(["search", canonical(SEARCH), f"--time-limit={text}"])
    assert "expected a duration such as 90s, 30m or 8h" in capsys.readouterr().err


def test_sigterm_is_a_request_and_so_is_its_echo():
    interrupt.install(None)
    assert not interrupt.wanted()
    for _ in range(3):  # as from srun, which passes on what it was sent along with its task
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.wanted()
    interrupt.install(None)  # a new run starts unasked
    assert not interrupt.wanted()


ASKED = """
import os, signal, time
from ebreplicate import interrupt
interrupt.ECHO_SECONDS = 0.2
interrupt.install(None)
os.kill(os.getpid(), signal.SIGTERM)
print("asked", flush=True)
time.sleep(0.3)
os.kill(os.getpid(), signal.SIGTERM)
print("survived", flush=True)
"""


def test_a_later_sigterm_is_an_order():
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "asked\n")


def test_a_deadline_is_seconds_from_now():
    interrupt.install(1000.0)
    assert not interrupt.wanted()
    interrupt.install(0.0)
    assert interrupt.wanted()
