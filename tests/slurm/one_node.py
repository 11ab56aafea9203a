"""A SLURM of one node on this machine: no systemd, no cgroups, no accounting, pretended GPUs.

Needs root and Debian's slurm-wlm. All files lie in one folder, except for links in /etc/slurm: the jobs of
Snakemake's plugin find their configuration only there. The daemons run in the foreground as children.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import socket
import stat
import subprocess
import time
from pathlib import Path

ETC = Path("/etc/slurm")
LOCK = Path("/tmp/obj2ngp-one-node-slurm.lock")
SETUP = Path(__file__).resolve().parents[2] / "setup" / "system_packages.sh"
MARK = "# A test's SLURM of one node"
START_SECONDS = 60

SLURM_CONF = """{mark}
ClusterName=onenode
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={port}
SlurmdPort={next_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
# No cgroups.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
# The node may claim more than the machine has.
SlurmdParameters=config_overrides
MailProg=/bin/true
PropagateResourceLimits=NONE
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
# Ended jobs stay visible for squeue.
MinJobAge=600
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=24:00:00 State=UP
PartitionName=gpu Nodes={host} MaxTime=24:00:00 State=UP
"""


class NoSlurm(Exception):
    """SLURM cannot run here; the message says why."""


@contextlib.contextmanager
def one_node(folder, cpus=6, memory=40_000, gpus=1):
    """Run a SLURM in `folder` (a new one) for as long as the block lasts; partitions `cpu` and `gpu`.

    Installs SLURM where that is possible. Only one runs at a time on a machine; others wait.
    """
    require()
    folder = Path(folder)
    with open(LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_configuration(folder, cpus, memory, gpus)
        link_configuration(folder)
        with contextlib.ExitStack() as stack:
            stack.callback(unlink_configuration)
            for command in daemons(folder):
                stack.enter_context(running(command, folder))
            wait_until_idle(folder)
            yield


def require():
    """Raise `NoSlurm` unless SLURM is installed, or can be, and may be started."""
    if os.geteuid() != 0:
        raise NoSlurm("only root can start a SLURM with its configuration in /etc/slurm")
    if not all(shutil.which(name) for name in ("slurmctld", "slurmd", "munged", "sbatch")):
        setup = subprocess.run([SETUP, "slurm-wlm", "munge"], capture_output=True, text=True)
        if setup.returncode:
            raise NoSlurm(f"slurm-wlm cannot be installed: {setup.stderr.strip()[-300:]}")


def write_configuration(folder, cpus, memory, gpus):
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(stat.S_IRUSR)
    host, port = socket.gethostname().split(".")[0], two_free_ports()
    text = SLURM_CONF.format(
        mark=MARK, host=host, folder=folder, port=port, next_port=port + 1, cpus=cpus, memory=memory, gpus=gpus
    )
    (folder / "slurm.conf").write_text(text)
    devices = [folder / f"gpu{number}" for number in range(gpus)]
    for device in devices:
        try:  # SLURM wants a character device of its own for each: twins of /dev/null
            os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        except PermissionError as error:
            raise NoSlurm("device files, which stand for GPUs, cannot be made here") from error
    lines = [f"NodeName={host} Name=gpu File={device}\n" for device in devices]
    (folder / "gres.conf").write_text(MARK + "\n" + "".join(lines))


def two_free_ports():
    """A free port whose successor is free, too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            with contextlib.suppress(OSError):
                second.bind(("127.0.0.1", port + 1))
                return port


def link_configuration(folder):
    ETC.mkdir(exist_ok=True)
    for name in ("slurm.conf", "gres.conf"):
        link = ETC / name
        ours = link.is_symlink() and link.exists() and link.read_text().startswith(MARK)
        if os.path.lexists(link) and not ours:
            raise NoSlurm(f"this machine has a SLURM configuration of its own: {link}")
        link.unlink(missing_ok=True)
        link.symlink_to(folder / name)


def unlink_configuration():
    for name in ("slurm.conf", "gres.conf"):
        (ETC / name).unlink()


def daemons(folder):
    """The commands of the daemons, each in the foreground, in the order of their start."""
    munge = {"key-file": "munge.key", "socket": "munge.socket", "log-file": "munged.log"}
    munge |= {"pid-file": "munged.pid", "seed-file": "munge.seed"}
    yield ["munged", "--force", "--foreground", *(f"--{key}={folder / name}" for key, name in munge.items())]
    yield ["slurmctld", "-D", "-c", "-f", str(folder / "slurm.conf")]
    yield ["slurmd", "-D", "-f", str(folder / "slurm.conf")]


@contextlib.contextmanager
def running(command, folder):
    with open(folder / f"{command[0]}.out", "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            if command[0] == "munged":
                wait_for((folder / "munge.socket").exists, "munged", folder)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_idle(folder):
    def idle():
        state = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True).stdout.split()
        return state and set(state) == {"idle"}

    wait_for(idle, "slurmctld", folder)


def wait_for(ready, daemon, folder):
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            logs = "".join(path.read_text(errors="replace")[-2000:] for path in sorted(folder.glob(f"{daemon}.*")))
            raise RuntimeError(f"{daemon} is not ready after {START_SECONDS} s:\n{logs}")
        time.sleep(0.2)
