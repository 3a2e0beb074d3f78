"""What is scarce: descriptors, processes, room on the disk; docs/reliability.md, "When things fail"."""

import ctypes
import errno
import os
import resource
import shutil
import subprocess
import unittest

from harness import BIN, PATIENCE, TMP, Daemon, Later, TestCase, eventually, needs_root, plain_only, rss_bytes

NOBODY = 54321  # a user who has no processes
CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
_libc = ctypes.CDLL(None, use_errno=True)


def limit(which, n):
    return lambda: resource.setrlimit(which, (n, n))


def can_mount():
    """A mount namespace of one's own, and a tmpfs in it."""
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "x", "/mnt"], capture_output=True, check=False).returncode == 0


def can_run_as_nobody():
    if os.geteuid() != 0:
        return False
    for place in (TMP, os.path.dirname(TMP)):
        if os.path.basename(place).startswith("gatherd-e2e-") or place == TMP:
            os.chmod(place, 0o711)  # the way to what belongs to the other user
    r = subprocess.run([os.path.join(BIN, "gatherd"), "--version"], capture_output=True, check=False, user=NOBODY, group=NOBODY,
                       extra_groups=[])
    return r.returncode == 0


class Descriptors(TestCase):
    options = None

    def test_connections_wait_and_are_served(self):
        d = self.daemon(setup=limit(resource.RLIMIT_NOFILE, 64)).await_ready()
        raws = [d.raw(2 * PATIENCE) for _ in range(100)]
        for raw in raws:
            raw.send("GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        for raw in raws:
            self.assertEqual(raw.answer().status, 200)
            raw.sock.close()
        self.assertEqual(d.run({"shell": "echo x"})["state"], "succeeded")

    def test_a_body_where_none_belongs_is_not_kept(self):
        d = self.daemon()
        before = rss_bytes(d.pid)
        raw = d.raw(PATIENCE)
        self.addCleanup(raw.sock.close)
        raw.send(f"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: {64 << 20}\r\n\r\n".encode())
        for _ in range(63):
            raw.send(bytes(1 << 20))
        self.assertEqual(d.get("/livez").status, 200)
        self.assertLess(rss_bytes(d.pid) - before, 32 << 20)
        raw.send(bytes(1 << 20))
        self.assertEqual(raw.head()[0], 200)

    def test_idle_connections_do_not_stop_commands(self):
        d = self.daemon(setup=limit(resource.RLIMIT_NOFILE, 64)).await_ready()
        b = d.submit([{"shell": "sleep 0.2; echo x", "result": "stdout"}] * 8)["id"]
        raws = [d.raw() for _ in range(100)]
        for raw in raws:
            raw.sock.close()
        a = d.get(f"/v1/batches/{b}/results?wait=30")
        self.assertEqual([e["result"] for e in a.json["results"]], ["x\n"] * 8)

    def test_commands_wait_for_descriptors(self):
        """More at once than the runner has descriptors for: they take turns, none fails."""
        d = self.daemon("--slots", "60", setup=limit(resource.RLIMIT_NOFILE, 64)).await_ready()
        a = d.gather([{"shell": "sleep 0.1; echo $GATHERD_TASK; echo >&2", "result": "stdout", "stdin": "x"}] * 80)
        self.assertEqual(a.status, 200, a)
        self.assertEqual([e["result"] for e in a.json["results"]], [f"{e['task']}\n" for e in a.json["results"]])
        self.assertEqual(d.get("/readyz").status, 200)

    def test_large_outputs_with_few_descriptors(self):
        d = self.daemon("--slots", "20", setup=limit(resource.RLIMIT_NOFILE, 80)).await_ready()
        a = d.gather([{"shell": "yes | head -c 200000"}] * 60)
        self.assertEqual(a.status, 200, a.body[:500])
        for r in (e["result"] for e in a.json["results"]):  # whole, or it says that it is not
            self.assertEqual(len(r["stdout"]) == 200_000, not r["truncated"])


class Processes(TestCase):
    options = None

    @plain_only("the sanitizers' threads count")
    @unittest.skipUnless(can_run_as_nobody(), "needs root, and programs that others may run")
    def test_commands_wait_for_processes(self):
        def become():
            resource.setrlimit(resource.RLIMIT_NPROC, (40, 40))
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)

        d = Daemon("--slots", "100", setup=become)
        self.addCleanup(d.end)
        os.chown(d.home, NOBODY, NOBODY)
        d.start().await_ready()
        a = d.gather({"jobs": [{"run": ["sleep", "0.1"]}] * 200, "return_exceptions": True})
        bad = [e["exception"] for e in a.json["results"] if "exception" in e]
        self.assertEqual(bad, [])
        self.assertEqual(d.run({"run": ["true"]})["state"], "succeeded")


