"""Output of commands: docs/api.md, section 6, and `max_output`, `stdout`, `stderr` of section 2."""

import os
import sys
import threading

from harness import PATIENCE, Later, TestCase, eventually

LARGE = 300_000  # more than a stream may have in memory
INLINE = 65_536


def put(n, stream="stdout"):
    """A job that writes `n` bytes, every value among them."""
    return {"run": [sys.executable, "-c",
                    f"import sys; sys.{stream}.buffer.write((bytes(range(256)) * {n // 256 + 1})[:{n}])"]}


def pattern(n):
    return (bytes(range(256)) * (n // 256 + 1))[:n]


class Bytes(TestCase):
    options = ("--slots", "8")

    def out(self, task, query="", headers=None, stream="stdout"):
        return self.d.get(f"/v1/tasks/{task}/{stream}{query}", headers=headers)

    def test_bytes_are_as_they_came(self):
        for n in (0, 1, 1000, INLINE - 1, INLINE, INLINE + 1, LARGE, 3_000_000):
            t = self.d.run(put(n))
            a = self.out(t["id"])
            self.assertEqual((a.status, a.body), (200, pattern(n)))
            self.assertEqual(a.headers["Content-Length"], str(n))
            self.assertTrue(a.headers["Content-Type"].startswith("text/plain"))
            self.assertIsNone(a.headers["Gatherd-Truncated"])
            self.assertFalse(t["result"]["truncated"])

    def test_stderr_too(self):
        for n in (10, LARGE):
            t = self.d.run(put(n, "stderr"))
            self.assertEqual(self.out(t["id"], stream="stderr").body, pattern(n))
            self.assertEqual(self.out(t["id"]).body, b"")

    def test_what_is_not_utf8_shows_replacement_characters_in_json(self):
        t = self.d.run({"run": ["printf", r"a\377b\303\050\342\202\254\360\237\230\200\300\200\n"]})
        self.assertEqual(t["result"]["stdout"], "a\ufffdb\ufffd(\u20ac\U0001f600\ufffd\ufffd\n")
        self.assertEqual(self.out(t["id"]).body,
                         b"a\xffb\xc3(\xe2\x82\xac\xf0\x9f\x98\x80\xc0\x80\n")

    def test_replacement_is_the_same_from_a_file(self):
        """Characters that the pieces of a file cut in two are whole again."""
        script = ("import sys; o = sys.stdout.buffer\n"
                  "o.write('\u20ac'.encode() * 40000 + b'\\xff' + '\U0001f600'.encode() * 20000 + b'\\xe2\\x82')")
        t = self.d.run({"run": [sys.executable, "-c", script]})
        self.assertEqual(t["result"]["stdout"].rstrip("\ufffd"),
                         "\u20ac" * 40000 + "\ufffd" + "\U0001f600" * 20000)

    def test_control_characters_are_escaped_in_json(self):
        t = self.d.run({"run": ["printf", r'\001\033[1m"\\\177\b\f']})
        self.assertEqual(t["result"]["stdout"], '\x01\x1b[1m"\\\x7f\b\f')

    def test_a_nul_is_no_end(self):
        t = self.d.run({"run": ["printf", r"a\0b"]})
        self.assertEqual(t["result"]["stdout"], "a\0b")

    def test_large_output_in_a_snapshot_and_a_gather(self):
        text = "0123456789\n" * 50_000
        job = {"shell": "i=0; yes 0123456789 | head -n 50000"}
        t = self.d.run(job)
        self.assertEqual(t["result"]["stdout"], text)
        a = self.d.gather([job, {"run": ["echo", "x"]}, job])
        self.assertEqual([e["result"]["stdout"] for e in a.json["results"]], [text, "x\n", text])
        snapshot = self.d.task(t["id"])
        self.assertEqual(snapshot["result"]["stdout"], text)

    def test_max_output_cuts_and_says_so(self):
        for n, most in ((1000, 999), (1000, 1), (LARGE, 100), (LARGE, LARGE - 1), (LARGE, 70_000)):
            t = self.d.run({**put(n), "max_output": most})
            self.assertTrue(t["result"]["truncated"], (n, most))
            a = self.out(t["id"])
            self.assertEqual(a.body, pattern(n)[:most])
            self.assertEqual(a.headers["Gatherd-Truncated"], "true")
        for n, most in ((1000, 1000), (LARGE, LARGE), (LARGE, LARGE + 1), (0, 0)):
            t = self.d.run({**put(n), "max_output": most})
            self.assertFalse(t["result"]["truncated"], (n, most))
            a = self.out(t["id"])
            self.assertEqual(a.body, pattern(n))
            self.assertIsNone(a.headers["Gatherd-Truncated"])

    def test_max_output_is_for_each_stream(self):
        t = self.d.run({"shell": "echo 123456; echo 12 >&2", "max_output": 4})
        self.assertEqual((t["result"]["stdout"], t["result"]["stderr"], t["result"]["truncated"]),
                         ("1234", "12\n", True))

    def test_max_output_zero_keeps_nothing_and_stops_nobody(self):
        t = self.d.run({"shell": "head -c 1000000 /dev/zero; exit 0", "max_output": 0})
        self.assertEqual((t["state"], t["result"]["stdout"], t["result"]["truncated"]),
                         ("succeeded", "", True))

    def test_sixteen_mebibytes_are_kept_by_default(self):
        t = self.d.post("/v1/tasks?wait=30", {"shell": "head -c 17000000 /dev/zero"})
        self.assertEqual(t.status, 200)
        a = self.out(t.json["id"])
        self.assertEqual(len(a.body), 16 << 20)
        self.assertEqual(a.headers["Gatherd-Truncated"], "true")

    def test_json_that_was_cut_is_a_result_error(self):
        t = self.d.run({"run": ["echo", "[1,2,3]"], "result": "json", "max_output": 5})
        self.assertEqual(t["exception"]["type"], "ResultError")

    def test_output_of_many_lines_with_much_stderr(self):
        t = self.d.run({"shell": "for i in 1 2 3; do yes out | head -n 30000; "
                                 "yes err | head -n 30000 >&2; done"})
        self.assertEqual(t["result"]["stdout"], "out\n" * 90000)
        self.assertEqual(t["result"]["stderr"], "err\n" * 90000)


class Parts(TestCase):
    options = ("--slots", "8")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.small = cls.d.run(put(1000))["id"]
        cls.large = cls.d.run(put(LARGE))["id"]
        cls.empty = cls.d.run({"run": ["true"]})["id"]

    def test_a_range_is_that_part(self):
        for task, n in ((self.small, 1000), (self.large, LARGE)):
            for text, first, last in (("0-0", 0, 0), ("0-99", 0, 99), ("10-19", 10, 19),
                                      ("0-", 0, n - 1), (f"{n - 1}-", n - 1, n - 1),
                                      (f"{n - 5}-{n + 500}", n - 5, n - 1), ("-1", n - 1, n - 1),
                                      ("-100", n - 100, n - 1), (f"-{n * 9}", 0, n - 1),
                                      (f"0-{n - 1}", 0, n - 1)):
                a = self.d.get(f"/v1/tasks/{task}/stdout", headers={"Range": f"bytes={text}"})
                self.assertEqual((a.status, a.body), (206, pattern(n)[first:last + 1]), text)
                self.assertEqual(a.headers["Content-Range"], f"bytes {first}-{last}/{n}")

    def test_beyond_the_end_is_416(self):
        for task, n in ((self.small, 1000), (self.large, LARGE), (self.empty, 0)):
            for text in (f"{n}-", f"{n + 1}-{n + 2}", "-0"):
                a = self.d.get(f"/v1/tasks/{task}/stdout", headers={"Range": f"bytes={text}"})
                self.assertProblem(a, 416, "range-not-satisfiable")
                self.assertEqual(a.headers["Content-Range"], f"bytes */{n}")

    def test_what_is_no_single_range_is_all(self):
        for text in ("bytes=5-3", "bytes=a-b", "bytes=", "bytes=-", "items=0-1", "bytes=0-1,5-6", "bytes",
                     "bytes=1", "bytes=99999999999999999999-"):
            a = self.d.get(f"/v1/tasks/{self.small}/stdout", headers={"Range": text})
            self.assertEqual((a.status, a.body), (200, pattern(1000)), text)

    def test_ranges_of_a_running_task_do_not_know_the_length(self):
        gate = self.gate()
        t = self.d.create({"shell": f"printf 0123456789; {gate.shell}; printf abc"})
        gate.started()
        a = eventually("its output", lambda: (
            x := self.d.get(t["links"]["stdout"], headers={"Range": "bytes=2-4"})).status == 206 and x)
        self.assertEqual((a.body, a.headers["Content-Range"]), (b"234", "bytes 2-4/*"))
        self.assertEqual(self.d.get(t["links"]["stdout"]).body, b"0123456789")
        self.assertEqual(self.d.get(t["links"]["stdout"] + "?tail=1").body, b"0123456789")
        gate.release()
        self.d.done(t["id"])
        a = self.d.get(t["links"]["stdout"], headers={"Range": "bytes=8-"})
        self.assertEqual((a.body, a.headers["Content-Range"]), (b"89abc", "bytes 8-12/13"))

    def test_head_of_output(self):
        a = self.d.http("HEAD", f"/v1/tasks/{self.large}/stdout")
        self.assertEqual((a.status, a.headers["Content-Length"], a.body), (200, str(LARGE), b""))

    def test_tail_is_the_last_lines(self):
        text = "".join(f"line {i}\n" for i in range(50_000))
        for job, all_of_it in (({"run": ["printf", "a\\nb\\nc\\n"]}, "a\nb\nc\n"),
                               ({"run": ["printf", "a\\nb\\nc"]}, "a\nb\nc"),
                               ({"run": ["printf", "\\n\\n\\n"]}, "\n\n\n"),
                               ({"run": ["true"]}, ""),
                               ({"run": ["seq", "-f", "line %.0f", "0", "49999"]}, text)):
            t = self.d.run(job)["id"]
            lines = all_of_it.splitlines(keepends=True)
            for n in (0, 1, 2, 3, 4, 1000, 1_000_000):
                a = self.d.get(f"/v1/tasks/{t}/stdout?tail={n}")
                self.assertEqual(a.body.decode(), "".join(lines[-n:] if n else []), (job, n))

    def test_no_such_output(self):
        sleep = self.d.run({"sleep": 0})["id"]
        for target in (f"/v1/tasks/{sleep}/stdout", f"/v1/tasks/{sleep}/stderr"):
            self.assertProblem(self.d.get(target), 404, "no-such-resource")
        self.assertProblem(self.d.get("/v1/tasks/99999/stdout"), 404, "no-such-task")
        never = self.d.run({"run": ["/nowhere"]})["id"]
        self.assertEqual(self.d.get(f"/v1/tasks/{never}/stdout").body, b"")

    def test_links_tell_what_there_is(self):
        sleep = self.d.run({"sleep": 0})
        self.assertEqual(set(sleep["links"]), {"self"})
        self.assertEqual(set(self.d.task(self.small)["links"]), {"self", "stdout", "stderr"})


class Follow(TestCase):
    options = ("--slots", "2")

    def follow(self, task, query="?follow=1", stream="stdout", headers=""):
        """An open connection that follows."""
        raw = self.d.raw(PATIENCE)
        self.addCleanup(raw.sock.close)
        raw.send(f"GET /v1/tasks/{task}/{stream}{query} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
        return raw

    def read_chunks(self, raw, n):
        """At least `n` bytes of a chunked body."""
        data = b""
        while len(data) < n:
            size = int(raw._until(b"\r\n"), 16)
            assert size > 0, f"ended after {data!r}"
            data += raw._exactly(size)
            raw._until(b"\r\n")
        return data

    def test_follow_gives_what_there_is_and_what_comes(self):
        gate = self.gate()
        more = self.gate()
        t = self.d.create({"shell": f"echo one; {gate.shell}; echo two; {more.shell}; echo three"})
        gate.started()
        raw = self.follow(t["id"])
        status, headers = raw.head()
        self.assertEqual((status, headers["Transfer-Encoding"]), (200, "chunked"))
        self.assertEqual(self.read_chunks(raw, 4), b"one\n")
        gate.release()
        self.assertEqual(self.read_chunks(raw, 4), b"two\n")
        more.release()
        self.assertEqual(self.read_chunks(raw, 6), b"three\n")
        self.assertEqual(int(raw._until(b"\r\n"), 16), 0)
        self.assertEqual(self.d.done(t["id"])["result"]["stdout"], "one\ntwo\nthree\n")

    def test_follow_may_be_opened_while_the_task_is_pending(self):
        gate = self.gate()
        blockers = [self.d.create({"shell": gate.shell}) for _ in range(2)]
        gate.started(2)
        t = self.d.create({"shell": "echo out; echo err >&2"})
        self.assertEqual(self.d.state(t["id"]), "pending")
        out, err = self.follow(t["id"]), self.follow(t["id"], stream="stderr")
        self.assertEqual(out.head()[0], 200)
        gate.release()
        self.assertEqual(out._chunks(), b"out\n")
        self.assertEqual(err.answer().body, b"err\n")
        for b in blockers:
            self.d.done(b["id"])

    def test_follow_of_a_task_that_is_cancelled_before_it_began(self):
        gate = self.gate()
        blockers = [self.d.create({"shell": gate.shell}) for _ in range(2)]
        gate.started(2)
        t = self.d.create({"shell": "echo never"})
        raw = self.follow(t["id"])
        raw.head()
        self.d.cancel(t["id"])
        self.assertEqual(raw._chunks(), b"")
        gate.release()
        for b in blockers:
            self.d.done(b["id"])

    def test_follow_of_a_task_that_is_done(self):
        for n in (0, 100, LARGE):
            t = self.d.run(put(n))
            self.assertEqual(self.d.get(f"/v1/tasks/{t['id']}/stdout?follow=1").body, pattern(n))

    def test_follow_with_tail(self):
        gate = self.gate()
        t = self.d.create({"shell": f"seq 1000; {gate.shell}; echo end"})
        gate.started()
        # its first output is in the file once somebody has looked at it
        eventually("its output", lambda: self.d.get(t["links"]["stdout"]).body.endswith(b"\n1000\n"))
        raw = self.follow(t["id"], "?follow=1&tail=2")
        raw.head()
        self.assertEqual(self.read_chunks(raw, 9), b"999\n1000\n")
        gate.release()
        self.assertEqual(raw._chunks(), b"end\n")
        self.assertEqual(self.d.get(f"/v1/tasks/{t['id']}/stdout?follow=1&tail=2").body, b"1000\nend\n")

    def test_many_follow_one_task(self):
        gate = self.gate()
        t = self.d.create({"shell": f"{gate.shell}; seq 20000"})
        gate.started()
        raws = [self.follow(t["id"]) for _ in range(20)]
        for raw in raws:
            self.assertEqual(raw.head()[0], 200)
        gate.release()
        expected = "".join(f"{i}\n" for i in range(1, 20001)).encode()
        for raw in raws:
            self.assertEqual(raw._chunks(), expected)
        self.d.done(t["id"])

    def test_more_follow_than_inotify_has_instances(self):
        with open("/proc/sys/fs/inotify/max_user_instances") as f:
            n = int(f.read()) + 10
        if n > 500:
            self.skipTest(f"there are {n - 10} instances")
        gate = self.gate()
        t = self.d.create({"shell": f"echo begin; {gate.shell}; echo end"})
        gate.started()
        raws = [self.follow(t["id"]) for _ in range(n)]
        for raw in raws:
            self.assertEqual(raw.head()[0], 200)
            self.assertEqual(self.read_chunks(raw, 6), b"begin\n")
        gate.release()
        for raw in raws:
            self.assertEqual(raw._chunks(), b"end\n")
        self.d.done(t["id"])

    def test_a_follower_that_goes_disturbs_nobody(self):
        gate = self.gate()
        t = self.d.create({"shell": f"{gate.shell}; seq 100"})
        gate.started()
        for how in ("close", "reset", "half"):
            raw = self.follow(t["id"])
            raw.head()
            if how == "reset":
                raw.reset()
            elif how == "half":
                raw.half_close()
            else:
                raw.sock.close()
        gate.release()
        self.assertEqual(self.d.done(t["id"])["state"], "succeeded")

    def test_a_slow_reader_gets_all(self):
        """Much more than sockets hold: the command is not held up, the reader not cut off."""
        t = self.d.create({"shell": "seq 400000"})
        raw = self.follow(t["id"])
        raw.head()
        self.d.done(t["id"])
        expected = "".join(f"{i}\n" for i in range(1, 400001)).encode()
        self.assertEqual(raw._chunks(), expected)

    def test_follow_while_it_is_written_gives_each_byte_once(self):
        t = self.d.create({"run": [sys.executable, "-c",
                                   "import sys, os\n"
                                   "for i in range(3000): os.write(1, b'%07d\\n' % i * 20)"]})
        readers = [Later(self.d.get, f"/v1/tasks/{t['id']}/stdout?follow=1") for _ in range(4)]
        expected = b"".join(b"%07d\n" % i * 20 for i in range(3000))
        for r in readers:
            self.assertEqual(r.value().body, expected)
        self.assertEqual(self.d.get(t["links"]["stdout"]).body, expected)

    def test_follow_ends_with_max_output(self):
        t = self.d.create({"shell": "yes | head -c 500000", "max_output": 1000})
        a = self.d.get(f"/v1/tasks/{t['id']}/stdout?follow=1")
        self.assertEqual(a.body, b"y\n" * 500)

    def test_follow_through_a_failure_and_a_cancel(self):
        gate = self.gate()
        t = self.d.create({"shell": f"echo a; {gate.say}; sleep 60"})
        gate.started()
        raw = self.follow(t["id"])
        raw.head()
        self.assertEqual(self.read_chunks(raw, 2), b"a\n")
        self.d.cancel(t["id"])
        self.assertEqual(raw._chunks(), b"")
        self.assertEqual(self.d.done(t["id"])["state"], "cancelled")

    def test_reading_output_of_running_tasks_while_they_end(self):
        """Plain reads at any moment: always a prefix of the whole."""
        jobs = [self.d.create({"shell": "seq 5000"})["id"] for _ in range(20)]
        whole = "".join(f"{i}\n" for i in range(1, 5001)).encode()
        failures = []

        def look(task):
            while True:
                a = self.d.get(f"/v1/tasks/{task}/stdout")
                if a.status != 200 or not whole.startswith(a.body):
                    failures.append((task, a))
                    return
                if a.body == whole:
                    return

        threads = [threading.Thread(target=look, args=(j,), daemon=True) for j in jobs]
        for t in threads:
            t.start()
        for t in threads:
            t.join(PATIENCE)
        self.assertEqual([t for t in threads if t.is_alive()], [])
        self.assertEqual(failures, [])


class Files(TestCase):
    options = None

    def test_only_its_owner_can_read_the_state_directory(self):
        d = self.daemon()
        d.run(put(LARGE))
        for path, dirs, files in os.walk(d.state_dir):
            for name in dirs + files:
                mode = os.lstat(os.path.join(path, name)).st_mode
                self.assertEqual(mode & 0o077, 0, os.path.join(path, name))
        self.assertEqual(os.stat(d.state_dir).st_mode & 0o077, 0)
