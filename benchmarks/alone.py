"""A plain loop in a process of its own, started as a script is: with torch and the C library as they come.

This library's processes keep freed memory (`tune_allocator`). That would speed the plain loop up as well, so it runs
elsewhere; a second one with that setting shows what the setting alone does.
"""

import dataclasses
import functools
import json
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import torch

from benchmarks.plain import Plain, select_like_authors
from benchmarks.setting import Setting, network, pictures
from benchmarks.timing import Elapsed, timed
from ebreplicate.training.device import tune_allocator


class Alone:
    """Epochs of `Plain`, each trained when it is called; `authors`: with their channel selection, `tuned`: with this
    library's setting of the allocator."""

    def __init__(self, name: str, setting: Setting, *, authors: bool = False, tuned: bool = False):
        self.order = {"name": name, "authors": authors, "tuned": tuned, "threads": torch.get_num_threads()}
        self.order["setting"] = dataclasses.asdict(setting) | {"device": setting.device.type}

    @functools.cached_property
    def process(self) -> "subprocess.Popen[str]":
        """The process, started when it is first needed; it ends with this object."""
        command = [sys.executable, "-m", "benchmarks.alone", json.dumps(self.order)]
        root, pipe = Path(__file__).parents[1], subprocess.PIPE
        process = subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe, text=True)
        weakref.finalize(self, process.communicate)  # its input ends, and so does it
        return process

    def __call__(self) -> Elapsed:
        """Train an epoch there; its seconds by the clock, and CPU seconds without those of loading workers."""
        print("epoch", file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()  # type: ignore[union-attr]
        if not answer:
            raise RuntimeError(f"the plain loop ended with exit code {self.process.wait()}; it said why above")
        return Elapsed(**json.loads(answer))


def main(order: dict[str, Any]) -> None:
    """Train an epoch for every line of the input."""
    if order["tuned"]:
        tune_allocator()
    torch.set_num_threads(order["threads"])
    setting = Setting(**order["setting"] | {"device": torch.device(order["setting"]["device"])})
    model = network(order["name"], setting)
    model = select_like_authors(model) if order["authors"] else model
    plain = Plain(model, pictures(setting.images), setting.batch_size, setting.device, setting.workers)
    for _ in sys.stdin:
        print(json.dumps(dataclasses.asdict(timed(plain.epoch))), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
