"""Tasks: states and snapshots, changes, waits; docs/api.md, sections 1, 3 and 4."""

import re
import time

from harness import PATIENCE, SLOWER, Later, TestCase, cpu_seconds, eventually

MEMBERS = {"id", "name", "batch", "index", "kind", "on", "state", "reason", "done", "cancelled",
           "cancelling", "attempt", "progress", "result", "exception", "created_at", "started_at",
           "finished_at", "labels", "links"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")


class TaskCase(TestCase):
    options = ("--slots", "8")

    def held(self, job=None, gate=None):
        """A running command that waits for its gate."""
        gate = gate or self.gate()
        t = self.d.create({"shell": gate.shell, **(job or {})})
        gate.started()
        self.d.await_state(t["id"], "running")
        return t["id"], gate

    def pending(self):
        """A task that cannot start before its gate is opened; a daemon of its own."""
        d = self.daemon("--slots", "1")
        gate = self.gate()
        d.create({"shell": gate.shell})
        gate.started()
        return d, d.create({"run": ["echo", "x"]})["id"], gate


class Snapshots(TaskCase):
    def test_a_new_task(self):
        a = self.d.post("/v1/tasks", {"sleep": 0.2})
        t = a.json
        self.assertEqual(a.status, 201)
        self.assertEqual(a.headers["Location"], f"/v1/tasks/{t['id']}")
        self.assertEqual(a.headers["Content-Type"], "application/json")
        self.assertLessEqual(MEMBERS, set(t))
        self.assertLessEqual(set(t), MEMBERS | {"detail"})
        self.assertIn(t["state"], ("pending", "running"))
        self.assertEqual((t["done"], t["cancelled"], t["cancelling"], t["attempt"]), (False, False, 0, 1))
        self.assertIsNone(t["result"])
        self.assertIsNone(t["exception"])
        self.assertIsNone(t["finished_at"])
        self.assertIsNone(t["batch"])
        self.assertIsNone(t["index"])
        self.assertRegex(t["created_at"], TIME)
        self.assertEqual(t["links"], {"self": f"/v1/tasks/{t['id']}"})
        self.d.done(t["id"])

    def test_all_its_life(self):
        d, task, gate = self.pending()
        t = d.task(task)
        self.assertEqual((t["state"], t["reason"], t["done"], t["started_at"]),
                         ("pending", "queued", False, None))
        self.assertTrue(t["detail"])
        gate.release()
        t = d.done(task)
        self.assertEqual((t["state"], t["reason"], t["done"], t["cancelled"]),
                         ("succeeded", None, True, False))
        for name in ("created_at", "started_at", "finished_at"):
            self.assertRegex(t[name], TIME)
        self.assertLessEqual(t["created_at"], t["started_at"])
        self.assertLessEqual(t["started_at"], t["finished_at"])

    def test_running(self):
        task, gate = self.held()
        t = self.d.task(task)
        self.assertEqual((t["state"], t["reason"], t["finished_at"]), ("running", None, None))
        self.assertRegex(t["started_at"], TIME)
        gate.release()
        self.d.done(task)

    def test_a_task_waits_for_the_limit_of_its_batch(self):
        gate = self.gate()
        b = self.d.submit({"jobs": [{"shell": gate.shell}] * 3, "concurrency": 1})
        gate.started()
        waiting = eventually("the limit is the reason", lambda: (
            t := self.d.task(b["tasks"][2]))["reason"] == "limit" and t)
        self.assertEqual(waiting["state"], "pending")
        self.assertIn(str(b["id"]), waiting["detail"])
        gate.release()
        self.d.batch_done(b["id"])

    def test_final_snapshots_never_change(self):
        for job in ({"run": ["echo", "x"]}, {"shell": "exit 1"}, {"sleep": 0, "value": 1}):
            task = self.d.run(job)["id"]
            first = self.d.get(f"/v1/tasks/{task}").body
            for _ in range(3):
                self.assertEqual(self.d.get(f"/v1/tasks/{task}").body, first)
        self.d.restart()
        self.assertEqual(self.d.get(f"/v1/tasks/{task}").body, first)

    def test_the_answer_of_a_wait_is_the_snapshot_of_later(self):
        """Who is told of the end sees all that everybody sees later."""
        for job in ({"run": ["echo", "x"]}, {"shell": "echo e >&2; exit 1"}, {"sleep": 0.05, "value": [1]},
                    {"run": ["/nowhere"]}, {"shell": "yes | head -c 200000"}):
            waited = self.d.run(job)
            self.assertEqual(waited, self.d.task(waited["id"]))

    def test_result_0_leaves_the_result_out(self):
        task = self.d.run({"run": ["echo", "x"]})["id"]
        t = self.d.get(f"/v1/tasks/{task}?result=0").json
        self.assertNotIn("result", t)
        self.assertEqual(t["state"], "succeeded")
        self.assertIn("result", self.d.get(f"/v1/tasks/{task}?result=1").json)
        self.assertEqual(self.d.get(f"/v1/tasks/{task}?result=0&wait=1").status, 200)

    def test_headers_for_shells(self):
        task = self.d.run({"shell": "exit 7", "check": False})["id"]
        for method in ("GET", "HEAD"):
            a = self.d.http(method, f"/v1/tasks/{task}")
            self.assertEqual((a.headers["Gatherd-State"], a.headers["Gatherd-Exit-Code"]),
                             ("succeeded", "7"))
        self.assertEqual(a.body, b"")
        task = self.d.run({"shell": "exit 7"})["id"]
        a = self.d.get(f"/v1/tasks/{task}")
        self.assertEqual((a.headers["Gatherd-State"], a.headers["Gatherd-Exit-Code"]), ("failed", "7"))
        a = self.d.get(f"/v1/tasks/{self.d.run({'sleep': 0})['id']}")
        self.assertEqual((a.headers["Gatherd-State"], a.headers["Gatherd-Exit-Code"]), ("succeeded", None))

    def test_etag_and_304(self):
        task, gate = self.held()
        a = self.d.get(f"/v1/tasks/{task}")
        etag = a.headers["ETag"]
        self.assertRegex(etag, r'"[^"]+"\Z')
        for text in (etag, f'"other", {etag}', f"W/{etag}", "*"):
            again = self.d.get(f"/v1/tasks/{task}", headers={"If-None-Match": text})
            self.assertEqual((again.status, again.body, again.headers["ETag"]), (304, b"", etag), text)
        self.assertEqual(self.d.get(f"/v1/tasks/{task}", headers={"If-None-Match": '"x"'}).status, 200)
        self.d.patch(f"/v1/tasks/{task}", {"name": "new"})
        a = self.d.get(f"/v1/tasks/{task}", headers={"If-None-Match": etag})
        self.assertEqual((a.status, a.json["name"]), (200, "new"))
        etag = a.headers["ETag"]
        gate.release()
        self.d.done(task)
        a = self.d.get(f"/v1/tasks/{task}", headers={"If-None-Match": etag})
        self.assertEqual((a.status, a.json["state"]), (200, "succeeded"))
        etag = a.headers["ETag"]
        self.d.restart()
        a = self.d.get(f"/v1/tasks/{task}", headers={"If-None-Match": etag})
        self.assertEqual(a.status, 304)

    def test_a_poll_never_sees_an_old_state(self):
        """What one client has seen, every later one sees."""
        for i in range(50):
            t = self.d.create({"sleep": 0.01, "value": i})["id"]
            self.d.task(t)
            self.d.done(t)
            self.assertEqual(self.d.task(t)["state"], "succeeded")

    def test_no_such_task(self):
        for target in ("/v1/tasks/999999", "/v1/tasks/999999/result", "/v1/tasks/999999/exception",
                       "/v1/tasks/999999/stdout", "/v1/tasks/999999?wait=1",
                       "/v1/tasks/9223372036854775807"):
            self.assertProblem(self.d.get(target), 404, "no-such-task")
        for target in ("cancel", "uncancel"):
            self.assertProblem(self.d.post(f"/v1/tasks/999999/{target}"), 404, "no-such-task")
        self.assertProblem(self.d.post("/v1/tasks/999999/signal", {"signal": 1}), 404, "no-such-task")
        self.assertProblem(self.d.patch("/v1/tasks/999999", {"name": "x"}), 404, "no-such-task")

    def test_ids_are_in_the_order_of_creation(self):
        ids = [self.d.create({"sleep": 0})["id"] for _ in range(5)]
        self.assertEqual(ids, sorted(set(ids)))
        self.d.restart()
        self.assertGreater(self.d.create({"sleep": 0})["id"], ids[-1])


class Results(TaskCase):
    def test_result(self):
        task = self.d.run({"sleep": 0, "value": {"a": 1}})["id"]
        a = self.d.get(f"/v1/tasks/{task}/result")
        self.assertEqual((a.status, a.json), (200, {"a": 1}))
        task = self.d.run({"sleep": 0})["id"]
        self.assertEqual(self.d.get(f"/v1/tasks/{task}/result").json, None)

    def test_result_before_it_is_done(self):
        task, gate = self.held()
        for target in ("result", "exception"):
            a = self.d.get(f"/v1/tasks/{task}/{target}")
            self.assertProblem(a, 409, "invalid-state")
            self.assertTrue(a.headers["Retry-After"])
        gate.release()
        self.d.done(task)

    def test_result_of_a_failure(self):
        task = self.d.run({"shell": "exit 3"})["id"]
        body = self.assertProblem(self.d.get(f"/v1/tasks/{task}/result"), 424, "task-failed")
        self.assertEqual(body["exception"], self.d.task(task)["exception"])
        self.assertEqual(body["task"], task)
        a = self.d.get(f"/v1/tasks/{task}/exception")
        self.assertEqual((a.status, a.json), (200, body["exception"]))

    def test_result_of_a_cancelled_task(self):
        task, _ = self.held()
        self.d.cancel(task, {"msg": "why"})
        self.d.done(task)
        for target in ("result", "exception"):
            body = self.assertProblem(self.d.get(f"/v1/tasks/{task}/{target}"), 424, "task-cancelled")
            self.assertEqual((body["exception"]["type"], body["exception"]["msg"]),
                             ("CancelledError", "why"))

    def test_exception_of_a_success_is_null(self):
        task = self.d.run({"run": ["true"]})["id"]
        a = self.d.get(f"/v1/tasks/{task}/exception")
        self.assertEqual((a.status, a.json), (200, None))

    def test_result_with_a_wait(self):
        task, gate = self.held({"result": "stdout"})
        later = Later(self.d.get, f"/v1/tasks/{task}/result?wait=20")
        self.assertProblem(self.d.get(f"/v1/tasks/{task}/result?wait=0.05"), 409, "invalid-state")
        gate.release()
        self.assertEqual(later.value().json, "")


class Cancel(TaskCase):
    def test_cancel_of_a_running_command(self):
        task, _ = self.held()
        a = self.d.post(f"/v1/tasks/{task}/cancel")
        self.assertEqual((a.status, a.json), (202, {"requested": True}))
        t = self.d.done(task)
        self.assertEqual((t["state"], t["cancelled"], t["done"], t["cancelling"]),
                         ("cancelled", True, True, 1))
        self.assertEqual((t["exception"]["type"], t["exception"].get("msg")), ("CancelledError", None))
        self.assertIsNone(t["result"])

    def test_cancel_of_a_done_task_has_no_effect(self):
        for job in ({"sleep": 0}, {"shell": "exit 1"}):
            task = self.d.run(job)["id"]
            before = self.d.get(f"/v1/tasks/{task}").body
            a = self.d.post(f"/v1/tasks/{task}/cancel", {"msg": "x"})
            self.assertEqual((a.status, a.json), (200, {"requested": False}))
            self.assertEqual(self.d.get(f"/v1/tasks/{task}").body, before)

    def test_a_pending_task_that_is_cancelled_never_starts(self):
        d, task, gate = self.pending()
        marked = self.gate()
        second = d.create({"shell": marked.shell})["id"]
        d.cancel(task)
        d.cancel(second)
        for t in (task, second):
            self.assertEqual(d.done(t)["state"], "cancelled")
            self.assertIsNone(d.task(t)["started_at"])
        gate.release()
        self.assertEqual(d.run({"run": ["true"]})["state"], "succeeded")
        self.assertTrue(marked.none_started())

    def test_cancel_of_a_sleep(self):
        task = self.d.create({"sleep": 60})["id"]
        before = time.monotonic()
        self.d.cancel(task)
        self.assertEqual(self.d.done(task)["state"], "cancelled")
        self.assertLess(time.monotonic() - before, 1 * SLOWER)

    def test_the_message_of_the_latest_cancel(self):
        task, _ = self.held({"shell": "trap : TERM; " + (g := self.gate()).say +
                             "; while :; do sleep 1; done", "grace": 1}, g)
        self.d.cancel(task, {"msg": "first"})
        self.d.cancel(task, {"msg": "second \u00e9"})
        self.assertEqual(self.d.task(task)["cancelling"], 2)
        t = self.d.done(task)
        self.assertEqual((t["exception"]["msg"], t["cancelling"]), ("second \u00e9", 2))

    def test_cancelling_counts(self):
        gate = self.gate()
        task, _ = self.held({"shell": f"trap : TERM; {gate.say}; while :; do sleep 0.1; done",
                             "grace": 60}, gate)
        for n in (1, 2, 3):
            self.assertTrue(self.d.cancel(task))
            self.assertEqual(self.d.task(task)["cancelling"], n)
        a = self.d.post(f"/v1/tasks/{task}/uncancel")
        self.assertEqual((a.status, a.json), (200, {"cancelling": 2}))
        self.assertEqual(self.d.task(task)["cancelling"], 2)
        for n in (1, 0, 0):
            self.assertEqual(self.d.post(f"/v1/tasks/{task}/uncancel").json, {"cancelling": n})
        self.d.cancel(task, {"grace": 0})
        self.assertEqual(self.d.done(task)["state"], "cancelled")

    def test_uncancel_of_what_was_never_cancelled_or_is_done(self):
        task, gate = self.held()
        self.assertEqual(self.d.post(f"/v1/tasks/{task}/uncancel").json, {"cancelling": 0})
        gate.release()
        self.d.done(task)
        self.assertEqual(self.d.post(f"/v1/tasks/{task}/uncancel").status, 200)
        self.assertEqual(self.d.task(task)["state"], "succeeded")

    def test_a_cancel_may_be_refused(self):
        gate = self.gate()
        task, _ = self.held({"shell": f"trap 'echo kept; exit 0' TERM; {gate.say}; sleep 60 & wait"}, gate)
        self.d.cancel(task)
        t = self.d.done(task)
        self.assertEqual((t["state"], t["result"]["stdout"], t["cancelled"], t["cancelling"]),
                         ("succeeded", "kept\n", False, 1))

    def test_a_failure_during_a_cancel_is_a_failure(self):
        gate = self.gate()
        task, _ = self.held({"shell": f"trap 'exit 9' TERM; {gate.say}; sleep 60 & wait"}, gate)
        self.d.cancel(task)
        t = self.d.done(task)
        self.assertEqual((t["state"], t["exception"]["exit_code"]), ("failed", 9))

    def test_128_plus_the_signal_is_cancelled(self):
        for code in (143, 137):
            gate = self.gate()
            task, _ = self.held({"shell": f"trap 'exit {code}' TERM; {gate.say}; sleep 60 & wait"}, gate)
            self.d.cancel(task)
            self.assertEqual(self.d.done(task)["state"], "cancelled")

    def test_grace_of_the_cancel(self):
        gate = self.gate()
        stubborn = {"shell": f"trap '' TERM; {gate.say}; while :; do sleep 1; done", "grace": 60}
        task, _ = self.held(stubborn, gate)
        before = time.monotonic()
        self.d.cancel(task, {"grace": 0.3})
        self.assertEqual(self.d.done(task)["state"], "cancelled")
        self.assertWithin(time.monotonic() - before, 0.3, 3 * SLOWER)

    def test_a_later_cancel_may_shorten_the_grace(self):
        gate = self.gate()
        task, _ = self.held({"shell": f"trap '' TERM; {gate.say}; while :; do sleep 1; done",
                             "grace": 60}, gate)
        self.d.cancel(task)
        before = time.monotonic()
        self.d.cancel(task, {"grace": 0})
        self.assertEqual(self.d.done(task)["state"], "cancelled")
        self.assertLess(time.monotonic() - before, 3 * SLOWER)

    def test_a_cancel_during_a_timeout_stays_a_cancel(self):
        gate = self.gate()
        task, _ = self.held({"shell": f"trap '{gate.say}' TERM; {gate.say}; while :; do sleep 0.1; done",
                             "timeout": 0.2, "grace": 1.5}, gate)
        gate.started()  # the timeout is under way
        self.d.cancel(task, {"msg": "mine"})
        t = self.d.done(task)
        self.assertEqual((t["state"], t["exception"]["msg"]), ("cancelled", "mine"))

    def test_bodies_of_a_cancel(self):
        gate = self.gate()
        task, _ = self.held({"shell": f"trap '' TERM; {gate.say}; while :; do sleep 0.1; done"}, gate)
        for body in ({"msg": 1}, {"grace": -1}, {"grace": "1"}, {"why": "x"}, [], b'"x"', {"all": True},
                     {"msg": "x" * 1025}):
            a = self.d.post(f"/v1/tasks/{task}/cancel", body)
            self.assertProblem(a, 400, "bad-job")
        for text in (b"{", b"{\"msg\":\"a\",\"msg\":\"b\"}", b"nope", b"{}x"):
            self.assertProblem(self.d.post(f"/v1/tasks/{task}/cancel", text), 400, "bad-json")
        self.assertEqual(self.d.task(task)["cancelling"], 0)
        for body in (None, {}, {"msg": None}, {"msg": ""}, {"msg": "x" * 1024}, {"grace": 50}):
            self.assertTrue(self.d.cancel(task, body))
        self.d.cancel(task, {"grace": 0})
        self.assertEqual(self.d.done(task)["state"], "cancelled")

    def test_a_cancel_that_is_too_late_changes_nothing(self):
        for _ in range(20):
            task = self.d.create({"run": ["true"]})["id"]
            asked = self.d.cancel(task)
            t = self.d.done(task)
            self.assertIn(t["state"], ("cancelled", "succeeded"))
            if not asked:
                self.assertEqual(t["state"], "succeeded")


class Signals(TaskCase):
    def trapping(self, name):
        gate = self.gate()
        return self.held({"shell": f"trap 'echo got {name}; exit 0' {name}; {gate.say}; "
                                   "while :; do sleep 0.02; done"}, gate)[0]

    def test_by_name_and_number(self):
        for value, name in (("HUP", "HUP"), ("SIGUSR1", "USR1"), (12, "USR2"), ("INT", "INT"), (15, "TERM")):
            task = self.trapping(name)
            a = self.d.post(f"/v1/tasks/{task}/signal", {"signal": value})
            self.assertEqual(a.status, 202)
            t = self.d.done(task)
            self.assertEqual(t["result"]["stdout"], f"got {name}\n")
            self.assertEqual(t["cancelling"], 0)

    def test_it_goes_to_the_process_group(self):
        gate = self.gate()
        task = self.d.create({"shell": f"sh -c '{gate.say}; exec sleep 60'; echo $?"})["id"]
        gate.started()
        self.d.await_state(task, "running")
        self.d.post(f"/v1/tasks/{task}/signal", {"signal": "KILL"})
        t = self.d.done(task)
        self.assertEqual((t["exception"]["type"], t["exception"]["signal"]), ("SignalError", 9))

    def test_term_by_signal_is_no_cancel(self):
        task, _ = self.held()
        self.d.post(f"/v1/tasks/{task}/signal", {"signal": "TERM"})
        t = self.d.done(task)
        self.assertEqual((t["state"], t["exception"]["type"], t["exception"]["signal"]),
                         ("failed", "SignalError", 15))

    def test_only_running_commands(self):
        done = self.d.run({"run": ["true"]})["id"]
        sleep = self.d.create({"sleep": 60})["id"]
        d, pending, gate = self.pending()
        for daemon, task in ((self.d, done), (self.d, sleep), (d, pending)):
            self.assertProblem(daemon.post(f"/v1/tasks/{task}/signal", {"signal": "HUP"}), 409,
                               "invalid-state")
        self.d.cancel(sleep)
        gate.release()

    def test_bad_signals(self):
        task, gate = self.held()
        for body in ({"signal": "NOPE"}, {"signal": 0}, {"signal": 65}, {"signal": -1}, {"signal": 1.5},
                     {"signal": None}, {}, {"sig": "HUP"}, [], {"signal": True}):
            self.assertProblem(self.d.post(f"/v1/tasks/{task}/signal", body), 400, "bad-job")
        self.assertProblem(self.d.post(f"/v1/tasks/{task}/signal"), 400, "bad-json")
        gate.release()
        self.assertEqual(self.d.done(task)["state"], "succeeded")


class Patch(TaskCase):
    def test_name_labels_and_priority(self):
        task, gate = self.held({"name": "old", "labels": {"a": "1"}})
        a = self.d.patch(f"/v1/tasks/{task}", {"name": "new", "labels": {"b": "2"}, "priority": 9})
        self.assertEqual(a.status, 200)
        self.assertEqual((a.json["name"], a.json["labels"]), ("new", {"b": "2"}))
        self.assertEqual(self.d.task(task)["name"], "new")
        gate.release()
        t = self.d.done(task)
        self.assertEqual((t["name"], t["labels"]), ("new", {"b": "2"}))
        self.d.restart()
        t = self.d.task(task)
        self.assertEqual((t["name"], t["labels"]), ("new", {"b": "2"}))

    def test_of_a_done_task_only_the_name(self):
        task = self.d.run({"sleep": 0})["id"]
        a = self.d.patch(f"/v1/tasks/{task}", {"name": "late"})
        self.assertEqual((a.status, a.json["name"]), (200, "late"))
        self.assertEqual(self.d.task(task)["name"], "late")
        for body in ({"labels": {}}, {"priority": 1}, {"timeout": 1}, {"timeout": None},
                     {"name": "x", "labels": {}}):
            self.assertProblem(self.d.patch(f"/v1/tasks/{task}", body), 409, "invalid-state")
        self.assertEqual(self.d.task(task)["name"], "late")

    def test_a_new_timeout_counts_from_the_start(self):
        task, _ = self.held()
        self.assertEqual(self.d.patch(f"/v1/tasks/{task}", {"timeout": 0.01}).status, 200)
        t = self.d.done(task)
        self.assertEqual((t["exception"]["type"], t["exception"]["timeout"]), ("TimeoutError", 0.01))

    def test_a_timeout_can_be_taken_away_and_moved(self):
        task, gate = self.held({"timeout": 0.7})
        other, gate2 = self.held({"timeout": 0.7})
        sleep = self.d.create({"sleep": 1.2, "timeout": 0.7})["id"]
        self.d.patch(f"/v1/tasks/{task}", {"timeout": None})
        self.d.patch(f"/v1/tasks/{other}", {"timeout": 60})
        self.d.patch(f"/v1/tasks/{sleep}", {"timeout": 30})
        self.assertEqual(self.d.done(sleep)["state"], "succeeded")
        self.assertEqual([self.d.state(t) for t in (task, other)], ["running", "running"])
        gate.release()
        gate2.release()
        self.assertEqual([self.d.done(t)["state"] for t in (task, other)], ["succeeded"] * 2)

    def test_a_timeout_for_a_sleep(self):
        sleep = self.d.create({"sleep": 60})["id"]
        self.d.patch(f"/v1/tasks/{sleep}", {"timeout": 0.2})
        self.assertEqual(self.d.done(sleep)["exception"]["type"], "TimeoutError")

    def test_a_timeout_of_a_pending_task(self):
        d = self.daemon("--slots", "1")
        gate = self.gate()
        d.create({"shell": gate.shell})
        gate.started()
        task = d.create({"run": ["sleep", "60"]})["id"]
        d.patch(f"/v1/tasks/{task}", {"timeout": 0.2})
        gate.release()
        self.assertEqual(d.done(task)["exception"]["type"], "TimeoutError")

    def test_a_new_priority_goes_ahead(self):
        d = self.daemon("--slots", "1")
        gate = self.gate()
        order = self.gate()
        d.create({"shell": gate.shell})
        gate.started()
        # more than what is leased ahead
        tasks = [d.create({"shell": order.say})["id"] for _ in range(40)]
        d.patch(f"/v1/tasks/{tasks[-1]}", {"priority": 5})
        gate.release()
        started = order.started(40)
        self.assertLess(started.index(tasks[-1]), 20)
        rest = [t for t in started if t != tasks[-1]]
        self.assertEqual(rest, tasks[:-1])

    def test_an_empty_patch_changes_nothing(self):
        task, gate = self.held()
        before = self.d.task(task)
        a = self.d.patch(f"/v1/tasks/{task}", {})
        self.assertEqual((a.status, a.json), (200, before))
        gate.release()

    def test_bad_patches(self):
        task, gate = self.held({"name": "n"})
        cases = [({"name": ""}, ["/name"]), ({"name": 1}, ["/name"]), ({"name": "x" * 513}, ["/name"]),
                 ({"labels": []}, ["/labels"]), ({"labels": {"a": 1}}, ["/labels/a"]),
                 ({"priority": 1001}, ["/priority"]), ({"priority": "1"}, ["/priority"]),
                 ({"timeout": -1}, ["/timeout"]), ({"timeout": "1"}, ["/timeout"]),
                 ({"nmae": "x"}, ["/nmae"]), ({"run": ["x"]}, ["/run"]), ([], [""]),
                 ({"name": "", "priority": 1e9, "x": 1}, ["/name", "/priority", "/x"])]
        for body, pointers in cases:
            a = self.d.patch(f"/v1/tasks/{task}", body)
            self.assertProblem(a, 400, "bad-job")
            self.assertEqual(sorted(a.pointers), sorted(pointers), body)
        self.assertProblem(self.d.patch(f"/v1/tasks/{task}", b""), 400, "bad-json")
        self.assertEqual(self.d.task(task)["name"], "n")
        gate.release()


class Waits(TaskCase):
    def test_post_and_wait(self):
        a = self.d.post("/v1/tasks?wait=20", {"sleep": 0.1, "value": 1})
        self.assertEqual((a.status, a.json["result"]), (200, 1))
        a = self.d.post("/v1/tasks?wait=0.1", {"sleep": 1})
        self.assertEqual((a.status, a.json["state"]), (202, "running"))
        self.assertEqual(a.headers["Location"], f"/v1/tasks/{a.json['id']}")
        self.assertEqual(self.d.done(a.json["id"])["state"], "succeeded")

    def test_get_and_wait(self):
        task = self.d.create({"sleep": 0.5})["id"]
        before = time.monotonic()
        a = self.d.get(f"/v1/tasks/{task}?wait=0.1")
        self.assertEqual((a.status, a.json["done"]), (202, False))
        self.assertWithin(time.monotonic() - before, 0.1, 0.45 * SLOWER)
        a = self.d.get(f"/v1/tasks/{task}?wait=20")
        self.assertEqual((a.status, a.json["done"]), (200, True))
        self.assertLess(time.monotonic() - before, 2 * SLOWER)
        self.assertEqual(self.d.get(f"/v1/tasks/{task}?wait=20").status, 200)
        self.assertEqual(self.d.get(f"/v1/tasks/{task}?wait=0").status, 200)

    def test_forms_of_a_wait(self):
        task, gate = self.held()
        for text in ("0", "0.01", "0.01s"):
            self.assertEqual(self.d.get(f"/v1/tasks/{task}?wait={text}").status, 202, text)
        later = [Later(self.d.get, f"/v1/tasks/{task}?wait={text}")
                 for text in ("2m", "1.5h", "86400", "1d", "1h30m")]
        for text in ("86401", "-1", "", "x", "1x", "2d", "%00", "nan", "inf", "0x10", "1%202"):
            a = self.d.get(f"/v1/tasks/{task}?wait={text}")
            self.assertProblem(a, 400, "bad-request")
        gate.release()
        self.assertEqual([x.value().status for x in later], [200] * 5)

    def test_prefer(self):
        task, gate = self.held()
        a = self.d.get(f"/v1/tasks/{task}", headers={"Prefer": "wait=0"})
        self.assertEqual((a.status, a.headers["Preference-Applied"]), (202, "wait=0"))
        later = Later(self.d.get, f"/v1/tasks/{task}", headers={"Prefer": "return=minimal, wait=20"})
        gate.release()
        a = later.value()
        self.assertEqual((a.status, a.headers["Preference-Applied"]), (200, "wait=20"))
        a = self.d.post("/v1/tasks", {"sleep": 0.1}, headers={"Prefer": "wait=20"})
        self.assertEqual((a.status, a.headers["Preference-Applied"]), (200, "wait=20"))
        a = self.d.get(f"/v1/tasks/{task}", headers={"Prefer": "handling=lenient"})
        self.assertEqual((a.status, a.headers["Preference-Applied"]), (200, None))

    def test_many_wait_for_one(self):
        task, gate = self.held()
        later = [Later(self.d.get, f"/v1/tasks/{task}?wait=20") for _ in range(50)]
        gate.release()
        bodies = {x.value().body for x in later}
        self.assertEqual(len(bodies), 1)

    def test_every_wait_is_a_shield(self):
        task, gate = self.held()
        for how in ("close", "reset"):
            raw = self.d.raw()
            raw.send(f"GET /v1/tasks/{task}?wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            eventually("it is read", lambda: self.d.get("/livez").status == 200)
            raw.reset() if how == "reset" else raw.sock.close()
        raw = self.d.raw()
        raw.send(b"POST /v1/tasks?wait=60 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13\r\n\r\n"
                 b'{"sleep":1.0}')
        created = eventually("it exists", lambda: (
            x := self.d.get("/v1/tasks?state=unfinished&limit=1").json["tasks"])
            and x[0]["kind"] == "sleep" and x[0])
        raw.reset()
        self.assertEqual(self.d.done(created["id"])["state"], "succeeded")
        self.assertEqual(self.d.task(task)["cancelling"], 0)
        gate.release()
        self.assertEqual(self.d.done(task)["state"], "succeeded")

    def gone_cancels(self, request, find, how):
        raw = self.d.raw()
        raw.send(request)
        task = eventually("it runs", find)
        before = time.monotonic()
        if how == "reset":
            raw.reset()
        elif how == "close":
            raw.sock.close()
        else:
            raw.half_close()
        t = self.d.done(task)
        self.assertEqual(t["state"], "cancelled")
        self.assertLess(time.monotonic() - before, 1 * SLOWER)
        self.assertTrue(t["exception"]["msg"])

    def test_on_disconnect_cancel(self):
        for how in ("close", "reset"):
            for query in ("wait=60&on_disconnect=cancel", "on_disconnect=cancel&wait=1h"):
                body = b'{"run":["sleep","60"],"name":"%s"}' % f"{how}{query}".encode()
                name = f"{how}{query}".replace("&", "%26").replace("=", "%3D")
                self.gone_cancels(
                    f"POST /v1/tasks?{query} HTTP/1.1\r\nHost: localhost\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n".encode() + body,
                    lambda: (x := self.d.get(f"/v1/tasks?name={name}&state=running").json["tasks"])
                    and x[0]["id"], how)

    def test_on_disconnect_cancel_of_a_get(self):
        task, _ = self.held()
        self.gone_cancels(f"GET /v1/tasks/{task}?wait=60&on_disconnect=cancel HTTP/1.1\r\n"
                          "Host: localhost\r\n\r\n", lambda: self.d.get("/livez") and task, "close")

    def test_on_disconnect_without_a_disconnect(self):
        a = self.d.post("/v1/tasks?wait=0.05&on_disconnect=cancel", {"sleep": 0.4})
        self.assertEqual(a.status, 202)
        self.assertEqual(self.d.done(a.json["id"])["state"], "succeeded")
        a = self.d.post("/v1/tasks?wait=20&on_disconnect=continue", {"sleep": 0})
        self.assertEqual(a.status, 200)
        for value in ("", "Cancel", "x", "cancel "):
            a = self.d.post(f"/v1/tasks?wait=1&on_disconnect={value.replace(' ', '%20')}", {"sleep": 0})
            self.assertProblem(a, 400, "bad-request")

    def test_a_wait_costs_no_time(self):
        task, gate = self.held()
        waiting = [Later(self.d.get, f"/v1/tasks/{task}?wait=20") for _ in range(20)]
        eventually("they wait", lambda: self.d.get("/v1/info").json["connections"] > 20)
        before = cpu_seconds(self.d.pid)
        self.assertEqual(self.d.get(f"/v1/tasks/{task}?wait=1").status, 202)
        self.assertLess(cpu_seconds(self.d.pid) - before, 0.1)
        gate.release()
        for w in waiting:
            w.value()

    def test_the_job_as_it_was_sent(self):
        job = {"run": ["true", "\u00e9"], "env": {"A": "b"}, "timeout": 5, "priority": -3, "labels": {"x": "y"}}
        task = self.d.create(job)["id"]
        self.assertEqual(self.d.get(f"/v1/tasks/{task}/job").json, job)
        self.d.done(task)
        a = self.d.get(f"/v1/tasks/{task}/job")
        self.assertEqual((a.json, a.headers["Content-Type"]), (job, "application/json"))
        children = self.d.submit([{"sleep": 0, "value": [1]}, {"shell": "true"}])["tasks"]
        self.assertEqual([self.d.get(f"/v1/tasks/{t}/job").json for t in children],
                         [{"sleep": 0, "value": [1]}, {"shell": "true"}])
        self.assertProblem(self.d.get("/v1/tasks/999999999/job"), 404, "no-such-task")

    def test_two_thousand_waits_in_a_row(self):
        """Timers and callbacks of waits that are over leave nothing behind."""
        task, gate = self.held()
        with self.d.raw(PATIENCE) as raw:
            request = f"GET /v1/tasks/{task}?wait=0.0001 HTTP/1.1\r\nHost: localhost\r\n\r\n"
            for _ in range(2000):
                raw.send(request)
                self.assertEqual(raw.answer().status, 202)
        gate.release()
        self.assertEqual(self.d.done(task)["state"], "succeeded")
