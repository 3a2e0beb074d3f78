"""What the end-to-end tests stand on: daemons, requests, commands that wait to be let go.

The programs under test are those in $GATHERD_BIN (tests/run-e2e sets it). Every daemon
gets a state directory of its own, port 0, and is known by its process id. Nothing here
sleeps until something is ready: port files are waited for by inotify, ends by pidfd,
commands by FIFOs; where there is no event (a state in a snapshot, a file of /proc) it is
asked again, for a bounded time.
"""

import ctypes
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

BIN = os.path.abspath(os.environ.get("GATHERD_BIN", "build"))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TMP = os.environ.get("GATHERD_E2E_TMP") or tempfile.mkdtemp(prefix="gatherd-e2e-")

# How long anything may take before a test gives up. Nothing waits that long.
PATIENCE = 30.0


def _is_sanitized():
    with open(os.path.join(BIN, "gatherd"), "rb") as f:
        return b"__asan_init" in f.read()


SANITIZED = _is_sanitized()
# Bounds on times are meant for the plain programs.
SLOWER = 4 if SANITIZED else 1

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_CHILD_SUBREAPER = 36
_IN_MOVED_TO = 0x80


def become_subreaper():
    """Orphans become our children, so that none is overlooked."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


become_subreaper()


# --- processes


def stat_of(pid):
    """State letter and parent of a process; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            rest = f.read().rpartition(b") ")[2].split()
    except OSError:
        return None
    return rest[0].decode(), int(rest[1])


def is_alive(pid):
    stat = stat_of(pid)
    return stat is not None and stat[0] not in "ZX"


def argv_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().decode("utf-8", "surrogateescape").split("\0")[:-1]
    except OSError:
        return []


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def living_children(pid):
    return [p for p in all_pids() if (stat_of(p) or "ZZ")[1] == pid and is_alive(p)]


def descendants(pid):
    found = []
    for child in living_children(pid):
        found += [child, *descendants(child)]
    return found


def rss_bytes(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def peak_bytes(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1)) * 1024


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", "rb") as f:
        rest = f.read().rpartition(b") ")[2].split()
    return (int(rest[11]) + int(rest[12])) / os.sysconf("SC_CLK_TCK")


def eventually(what, fn, seconds=PATIENCE):
    """Asks until `fn` gives something true, and returns that."""
    until = time.monotonic() + seconds
    while True:
        value = fn()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds:g} s: {what}; last: {value!r}")
        time.sleep(0.005)


def wait_gone(pid, seconds=PATIENCE):
    """Waits for the end of any process, and reaps it if it became a child of ours."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([fd], [], [], seconds)[0]:
            raise AssertionError(f"process {pid} still lives after {seconds:g} s: {argv_of(pid)}")
    finally:
        os.close(fd)
    reap(pid)


def reap(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def end_pid(pid, sig=signal.SIGKILL):
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        return
    wait_gone(pid)


def leftovers():
    """What still lives below this process, with its command line. Reaps the dead."""
    found = []
    for pid in all_pids():
        stat = stat_of(pid)
        if not stat or stat[1] != os.getpid():
            continue
        if stat[0] == "Z":
            reap(pid)
        else:
            found += [pid, *descendants(pid)]
    return {pid: " ".join(argv_of(pid)) for pid in found}


# --- HTTP


class Answer:
    """A complete response."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # http.client.HTTPMessage: names in any case
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def lines(self):
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def problem(self):
        """The name of its problem type, None if it is none."""
        if not (self.headers.get("Content-Type") or "").startswith("application/problem+json"):
            return None
        return self.json["type"].removeprefix("/problems/")

    @property
    def pointers(self):
        return [e["pointer"] for e in self.json.get("errors", [])]

    def __repr__(self):
        return f"<{self.status} {dict(self.headers.items())} {self.body[:600]!r}>"


class _Connection(http.client.HTTPConnection):
    def __init__(self, address, timeout):
        super().__init__("localhost", timeout=timeout)
        self.address = address

    def connect(self):
        self.sock = connect(self.address, self.timeout)


def connect(address, timeout=PATIENCE):
    """A socket to (host, port) or to the path of a unix socket."""
    if isinstance(address, str):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(address)
        return s
    s = socket.create_connection(address, timeout=timeout)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def encode(body):
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return json.dumps(body).encode()


def request(address, method, target, body=None, headers=None, timeout=PATIENCE):
    """One request on a connection of its own."""
    c = _Connection(address, timeout)
    try:
        try:
            c.request(method, target, body=encode(body), headers=headers or {})
        except (BrokenPipeError, ConnectionResetError):
            pass  # answered before all was sent
        r = c.getresponse()
        return Answer(r.status, r.headers, r.read())
    finally:
        c.close()


