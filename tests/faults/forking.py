"""A process that has imported everything once and then forks a child for every command it is sent.

Run as a program, it reads one request a line from stdin (a JSON list of jobs that run side by side) and answers each
with one line on stdout (a list of results). A child runs the project's own command line, under the fault that its job
asks for; nothing is computed before the fork, so its numbers are those of a fresh process.
"""

import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
import warnings
from importlib import import_module
from pathlib import Path

COUNTED = ("open", "fsync", "replace", "rename", "unlink", "mkdir", "rmdir")
"""Calls of the operating system that change what others see: each is a moment at which a process can die."""


def count_calls(job, counts):
    """Count the calls in COUNTED; before number `crash` (from 1) the process is killed as the kernel would kill it,
    from number `fail` on, those that write fail with the errno that is asked for."""

    def wrapped(name):
        real = getattr(os, name)

        def call(*arguments, **named):
            counts[0] += 1
            if counts[0] == job.get("crash"):
                os.kill(os.getpid(), signal.SIGKILL)
            if counts[0] >= job.get("fail", float("inf")) and name in ("fsync", "replace"):
                raise OSError(job["errno"], os.strerror(job["errno"]))
            return real(*arguments, **named)

        return call

    for name in COUNTED:
        setattr(os, name, wrapped(name))


def kill_first_child():
    """Wait for a process that this one starts to decode images, and kill it."""
    import psutil

    while True:
        for process in psutil.Process().children():
            if process.status() != psutil.STATUS_ZOMBIE and process.cmdline() == psutil.Process().cmdline():
                process.kill()
                return
        time.sleep(0.01)


PRELOADED = (
    "fvcore.nn",
    "scipy.special",
    "seaborn",
    "torch._dynamo",  # optimisers and the FLOP counter import it at their first call, which takes seconds
    "torch.utils.flop_counter",
    "ebreplicate.report.pipeline",
    "ebreplicate.stages",
)


def preload():
    """Import what commands need. Torch computes nothing here, so no thread pool exists when children are forked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in PRELOADED:
            import_module(name)


def prepare(job):
    """Bring about the fault that a job asks for, in its child."""
    # Without git, records name no commit: one made while the tests run would tell two runs apart.
    os.environ.update({"GIT_DIR": os.devnull, "EBREPLICATE_CHECKPOINT_SECONDS": "0", **job.get("env", {})})
    os.chdir(job["cwd"])
    for name, value in job.get("limits", {}).items():
        resource.setrlimit(getattr(resource, name), (value, value))
    if "clock" in job:  # set back by so many seconds once the run has begun: after the first look
        real, looks = time.time, [0]

        def late():
            looks[0] += 1
            return real() - (job["clock"] if looks[0] > 1 else 0)

        time.time = late
    if job.get("kill_child"):  # as the kernel does when memory runs out
        threading.Thread(target=kill_first_child, daemon=True).start()
    if "uid" in job:
        os.setgid(job["uid"])
        os.setuid(job["uid"])
    if "memory" in job:  # so many bytes more than are mapped now
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + job["memory"],) * 2)


def child(job, out, report):
    """Run a job's command line; never returns."""
    from ebreplicate.cli import main

    code, counts = 70, [0]
    try:
        os.dup2(out, 1)
        os.dup2(out, 2)
        prepare(job)
        count_calls(job, counts)
        sys.argv = ["ebreplicate", *job["argv"]]
        code = main(job["argv"])
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(report, json.dumps({"calls": counts[0]}).encode())
        os._exit(code)


def start(job):
    """Fork a job's child; what is needed to wait for it."""
    out = os.memfd_create("out")
    receiving, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(receiving)
        child(job, out, report)
    os.close(report)
    return {"pid": pid, "out": out, "receiving": receiving, "began": time.monotonic(), "kill": job.get("kill_after")}


def finish(running):
    """Wait for children, killing those whose time has come; their results."""
    waiting = {r["pid"]: r for r in running}
    while waiting:
        for pid, r in list(waiting.items()):
            if r["kill"] is not None and time.monotonic() - r["began"] >= r["kill"]:
                r["kill"] = None
                os.kill(pid, signal.SIGKILL)
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                r |= {"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - r["began"]}
                del waiting[pid]
        time.sleep(0.001)
    results = []
    for r in running:
        told = os.read(r["receiving"], 1000)
        os.lseek(r["out"], 0, os.SEEK_SET)
        said = os.read(r["out"], 1 << 20).decode(errors="replace")
        os.close(r["out"])
        os.close(r["receiving"])
        results.append({"code": r["code"], "seconds": r["seconds"], "said": said, **json.loads(told or b"{}")})
    return results


if __name__ == "__main__":
    import gc
    from contextlib import redirect_stdout

    with redirect_stdout(sys.stderr):
        preload()
        gc.freeze()
    for line in sys.stdin:
        answer = finish([start(job) for job in json.loads(line)])
        print(json.dumps(answer), flush=True)
    os._exit(0)  # some libraries tell at length of what they leave behind
