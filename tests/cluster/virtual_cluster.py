# SPDX-License-Identifier: BSD-3-Clause
"""virtual_cluster.py: nodes with names, addresses, processes, /tmp and /dev/shm of their own on one machine, and SLURM's daemons on them.

A test program calls enter() first: it goes on inside namespaces of its own, as the process whose end is the end of all that it started,
whatever ends it. There it makes a Cluster. Its own place is the login node `login` (10.99.0.254) with the controller; the nodes are
n1, n2 ... (10.99.0.1 ...), each an init process in namespaces of its own and a network device that is plugged into a bridge.

With a link=Link(...) the devices are plugged into link_switch.c instead, which gives them a rate and a delay. With slurm=False there are no
daemons; `mpirun --host n1:2,n2:2` works on either, with what mpi_environment() says.

Everything that SLURM keeps is in the cluster's directory, which is on all nodes, as is whatever is not below /tmp.
"""
import collections
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

INSIDE = "QUERN_TEST_CLUSTER"
LOGIN_ADDRESS = 254
NEEDS = ("unshare", "nsenter", "ip")
SLURM_NEEDS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
# What ssh is: `agent HOST WORDS...`. A host that is down is not reached, and nothing of our environment is there.
AGENT = """#!/bin/sh
host=$1
shift
init=$(cat "%(dir)s/run/$host.init" 2>/dev/null) && [ "$(cat "%(dir)s/run/$host.cut" 2>/dev/null)" = "" ] && [ -d "/proc/$init" ] ||
    { echo "agent: $host cannot be reached" >&2; exit 255; }
exec nsenter --target "$init" --mount --uts --ipc --net --pid env --ignore-environment PATH="$PATH" HOME=/root USER=root LC_ALL=C \\
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 sh -c "$*"
"""
LINK_MTU = 9000  # as clusters have it; with less the switch takes more of the processors than the job
Link = collections.namedtuple("Link", "switch mbit_per_s delay_us")  # the program; delay from one node to another