class Raw:
    """A connection on which any bytes can be sent, and answers are read one by one."""

    def __init__(self, address, timeout=10.0):
        self.sock = connect(address, timeout)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        """False: the other side has closed meanwhile."""
        try:
            self.sock.sendall(encode(data))
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        """Leaves without a word: RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _more(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return bool(data)

    def _until(self, mark):
        while mark not in self.buffer:
            if not self._more():
                return None
        head, _, self.buffer = self.buffer.partition(mark)
        return head

    def _exactly(self, n):
        while len(self.buffer) < n and self._more():
            pass
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def _chunks(self):
        parts = []
        while True:
            size = int(self._until(b"\r\n").split(b";")[0], 16)
            parts.append(self._exactly(size))
            if self._until(b"\r\n") is None or size == 0:
                return b"".join(parts)

    def head(self):
        """Status and fields of the next answer; None: the connection has ended."""
        while self.buffer[:2] == b"\r\n":
            self.buffer = self.buffer[2:]
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        status, _, fields = head.partition(b"\r\n")
        headers = http.client.HTTPMessage()
        for line in fields.split(b"\r\n"):
            name, _, value = line.decode("latin-1").partition(":")
            if name:
                headers[name] = value.strip()
        return int(status.split()[1]), headers

    def answer(self, method="GET"):
        """The next answer; None: the connection has ended."""
        head = self.head()
        if head is None:
            return None
        status, headers = head
        if method == "HEAD" or status in (204, 304) or status < 200:
            body = b""
        elif headers.get("Transfer-Encoding") == "chunked":
            body = self._chunks()
        elif headers.get("Content-Length") is not None:
            body = self._exactly(int(headers["Content-Length"]))
        else:
            body = self.rest()
        return Answer(status, headers, body)

    def answers(self):
        """All answers until the other side closes, or is silent."""
        found = []
        try:
            while (a := self.answer()) is not None:
                found.append(a)
        except TimeoutError:
            pass
        return found

    def rest(self):
        """Everything until the end of the connection."""
        while self._more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def is_closed(self, seconds=PATIENCE):
        """Does the other side close, without saying more?"""
        self.sock.settimeout(seconds)
        try:
            return not self.buffer and not self._more()
        except TimeoutError:
            return False


class Later:
    """Something that runs in a thread; value() joins it and gives what came out."""

    def __init__(self, fn, *args, **kwargs):
        self._outcome = None
        self._failure = None
        self.started = time.monotonic()
        self.took = None

        def run():
            try:
                self._outcome = fn(*args, **kwargs)
            except BaseException as e:  # given to who asks for the value
                self._failure = e
            self.took = time.monotonic() - self.started

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    @property
    def is_over(self):
        return not self._thread.is_alive()

    def value(self, seconds=2 * PATIENCE):
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise AssertionError(f"not over after {seconds:g} s")
        if self._failure:
            raise self._failure
        return self._outcome


# --- the daemon


class Daemon:
    """A gatherd with its state directory. start() after stop() or kill() is a restart."""

    def __init__(self, *options, state_dir=None, listen=("127.0.0.1:0",), env=None, setup=None,
                 program=None):
        self.home = tempfile.mkdtemp(prefix="d", dir=TMP)
        self.state_dir = state_dir or os.path.join(self.home, "state")
        self.port_file = os.path.join(self.home, "port")
        self.log_path = os.path.join(self.home, "log")
        self.listen = list(listen)
        self.options = list(options)
        self.env = {**os.environ, **(env or {})}
        self.setup = setup  # runs in the child before exec
        self.program = program or os.path.join(BIN, "gatherd")
        self.process = None
        self.ports = []
        self.allow_in_log = None  # a pattern of complaints of the sanitizers that are meant

    # life

    def argv(self):
        addresses = [a for address in self.listen for a in ("--listen", address)]
        return [self.program, *addresses, "--state-dir", self.state_dir,
                "--port-file", self.port_file, *self.options]

    def spawn(self):
        """Starts the program and does not wait for it."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env,
                preexec_fn=self.setup)

    def start(self):
        if os.path.exists(self.port_file):
            os.unlink(self.port_file)
        # A user has few instances of inotify, and a test that takes them all may run beside
        # this one.
        watch = eventually("an instance of inotify", lambda: (
            fd := _libc.inotify_init1(os.O_CLOEXEC)) >= 0 and (fd,))[0]
        try:
            if _libc.inotify_add_watch(watch, self.home.encode(), _IN_MOVED_TO) < 0:
                raise OSError(ctypes.get_errno(), "inotify")
            self.spawn()
            pidfd = os.pidfd_open(self.process.pid)
            try:
                self._await_ports(watch, pidfd)
            finally:
                os.close(pidfd)
        finally:
            os.close(watch)
        with open(self.port_file) as f:
            self.ports = [int(line) for line in f]
        return self

    def _await_ports(self, watch, pidfd):
        while not os.path.exists(self.port_file):
            ready = select.select([watch, pidfd], [], [], 2 * PATIENCE)[0]
            if pidfd in ready:
                raise AssertionError(
                    f"gatherd ended with {self.process.wait()} instead of listening:\n{self.log()}")
            if not ready:
                raise AssertionError(f"gatherd does not listen:\n{self.log()}")
            os.read(watch, 4096)

    def await_ready(self):
        """Commands and fetches can start."""
        eventually("ready", lambda: self.get("/readyz").status == 200)
        return self

    def wait(self, seconds=PATIENCE):
        """Its exit status."""
        status = self.process.wait(seconds)
        self.process = None
        return status

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.wait()

    def kill(self):
        self.process.kill()
        return self.wait()

    def restart(self, kill=False):
        if self.process:
            self.kill() if kill else self.stop()
        return self.start()

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    # workers

    def workers(self):
        """Pids of the living workers of this state directory, by program."""
        found = {}
        for pid in all_pids():
            argv = argv_of(pid)
            if (len(argv) > 2 and os.path.basename(argv[0]) in ("gatherd-runner", "gatherd-fetcher")
                    and self.state_dir in argv and is_alive(pid)):
                found.setdefault(os.path.basename(argv[0]).removeprefix("gatherd-"), []).append(pid)
        return found

    def worker(self, name):
        """The pid of the one worker of this name; waits until there is one. (Until it has
        become its program, what the runner starts looks like another runner.)"""
        return eventually(f"one {name}", lambda: (pids := self.workers().get(name))
                          and len(pids) == 1 and pids)[0]

    def kill_worker(self, name, sig=signal.SIGKILL):
        pid = self.worker(name)
        end_pid(pid, sig)
        return pid

    def end(self):
        """Ends the daemon, its workers and all that they run; looks at what was logged."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.wait()
        pids = [p for group in self.workers().values() for p in group]
        below = [d for p in pids for d in descendants(p)]
        for pid in pids + below:
            end_pid(pid)
        complaints = [line for line in self.log().splitlines()
                      if re.search(r"Sanitizer|runtime error:|assertion|Assertion", line)
                      and not (self.allow_in_log and re.search(self.allow_in_log, line))]
        if complaints:
            raise AssertionError("in the log:\n" + self.log()[-8000:])
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        self.end()

    # requests

    @property
    def address(self):
        if self.listen[0].startswith("unix:"):
            return self.listen[0].removeprefix("unix:")
        if self.listen[0].startswith("["):
            return ("::1", self.ports[0])
        return ("127.0.0.1", self.ports[0])

    @property
    def url(self):
        return f"http://127.0.0.1:{self.ports[0]}"

    def http(self, method, target, body=None, headers=None, timeout=PATIENCE):
        return request(self.address, method, target, body, headers, timeout)

    def get(self, target, **kwargs):
        return self.http("GET", target, **kwargs)

    def post(self, target, body=None, **kwargs):
        return self.http("POST", target, body, **kwargs)

    def patch(self, target, body, **kwargs):
        return self.http("PATCH", target, body, **kwargs)

    def raw(self, timeout=10.0):
        return Raw(self.address, timeout)

    def create(self, job, query="", **kwargs):
        """Creates a task; its snapshot."""
        a = self.post("/v1/tasks" + query, job, **kwargs)
        assert a.status == 201, a
        return a.json

    def done(self, task):
        """Waits for the end of a task; its snapshot."""
        a = self.get(f"/v1/tasks/{task}?wait={PATIENCE:g}", timeout=2 * PATIENCE)
        assert a.status == 200 and a.json["done"], a
        return a.json

    def run(self, job):
        """Creates a task and waits for it; its snapshot."""
        a = self.post(f"/v1/tasks?wait={PATIENCE:g}", job, timeout=2 * PATIENCE)
        assert a.status == 200 and a.json["done"], a
        return a.json

    def task(self, task):
        a = self.get(f"/v1/tasks/{task}")
        assert a.status == 200, a
        return a.json

    def state(self, task):
        return self.task(task)["state"]

    def await_state(self, task, state):
        return eventually(f"task {task} {state}",
                          lambda: (s := self.task(task))["state"] == state and s)

    def gather(self, body, query="", **kwargs):
        return self.post("/v1/gather" + query, body, timeout=2 * PATIENCE, **kwargs)

    def submit(self, body, query="", **kwargs):
        """Creates a batch; its snapshot with the ids of its tasks."""
        a = self.post("/v1/batches" + query, body, **kwargs)
        assert a.status == 202, a
        return a.json

    def batch(self, batch):
        a = self.get(f"/v1/batches/{batch}")
        assert a.status == 200, a
        return a.json

    def batch_done(self, batch, until="done"):
        a = self.get(f"/v1/batches/{batch}?wait={PATIENCE:g}&until={until}", timeout=2 * PATIENCE)
        assert a.status == 200 and a.json["done"], a
        return a.json

    def cancel(self, task, body=None):
        a = self.post(f"/v1/tasks/{task}/cancel", body)
        assert a.status in (200, 202), a
        return a.json["requested"]

    def newest(self):
        """The newest task and batch: what is created shows here."""
        tasks = self.get("/v1/tasks?limit=1").json["tasks"]
        batches = self.get("/v1/batches?limit=1").json["batches"]
        info = self.get("/v1/info").json
        return (tasks[0]["id"] if tasks else 0, batches[0]["id"] if batches else 0, info["tasks"],
                info["batches"])


# --- commands that wait


class Gate:
    """Commands that say when they began, and go on when they are let go.

    `shell` is the text of one: it writes its task's id and waits. Whoever comes after
    release() does not wait.
    """

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="gate", dir=TMP)
        self.started_path = os.path.join(self.dir, "started")
        self.hold_path = os.path.join(self.dir, "hold")
        os.mkfifo(self.started_path)
        os.mkfifo(self.hold_path)
        self._started = os.open(self.started_path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._hold = os.open(self.hold_path, os.O_RDWR | os.O_CLOEXEC)
        self._text = b""
        self.say = f'echo "$GATHERD_TASK" >{self.started_path}'
        self.wait = f"{{ read -r _ <{self.hold_path} || :; }}"
        self.shell = f"{self.say}; {self.wait}"

    def started(self, n=1, seconds=PATIENCE):
        """Waits until `n` commands have begun; their tasks' ids in that order."""
        until = time.monotonic() + seconds
        while self._text.count(b"\n") < n:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._started], [], [], left)[0]:
                raise AssertionError(f"{n} commands began within {seconds:g} s: {self._text!r}")
            self._text += os.read(self._started, 65536)
        lines = self._text.split(b"\n")
        self._text = b"\n".join(lines[n:])
        return [int(line) for line in lines[:n]]

    def none_started(self, seconds=0.15):
        """Does nothing begin for a while?"""
        return not self._text and not select.select([self._started], [], [], seconds)[0]

    def release(self):
        if self._hold < 0:
            return
        open_path = self.hold_path + ".open"
        open(open_path, "w").close()
        os.rename(open_path, self.hold_path)
        os.close(self._hold)
        self._hold = -1

    def close(self):
        self.release()
        os.close(self._started)


