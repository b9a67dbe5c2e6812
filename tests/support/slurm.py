"""A SLURM cluster of one node on this machine: its own munge key, ports and folder, daemons that end with the test."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

DAEMONS = ("munged", "slurmctld", "slurmd")
TOOLS = ("sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=1,sched_interval=5
ReturnToService=2
MinJobAge=36000
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
# More cores, memory and GPUs than there are: what is tested is who gets them.
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=64000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES State=UP PriorityTier=1 GraceTime={grace}
PartitionName=urgent Nodes={host} State=UP PriorityTier=2
"""
GRES = "AutoDetect=off\nNodeName={host} Name=gpu File={folder}/nvidia[0-{last}]\n"
# The plugin drops all but a few SLURM variables before its inner srun, SLURM_CONF among them: elsewhere than here the
# configuration is found in /etc/slurm.
SRUN = '#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {srun} "$@"\n'


def missing() -> str:
    """Why no cluster can be started here; empty if one can be tried."""
    absent = [name for name in (*DAEMONS, *TOOLS) if shutil.which(name, path=PATH) is None]
    return f"not installed: {', '.join(absent)} (Debian: slurm-wlm, munge)" if absent else ""


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


def until(condition, seconds: float, every: float = 0.2, what: str = ""):
    """What `condition` returns once that is true; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise AssertionError(f"not within {seconds:g} s: {what or condition}")


class Slurm:
    """The cluster in `folder`; `environment` is what its clients need."""

    def __init__(self, folder: Path):
        self.folder = folder
        conf, path = str(folder / "slurm.conf"), os.pathsep.join([str(folder / "bin"), PATH])
        self.environment = {"SLURM_CONF": conf, "PATH": path}

    def call(self, *command: str) -> str:
        """Output of a client command."""
        done = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout.strip()

    def jobs(self) -> dict[str, str]:
        """State of every job, by its number, finished ones included."""
        lines = self.call("squeue", "--states=all", "--noheader", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def job(self, number: str) -> dict[str, str]:
        """Fields of one job as scontrol shows them."""
        return dict(re.findall(r"(\w+)=(\S*)", self.call("scontrol", "show", "job", number)))


def _start(folder: Path, gpus: int, grace: int) -> None:
    host, user = socket.gethostname().split(".")[0], "root" if os.getuid() == 0 else os.environ.get("USER", "")
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    for number in range(gpus):
        (folder / f"nvidia{number}").touch()
    values = {"folder": folder, "host": host, "user": user, "gpus": gpus, "last": gpus - 1, "grace": grace}
    (folder / "slurm.conf").write_text(CONF.format(**values, ports=_free_ports(2)))
    (folder / "gres.conf").write_text(GRES.format(**values))
    (folder / "bin" / "srun").write_text(SRUN.format(folder=folder, srun=shutil.which("srun", path=PATH)))
    (folder / "bin" / "srun").chmod(0o755)
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    munge = [f"--{name.replace('_', '-')}={folder}/munge.{name}" for name in ("socket", "key", "log", "pid", "seed")]
    munge = [m.replace("--key=", "--key-file=").replace("--log=", "--log-file=") for m in munge]
    munge = [m.replace("--pid=", "--pid-file=").replace("--seed=", "--seed-file=") for m in munge]
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": PATH}
    for command in (["munged", "--force", *munge], ["slurmctld", "-c"], ["slurmd"]):
        program = shutil.which(command[0], path=PATH)
        with (folder / f"{command[0]}.out").open("w") as out:
            subprocess.run([program, *command[1:]], env=environment, stdout=out, stderr=out, timeout=60, check=True)


def processes(folder: Path) -> list[psutil.Process]:
    """The daemons of the cluster in `folder`, their helpers, and what they are running."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name().startswith(("munged", "slurm")):
                ours = [*process.cmdline(), process.cwd(), *(f.path for f in process.open_files())]
            else:
                ours = [process.environ().get("SLURM_CONF", "")]
            if any(str(folder) in text for text in ours):
                found.append(process)
    return found


@contextlib.contextmanager
def cluster(gpus: int = 2, grace: int = 0) -> Iterator[Slurm]:
    """Start a cluster and end it. Raises RuntimeError, with the daemons' logs, where it does not come up.

    `grace`: seconds between SIGTERM and the end of a preempted job.
    """
    folder = Path(tempfile.mkdtemp(prefix="ebslurm"))
    folder.chmod(0o755)  # munged insists
    slurm = Slurm(folder)
    try:
        try:
            _start(folder, gpus, grace)
            until(lambda: slurm.call("sinfo", "--noheader", "--format=%T", "--partition=main") == "idle", 60)
        except (OSError, subprocess.SubprocessError, AssertionError) as e:
            logs = "".join(f"\n{p.name}:\n{p.read_text()[-1500:]}" for p in sorted(folder.glob("*.[lo]*")))
            raise RuntimeError(f"no SLURM cluster here: {e}{logs}") from None
        yield slurm
    finally:
        _end(slurm)


def _end(slurm: Slurm) -> None:
    with contextlib.suppress(AssertionError, OSError, subprocess.SubprocessError):
        slurm.call("scancel", "--signal=KILL", "--full", "--state=RUNNING")
        slurm.call("scancel", "--state=PENDING")
    for _ in range(3):  # whom a daemon starts while it ends
        left = processes(slurm.folder)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=20)
    assert not processes(slurm.folder)
    shutil.rmtree(slurm.folder)
