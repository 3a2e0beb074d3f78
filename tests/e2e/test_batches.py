"""Batches: what asyncio.gather() and TaskGroup promise; docs/api.md, section 5."""

import json
import re
import time

from harness import PATIENCE, SLOWER, Later, TestCase, eventually

SNAPSHOT = {"id", "name", "state", "done", "settled", "total", "counts", "exception", "first_failed",
            "return_exceptions", "on_failure", "concurrency", "timeout", "created_at", "started_at",
            "finished_at", "labels", "links"}
STATES = ("pending", "running", "succeeded", "failed", "cancelled")
STUBBORN = {"shell": "trap '' TERM; while :; do sleep 0.05; done", "grace": 0.5}


def value(i, seconds=0):
    return {"sleep": seconds, "value": i}


def fail(code=1, seconds=0):
    return {"shell": f"sleep {seconds}; exit {code}"}


class BatchCase(TestCase):
    options = ("--slots", "8")

    def values(self, answer):
        self.assertEqual(answer.status, 200, answer)
        return [e["result"] for e in answer.json["results"]]

    def partial(self, batch):
        a = self.d.get(f"/v1/batches/{batch}/results?partial=1")
        self.assertEqual(a.status, 200)
        return a.json["results"]


class Gather(BatchCase):
    def test_of_nothing(self):
        for body in ([], {"jobs": []}):
            a = self.d.gather(body)
            self.assertEqual((a.status, a.json["state"], a.json["results"]), (200, "succeeded", []))
            b = self.d.submit(body)
            self.assertEqual((b["total"], b["tasks"]), (0, []))
            b = self.d.batch_done(b["id"])
            self.assertEqual((b["state"], b["settled"]), ("succeeded", True))

    def test_results_in_input_order_not_finish_order(self):
        before = time.monotonic()
        a = self.d.gather([value("a", 0.4), value("b", 0.6), value("c", 0.2)])
        self.assertEqual(self.values(a), ["a", "b", "c"])
        self.assertWithin(time.monotonic() - before, 0.6, 1.2 * SLOWER)
        body = a.json
        self.assertEqual(set(body), {"batch", "state", "results"})
        self.assertEqual(body["state"], "succeeded")
        for e in body["results"]:
            self.assertEqual(set(e), {"task", "name", "result"})
            self.assertEqual(e["name"], f"Task-{e['task']}")

    def test_an_object_and_a_bare_array_and_curls_type(self):
        jobs = [value(1), value(2)]
        self.assertEqual(self.values(self.d.gather({"jobs": jobs})), [1, 2])
        self.assertEqual(self.values(self.d.gather(jobs)), [1, 2])
        for kind in ("application/json", "application/x-www-form-urlencoded", "Application/JSON; charset=utf-8"):
            self.assertEqual(self.values(self.d.gather(jobs, headers={"Content-Type": kind})), [1, 2])

    def test_equal_jobs_are_different_tasks(self):
        a = self.d.gather([value(1)] * 3)
        self.assertEqual(len({e["task"] for e in a.json["results"]}), 3)

    def test_the_first_failure_in_time_answers_at_once(self):
        before = time.monotonic()
        a = self.d.gather([value(1, 2), fail(4, 0.5), {**fail(3, 0.1), "name": "this"}])
        body = self.assertProblem(a, 424, "task-failed")
        self.assertLess(time.monotonic() - before, 1 * SLOWER)
        self.assertEqual(body["exception"]["exit_code"], 3)
        b = self.d.batch(body["batch"])
        self.assertEqual((b["state"], b["done"], b["settled"], b["first_failed"]),
                         ("failed", True, False, body["task"]))
        self.assertEqual(b["exception"], body["exception"])
        self.assertEqual(self.d.task(body["task"])["name"], "this")
        # the siblings go on and can be read
        b = self.d.batch_done(body["batch"], "settled")
        self.assertEqual((b["state"], b["settled"], b["counts"]),
                         ("failed", True, {**dict.fromkeys(STATES, 0), "succeeded": 1, "failed": 2}))
        entries = self.partial(body["batch"])
        self.assertEqual(entries[0]["result"], 1)
        self.assertEqual(entries[1]["exception"]["exit_code"], 4)

    def test_failures_of_every_type(self):
        for job, type_ in (({"shell": "kill -9 $$"}, "SignalError"), ({"run": ["/nowhere"]}, "SpawnError"),
                           ({"sleep": 60, "timeout": 0.05}, "TimeoutError"),
                           ({"run": ["echo", "x"], "result": "json"}, "ResultError"),
                           ({"fetch": "http://127.0.0.1:9/"}, "FetchError")):
            body = self.assertProblem(self.d.gather([value(1), job]), 424, "task-failed")
            self.assertEqual(body["exception"]["type"], type_)

    def test_return_exceptions(self):
        a = self.d.gather({"jobs": [value(1), fail(3), {"run": ["/nowhere"]}, value(4)],
                           "return_exceptions": True})
        self.assertEqual((a.status, a.json["state"]), (200, "succeeded"))
        r = a.json["results"]
        self.assertEqual([set(e) for e in r],
                         [{"task", "name", "result"}, {"task", "name", "exception"}] * 1
                         + [{"task", "name", "exception"}, {"task", "name", "result"}])
        self.assertEqual((r[1]["exception"]["exit_code"], r[2]["exception"]["errno"]), (3, "ENOENT"))
        b = self.d.batch(a.json["batch"])
        self.assertEqual((b["state"], b["return_exceptions"], b["first_failed"]), ("succeeded", True, None))

    def test_all_failing_with_return_exceptions(self):
        a = self.d.gather([fail(i) for i in range(1, 6)], "?return_exceptions=1")
        self.assertEqual([e["exception"]["exit_code"] for e in a.json["results"]], [1, 2, 3, 4, 5])

    def test_a_cancelled_child_fails_the_gather(self):
        b = self.d.submit([value(1, 60), value(2, 0.6)])
        self.d.cancel(b["tasks"][0])
        a = self.d.get(f"/v1/batches/{b['id']}/results?wait=20")
        body = a.json
        self.assertEqual(a.status, 424)
        self.assertEqual((body["task"], body["exception"]["type"]), (b["tasks"][0], "CancelledError"))
        # as in asyncio: outer.cancelled() is false, its exception is the CancelledError
        self.assertEqual(self.d.batch(b["id"])["state"], "failed")
        self.assertEqual(self.d.done(b["tasks"][1])["state"], "succeeded")

    def test_a_cancelled_child_with_return_exceptions(self):
        b = self.d.submit({"jobs": [value(1, 60), value(2, 0.1)], "return_exceptions": True})
        self.d.cancel(b["tasks"][0], {"msg": "m"})
        a = self.d.get(f"/v1/batches/{b['id']}/results?wait=20")
        self.assertEqual(a.json["results"][0]["exception"]["msg"], "m")
        self.assertEqual(a.json["results"][1]["result"], 2)

    def test_gather_with_a_wait(self):
        a = self.d.gather([value(1, 0.5), value(2)], "?wait=0.1")
        self.assertEqual((a.status, a.json["state"], a.json["done"]), (202, "running", False))
        self.assertEqual(a.headers["Location"], f"/v1/batches/{a.json['id']}")
        r = self.d.get(f"/v1/batches/{a.json['id']}/results?wait=20")
        self.assertEqual(self.values(r), [1, 2])
        self.assertEqual(self.values(self.d.gather([value(1)], "?wait=20")), [1])
        a = self.d.gather([value(1)], headers={"Prefer": "wait=20"})
        self.assertEqual((a.status, a.json["results"][0]["result"]), (200, 1))
        a = self.d.gather([value(1, 0.5)], headers={"Prefer": "respond-async"})
        self.assertEqual(a.status, 202)

    def test_gather_when_the_client_goes(self):
        for query, state in (("", "succeeded"), ("?on_disconnect=cancel", "cancelled")):
            raw = self.d.raw()
            body = json.dumps([value(1, 1.0 if not query else 60)] * 3)
            raw.send(f"POST /v1/gather{query} HTTP/1.1\r\nHost: localhost\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n{body}")
            batch = eventually("it runs", lambda: (
                x := self.d.get("/v1/batches?limit=1&state=running").json["batches"]) and x[0]["id"])
            before = time.monotonic()
            raw.sock.close()
            b = self.d.batch_done(batch, "settled")
            self.assertEqual((b["state"], b["counts"][state]), (state, 3))
            if query:
                self.assertLess(time.monotonic() - before, 1 * SLOWER)


