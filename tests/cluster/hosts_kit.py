# SPDX-License-Identifier: BSD-3-Clause
"""hosts_kit.py: jobs by mpirun on four hosts (virtual_cluster.py without SLURM), as tests start them, end them, and look for what is left.

Each host sees a /tmp of its own, so everything is below /var/tmp."""
import atexit
import glob
import json
import os
import re
import subprocess
import tempfile

from harness import Skip, read_file, wait_until
import virtual_cluster

ALL = "n1:2,n2:2,n3:2,n4:2"
NODE_LOST = 205


def open_mpi_version(t):
    """Its first number; 0: it is another MPI."""
    done = subprocess.run([t.options.mpirun, "--version"], capture_output=True)
    version = re.search(rb"Open MPI\D*(\d+)", done.stdout)
    return int(version.group(1)) if version else 0


class Hosts:
    """The four hosts of all tests, and a directory that they see."""

    cluster = None

    def __init__(self, t):
        self.t = t
        if not Hosts.cluster:
            virtual_cluster.call("mount", "-t", "tmpfs", "none", "/tmp")  # sessions of launchers that were killed are no one's in the way
            Hosts.cluster = virtual_cluster.Cluster(4, slurm=False).__enter__()
            atexit.register(Hosts.cluster.close)
        self.dir = tempfile.mkdtemp(prefix="work.", dir=self.cluster.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def environment(self):
        agent, network = self.cluster.path("agent"), "10.99.0.0/24"
        return {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "TMPDIR": "/tmp",
                "OMPI_MCA_plm_rsh_agent": agent, "OMPI_MCA_btl_tcp_if_include": network, "OMPI_MCA_oob_tcp_if_include": network,
                "OMPI_MCA_btl": "self,sm,tcp" if open_mpi_version(self.t) > 4 else "self,vader,tcp",
                "OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_hwloc_base_binding_policy": "none", "QUERN_PIN": "off",
                # The same for Open MPI 5, whose launcher has names of its own.
                "PRTE_MCA_plm_ssh_agent": agent, "PRTE_MCA_plm_ssh_no_tree_spawn": "1", "PRTE_MCA_prte_if_include": network,
                "PMIX_MCA_ptl_tcp_if_include": network, "PRTE_MCA_hwloc_default_binding_policy": "none"}

    def start(self, *words):
        """quern run with these words. What it says is in a file: a pipe ends only when those on a host that is cut off have, too."""
        said = tempfile.TemporaryFile()
        job = subprocess.Popen([self.t.options.quern, "run", *words], cwd=self.dir, env=self.environment(), stdin=subprocess.DEVNULL,
                               stdout=said, stderr=subprocess.STDOUT)
        job.said = said
        return job

    def end(self, job, seconds, status=0):
        """What it said. status: or several, of which it is one."""
        try:
            job.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            job.kill()
            job.wait()
        job.said.seek(0)
        said = job.said.read().decode(errors="replace")
        self.t.check(job.returncode != -9, "no end within %d s: %s" % (seconds, said))
        self.t.check(job.returncode in (status if isinstance(status, tuple) else (status,)), "status %d: %s" % (job.returncode, said))
        return said

    def run(self, *words, seconds=40):
        said = self.end(self.start(*words), seconds)
        self.nothing_is_left()
        return said

    def doctor(self, *words, status=0):
        """Its findings, as (check, level, host or None, what was found and what to do)."""
        done = subprocess.run([self.t.options.quern, "doctor", "--json", *words], cwd=self.dir, env=self.environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60)
        said = (done.stdout + done.stderr).decode(errors="replace")
        self.t.check(done.returncode == status, "status %d: %s" % (done.returncode, said))
        return [(one["check"], one["level"], one.get("host"), "%s; %s" % (one["found"], one.get("remedy"))) for one in json.loads(done.stdout)["findings"]]

    def program(self, name):
        return os.path.join(os.path.dirname(self.t.options.wordcount), name)

    def give_power(self, number):
        """To a host that was killed; what Open MPI had in its /tmp is still there."""
        self.cluster.boot(number)
        for name in self.cluster.files(number, "/tmp"):
            if name.startswith(("ompi.", "prted.", "pmix")):
                self.cluster.remove(number, "/tmp/" + name)

    def nothing_is_left(self, seconds=4, beside=()):
        """On any host that lives: processes, sessions of Open MPI, shared memory, what is spilled; some files in /tmp may stay."""
        def files(number):
            return [name for name in self.cluster.files(number, "/tmp") if name not in beside]

        def look():
            return {number: left for number in self.cluster.inits
                    if any(left := (self.cluster.processes(number), files(number), self.cluster.files(number, "/dev/shm")))}

        wait_until(lambda: not look(), seconds)
        self.t.check(not look(), "left on hosts: %s" % look())

    def wait_for_epoch(self, job):
        """Something of what the job does is saved."""
        wait_until(lambda: job.poll() is not None or any(b"epoch" in read_file(path) for path in glob.glob(self.path("*/journal"))), 30)
        if job.poll() is not None:
            self.end(job, 1, None)


def hosts(t):
    reason = virtual_cluster.why_not(slurm=False)
    if reason:
        raise Skip(reason)
    return Hosts(t)
