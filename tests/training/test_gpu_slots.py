"""Many processes, few GPUs: no device is shared beyond its slots, none idles, and a killed process gives its slot back.

The GPUs are stand-ins; the processes and their locks are real.
"""

import collections
import json
import os
import subprocess
import sys

import pytest

JOBS, DEVICES = 14, 3
WORKER = """
import json, os, signal, sys, time
from types import SimpleNamespace
import torch
from ebreplicate.training.device import slot

jobs, devices = int(sys.argv[1]), int(sys.argv[2])
torch.cuda.is_available = lambda: True
torch.cuda.device_count = lambda: devices
torch.cuda.get_device_properties = lambda i: SimpleNamespace(uuid=f"gpu-{i}")
torch.cuda.set_device = lambda i: None

def note(*event):  # one write appends whole, and in order
    os.write(ledger, (json.dumps(event) + "\\n").encode())

for slots in sys.argv[3:]:  # one after the other, in one process: importing torch takes longer than all of them
    os.environ["EBREPLICATE_GPU_SLOTS"] = slots
    ledger = os.open(f"ledger{slots}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for job in range(jobs):
        if os.fork() == 0:
            with slot() as device:
                note("enter", job, device.index)
                time.sleep(0.5)  # long enough that on a busy machine every GPU fills up
                if job % 5 == 4:
                    note("killed", job, device.index)
                    os.kill(os.getpid(), signal.SIGKILL)
                note("leave", job, device.index)
            os._exit(0)
    for _ in range(jobs):
        os.wait()
"""


@pytest.mark.slow
def test_jobs_share_no_gpu_beyond_its_slots(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", WORKER, str(JOBS), str(DEVICES), "1", "2"]
    subprocess.run(command, cwd=tmp_path, env=environment, timeout=900, check=True)
    for slots in (1, 2):
        check(tmp_path / f"ledger{slots}", slots)


def check(ledger, slots):
    """What jobs wrote as they took and left a GPU: at most `slots` at once on each, and at some time as many."""
    holders, most, finished = collections.defaultdict(set), collections.Counter(), []
    for line in ledger.read_text().splitlines():
        event, job, device = json.loads(line)
        if event == "enter":
            holders[device].add(job)
        else:
            holders[device].remove(job)
            finished.append(job)
        most[device] = max(most[device], len(holders[device]))
    assert sorted(finished) == list(range(JOBS))
    assert most == dict.fromkeys(range(DEVICES), slots)