def why_not(slurm=True, link=False):
    """Why there can be no such cluster here; None if there can."""
    if os.environ.get(INSIDE):
        return None
    if os.geteuid() != 0:
        return "needs root to make network namespaces"
    if link and not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun to make links of"
    lacking = [name for name in NEEDS + (SLURM_NEEDS if slurm else ()) if not shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    if lacking:
        return "not installed: %s" % ", ".join(lacking)
    done = subprocess.run(["unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "ip", "link", "add", "name", "switch", "type", "bridge"],
                          capture_output=True)
    return None if done.returncode == 0 else "namespaces are not allowed here: %s" % done.stderr.decode().strip()


def enter(slurm=True, link=False):
    """Goes on with this program in namespaces of its own; returns there, or at once where there can be none."""
    if os.environ.get(INSIDE) or why_not(slurm, link) is not None:
        return
    os.environ[INSIDE] = "1"
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    os.execvp("unshare", ["unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child=KILL", "--mount-proc",
                          sys.executable, *sys.argv])


def call(*command):
    done = subprocess.run(command, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(command), done.stderr.decode(errors="replace")))
    return done.stdout


def wait_for(is_so, seconds, what):
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise RuntimeError("%s: not within %d s" % (what, seconds))
        time.sleep(0.02)


def address(number):
    return "10.99.0.%d" % number


class Cluster:
    """with Cluster(3) as cluster: ... SLURM's commands work, and its nodes are idle. Without SLURM they are hosts of agent()."""

    def __init__(self, count, cpus=2, memory_mib=2000, slurm=True, link=None):
        if not os.environ.get(INSIDE):
            raise RuntimeError("enter() first: this machine is nobody's cluster")
        self.count, self.cpus, self.memory_mib, self.slurm, self.link = count, cpus, memory_mib, slurm, link
        self.switch = None
        self.dir = tempfile.mkdtemp(prefix="qcluster.", dir="/var/tmp")
        self.inits = {}
        os.chmod(self.dir, 0o755)

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            self.be_login_node()
            if self.slurm:
                self.configure()
                self.start_controller()
            for number in range(1, self.count + 1):
                self.boot(number)
            if self.slurm:
                wait_for(lambda: self.idle() == self.count, 30, "the nodes are idle")
            else:
                wait_for(lambda: all(map(self.is_up, self.inits)), 10, "the nodes are up")
                self.write_agent()
            undo.pop_all()
        return self

    def __exit__(self, *_):
        self.close()

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def be_login_node(self):
        for name in ("tmp", "log", "run", "state"):
            os.mkdir(self.path(name))
        hosts = [(LOGIN_ADDRESS, "login")] + [(number, "n%d" % number) for number in range(1, self.count + 1)]
        with open(self.path("hosts"), "w") as file:
            file.write("127.0.0.1 localhost\n" + "".join("%s %s\n" % (address(number), name) for number, name in hosts))
        call("mount", "--make-rprivate", "/")
        call("mount", "--bind", self.path("hosts"), "/etc/hosts")
        call("hostname", "login")
        call("ip", "link", "set", "lo", "up")
        if self.link:
            self.start_switch()
        else:
            # Without an address of its own it takes that of a cable, and another one when that node dies: then nobody reaches it for half a minute.
            call("ip", "link", "add", "name", "switch", "address", "02:00:00:00:00:fe", "type", "bridge")
        call("ip", "addr", "add", address(LOGIN_ADDRESS) + "/24", "dev", "switch")
        call("ip", "link", "set", "switch", "up")

    def write_agent(self):
        with open(self.path("agent"), "w") as file:
            file.write(AGENT % {"dir": self.dir})
        os.chmod(self.path("agent"), 0o755)

    def start_switch(self):
        """Its device `switch` is the login node's; those of nodes are moved there, and a node that was killed has none to boot with."""
        cables = ["cable%d" % number for number in range(1, self.count + 1)]
        self.switch = subprocess.Popen([self.link.switch, str(self.link.mbit_per_s), str(self.link.delay_us), "switch", *cables],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if self.switch.stdout.readline() != b"ready\n":
            raise RuntimeError("%s does not start" % self.link.switch)
        for name in ("switch", *cables):
            call("ip", "link", "set", name, "mtu", str(LINK_MTU))

    def mpi_environment(self):
        """For mpirun on the login node: its daemons start on the nodes, and speak by their network only."""
        agent = self.path("agent")
        network = address(0) + "/24"
        return {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_plm_rsh_agent": agent,
                "OMPI_MCA_plm_rsh_no_tree_spawn": "1", "OMPI_MCA_btl_tcp_if_include": network, "OMPI_MCA_oob_tcp_if_include": network,
                "OMPI_MCA_pml": "ob1", "OMPI_MCA_btl": "self,vader,tcp", "OMPI_MCA_mpi_yield_when_idle": "1",
                "OMPI_MCA_hwloc_base_binding_policy": "none", "TMPDIR": "/tmp"}

    def is_up(self, number):
        return os.path.exists(self.path("run", "n%d.up" % number))

    def configure(self):
        with open(self.path("munge.key"), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(secrets.token_bytes(1024))
        options = {
            "ClusterName": "virtual", "SlurmctldHost": "login(%s)" % address(LOGIN_ADDRESS), "SlurmUser": "root", "SlurmdUser": "root",
            "AuthType": "auth/munge", "AuthInfo": "socket=%s,cred_expire=5" % self.path("run", "munge.socket"), "CredType": "cred/munge",
            "StateSaveLocation": self.path("state"), "SlurmdSpoolDir": self.path("run", "%n.spool"),
            "SlurmctldPidFile": self.path("run", "slurmctld.pid"), "SlurmdPidFile": self.path("run", "%n.pid"),
            "SlurmctldLogFile": self.path("log", "slurmctld"), "SlurmdLogFile": self.path("log", "slurmd-%n"),
            # The machine has fewer cores than the nodes say, so nothing is bound.
            "SlurmdParameters": "config_overrides", "TaskPlugin": "task/none", "ProctrackType": "proctrack/linuxproc",
            "SelectType": "select/cons_tres", "SelectTypeParameters": "CR_Core_Memory", "JobAcctGatherType": "jobacct_gather/none",
            "SchedulerParameters": "sched_interval=1,bf_interval=1,batch_sched_delay=0", "ReturnToService": "2",
            "SlurmdTimeout": "10", "KillWait": "5", "PropagateResourceLimits": "NONE", "MpiDefault": "none", "TmpFS": "/tmp",
        }
        with open(self.path("slurm.conf"), "w") as file:
            file.writelines("%s=%s\n" % option for option in options.items())
            file.write("NodeName=n[1-%d] CPUs=%d Boards=1 SocketsPerBoard=1 CoresPerSocket=%d ThreadsPerCore=1 RealMemory=%d\n"
                       % (self.count, self.cpus, self.cpus, self.memory_mib))
            file.write("PartitionName=all Nodes=n[1-%d] Default=YES MaxTime=INFINITE DefMemPerCPU=%d\n"
                       % (self.count, self.memory_mib // self.cpus))
        os.environ["SLURM_CONF"] = self.path("slurm.conf")

    def start_controller(self):
        call("munged", "--force", "--socket=" + self.path("run", "munge.socket"), "--key-file=" + self.path("munge.key"),
             "--pid-file=" + self.path("run", "munged.pid"), "--log-file=" + self.path("log", "munged"),
             "--seed-file=" + self.path("run", "munge.seed"))
        call("slurmctld")

    def boot(self, number):
        """Also one that was killed."""
        name = "n%d" % number
        os.makedirs(self.path("tmp", name), mode=0o1777, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path("run", name + ".up"))
        with open(self.path("log", "init-" + name), "ab") as log:
            starter = subprocess.Popen(["unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child=KILL",
                                        "--mount-proc", sys.executable, os.path.abspath(__file__), name, address(number), self.dir,
                                        *(["slurm"] if self.slurm else []), *(["link"] if self.link else [])],
                                       stdout=log, stderr=log)
        children = "/proc/%d/task/%d/children" % (starter.pid, starter.pid)
        ours = os.readlink("/proc/self/ns/net")

        def find():
            with contextlib.suppress(OSError, IndexError):
                with open(children) as file:
                    init = int(file.read().split()[0])
                if os.readlink("/proc/%d/ns/net" % init) != ours:
                    self.inits[number] = init
            return number in self.inits

        self.inits.pop(number, None)
        wait_for(find, 10, name)
        with open(self.path("run", name + ".init"), "w") as file:
            file.write(str(self.inits[number]))
        if self.link:
            call("ip", "link", "set", "cable%d" % number, "netns", str(self.inits[number]), "name", "net")
            return
        # Of a node that was killed it goes when nobody is in its network any more, be it who was about to start something there.
        subprocess.run(["ip", "link", "delete", "cable%d" % number], capture_output=True)
        call("ip", "link", "add", "cable%d" % number, "type", "veth", "peer", "name", "net", "netns", str(self.inits[number]))
        call("ip", "link", "set", "cable%d" % number, "master", "switch", "up")
        if not self.slurm:
            wait_for(lambda: self.is_up(number), 10, name + " is up")

    def kill(self, number):
        """As if its power were gone."""
        os.kill(self.inits.pop(number), signal.SIGKILL)

    def cut(self, number):
        """Its cable; join() mends it."""
        call("ip", "link", "set", "cable%d" % number, "down")
        with open(self.path("run", "n%d.cut" % number), "w") as file:
            file.write("cut")

    def join(self, number):
        os.unlink(self.path("run", "n%d.cut" % number))
        call("ip", "link", "set", "cable%d" % number, "up")

    def processes(self, number):
        """On the node, apart from its init: pid here to the words of its command."""
        there = os.readlink("/proc/%d/ns/pid" % self.inits[number])
        found = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink("/proc/%s/ns/pid" % name) == there and int(name) != self.inits[number]:
                    with open("/proc/%s/cmdline" % name) as file:
                        found[int(name)] = file.read().replace("\0", " ")
        return found

    def files(self, number, path):
        """Names in a directory as the node sees it."""
        return os.listdir("/proc/%d/root%s" % (self.inits[number], path))

    def write(self, number, path, content):
        """A file as the node sees it."""
        path = "/proc/%d/root%s" % (self.inits[number], path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)

    def remove(self, number, path):
        shutil.rmtree("/proc/%d/root%s" % (self.inits[number], path), ignore_errors=True)

    def received_bytes(self, number):
        """Over its cable."""
        with open("/proc/%d/net/dev" % self.inits[number]) as file:
            return next(int(line.split()[1]) for line in file if line.split()[0] == "net:")

    @contextlib.contextmanager
    def throttled(self, number, name, share=0.5, period=0.04):
        """While it lasts, processes of that name on the node run for so much of the time only."""
        def throttle():
            while not over.wait(period * share):
                pids = [pid for pid, words in self.processes(number).items() if os.path.basename(words.split(" ")[0]) == name]
                for kind in (signal.SIGSTOP, signal.SIGCONT):
                    for pid in pids:
                        with contextlib.suppress(OSError):
                            os.kill(pid, kind)
                    if kind == signal.SIGSTOP:
                        over.wait(period * (1 - share))

        over = threading.Event()
        thread = threading.Thread(target=throttle)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def idle(self):
        return int(call("sinfo", "--noheader", "--states=idle", "--format=%D") or 0)

    def close(self):
        for init in self.inits.values():
            with contextlib.suppress(OSError):
                os.kill(init, signal.SIGKILL)
        if self.switch:
            self.switch.kill()
            self.switch.wait()
        for name in ("slurmctld.pid", "munged.pid"):
            with contextlib.suppress(OSError, ValueError):
                with open(self.path("run", name)) as file:
                    os.kill(int(file.read()), signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)


def be_node(name, ip, directory, *parts):
    """The init of a node: its devices, slurmd if there is to be one, and orphans that end."""
    call("hostname", name)
    call("mount", "--bind", os.path.join(directory, "tmp", name), "/tmp")
    call("mount", "-t", "tmpfs", "-o", "mode=1777,size=1g", "none", "/dev/shm")
    wait_for(lambda: os.path.exists("/sys/class/net/net") or subprocess.run(["ip", "link", "show", "net"], capture_output=True).returncode == 0,
             10, "the cable")
    call("ip", "link", "set", "lo", "up")
    call("ip", "addr", "add", ip + "/24", "dev", "net")
    call("ip", "link", "set", "net", "up")
    if "link" in parts:  # of each connection no more than a link's queue has room for, and more than is on its way
        for which in ("rmem", "wmem"):
            with open("/proc/sys/net/ipv4/tcp_" + which, "w") as file:
                file.write("4096 131072 %d" % (1 << 20))
    if "slurm" in parts:
        call("slurmd", "-N", name)
    with open(os.path.join(directory, "run", name + ".up"), "w"):
        pass
    while True:
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(0.1)


if __name__ == "__main__":
    be_node(*sys.argv[1:])