class Snapshots(BatchCase):
    def test_a_new_batch(self):
        a = self.d.post("/v1/batches", {"jobs": [value(i, 0.3) for i in range(3)], "name": "n",
                                        "labels": {"a": "b"}, "concurrency": 2, "timeout": 60,
                                        "return_exceptions": True, "priority": 3})
        b = a.json
        self.assertEqual((a.status, a.headers["Location"]), (202, f"/v1/batches/{b['id']}"))
        self.assertEqual(set(b), SNAPSHOT | {"tasks"})
        self.assertEqual((b["name"], b["labels"], b["concurrency"], b["timeout"], b["return_exceptions"],
                          b["on_failure"], b["total"]), ("n", {"a": "b"}, 2, 60, True, "continue", 3))
        self.assertEqual(set(b["counts"]), set(STATES))
        self.assertEqual(sum(b["counts"].values()), 3)
        for i, task in enumerate(b["tasks"]):
            t = self.d.task(task)
            self.assertEqual((t["batch"], t["index"], t["links"]["batch"]),
                             (b["id"], i, f"/v1/batches/{b['id']}"))
        b = self.d.batch_done(b["id"])
        self.assertEqual(set(b), SNAPSHOT)
        self.assertEqual((b["state"], b["done"], b["settled"], b["counts"]["succeeded"]),
                         ("succeeded", True, True, 3))
        self.assertLessEqual(b["created_at"], b["started_at"])
        self.assertLess(b["started_at"], b["finished_at"])
        self.assertEqual(self.d.get(b["links"]["results"]).status, 200)
        self.assertEqual(self.d.get(b["links"]["self"]).json, b)

    def test_defaults(self):
        b = self.d.submit([value(1)])
        self.assertEqual((b["name"], b["labels"], b["concurrency"], b["timeout"], b["return_exceptions"],
                          b["on_failure"]), (None, {}, None, None, False, "continue"))

    def test_counts_while_it_goes(self):
        gate = self.gate()
        b = self.d.submit({"jobs": [value(0), fail(), {"shell": gate.shell}, {"shell": gate.shell},
                                    {"shell": gate.shell}], "return_exceptions": True, "concurrency": 2})
        gate.started(2)
        s = eventually("two run", lambda: (s := self.d.batch(b["id"]))["counts"]["running"] == 2 and s)
        self.assertEqual((s["state"], s["counts"]), ("running", {"pending": 1, "running": 2,
                                                                  "succeeded": 1, "failed": 1,
                                                                  "cancelled": 0}))
        gate.release()
        self.assertEqual(self.d.batch_done(b["id"])["counts"],
                         {"pending": 0, "running": 0, "succeeded": 4, "failed": 1, "cancelled": 0})

    def test_waits(self):
        b = self.d.submit([value(1, 0.5), fail(1, 0.1), value(2, 1)])["id"]
        a = self.d.get(f"/v1/batches/{b}?wait=0.01")
        self.assertEqual((a.status, a.json["done"]), (202, False))
        a = self.d.get(f"/v1/batches/{b}?wait=20")
        self.assertEqual((a.status, a.json["state"], a.json["settled"]), (200, "failed", False))
        a = self.d.get(f"/v1/batches/{b}?wait=0.01&until=settled")
        self.assertEqual((a.status, a.json["done"]), (202, True))
        a = self.d.get(f"/v1/batches/{b}?wait=20&until=settled")
        self.assertEqual((a.status, a.json["settled"]), (200, True))
        self.assertEqual(self.d.get(f"/v1/batches/{b}?wait=20&until=done").status, 200)
        self.assertProblem(self.d.get(f"/v1/batches/{b}?until=x"), 400, "bad-request")
        a = self.d.post("/v1/batches?wait=20", [value(1)])
        self.assertEqual((a.status, a.json["done"], a.json["settled"]), (200, True, True))
        a = self.d.post("/v1/batches?wait=0.01", [value(1, 1)])
        self.assertEqual((a.status, a.json["done"]), (202, False))

    def test_the_answer_of_a_wait_is_the_snapshot_of_later(self):
        for jobs in ([value(1, 0.05)] * 5, [fail()], [fail(), value(1)]):
            a = self.d.post("/v1/batches?wait=20", {"jobs": jobs, "return_exceptions": True})
            self.assertEqual(a.json, self.d.batch(a.json["id"]))
            self.assertTrue(a.json["settled"])

    def test_etag(self):
        b = self.d.submit([value(1, 0.3)])["id"]
        a = self.d.get(f"/v1/batches/{b}")
        etag = a.headers["ETag"]
        self.assertTrue(etag)
        self.assertEqual(a.headers["Gatherd-State"], a.json["state"])
        self.d.batch_done(b)
        a = self.d.get(f"/v1/batches/{b}", headers={"If-None-Match": etag})
        self.assertEqual((a.status, a.json["done"]), (200, True))
        for _ in range(2):
            self.assertEqual(self.d.get(f"/v1/batches/{b}",
                                        headers={"If-None-Match": a.headers["ETag"]}).status, 304)
            self.d.restart()

    def test_no_such_batch(self):
        for target in ("/v1/batches/999999", "/v1/batches/999999/results", "/v1/batches/999999?wait=1",
                       "/v1/batches/999999/results?partial=1"):
            self.assertProblem(self.d.get(target), 404, "no-such-batch")
        self.assertProblem(self.d.post("/v1/batches/999999/cancel"), 404, "no-such-batch")

    def test_tasks_and_batches_are_numbered_apart(self):
        d = self.daemon()
        b = d.submit([value(1), value(2)])
        self.assertEqual((b["id"], b["tasks"]), (1, [1, 2]))
        t = d.create(value(3))
        self.assertEqual((t["id"], t["batch"]), (3, None))
        self.assertEqual(d.submit([value(1)])["id"], 2)


