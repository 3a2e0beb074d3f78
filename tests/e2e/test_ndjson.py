"""NDJSON in and out: streamed, large, cut off; docs/api.md, section 5."""

import json
import time

from harness import PATIENCE, SLOWER, Later, TestCase, eventually, peak_bytes, rss_bytes

IN = {"Content-Type": "application/x-ndjson"}
OUT = {"Accept": "application/x-ndjson"}


def lines(jobs):
    return "".join(json.dumps(j) + "\n" for j in jobs)


def head(target, length=None):
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n{framing}\r\n\r\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class In(TestCase):
    options = ("--slots", "8")

    def newest_batch_and_task(self):
        """A page may be empty, and there are more: lines that were taken in are passed over."""
        target = "/v1/tasks?limit=1"
        tasks = []
        while target and not tasks:
            page = self.d.get(target).json
            tasks, target = page["tasks"], page["next"]
        batches = self.d.get("/v1/batches?limit=1").json["batches"]
        return [b["id"] for b in batches], [t["id"] for t in tasks]

    def assertNothingMade(self, before):
        self.assertEqual(self.newest_batch_and_task(), before)

    def test_blank_lines_line_ends_and_a_missing_last_newline(self):
        for body in ('{"sleep":0,"value":1}\n{"sleep":0,"value":2}\n', '{"sleep":0,"value":1}\n{"sleep":0,"value":2}',
                     '\n\n{"sleep":0,"value":1}\r\n \t\r\n\n  {"sleep":0,"value":2}  \n\n'):
            a = self.d.gather(body, headers=IN)
            self.assertEqual([e["result"] for e in a.json["results"]], [1, 2], body)
        for body in ("", "\n", "\r\n\n "):
            a = self.d.gather(body, headers=IN)
            self.assertEqual((a.status, a.json["results"]), (200, []), a)
        a = self.d.gather('{"sleep":0}\n', headers={"Content-Type": "application/x-ndjson; charset=utf-8"})
        self.assertEqual(a.status, 200)

    def test_options_are_in_the_query(self):
        a = self.d.post("/v1/batches?return_exceptions=1&concurrency=2&name=n&label=a=b&timeout=60&on_failure=cancel&priority=5",
                        lines([{"sleep": 0}] * 3), headers=IN)
        b = a.json
        self.assertEqual((a.status, b["total"], b["return_exceptions"], b["concurrency"], b["name"], b["labels"], b["timeout"],
                          b["on_failure"]), (202, 3, True, 2, "n", {"a": "b"}, 60, "cancel"))
        self.assertEqual(len(b["tasks"]), 3)
        before = self.newest_batch_and_task()
        a = self.d.post("/v1/batches?concurrency=0", lines([{"sleep": 0}]), headers=IN)
        self.assertEqual(a.status, 400)
        self.assertNothingMade(before)

    def test_streamed_byte_by_byte_and_in_odd_chunks(self):
        body = lines([{"sleep": 0, "value": i, "name": "\u00e9\U0001f600"} for i in range(20)]).encode()
        for size in (1, 7, 1000):
            with self.d.raw(PATIENCE) as raw:
                raw.send(head("/v1/gather"))
                for i in range(0, len(body), size):
                    raw.send(chunk(body[i:i + size]))
                raw.send(b"0\r\n\r\n")
                a = raw.answer()
            self.assertEqual([e["result"] for e in a.json["results"]], list(range(20)))

    def test_it_exists_whole_when_the_answer_comes_and_not_before(self):
        before = self.newest_batch_and_task()
        part = lines([{"sleep": 0, "value": i} for i in range(10_000)]).encode()
        with self.d.raw(2 * PATIENCE) as raw:
            raw.send(head("/v1/batches?wait=30"))
            raw.send(chunk(part))
            self.assertEqual(self.d.get("/livez").status, 200)
            self.assertNothingMade(before)
            task = self.d.create({"sleep": 0, "value": "in between"})["id"]
            self.assertEqual(self.d.done(task)["result"], "in between")
            raw.send(chunk(part) + b"0\r\n\r\n")
            a = raw.answer()
        self.assertEqual((a.status, a.json["total"], a.json["counts"]["succeeded"]), (200, 20_000, 20_000))
        r = self.d.get(f"/v1/batches/{a.json['id']}/results", headers=OUT).lines
        self.assertEqual([e["result"] for e in r], [*range(10_000), *range(10_000)])
        ids = [e["task"] for e in r]
        self.assertEqual((ids, task in ids), (sorted(ids), False))

    def test_two_at_once_keep_apart(self):
        def one(k):
            with self.d.raw(2 * PATIENCE) as raw:
                raw.send(head("/v1/gather"))
                for i in range(5):
                    raw.send(chunk(lines([{"sleep": 0, "value": [k, i, j]} for j in range(1000)]).encode()))
                raw.send(b"0\r\n\r\n")
                return [e["result"] for e in raw.answer().json["results"]]
        later = [Later(one, k) for k in range(4)]
        for k, x in enumerate(later):
            self.assertEqual(x.value(), [[k, i, j] for i in range(5) for j in range(1000)])

    def test_a_fault_at_any_place_leaves_nothing(self):
        before = self.newest_batch_and_task()
        good = json.dumps({"sleep": 0})
        for n, at in ((1, 0), (10, 9), (5000, 0), (5000, 2500), (5000, 4999), (30_000, 29_999)):
            body = [good] * n
            body[at] = '{"sleep":0,"nmae":"x"}'
            a = self.d.post("/v1/batches", "\n".join(body), headers=IN)
            self.assertProblem(a, 400, "bad-job")
            self.assertEqual(a.pointers, [f"/{at}/nmae"])
            body[at] = '{"sleep":0'
            a = self.d.post("/v1/gather", "\n".join(body), headers=IN)
            problem = self.assertProblem(a, 400, "bad-json")
            self.assertIn(f"line {at + 1}", problem["detail"])
            self.assertNothingMade(before)
        self.assertEqual(self.d.get("/v1/tasks?state=unfinished").json["tasks"], [])

    def test_every_bad_line_is_named(self):
        body = [json.dumps({"sleep": 0})] * 6000
        for i in range(0, 6000, 100):
            body[i] = '{"shell":1}'
        a = self.d.post("/v1/batches", "\n".join(body), headers=IN)
        self.assertEqual(a.pointers, [f"/{i}/shell" for i in range(0, 6000, 100)])

    def test_clients_that_go_away_leave_nothing(self):
        before = self.newest_batch_and_task()
        part = lines([{"sleep": 0}] * 5000).encode()
        for leave in ("close", "reset", "half"):
            for wait in (False, True):
                raw = self.d.raw()
                raw.send(head("/v1/batches", 10 * len(part)))
                raw.send(part)
                if wait:
                    self.d.get("/livez")
                if leave == "reset":
                    raw.reset()
                elif leave == "half":
                    raw.half_close()
                else:
                    raw.sock.close()
                self.assertNothingMade(before)
                raw.sock.close()
        a = self.d.submit([{"sleep": 0}])
        self.assertEqual(self.d.batch_done(a["id"])["total"], 1)
        eventually("none is unfinished", lambda: self.d.get("/v1/info").json["tasks"] == 0)

    def test_a_large_batch_in_little_memory(self):
        n = 100_000
        body = lines([{"sleep": 0, "value": "x" * 400}] * 1000).encode()
        self.d.gather(body, headers=IN)
        before = peak_bytes(self.d.pid)
        with self.d.raw(6 * PATIENCE) as raw:
            raw.send(head("/v1/batches?wait=120"))
            for _ in range(n // 1000):
                raw.send(chunk(body))
            raw.send(b"0\r\n\r\n")
            a = raw.answer()
        self.assertEqual((a.status, a.json["total"], a.json["counts"]["succeeded"]), (200, n, n))
        self.assertGreater(n * 430, 40 << 20)
        if SLOWER == 1:  # tasks cost something each, their text does not
            self.assertLess(peak_bytes(self.d.pid) - before, 40 << 20)
        size = 0
        with self.d.raw(6 * PATIENCE) as raw:
            raw.send(f"GET /v1/batches/{a.json['id']}/results HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n")
            r = raw.answer()
            size = len(r.body)
        self.assertEqual(r.body.count(b"\n"), n)
        self.assertGreater(size, 40 << 20)
        self.assertLess(rss_bytes(self.d.pid), (400 << 20) * SLOWER)

    def test_a_pause_in_the_body_holds_nobody_up(self):
        with self.d.raw(2 * PATIENCE) as raw:
            raw.send(head("/v1/gather"))
            raw.send(chunk(lines([{"sleep": 0}] * 3000).encode()))
            before = time.monotonic()
            for _ in range(20):
                self.assertEqual(self.d.run({"sleep": 0})["state"], "succeeded")
            self.assertLess(time.monotonic() - before, 10)
            raw.send(b"0\r\n\r\n")
            self.assertEqual(len(raw.answer().json["results"]), 3000)

    def test_a_restart_in_the_middle(self):
        d = self.daemon("--slots", "2")
        for kill in (True, False):
            raw = d.raw(2 * PATIENCE)
            raw.send(head("/v1/batches"))
            raw.send(chunk(lines([{"sleep": 0}] * 10_000).encode()))
            d.get("/livez")
            d.restart(kill=kill)
            raw.sock.close()
            self.assertEqual(d.get("/v1/batches").json["batches"], [])
            self.assertEqual(d.get("/v1/tasks").json["tasks"], [])
        self.assertEqual(len(d.gather([{"sleep": 0}] * 3).json["results"]), 3)


class Out(TestCase):
    options = ("--slots", "8")

    def test_results_as_lines(self):
        b = self.d.submit({"jobs": [{"sleep": 0, "value": i} for i in range(1000)]})["id"]
        self.d.batch_done(b, "settled")
        for accept in ("application/x-ndjson", "application/x-ndjson, application/json;q=0.5"):
            a = self.d.get(f"/v1/batches/{b}/results", headers={"Accept": accept})
            self.assertTrue(a.headers["Content-Type"].startswith("application/x-ndjson"))
            self.assertEqual([e["result"] for e in a.lines], list(range(1000)))
        for accept in ("application/json", "*/*", ""):
            a = self.d.get(f"/v1/batches/{b}/results", headers={"Accept": accept})
            self.assertEqual(a.headers["Content-Type"], "application/json")

    def test_lines_in_lines_out(self):
        a = self.d.gather(lines([{"sleep": 0, "value": i} for i in range(100)]), headers={**IN, **OUT})
        self.assertEqual([e["result"] for e in a.lines], list(range(100)))

    def test_failures_are_entries(self):
        b = self.d.submit({"jobs": [{"sleep": 0}, {"shell": "exit 3"}], "return_exceptions": True})["id"]
        self.d.batch_done(b)
        a = self.d.get(f"/v1/batches/{b}/results", headers=OUT)
        self.assertEqual([sorted(e) for e in a.lines], [["name", "result", "task"], ["exception", "name", "task"]])

    def test_partial_while_it_goes(self):
        gate = self.gate()
        b = self.d.submit([{"shell": gate.shell}] + [{"sleep": 0, "value": i} for i in range(500)])
        gate.started()
        self.d.done(b["tasks"][-1])
        for t in b["tasks"][1:]:
            self.d.done(t)
        a = self.d.get(f"/v1/batches/{b['id']}/results?partial=1", headers=OUT)
        self.assertEqual([e["result"] for e in a.lines], list(range(500)))
        self.assertProblem(self.d.get(f"/v1/batches/{b['id']}/results", headers=OUT), 409, "invalid-state")
        gate.release()
        self.d.batch_done(b["id"])

    def test_a_reader_that_is_slow(self):
        n = 20_000
        b = self.d.submit([{"sleep": 0, "value": "x" * 500}] * n)["id"]
        self.d.batch_done(b)
        before = rss_bytes(self.d.pid)
        with self.d.raw(2 * PATIENCE) as raw:
            raw.send(f"GET /v1/batches/{b}/results HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n")
            status, _ = raw.head()
            self.assertEqual(status, 200)
            for _ in range(30):
                self.assertEqual(self.d.run({"sleep": 0})["state"], "succeeded")
            if SLOWER == 1:
                self.assertLess(rss_bytes(self.d.pid) - before, 30 << 20)
            self.assertEqual(raw._chunks().count(b"\n"), n)

    def test_a_reader_that_leaves(self):
        b = self.d.submit([{"sleep": 0, "value": "x" * 500}] * 5000)["id"]
        self.d.batch_done(b)
        for leave in ("close", "reset"):
            raw = self.d.raw()
            raw.send(f"GET /v1/batches/{b}/results HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n")
            raw.head()
            raw.reset() if leave == "reset" else raw.sock.close()
        eventually("they are gone", lambda: self.d.get("/v1/info").json["connections"] <= 1)