# --- test cases


class TestCase(unittest.TestCase):
    """With helpers; each class may share one daemon: `options` are its arguments."""

    options = ()
    maxDiff = 4000
    d = None

    @classmethod
    def setUpClass(cls):
        if cls.options is not None:
            cls.d = Daemon(*cls.options).start().await_ready()
            cls.addClassCleanup(cls.d.end)

    def daemon(self, *options, **kwargs):
        """A daemon of this test's own, started."""
        d = Daemon(*options, **kwargs)
        self.addCleanup(d.end)
        return d.start()

    def gate(self):
        g = Gate()
        self.addCleanup(g.close)
        return g

    def tmp(self):
        return tempfile.mkdtemp(prefix="t", dir=TMP)

    def assertProblem(self, answer, status, problem):
        """An error as RFC 9457 and docs/api.md have it."""
        self.assertEqual((answer.status, answer.problem), (status, problem), answer)
        body = answer.json
        self.assertEqual(body["status"], status)
        self.assertTrue(body["title"])
        return body

    def assertWithin(self, seconds, least, most):
        self.assertGreaterEqual(seconds, least)
        self.assertLess(seconds, most)


def needs_root(test):
    return unittest.skipUnless(os.geteuid() == 0, "needs root")(test)


def plain_only(why):
    return unittest.skipIf(SANITIZED, f"only of the plain programs: {why}")
