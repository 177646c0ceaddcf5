"""A Slurm of one's own for the tests: munged, slurmctld and slurmd on the loopback, in one private folder."""

import contextlib
import getpass
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

from builders import wait_until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "srun")
ACCOUNTING = ("slurmdbd", "sacct", "sacctmgr", "mariadbd", "mariadb-install-db")
# Debian keeps the daemons where an ordinary user's PATH does not look
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
GPUS = 2

SLURM_CONF = """\
ClusterName=altfreeze
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# a job that is put back into the queue waits until its credential has expired
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
PlugStackConfig={folder}/plugstack.conf
# neither systemd nor cgroups are needed
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill,UsePss
AccountingStorageType=accounting_storage/{accounting}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
Prolog={folder}/prolog.sh
TaskProlog={folder}/task_prolog.sh
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,bf_interval=1
MinJobAge=7200
KillWait=2
OverTimeLimit=0
SlurmdTimeout=60
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 Port={node_port} CPUs=2 RealMemory={memory} Gres=gpu:test:{gpus} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""

# a job's account must be known
ENFORCED = """\
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge/socket
AccountingStorageEnforce=associations
"""

# it asks MariaDB, whose private socket it finds in an environment variable
SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={user}
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser={user}
StorageLoc=accounting
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
"""