class Rules(BatchCase):
    def test_on_failure_cancel_is_a_task_group(self):
        a = self.d.gather({"jobs": [value(1, 60), fail(5, 0.2), {"run": ["sleep", "60"]}, value(2)],
                           "on_failure": "cancel"})
        body = self.assertProblem(a, 424, "task-failed")
        e = body["exception"]
        self.assertEqual(e["type"], "ExceptionGroup")
        self.assertEqual([(x["type"], x["exit_code"]) for x in e["exceptions"]], [("ExitError", 5)])
        b = self.d.batch(body["batch"])
        self.assertEqual((b["state"], b["settled"], b["on_failure"]), ("failed", True, "cancel"))
        self.assertEqual(b["counts"], {**dict.fromkeys(STATES, 0), "succeeded": 1, "failed": 1,
                                       "cancelled": 2})

    def test_a_group_waits_for_all_and_keeps_failures_in_time_order(self):
        slow = {"shell": "trap 'exit 7' TERM; sleep 60 & wait"}
        a = self.d.gather({"jobs": [slow, {**STUBBORN, "name": "slow"}, fail(1, 0.4)], "on_failure": "cancel"})
        e = a.json["exception"]
        self.assertEqual([x["exit_code"] for x in e["exceptions"]], [1, 7])
        b = self.d.batch(a.json["batch"])
        self.assertTrue(b["settled"])
        tasks = [t["id"] for t in self.d.get(f"/v1/tasks?batch={b['id']}&order=asc").json["tasks"]]
        self.assertEqual([x["task"] for x in e["exceptions"]], [tasks[2], tasks[0]])
        self.assertEqual((b["first_failed"], a.json["task"]), (tasks[2], tasks[2]))

    def test_in_a_group_a_cancelled_child_aborts_nothing(self):
        b = self.d.submit({"jobs": [value(1, 60), value(2, 0.5)], "on_failure": "cancel"})
        self.d.cancel(b["tasks"][0])
        s = self.d.batch_done(b["id"])
        self.assertEqual((s["state"], s["counts"]["cancelled"], s["counts"]["succeeded"]), ("succeeded", 1, 1))
        r = self.d.get(f"/v1/batches/{b['id']}/results")
        self.assertEqual(r.status, 200)
        self.assertEqual(r.json["results"][0]["exception"]["type"], "CancelledError")

    def test_cancel_of_a_group(self):
        b = self.d.submit({"jobs": [value(1, 60), value(2, 60)], "on_failure": "cancel"})
        self.d.post(f"/v1/batches/{b['id']}/cancel", {"msg": "stop"})
        s = self.d.batch_done(b["id"])
        self.assertEqual((s["state"], s["exception"]["type"], s["exception"]["msg"]),
                         ("cancelled", "CancelledError", "stop"))

    def test_a_failure_in_a_group_never_starts_the_rest(self):
        gate = self.gate()
        a = self.d.gather({"jobs": [fail(1, 0.2)] + [{"shell": gate.shell}] * 50, "on_failure": "cancel",
                           "concurrency": 1})
        self.assertEqual(a.status, 424)
        self.assertTrue(gate.none_started())
        self.assertEqual(self.d.batch(a.json["batch"])["counts"]["cancelled"], 50)

    def test_cancel_of_a_batch(self):
        b = self.d.submit([value(1, 60), {"run": ["sleep", "60"]}, value(2)])
        self.d.done(b["tasks"][2])
        a = self.d.post(f"/v1/batches/{b['id']}/cancel", {"msg": "stop"})
        self.assertEqual((a.status, a.json), (202, {"requested": True}))
        s = self.d.batch_done(b["id"], "settled")
        self.assertEqual((s["state"], s["counts"]["cancelled"], s["counts"]["succeeded"]), ("cancelled", 2, 1))
        body = self.assertProblem(self.d.get(f"/v1/batches/{b['id']}/results"), 424, "task-cancelled")
        self.assertEqual(body["exception"]["msg"], "stop")
        self.assertEqual(self.d.task(b["tasks"][0])["exception"]["msg"], "stop")
        self.assertEqual(self.partial(b["id"])[2]["result"], 2)
        a = self.d.post(f"/v1/batches/{b['id']}/cancel")
        self.assertEqual((a.status, a.json), (200, {"requested": False}))

    def test_cancel_with_return_exceptions_waits_for_all(self):
        gate = self.gate()
        stubborn = {**STUBBORN, "shell": f"trap '' TERM; {gate.say}; while :; do sleep 0.05; done"}
        b = self.d.submit({"jobs": [value(1, 60), stubborn], "return_exceptions": True})
        gate.started()
        self.d.post(f"/v1/batches/{b['id']}/cancel")
        s = self.d.batch_done(b["id"])
        self.assertEqual((s["state"], s["settled"], s["counts"]["cancelled"]), ("cancelled", True, 2))

    def test_cancel_after_an_early_failure(self):
        b = self.d.submit([fail(), value(1, 60), value(2, 60)])["id"]
        self.assertEqual(self.d.batch_done(b)["state"], "failed")
        a = self.d.post(f"/v1/batches/{b}/cancel")
        self.assertEqual((a.status, a.json), (200, {"requested": False}))
        self.assertEqual(self.d.batch(b)["counts"]["running"], 2)
        a = self.d.post(f"/v1/batches/{b}/cancel", {"all": True})
        self.assertEqual(a.status, 202)
        s = self.d.batch_done(b, "settled")
        self.assertEqual((s["state"], s["counts"]["cancelled"]), ("failed", 2))
        self.assertEqual(self.d.post(f"/v1/batches/{b}/cancel", {"all": True}).json, {"requested": False})

    def test_a_child_that_swallows_the_cancel(self):
        gate = self.gate()
        b = self.d.submit([{"shell": f"trap 'exit 0' TERM; sleep 60 & {gate.say}; wait"}])
        gate.started()
        self.d.post(f"/v1/batches/{b['id']}/cancel")
        s = self.d.batch_done(b["id"])
        self.assertEqual((s["state"], s["counts"]["succeeded"]), ("cancelled", 1))

    def test_grace_of_a_batch_cancel(self):
        b = self.d.submit([{**STUBBORN, "grace": 60}] * 2)
        for t in b["tasks"]:
            self.d.await_state(t, "running")
        before = time.monotonic()
        self.d.post(f"/v1/batches/{b['id']}/cancel", {"grace": 0.1})
        self.d.batch_done(b["id"], "settled")
        self.assertLess(time.monotonic() - before, 4 * SLOWER)

    def test_cancel_of_a_large_batch_that_has_not_begun(self):
        gate = self.gate()
        blockers = self.d.submit([{"shell": gate.shell}] * 8)
        gate.started(8)
        marked = self.gate()
        b = self.d.submit([{"shell": marked.say}] * 3000)["id"]
        self.d.post(f"/v1/batches/{b}/cancel")
        s = self.d.batch_done(b, "settled")
        self.assertEqual((s["state"], s["counts"]["cancelled"], s["started_at"]), ("cancelled", 3000, None))
        gate.release()
        self.d.batch_done(blockers["id"])
        self.assertTrue(marked.none_started())

    def test_timeout_of_a_batch(self):
        before = time.monotonic()
        b = self.d.submit({"jobs": [value(1), value(2, 60), {"run": ["sleep", "60"]}], "timeout": 0.5})["id"]
        s = self.d.batch_done(b)
        self.assertWithin(time.monotonic() - before, 0.5, 2 * SLOWER)
        self.assertEqual((s["state"], s["exception"]["type"], s["exception"]["timeout"], s["settled"]),
                         ("failed", "TimeoutError", 0.5, True))
        body = self.assertProblem(self.d.get(f"/v1/batches/{b}/results"), 424, "task-failed")
        self.assertEqual(body["exception"]["type"], "TimeoutError")
        # finished results stay readable
        entries = self.partial(b)
        self.assertEqual(entries[0]["result"], 1)
        self.assertEqual([e["exception"]["type"] for e in entries[1:]], ["CancelledError"] * 2)

    def test_a_batch_in_time(self):
        self.assertEqual(self.values(self.d.gather({"jobs": [value(1)], "timeout": 30})), [1])
        self.assertEqual(self.values(self.d.gather({"jobs": [value(1)], "timeout": None})), [1])

    def test_timeout_waits_for_what_is_slow_to_end(self):
        b = self.d.submit({"jobs": [STUBBORN], "timeout": 0.3})["id"]
        s = self.d.batch_done(b)
        self.assertEqual((s["exception"]["type"], s["settled"]), ("TimeoutError", True))

    def test_options_in_the_query(self):
        a = self.d.post("/v1/batches?return_exceptions=true&concurrency=8&label=k=v&label=x=y%20z&name=n%26"
                        "&timeout=100&priority=-5&on_failure=continue", [value(1)])
        b = a.json
        self.assertEqual((b["return_exceptions"], b["concurrency"], b["labels"], b["name"], b["timeout"]),
                         (True, 8, {"k": "v", "x": "y z"}, "n&", 100))
        a = self.d.post("/v1/batches?name=query&concurrency=8", {"jobs": [value(1)], "name": "member"})
        self.assertEqual((a.json["name"], a.json["concurrency"]), ("member", 8))
        for text, expected in (("", True), ("1", True), ("0", False), ("false", False)):
            a = self.d.post(f"/v1/batches?return_exceptions={text}", [value(1)])
            self.assertEqual(a.json["return_exceptions"], expected)


