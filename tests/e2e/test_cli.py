"""The command line: docs/cli.md."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from harness import BIN, PATIENCE, Daemon, TestCase, eventually, is_alive
from server import Server

GATHER = os.path.join(BIN, "gather")


class Terminal:
    """`gather` on a terminal of its own; its stdout too, unless `out` is given."""

    def __init__(self, argv, env):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))

        def own_terminal():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True,
                                        preexec_fn=own_terminal)
        os.close(slave)
        self.text = b""

    def read(self, seconds=PATIENCE):
        if not select.select([self.master], [], [], seconds)[0]:
            raise AssertionError(f"nothing comes: {self.text!r}")
        try:
            data = os.read(self.master, 65536)
        except OSError:
            data = b""
        self.text += data
        return data

    def expect(self, pattern):
        while not re.search(pattern, self.text):
            if not self.read():
                raise AssertionError(f"no {pattern!r}: {self.text!r}")

    def send(self, data):
        os.write(self.master, data)

    def wait(self):
        while self.read():
            pass
        return self.process.wait(PATIENCE)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


class CliCase(TestCase):
    options = ("--slots", "8")

    def setUp(self):
        self.home = self.tmp()
        self.env = {**{k: v for k, v in os.environ.items() if not k.startswith("GATHER_")}, "GATHER_URL": self.d.url,
                    "XDG_STATE_HOME": self.home, "TERM": "xterm", "NO_COLOR": "1"}

    def cli(self, *args, stdin=None, env=None, cwd=None):
        return subprocess.run([GATHER, *args], input=stdin, capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
                              env={**self.env, **(env or {})}, cwd=cwd)

    def ok(self, *args, **kwargs):
        r = self.cli(*args, **kwargs)
        self.assertEqual(r.returncode, 0, r)
        return r.stdout

    def assertExit(self, status, *args, **kwargs):
        r = self.cli(*args, **kwargs)
        self.assertEqual(r.returncode, status, r)
        return r

    def start(self, *args, **kwargs):
        p = subprocess.Popen([GATHER, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, env=self.env, **kwargs)
        self.addCleanup(p.communicate)
        self.addCleanup(lambda: p.poll() is None and p.kill())
        return p

    def terminal(self, *args):
        t = Terminal([GATHER, *args], self.env)
        self.addCleanup(t.close)
        return t

    def newest_task(self):
        return self.d.get("/v1/tasks?limit=1").json["tasks"][0]


class Run(CliCase):
    def test_output_and_exit_status_are_the_commands(self):
        r = self.cli("run", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
        self.assertEqual((r.returncode, r.stdout), (7, "out\n"))
        self.assertIn("err\n", r.stderr)
        self.assertEqual(self.ok("run", "echo", "a b", "*", "-n", "--help"), "a b * -n --help\n")
        self.assertEqual(self.ok("run", "-c", "echo $((1+1)) | tr 2 3"), "3\n")
        for status in (0, 1, 2, 42, 124, 255):
            self.assertExit(status, "run", "-q", "-c", f"exit {status}")

    def test_exit_status_of_what_has_none(self):
        self.assertExit(124, "run", "--timeout", "0.2", "--grace", "0.1s", "sleep", "60")
        self.assertExit(127, "run", "no-such-program-anywhere")
        self.assertExit(126, "run", "/etc/passwd")
        self.assertExit(125, "run", "--cwd", "/nowhere", "true")
        self.assertExit(137, "run", "-c", "kill -9 $$")
        self.assertExit(143, "run", "-c", "kill $$")

    def test_options(self):
        d = self.tmp()
        self.assertEqual(self.ok("run", "--cwd", d, "pwd"), d + "\n")
        self.assertEqual(self.ok("run", "pwd", cwd=d), d + "\n")
        self.assertEqual(self.ok("run", "--env", "A=1 2", "--env", "B", "-c", "echo $A$B$C", env={"B": "3", "C": "4"}), "1 23\n")
        self.assertEqual(self.ok("run", "--stdin", "-", "cat", stdin="text \u00e9\n"), "text \u00e9\n")
        with open(f"{d}/in", "w") as f:
            f.write("from a file")
        self.assertEqual(self.ok("run", "--stdin", f"{d}/in", "cat"), "from a file")
        self.ok("run", "--name", "n", "--label", "a=b", "--label", "c=d", "--priority", "7", "true")
        t = self.newest_task()
        self.assertEqual((t["name"], t["labels"]), ("n", {"a": "b", "c": "d"}))

    def test_output_comes_while_it_runs(self):
        gate = self.gate()
        p = self.start("run", "-c", f"echo first; {gate.shell}; echo second")
        self.assertEqual(p.stdout.readline(), "first\n")
        gate.release()
        self.assertEqual(p.communicate(timeout=PATIENCE)[0], "second\n")
        self.assertEqual(p.returncode, 0)

    def test_large_and_binary_output_is_passed_on_exactly(self):
        r = subprocess.run([GATHER, "run", "-c", "head -c 3000000 /dev/zero; printf '\\377\\000\\n'"], capture_output=True,
                           env=self.env, timeout=2 * PATIENCE, check=False)
        self.assertEqual((r.returncode, r.stdout), (0, b"\0" * 3_000_000 + b"\xff\0\n"))

    def test_output_that_is_not_complete_is_told(self):
        def lines(*args):
            p = subprocess.run([GATHER, *args], capture_output=True, env=self.env, timeout=2 * PATIENCE, check=False)
            return p.returncode, len(p.stdout), p.stderr.decode()

        script = "head -c 17000000 /dev/zero; exit 3"
        said = r"^gather: the stdout of \d+ is not complete: 16\.0 MiB was kept.*--max-output"
        for args in (["run", "-q", "-c", script], ["run", "-c", script], ["logs", "last"], ["logs", "-q", "-f", "last"]):
            status, n, text = lines(*args)
            self.assertEqual((status, n), (3 if "run" in args else 0, 16 << 20), args)
            self.assertRegex(text, said, args)
            self.assertNotIn("the stderr", text)
        self.assertRegex(self.cli("logs", "--stdout", "--tail", "1", "last").stderr, "not complete: less was kept")
        self.assertEqual(lines("logs", "--stderr", "last"), (0, 0, ""))
        self.assertEqual(lines("run", "--max-output", "17M", "-c", script), (3, 17000000, ""))
        r = self.cli("run", "--max-output", "1K", "-c", "head -c 1025 /dev/zero >&2; head -c 1024 /dev/zero")
        self.assertEqual((r.returncode, len(r.stdout)), (0, 1024))
        self.assertIn("the stderr", r.stderr)
        self.assertNotIn("the stdout", r.stderr)
        for size in ("x", "-1", "1.5M", "17G", ""):
            self.assertIn("--max-output", self.assertExit(2, "run", "--max-output", size, "true").stderr)

    def test_detach(self):
        gate = self.gate()
        task = self.ok("run", "--detach", "-c", f"{gate.shell}; echo done").strip()
        gate.started()
        self.d.await_state(int(task), "running")
        gate.release()
        self.assertExit(0, "wait", task)
        self.assertEqual(self.ok("logs", task), "done\n")

    def test_what_the_end_means(self):
        self.ok("run", "-q", "--no-check", "-c", "exit 3")
        self.assertEqual(self.newest_task()["state"], "succeeded")
        self.assertEqual(json.loads(self.ok("result", "last"))["exit_code"], 3)
        self.assertEqual(self.ok("run", "--result", "json", "echo", '{"truncated": true}'), '{"truncated": true}\n')
        self.assertEqual(json.loads(self.ok("result", "last")), {"truncated": True})
        self.ok("run", "--result", "stdout", "echo", "x")
        self.assertEqual(self.ok("result", "-r", "last"), "x\n\n")
        self.assertIn("ResultError", self.assertExit(1, "run", "--result", "json", "echo", "{").stderr)
        self.ok("run", "--on-lost", "rerun", "true")
        for args in (["--on-lost", "ignore"], ["--result", "text"]):
            self.assertExit(2, "run", *args, "true")

    def test_for_programs(self):
        out = self.assertExit(3, "run", "-o", "json", "-c", "echo out; echo err >&2; exit 3")
        task = json.loads(out.stdout)
        self.assertEqual((task, out.stderr), (self.d.task(task["id"]), ""))
        self.assertEqual((task["state"], task["exception"]["exit_code"]), ("failed", 3))
        self.assertEqual(json.loads(self.ok("-o", "json", "run", "echo", "x"))["result"]["stdout"], "x\n")
        self.assertEqual(self.ok("run", "-o", "id", "echo", "x"), f"{self.newest_task()['id']}\n")
        self.assertEqual(self.ok("run", "-o", "table", "echo", "x"), "x\n")
        self.assertEqual(json.loads(self.ok("sleep", "0", "-o", "json"))["kind"], "sleep")
        self.assertExit(124, "run", "-o", "json", "--timeout", "0.1", "sleep", "60")

    def test_nobody_reads_the_output(self):
        p = subprocess.run(["sh", "-c", '"$0" run -- yes | head -1', GATHER], capture_output=True, text=True, env=self.env,
                           timeout=2 * PATIENCE, check=False)
        self.assertEqual(p.stdout, "y\n")
        self.assertEqual(self.d.done(self.newest_task()["id"])["state"], "cancelled")

    def test_somebody_else_cancels(self):
        gate = self.gate()
        p = self.start("run", "-c", gate.shell)
        self.d.cancel(gate.started()[0])
        p.communicate(timeout=PATIENCE)
        self.assertEqual(p.returncode, 143)

    def test_sigterm_cancels(self):
        gate = self.gate()
        p = self.start("run", "-c", f"{gate.shell}")
        task = gate.started()[0]
        p.terminate()
        p.communicate(timeout=PATIENCE)
        self.assertEqual(p.returncode, 143)
        self.assertEqual(self.d.done(task)["state"], "cancelled")

    def test_ctrl_c_cancels_and_waits(self):
        gate = self.gate()
        t = self.terminal("run", "-c", f"trap 'echo bye; exit 130' TERM INT; {gate.say}; while :; do sleep 0.05; done")
        task = gate.started()[0]
        t.send(b"\x03")
        self.assertEqual(t.wait(), 130)
        self.assertIn(b"bye", t.text)
        self.assertTrue(self.d.task(task)["done"])

    def test_a_second_ctrl_c_detaches(self):
        gate = self.gate()
        t = self.terminal("run", "--grace", "60", "-c", f"trap '{gate.say}' TERM; {gate.say}; while :; do sleep 0.05; done")
        task = gate.started()[0]
        t.send(b"\x03")
        gate.started()  # it got its TERM
        t.send(b"\x03")
        self.assertEqual(t.wait(), 130)
        self.assertIn(str(task).encode(), t.text)
        self.assertEqual((self.d.state(task), self.d.task(task)["cancelling"]), ("running", 1))
        self.d.cancel(task, {"grace": 0})
        self.d.done(task)

    def test_closing_the_terminal_leaves_it_running(self):
        gate = self.gate()
        t = self.terminal("run", "-c", gate.shell)
        task = gate.started()[0]
        os.close(t.master)
        t.master = os.open("/dev/null", os.O_RDONLY)
        t.process.wait(PATIENCE)
        self.assertEqual((self.d.state(task), self.d.task(task)["cancelling"]), ("running", 0))
        gate.release()
        self.assertEqual(self.d.done(task)["state"], "succeeded")

    def test_control_characters_do_not_reach_the_terminal_from_names(self):
        self.d.run({"sleep": 0, "name": "\x1b[31mred\x07"})
        t = self.terminal("list", "-n", "3")
        self.assertEqual(t.wait(), 0)
        self.assertNotIn(b"\x1b[31m", t.text)
        self.assertIn(b"\\x1b", t.text)


class Batches(CliCase):
    JOBS = [{"run": ["echo", "a"], "result": "stdout"}, {"sleep": 0, "value": {"x": 1}}]

    def test_submit_every_form(self):
        d = self.tmp()
        forms = {"array": json.dumps(self.JOBS), "object": json.dumps({"jobs": self.JOBS, "name": "object"}),
                 "lines": "".join(json.dumps(j) + "\n" for j in self.JOBS), "pretty": json.dumps(self.JOBS, indent=2)}
        for name, text in forms.items():
            with open(f"{d}/{name}", "w") as f:
                f.write(text)
            for args, stdin in (([f"{d}/{name}"], None), (["-"], text)):
                out = self.ok("submit", "--results", *args, stdin=stdin)
                self.assertEqual([json.loads(line)["result"] for line in out.splitlines()], ["a\n", {"x": 1}], name)
        batch = self.ok("submit", "-", stdin='{"sleep": 0, "value": "single"}').strip()
        self.assertRegex(batch, r"^b\d+$")
        self.assertExit(0, "wait", batch)
        self.assertEqual(json.loads(self.ok("result", batch))["result"], "single")

    def test_submit_wait_and_options(self):
        text = json.dumps([{"sleep": 0}, {"shell": "exit 3"}])
        self.assertExit(1, "submit", "--wait", "-", stdin=text)
        self.assertExit(1, "submit", "--wait", "--return-exceptions", "-", stdin=text)
        self.ok("submit", "--wait", "--name", "n", "-j", "1", "--timeout", "1m", "--priority", "3", "-", stdin='[{"sleep":0}]')
        b = self.d.get("/v1/batches?limit=1").json["batches"][0]
        self.assertEqual((b["name"], b["concurrency"], b["timeout"]), ("n", 1, 60))
        r = self.assertExit(1, "submit", "--results", "--on-failure", "cancel", "-",
                            stdin='[{"shell":"exit 3"},{"sleep":60}]')
        entries = [json.loads(line) for line in r.stdout.splitlines()]
        self.assertEqual([e["exception"]["type"] for e in entries], ["ExitError", "CancelledError"])

    def test_labels_of_a_batch(self):
        path = self.tmp() + "/object"
        with open(path, "w") as f:
            f.write('{"jobs": []}')
        batch = self.ok("submit", "--label", "a b=c=d&", "--label", "e=", "-", stdin='[{"sleep":0}]').strip()
        self.assertEqual(self.d.get(f"/v1/batches/{batch[1:]}").json["labels"], {"a b": "c=d&", "e": ""})
        self.assertEqual(self.ok("list", "--batches", "-q", "--label", "a b=c=d&").split(), [batch])
        for label in ("a", "=b", ""):
            self.assertExit(2, "submit", "--label", label, "-", stdin='[{"sleep":0}]')
        self.assertIn("inside", self.assertExit(2, "submit", "--label", "a=b", path).stderr)

    def test_a_bad_batch_tells_where(self):
        before = self.d.newest()
        r = self.assertExit(5, "submit", "-", stdin='[{"sleep":0},{"shel":"x"}]')
        self.assertIn("/1", r.stderr)
        self.assertIn("shell", r.stderr)
        self.assertNotIn("more", r.stderr)
        for n, last in ((100, "  /99/sleep: "), (101, "  and 1 more"), (350, "  and 250 more")):
            r = self.assertExit(5, "submit", "-", stdin='{"sleep":-1}\n' * n)
            self.assertIn(last, r.stderr.splitlines()[-1])
            self.assertEqual(len(r.stderr.splitlines()), min(n, 101) + 1)
        self.assertEqual(self.d.newest()[:2], before[:2])

    def test_ctrl_c_cancels_the_batch(self):
        gate = self.gate()
        path = self.tmp() + "/batch"
        with open(path, "w") as f:
            json.dump([{"shell": gate.shell}] * 3, f)
        t = self.terminal("submit", "--wait", path)
        tasks = gate.started(3)
        t.send(b"\x03")
        self.assertEqual(t.wait(), 130)
        self.assertEqual([self.d.done(x)["state"] for x in tasks], ["cancelled"] * 3)

    def test_result_and_show(self):
        r = self.cli("submit", "--wait", "-", stdin=json.dumps([{"sleep": 0, "value": "text"}, {"shell": "echo why >&2; exit 3"}]))
        batch = r.stdout.split()[0]
        self.assertExit(1, "result", batch)
        out = self.cli("-o", "json", "result", batch).stdout
        self.assertEqual([e.get("result") for e in json.loads(out)], ["text", None])
        self.assertEqual(self.ok("result", f"{batch}/0"), '"text"\n')
        self.assertEqual(self.ok("result", "-r", f"{batch}/0"), "text\n")
        self.assertExit(1, "result", f"{batch}/1")
        shown = self.ok("show", batch)
        self.assertIn("why", shown)
        self.assertIn("ExitError", shown)
        self.assertEqual(json.loads(self.ok("-o", "json", "show", batch))["total"], 2)
        self.assertEqual(self.ok("-o", "id", "show", f"{batch}/0", batch).split()[1], batch)

    def test_not_done_yet(self):
        gate = self.gate()
        b = self.d.submit([{"shell": gate.shell}, {"sleep": 0}])
        gate.started()
        self.d.done(b["tasks"][1])
        self.assertExit(5, "result", f"b{b['id']}")
        self.assertExit(5, "result", str(b["tasks"][0]))
        lines = self.cli("result", "--partial", f"b{b['id']}").stdout.splitlines()
        self.assertEqual([json.loads(line)["task"] for line in lines], [b["tasks"][1]])
        self.assertExit(124, "wait", "--timeout", "0.1", f"b{b['id']}")
        gate.release()
        self.assertExit(0, "wait", f"b{b['id']}", str(b["tasks"][0]))


class Others(CliCase):
    def test_list(self):
        b = self.d.submit([{"sleep": 0, "labels": {"list": "1"}, "name": f"x{i}"} for i in range(5)])
        self.d.batch_done(b["id"])
        bad = self.d.run({"shell": "exit 3", "labels": {"list": "1"}})["id"]
        self.assertEqual(self.ok("list", "-q", "--label", "list=1").split(), [str(i) for i in [bad, *reversed(b["tasks"])]])
        self.assertEqual(self.ok("-o", "id", "list", "-b", f"b{b['id']}", "-n", "2").split(), [str(i) for i in b["tasks"][:2:-1]])
        self.assertEqual([t["id"] for t in json.loads(self.ok("list", "-o", "json", "-s", "failed", "--label", "list=1"))], [bad])
        self.assertEqual(self.ok("list", "-q", "--name", "x3").split()[0], str(b["tasks"][3]))
        table = self.ok("list", "-n", "0", "--label", "list=1")
        self.assertRegex(table.splitlines()[0], r"^ID +STATE +TIME +BATCH +NAME")
        self.assertEqual(len(table.splitlines()), 7)
        self.assertIn(f"b{b['id']}", self.ok("list", "--batches", "-q").split())
        self.assertEqual(json.loads(self.ok("list", "-o", "json", "--label", "none=1")), [])
        self.assertExit(2, "list", "-s", "nonsense")
        for args in ([], ["-o", "json"], ["-q", "-s", "failed"]):
            self.assertEqual(self.assertExit(3, "list", "-b", "b999999", *args).stdout, "")
        self.assertEqual(self.ok("list", "-q", "-s", "failed", "-b", f"b{b['id']}"), "")

    def test_wait_exits_as_the_task_did(self):
        task = self.d.run({"shell": "exit 9"})["id"]
        good = self.d.run({"sleep": 0})["id"]
        self.assertExit(9, "wait", str(task))
        self.assertExit(1, "wait", str(task), str(good))
        self.assertExit(0, "wait", str(good), f"t{good}", f"task/{good}")
        gate = self.gate()
        p = self.start("wait", str(self.d.create({"shell": f"{gate.shell}; exit 4"})["id"]))
        gate.started()
        gate.release()
        p.communicate(timeout=PATIENCE)
        self.assertEqual(p.returncode, 4)

    def test_ctrl_c_leaves_a_wait_and_nothing_else(self):
        gate = self.gate()
        task = self.d.create({"shell": gate.shell})["id"]
        gate.started()
        t = self.terminal("wait", str(task))
        t.expect(b"running|%d" % task)
        t.send(b"\x03")
        self.assertEqual(t.wait(), 130)
        self.assertEqual(self.d.task(task)["cancelling"], 0)
        gate.release()

    def test_logs(self):
        task = str(self.d.run({"shell": "for i in 1 2 3; do echo o$i; done; echo e >&2"})["id"])
        r = self.assertExit(0, "logs", task)
        self.assertEqual((r.stdout, r.stderr), ("o1\no2\no3\n", "e\n"))
        self.assertEqual(self.cli("logs", "--stderr", task).stdout, "")
        self.assertEqual(self.cli("logs", "--stdout", task).stderr, "")
        self.assertEqual(self.ok("logs", "--stdout", "--tail", "2", task), "o2\no3\n")

    def test_logs_follow(self):
        gate = self.gate()
        task = self.d.create({"shell": f"echo one; {gate.shell}; echo two"})["id"]
        gate.started()
        p = self.start("logs", "-f", str(task))
        self.assertEqual(p.stdout.readline(), "one\n")
        gate.release()
        self.assertEqual(p.communicate(timeout=PATIENCE)[0], "two\n")
        self.assertEqual(p.returncode, 0)

    def test_cancel(self):
        a, b = (self.d.create({"sleep": 60})["id"] for _ in range(2))
        batch = self.d.submit([{"sleep": 60}] * 2)["id"]
        self.ok("cancel", "--msg", "enough", str(a), f"b{batch}")
        self.assertEqual(self.d.done(a)["exception"]["msg"], "enough")
        self.assertEqual(self.d.batch_done(batch, "settled")["state"], "cancelled")
        self.assertIn("done already", self.cli("cancel", str(a)).stderr)
        self.assertExit(3, "cancel", "999999", str(b))
        self.assertEqual(self.d.done(b)["state"], "cancelled")  # the other was cancelled all the same

    def test_all_arguments_are_looked_at_first(self):
        gate = self.gate()
        task = self.d.create({"shell": gate.shell})["id"]
        gate.started()
        for args in (["cancel", "foo"], ["cancel", "b1", "b"], ["show", "x"], ["wait", "x"], ["signal", "x"], ["signal", "b1"]):
            first = ["TERM"] if args[0] == "signal" else []
            self.assertEqual(self.assertExit(2, args[0], *first, str(task), *args[1:]).stdout, "")
        self.assertEqual((self.d.state(task), self.d.task(task)["cancelling"]), ("running", 0))
        gate.release()
        self.assertEqual(self.d.done(task)["state"], "succeeded")

    def test_signal(self):
        gate = self.gate()
        script = f"trap 'exit 5' HUP; trap 'exit 6' USR1; {gate.say}; while :; do sleep 0.05; done"
        for signal, status in (("HUP", 5), ("sighup", 5), ("10", 6)):
            task = str(self.d.create({"shell": script})["id"])
            gate.started()
            self.assertEqual(json.loads(self.ok("signal", "-o", "json", signal, task)), {"task": int(task), "requested": True})
            self.assertExit(status, "wait", task)
        self.assertExit(5, "signal", "HUP", task)
        self.assertExit(3, "signal", "HUP", "999999")
        for signal in ("0", "65", "-1", "NOPE", "", "SIG"):
            self.assertExit(2, "signal", "--", signal, task)
        self.assertExit(2, "signal", "HUP")

    def test_cancel_for_programs(self):
        task = self.d.create({"sleep": 60})["id"]
        batch = self.d.submit([{"sleep": 60}])["id"]
        lines = self.ok("cancel", "-o", "json", str(task), f"b{batch}").splitlines()
        self.assertEqual([json.loads(line) for line in lines],
                         [{"task": task, "requested": True}, {"batch": batch, "requested": True}])
        self.d.done(task)
        self.assertEqual(json.loads(self.ok("cancel", "-o", "json", str(task))), {"task": task, "requested": False})
        self.assertEqual(self.ok("cancel", "-o", "id", str(task), f"b{batch}"), f"{task}\nb{batch}\n")
        self.assertEqual(self.ok("cancel", str(task)), "")
        self.d.batch_done(batch)
        self.assertEqual(self.cli("wait", "-o", "id", str(task), f"b{batch}").stdout, f"{task}\nb{batch}\n")

    def test_commands_with_one_form_take_no_format(self):
        task = str(self.d.run({"shell": "echo x"})["id"])
        for args in (["logs", "-o", "json", task], ["-o", "id", "logs", task], ["help", "-o", "json"], ["version", "-o", "id"]):
            self.assertIn("--output", self.assertExit(2, *args).stderr)
        self.assertEqual(self.ok("logs", task, env={"GATHER_OUTPUT": "json"}), "x\n")
        for command, has in (("logs", False), ("help", False), ("run", True), ("cancel", True), ("list", True)):
            self.assertEqual("--output" in self.ok(command, "--help"), has, command)
        self.assertEqual(self.ok("result", "-o", "id", task), task + "\n")

    def test_fetch(self):
        server = Server()
        self.addCleanup(server.close)
        url = server.file("/f", b"content\n")
        self.assertEqual(self.ok("fetch", url), "content\n")
        path = self.tmp() + "/to"
        self.ok("fetch", "-O", path, "--sha256", "434728a410a78f56fc1b5899c3593436e61ab0c731e9072d95e96db290205e53", url)
        with open(path) as f:
            self.assertEqual(f.read(), "content\n")
        self.assertEqual(json.loads(self.ok("fetch", "-o", "json", url))["result"]["body"], "content\n")
        self.ok("fetch", "-H", "X-A: b c", url)
        self.assertEqual(server.requests[-1][2]["X-A"], "b c")
        self.assertExit(1, "fetch", server.url + "/none")
        self.assertExit(1, "fetch", "--sha256", "0" * 64, url)
        self.assertExit(1, "fetch", "--max-bytes", "3", url)
        server.routes["/never"] = lambda h: h.rfile.read(1)
        self.assertExit(124, "fetch", "--timeout", "0.1", server.url + "/never")
        self.assertExit(2, "fetch", "--resume", url)
        task = self.ok("fetch", "--detach", url).strip()
        self.assertExit(0, "wait", task)

    def test_sleep(self):
        before = time.monotonic()
        self.ok("sleep", "0.3s")
        self.assertGreaterEqual(time.monotonic() - before, 0.3)
        self.assertExit(2, "sleep", "soon")

    def test_last(self):
        self.ok("run", "-c", "echo mine")
        self.assertEqual(self.ok("logs", "last"), "mine\n")
        self.ok("submit", "--wait", "-", stdin='[{"sleep":0,"value":1},{"sleep":0,"value":2}]')
        self.assertEqual(self.ok("result", "last/1"), "2\n")
        self.assertTrue(os.path.exists(f"{self.home}/gather/last"))

    def test_the_command_line_is_wrong(self):
        for args in ([], ["nonsense"], ["run"], ["run", "--nonsense", "x"], ["run", "-c", "x", "y"], ["run", "--timeout", "x", "y"],
                     ["wait"], ["wait", "x"], ["wait", "b"], ["show", "0"], ["list", "extra"], ["submit"], ["submit", "/nowhere"],
                     ["logs"], ["cancel"], ["fetch"], ["sleep"], ["-o", "xml", "list"], ["--url", "ftp://x", "list"],
                     ["run", "--label", "x", "y"], ["run", "--priority", "1001", "y"], ["help", "nonsense"], ["logs", "b1"],
                     ["run", "--env", "=x", "y"]):
            r = self.cli(*args, stdin="")
            self.assertEqual((r.returncode, r.stdout), (2, ""), (args, r))
            self.assertTrue(r.stderr)

    def test_only_what_is_near_is_suggested(self):
        self.assertIn("did you mean list?", self.assertExit(2, "lsit").stderr)
        self.assertIn("did you mean cancel?", self.assertExit(2, "cnacle").stderr)
        self.assertNotIn("did you mean", self.assertExit(2, "bogus").stderr)

    def test_what_is_not_there(self):
        for args in (["show", "999999"], ["show", "b999999"], ["wait", "999999"], ["logs", "999999"], ["result", "b999999"],
                     ["result", "b999999/1"]):
            self.assertExit(3, *args)

    def test_nobody_is_there(self):
        for url in ("http://127.0.0.1:9", "unix:" + self.home + "/none"):
            for args in (["list"], ["run", "true"], ["wait", "1"], ["version"]):
                r = self.assertExit(6, *args, env={"GATHER_URL": url})
                self.assertIn("is it started? gatherd &", r.stderr)
        self.assertExit(0, "--version", env={"GATHER_URL": "http://127.0.0.1:9"})

    def test_help_and_version(self):
        for args in (["--help"], ["help"], *([c, "--help"] for c in ("run", "submit", "wait", "list", "show", "result", "logs",
                                                                    "cancel", "signal", "fetch", "sleep", "version", "help")),
                     *(["help", t] for t in ("exit-codes", "ids", "output", "environment", "run"))):
            self.assertGreater(len(self.ok(*args)), 100, args)
        self.assertNotIn("KILL", self.ok("fetch", "--help"))
        self.assertIn("run, fetch, sleep and wait of one task exit as it did", self.ok("help", "exit-codes"))
        self.assertRegex(self.ok("version"), r"gather +\d.*\ngatherd \d")
        self.assertTrue(json.loads(self.ok("-o", "json", "version"))["server"]["version"])

    def test_json_is_the_daemons(self):
        task = self.d.run({"sleep": 0, "value": [1.0, "\u00e9"]})["id"]
        self.assertEqual(json.loads(self.ok("-o", "json", "show", str(task))), self.d.task(task))
        self.assertEqual(json.loads(self.ok("-o", "json", "wait", str(task))), self.d.task(task))
        self.assertEqual(json.loads(self.ok("list", "-o", "json", "-n", "1"))[0]["id"], task)


class Restarts(CliCase):
    options = None

    def setUp(self):
        type(self).d = self.daemon("--slots", "4")
        super().setUp()

    def test_run_goes_on_over_a_restart(self):
        """On a unix socket, whose address stays."""
        path = self.tmp() + "/s"
        d = Daemon("--slots", "4", listen=[f"unix:{path}"])
        self.addCleanup(d.end)
        d.start()
        self.env["GATHER_URL"] = f"unix:{path}"
        for kill in (True, False):
            gate = self.gate()
            p = self.start("run", "-c", f"echo one; {gate.shell}; echo two; exit 5")
            self.assertEqual(p.stdout.readline(), "one\n")
            gate.started()
            d.restart(kill=kill)
            gate.release()
            out, err = p.communicate(timeout=2 * PATIENCE)
            self.assertEqual((out, p.returncode), ("two\n", 5))
            self.assertRegex(err, r"^gather: gatherd (is away \(|answers 503)")
            self.assertIn("gather: gatherd is back\n", err)
            self.assertNotIn("transfer", err)

    def test_submit_waits_over_a_restart(self):
        path = self.tmp() + "/s"
        d = Daemon("--slots", "4", listen=[f"unix:{path}"])
        self.addCleanup(d.end)
        d.start()
        self.env["GATHER_URL"] = f"unix:{path}"
        gate = self.gate()
        with open(self.home + "/jobs", "w") as f:
            json.dump([{"shell": gate.shell, "result": "stdout"}, {"sleep": 0, "value": 1}], f)
        p = self.start("submit", "--results", self.home + "/jobs")
        gate.started()
        d.restart(kill=True)
        gate.release()
        out = p.communicate(timeout=2 * PATIENCE)[0]
        self.assertEqual([json.loads(line)["result"] for line in out.splitlines()], ["", 1])
        self.assertEqual(p.returncode, 0)
        self.assertEqual(len(d.get("/v1/batches").json["batches"]), 1)
