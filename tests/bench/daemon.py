"""A gatherd in a directory of its own, for measuring it and for killing it.

Whoever imports this becomes the parent of all that its daemons leave behind (Linux's
child subreaper), so that end_all() finds every worker and command by its parent, and
ends them by their ids. Python's standard library only.
"""

import atexit
import ctypes
import http.client
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import shutil
import time

PR_SET_CHILD_SUBREAPER = 36


def children():
    """Of each process the ids of its children, as /proc has them now."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="latin-1") as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue  # it has just ended
            found.setdefault(parent, []).append(int(name))
    return found


def descendants(pid):
    found, tree = [], children()
    todo = tree.get(pid, [])
    while todo:
        found += todo
        todo = [child for parent in todo for child in tree.get(parent, [])]
    return found


def kill_and_reap(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    for pid in pids:
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass  # not ours (yet), or reaped already


def end_all():
    """Ends all that descends from this process; orphans come to us, so again and again."""
    while pids := descendants(os.getpid()):
        kill_and_reap(pids)


_directories = []


def _clean_up():
    end_all()
    for path in _directories:
        shutil.rmtree(path, ignore_errors=True)


def prepare():
    """Once, first of all: who inherits orphans, what happens at the end, all descriptors."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    atexit.register(_clean_up)
    for signo in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(signo, lambda number, _frame: sys.exit(128 + number))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def directory(binaries):
    """A new one under $TMPDIR, else beside the programs: where a disk is, not in memory."""
    parent = os.environ.get("TMPDIR") or os.path.abspath(binaries)
    _directories.append(tempfile.mkdtemp(prefix="gatherd-", dir=parent))
    return _directories[-1]


class Daemon:
    """gatherd, started; `with` ends it, its workers and its commands."""

    def __init__(self, binaries, *options, state=None):
        self.state = state or os.path.join(directory(binaries), "state")
        self.port_file = self.state + ".port"
        self.argv = [os.path.join(os.path.abspath(binaries), "gatherd"), "--state-dir", self.state,
                     "--listen", "127.0.0.1:0", "--port-file", self.port_file, *options]
        self.process = self.port = None

    def launch(self):
        if os.path.exists(self.port_file):
            os.unlink(self.port_file)
        with open(self.state + ".log", "ab") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)

    def start(self, wait_s=60):
        """Launches it, and waits until it accepts."""
        self.launch()
        end = time.monotonic() + wait_s
        while not (self.port or self.accepts()):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"gatherd did not start: {self.log()}")
            time.sleep(0.002)
        return self

    def accepts(self):
        try:
            with open(self.port_file, encoding="ascii") as f:
                self.port = int(f.read() or 0)
        except FileNotFoundError:
            pass
        return self.port

    def log(self):
        with open(self.state + ".log", encoding="utf-8", errors="replace") as f:
            return f.read()[-2000:]

    def workers(self):
        """The ids of its runner and fetcher, also of those it has left to us."""
        tree, found = children(), []
        for pid in tree.get(self.process.pid, []) + tree.get(os.getpid(), []):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    argv = f.read().decode(errors="replace").split("\0")
            except OSError:
                continue
            if self.state in argv and pid != self.process.pid:
                found.append(pid)
        return found

    def kill(self):
        """kill -9, of gatherd alone."""
        self.process.kill()
        self.process.wait()
        self.port = None

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        for worker in self.workers():
            kill_and_reap([worker] + descendants(worker))
        self.port = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def request(self, method, path, body=None, timeout=600):
        """(status, headers, body as bytes) of one request on a connection of its own."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            c.request(method, path, body)
            answer = c.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            c.close()

    def call(self, method, path, body=None, timeout=600):
        """The JSON of an answer that says yes."""
        status, _, text = self.request(method, path, json.dumps(body) if body else None, timeout)
        if status > 299:
            raise RuntimeError(f"{method} {path}: {status} {text[:500].decode()}")
        return json.loads(text)

    def memory(self, what="Rss"):
        """Bytes of its memory, by /proc/PID/smaps_rollup."""
        with open(f"/proc/{self.process.pid}/smaps_rollup", encoding="ascii") as f:
            return sum(int(line.split()[1]) * 1024 for line in f if line.startswith(what + ":"))