def _free_ports(number):
    """Return ports of the loopback that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class SlurmCluster:
    """One node with two CPUs and two GPUs, which are links to /dev/null.

    Parameters
    ----------
    folder : pathlib.Path
        Everything is written below it; short, since sockets lie in it.
    account : str
        The account that jobs must name, where Slurm is to keep accounts.
    """

    def __init__(self, folder, account=""):
        self.folder, self.account = Path(folder), account
        self.host = socket.gethostname().partition(".")[0]
        self.daemons = {}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "SQUEUE"))},
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": f"{self.folder}/bin{os.pathsep}{PATH}",
            "MYSQL_UNIX_PORT": str(self.folder / "database" / "socket"),
        }

    def __enter__(self):
        try:
            self._configure()
            self._start_munge()
            if self.account:
                self._start_accounting()
            self.start("slurmctld", "-D", "-i")
            self.start("slurmd", "-D")
            wait_until(lambda: self.node_state() == "IDLE", "starting the node")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if "slurmctld" in self.daemons:
            with contextlib.suppress(TimeoutError):
                self.cancel_all()
        for name in ("slurmd", "slurmctld", "slurmdbd", "mariadbd", "munged"):
            self.stop(name)

    def _configure(self):
        for name in ("bin", "munge", "state", "spool"):
            (self.folder / name).mkdir(mode=0o755, parents=True)
        controller_port, node_port, database_port = _free_ports(3)
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20 * 9 // 10
        (self.folder / "slurm.conf").write_text(
            SLURM_CONF.format(
                folder=self.folder,
                user=getpass.getuser(),
                host=self.host,
                controller_port=controller_port,
                node_port=node_port,
                memory=memory,
                gpus=GPUS,
                accounting="slurmdbd" if self.account else "none",
            )
            + (ENFORCED.format(folder=self.folder, port=database_port) if self.account else "")
        )
        database = self.folder / "slurmdbd.conf"
        database.touch(mode=0o600)
        database.write_text(SLURMDBD_CONF.format(folder=self.folder, user=getpass.getuser(), port=database_port))
        (self.folder / "plugstack.conf").touch()
        # a job's own step is started without the variable SLURM_CONF
        srun = self.folder / "bin" / "srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which("srun", path=PATH)} "$@"\n')
        srun.chmod(0o755)
        # 23.02 brought the word; before, the plugin for version 1 is loaded and left unused
        version = tuple(map(int, re.search(r"(\d+)\.(\d+)", self.run("slurmd", "-V")).groups()))
        (self.folder / "cgroup.conf").write_text(f"CgroupPlugin={'disabled' if version >= (23, 2) else 'cgroup/v1'}\n")
        for index in range(GPUS):
            (self.folder / f"gpu{index}").symlink_to("/dev/null")
        (self.folder / "gres.conf").write_text(
            "AutoDetect=off\n" + "".join(f"Name=gpu Type=test File={self.folder}/gpu{index}\n" for index in range(GPUS))
        )
        # Slurm counts a device by the number at the end of its name and tells the prolog which a job got
        prolog = self.folder / "prolog.sh"
        prolog.write_text(f'#!/bin/sh\necho "$SLURM_JOB_ID ${{CUDA_VISIBLE_DEVICES:-}}" >> {self.folder}/devices.txt\n')
        prolog.chmod(0o700)
        (self.folder / "devices.txt").touch()
        # jobs begin, and then wait for a test that is not done with them
        task_prolog = self.folder / "task_prolog.sh"
        task_prolog.write_text(f"#!/bin/sh\nwhile [ -e {self.folder}/paused ]; do sleep 0.1; done\n")
        task_prolog.chmod(0o755)

    def _start_munge(self):
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        self.start(
            "munged",
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--socket={self.folder}/munge/socket",
            f"--pid-file={self.folder}/munge/pid",
            f"--seed-file={self.folder}/munge/seed",
            f"--log-file={self.folder}/munge/log",
        )
        wait_until((self.folder / "munge" / "socket").exists, "starting munged")

    def _start_accounting(self):
        """Start MariaDB and slurmdbd, and make the account of whoever runs this."""
        user, folder = getpass.getuser(), self.folder / "database"
        folder.mkdir()
        place = ("--no-defaults", f"--user={user}", f"--datadir={folder}/data")
        self.run("mariadb-install-db", *place, "--skip-test-db")
        # whoever reaches the socket is let in: it lies in a private folder
        listens = (f"--socket={folder}/socket", "--skip-networking", "--skip-grant-tables")
        self.start("mariadbd", *place, *listens, f"--pid-file={folder}/pid")
        wait_until((folder / "socket").exists, "starting MariaDB")
        self.start("slurmdbd", "-D")
        add = ("sacctmgr", "--immediate", "add")
        wait_until(lambda: "altfreeze" in self.run(*add, "cluster", "altfreeze", check=False), "starting slurmdbd")
        self.run(*add, "account", self.account)
        self.run(*add, "user", user, f"account={self.account}")

    def start(self, name, *arguments):
        """Start a daemon in the foreground of a process of its own."""
        with open(self.folder / f"{name}.out", "ab") as out:
            self.daemons[name] = subprocess.Popen(
                [shutil.which(name, path=PATH), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )

    def stop(self, name):
        """End a daemon, if it runs."""
        daemon = self.daemons.pop(name, None)
        if daemon is None:
            return
        daemon.terminate()
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def run(self, *command, check=True):
        """Run a command of Slurm and return what it prints."""
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, timeout=60, check=False)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def node_state(self):
        """Return the state of the node, for example ``IDLE``."""
        found = re.search(r"State=(\S+)", self.run("scontrol", "show", "node", self.host, check=False))
        return found and found[1]

    def jobs(self):
        """Return all jobs that Slurm remembers: number to its fields."""
        shown = self.run("scontrol", "--oneliner", "show", "job")
        return {
            int(fields["JobId"]): fields
            for line in shown.splitlines()
            if "JobId" in (fields := dict(re.findall(r"(\w+)=(\S*)", line)))
        }

    @contextlib.contextmanager
    def paused(self):
        """Let jobs that begin do nothing yet."""
        (self.folder / "paused").touch()
        try:
            yield
        finally:
            (self.folder / "paused").unlink()

    def cancel_all(self):
        """Cancel the jobs of whoever runs this, and wait until they have ended."""
        self.run("scancel", f"--user={os.geteuid()}", check=False)
        wait_until(lambda: not self.run("squeue", "--noheader", check=False), "ending the jobs", 15)

    def restart_controller(self):
        """Stop slurmctld and start it again; it goes on from its saved state."""
        self.stop("slurmctld")
        self.start("slurmctld", "-D", "-i")
        wait_until(lambda: "UP" in self.run("scontrol", "ping", check=False), "restarting slurmctld")

    def devices(self):
        """Return what CUDA_VISIBLE_DEVICES was for each job that started."""
        lines = (self.folder / "devices.txt").read_text().splitlines()
        return {int(job): devices for job, _, devices in (line.partition(" ") for line in lines)}