class Results(BatchCase):
    def test_whole_not_done_failed_cancelled(self):
        b = self.d.submit([value(1, 0.6), value(2)])["id"]
        a = self.d.get(f"/v1/batches/{b}/results")
        self.assertProblem(a, 409, "invalid-state")
        self.assertTrue(a.headers["Retry-After"])
        self.assertEqual(self.d.get(f"/v1/batches/{b}/results?wait=0.01").status, 202)
        self.assertEqual(self.values(self.d.get(f"/v1/batches/{b}/results?wait=20")), [1, 2])
        for _ in range(2):
            self.assertEqual(self.values(self.d.get(f"/v1/batches/{b}/results")), [1, 2])
            self.d.restart()

    def test_partial(self):
        gate = self.gate()
        b = self.d.submit([value(1), {"shell": gate.shell}, fail(), {"sleep": 60}])
        gate.started()
        self.d.done(b["tasks"][0])
        self.d.done(b["tasks"][2])
        self.d.batch_done(b["id"])
        entries = self.partial(b["id"])
        self.assertEqual([e["task"] for e in entries], b["tasks"])
        self.assertEqual([set(e) - {"task", "name"} for e in entries],
                         [{"result"}, {"state"}, {"exception"}, {"state"}])
        self.assertEqual(self.d.get(f"/v1/batches/{b['id']}/results?partial=1").json["state"], "failed")
        gate.release()
        self.d.cancel(b["tasks"][3])
        self.d.batch_done(b["id"], "settled")

    def lines(self, batch, query=""):
        a = self.d.get(f"/v1/batches/{batch}/results{query}", headers={"Accept": "application/x-ndjson"})
        self.assertEqual(a.status, 200)
        self.assertTrue(a.headers["Content-Type"].startswith("application/x-ndjson"))
        return a.lines

    def test_ndjson(self):
        b = self.d.submit({"jobs": [value(1), fail(3), value("x\ny")], "return_exceptions": True})
        self.d.batch_done(b["id"])
        whole = self.d.get(f"/v1/batches/{b['id']}/results").json["results"]
        self.assertEqual(self.lines(b["id"]), whole)
        self.assertEqual(self.lines(b["id"], "?partial=1"), whole)
        a = self.d.gather([value(1)] * 3, headers={"Accept": "application/x-ndjson"})
        self.assertEqual([e["result"] for e in a.lines], [1, 1, 1])

    def test_ndjson_partial_has_what_has_ended(self):
        b = self.d.submit([value(1), value(2, 60), value(3)])
        self.d.done(b["tasks"][0])
        self.d.done(b["tasks"][2])
        self.assertEqual([(e["task"], e["result"]) for e in self.lines(b["id"], "?partial=1")],
                         [(b["tasks"][0], 1), (b["tasks"][2], 3)])
        self.d.cancel(b["tasks"][1])

    def test_an_entry_is_one_line_whatever_is_in_it(self):
        pretty = '{\n  "a": [\n    1,\r\n    2\n  ]\n}\n'
        big = 'import json; print(json.dumps(list(range(30000)), indent=1))'
        body = (b'{"jobs":[{"sleep":0,"value":{\n"b":\r\n[1 ,\n2]}},'
                + json.dumps({"run": ["printf", "%s", pretty], "result": "json"}).encode() + b","
                + json.dumps({"run": ["python3", "-c", big], "result": "json"}).encode() + b","
                + json.dumps({"run": ["printf", "a\\nb\\r\\n"]}).encode() + b"]}")
        a = self.d.gather(body)
        self.assertEqual(a.status, 200)
        lines = self.lines(a.json["batch"])
        self.assertEqual([e["result"] for e in lines[:3]], [{"b": [1, 2]}, {"a": [1, 2]}, list(range(30000))])
        self.assertEqual(lines[3]["result"]["stdout"], "a\nb\r\n")
        self.assertEqual(a.json["results"], lines)

    def test_values_keep_their_bytes_in_results(self):
        a = self.d.gather(b'[{"sleep":0,"value":1.0e0},{"sleep":0,"value":"\\u00e9"},'
                          b'{"sleep":0,"value":[ 1,  2 ]}]')
        self.assertEqual(re.findall(rb'"result":(.*?)}(?:,{|])', a.body),
                         [b"1.0e0", b'"\\u00e9"', b"[ 1,  2 ]"])

    def test_many_results_stream_in_order(self):
        n = 20_000
        a = self.d.gather([value(i) for i in range(n)])
        self.assertEqual(self.values(a), list(range(n)))
        self.assertEqual([e["result"] for e in self.lines(a.json["batch"])], list(range(n)))
        self.assertEqual([e["result"] for e in self.partial(a.json["batch"])], list(range(n)))

    def test_results_with_large_outputs_between_small_ones(self):
        big = {"shell": "yes 0123456789 | head -c 200000", "result": "stdout"}
        small = {"run": ["echo", "s"], "result": "stdout"}
        a = self.d.gather([big, small, big, big, small])
        text = ("0123456789\n" * 20000)[:200000]
        self.assertEqual(self.values(a), [text, "s\n", text, text, "s\n"])
        self.assertEqual([e["result"] for e in self.lines(a.json["batch"])], self.values(a))