@unittest.skipUnless(can_mount(), "needs root, and to be allowed to mount a tmpfs")
class Disk(TestCase):
    options = None

    def small(self, size="8m"):
        """A daemon whose state directory is a small disk, which only it sees."""
        d = Daemon("--slots", "4")
        self.addCleanup(d.end)
        os.mkdir(d.state_dir, 0o700)

        def mount():
            target = d.state_dir.encode()
            if (_libc.unshare(CLONE_NEWNS) or _libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
                    or _libc.mount(b"tmpfs", target, b"tmpfs", 0, f"size={size},mode=0700".encode())):
                raise OSError(ctypes.get_errno(), "mount")

        d.setup = mount
        d.start().await_ready()
        self.disk = f"/proc/{d.pid}/root{d.state_dir}"
        return d

    def fill(self):
        with open(self.disk + "/filler", "ab", buffering=0) as f:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        f.write(b"x" * size)
                except OSError as e:
                    self.assertEqual(e.errno, errno.ENOSPC)

    def make_room(self):
        os.unlink(self.disk + "/filler")

    def until_full(self, d):
        """Creates tasks until the store has no room; their ids, and the answer that says so."""
        made = []
        for _ in range(3000):
            a = d.post("/v1/tasks", {"sleep": 600, "name": "x" * 500})
            if a.status != 201:
                return made, a
            made.append(a.json["id"])
        self.fail("the disk is never full")

    def test_creating_answers_507_and_goes_on_when_there_is_room(self):
        d = self.small()
        self.fill()
        made, a = self.until_full(d)
        self.assertProblem(a, 507, "store-full")
        for target, body in (("/v1/batches", [{"sleep": 0, "name": "y" * 500}] * 100), ("/v1/gather", [{"sleep": 0, "name": "y" * 500}] * 100)):
            self.assertProblem(d.post(target, body), 507, "store-full")
        a = d.post("/v1/batches", '{"sleep":0,"name":"%s"}\n' % ("y" * 500) * 5000, headers={"Content-Type": "application/x-ndjson"})
        self.assertProblem(a, 507, "store-full")
        self.assertEqual(d.get("/livez").status, 200)
        ids = [t["id"] for t in d.get("/v1/tasks?order=asc&limit=1000").json["tasks"]]
        self.assertEqual(ids, made[:1000])
        self.make_room()
        task = eventually("there is room", lambda: (a := d.post("/v1/tasks", {"sleep": 0, "value": 1})).status == 201 and a.json["id"])
        self.assertEqual(d.done(task)["result"], 1)
        self.assertEqual(d.get("/v1/batches").json["batches"], [])
        self.assertEqual(d.stop(), 0)

    def test_ends_are_written_when_there_is_room(self):
        d = self.small()
        gate = self.gate()
        tasks = [d.create({"shell": f"{gate.shell}; echo end"})["id"] for _ in range(3)]
        gate.started(3)
        self.fill()
        self.until_full(d)
        waits = [Later(d.get, f"/v1/tasks/{t}?wait=60", timeout=3 * PATIENCE) for t in tasks]
        gate.release()
        self.assertEqual(d.get("/livez").status, 200)
        self.make_room()
        for w in waits:
            self.assertEqual((w.value().json["state"], w.value().json["result"]["stdout"]), ("succeeded", "end\n"))

    def test_output_that_finds_no_room(self):
        """The command goes on, and its output is whole or says that it is not."""
        d = self.small()
        gate = self.gate()
        task = d.create({"shell": f"{gate.shell}; yes | head -c 3000000; echo $? >{gate.dir}/status"})["id"]
        gate.started()
        self.fill()
        later = Later(d.done, task)
        gate.release()
        eventually("it has written all", lambda: os.path.exists(gate.dir + "/status"))
        self.make_room()
        t = later.value()
        self.assertEqual(t["state"], "succeeded")
        self.assertTrue(t["result"]["truncated"])
        self.assertLess(len(t["result"]["stdout"]), 3_000_000)
        self.assertEqual(d.run({"shell": "yes | head -c 300000"})["result"]["truncated"], False)


@needs_root
class OtherUsers(TestCase):
    options = None

    def test_a_directory_of_another_user_is_refused(self):
        d = Daemon()
        self.addCleanup(d.end)
        os.mkdir(d.state_dir, 0o700)
        os.chown(d.state_dir, NOBODY, NOBODY)
        d.spawn()
        self.assertEqual(d.wait(2 * PATIENCE), 1)
        self.assertIn("belong", d.log())
        shutil.rmtree(d.state_dir)