class Concurrently(BatchCase):
    def test_many_gathers_at_once(self):
        """Each gets its own results, in its own order."""
        def one(k):
            return self.values(self.d.gather([value([k, i], 0.001 * ((k * 7 + i * 3) % 20))
                                              for i in range(50)]))
        later = [Later(one, k) for k in range(30)]
        for k, x in enumerate(later):
            self.assertEqual(x.value(), [[k, i] for i in range(50)])

    def test_cancels_from_everywhere_at_once(self):
        b = self.d.submit({"jobs": [value(i, 60) for i in range(300)], "return_exceptions": True})
        later = [Later(self.d.cancel, t) for t in b["tasks"][::3]]
        later.append(Later(self.d.post, f"/v1/batches/{b['id']}/cancel"))
        for x in later:
            x.value()
        s = self.d.batch_done(b["id"], "settled")
        self.assertEqual((s["state"], s["counts"]["cancelled"]), ("cancelled", 300))

    def test_everything_at_once_for_a_while(self):
        """Submits, waits, cancels, polls and lists from many sides: every task ends once."""
        until = time.monotonic() + 2
        ids = []

        def load(k):
            while time.monotonic() < until:
                b = self.d.submit({"jobs": [value(k, 0.01), {"run": ["true"]}, fail(), value(k, 0.3)],
                                   "return_exceptions": True})
                ids.append(b["id"])
                self.d.cancel(b["tasks"][3])
                self.d.get(f"/v1/batches/{b['id']}?wait=0.05")
                self.d.get("/v1/tasks?state=unfinished")
                self.d.get(f"/v1/tasks/{b['tasks'][1]}?wait=0.01&on_disconnect=cancel")

        for x in [Later(load, k) for k in range(6)]:
            x.value()
        for b in ids:
            s = self.d.batch_done(b, "settled")
            c = s["counts"]
            self.assertEqual((s["state"], s["total"], c["pending"] + c["running"], sum(c.values())),
                             ("succeeded", 4, 0, 4))
        self.assertEqual(self.d.get("/v1/info").json["tasks"], 0)
