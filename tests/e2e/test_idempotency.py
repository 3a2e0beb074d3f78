"""Idempotency-Key: what a client may send again; docs/api.md, section 1."""

import json

from harness import PATIENCE, Later, TestCase, eventually

NDJSON = {"Content-Type": "application/x-ndjson"}


class Keys(TestCase):
    options = ("--slots", "8")

    def post(self, target, body, key, d=None, headers=None):
        return (d or self.d).post(target, body, headers={"Idempotency-Key": key, **(headers or {})},
                                  timeout=2 * PATIENCE)

    def assertReplayed(self, answer, status):
        self.assertEqual((answer.status, answer.headers["Idempotency-Replayed"]), (status, "true"), answer)

    def test_a_task_is_made_once(self):
        first = self.post("/v1/tasks", {"sleep": 0, "value": 1}, "task")
        self.assertEqual((first.status, first.headers["Idempotency-Replayed"]), (201, None))
        before = self.d.newest()
        for _ in range(3):
            again = self.post("/v1/tasks", {"sleep": 0, "value": 1}, "task")
            self.assertReplayed(again, 201)
            self.assertEqual((again.json["id"], again.headers["Location"]), (first.json["id"], first.headers["Location"]))
        self.d.done(first.json["id"])
        again = self.post("/v1/tasks", {"sleep": 0, "value": 1}, "task")
        self.assertEqual((again.json["state"], again.json["result"]), ("succeeded", 1))  # in its present state
        self.assertEqual(self.d.newest()[:2], before[:2])

    def test_a_command_runs_once(self):
        log = self.tmp() + "/log"
        job = {"shell": f"echo x >>{log}"}
        answers = [x.value() for x in [Later(self.post, "/v1/tasks?wait=20", job, "once") for _ in range(20)]]
        self.assertEqual(len({a.json["id"] for a in answers}), 1)
        self.assertTrue(all(a.status == 200 and a.json["done"] for a in answers), answers)
        self.assertEqual(sum(a.headers["Idempotency-Replayed"] is None for a in answers), 1)
        with open(log) as f:
            self.assertEqual(f.read(), "x\n")

    def test_batches_and_gathers(self):
        jobs = [{"sleep": 0, "value": i} for i in range(5)]
        first = self.post("/v1/batches", jobs, "batch")
        again = self.post("/v1/batches", jobs, "batch")
        self.assertReplayed(again, 202)
        self.assertEqual((again.json["id"], again.json["tasks"]), (first.json["id"], first.json["tasks"]))
        first = self.post("/v1/gather", jobs, "gather")
        again = self.post("/v1/gather", jobs, "gather")
        self.assertReplayed(again, 200)
        self.assertEqual(again.body, first.body)

    def test_failures_are_answered_again(self):
        jobs = [{"shell": "exit 3"}]
        first = self.post("/v1/gather", jobs, "fails")
        again = self.post("/v1/gather", jobs, "fails")
        self.assertReplayed(again, 424)
        self.assertEqual(again.json, first.json)

    def test_ndjson(self):
        body = "".join(json.dumps({"sleep": 0, "value": i}) + "\n" for i in range(3000))
        first = self.post("/v1/gather", body, "lines", headers=NDJSON)
        self.assertEqual((first.status, first.headers["Idempotency-Replayed"]), (200, None))
        before = self.d.newest()
        again = self.post("/v1/gather", body, "lines", headers=NDJSON)
        self.assertReplayed(again, 200)
        self.assertEqual(again.body, first.body)
        other = self.post("/v1/gather", body + '{"sleep":0}', "lines", headers=NDJSON)
        self.assertProblem(other, 409, "idempotency-key-reused")
        self.assertEqual(self.d.newest()[1], before[1])
        self.assertEqual(self.d.newest()[0], before[0])

    def test_another_request_is_refused(self):
        self.post("/v1/tasks", {"sleep": 0}, "other")
        before = self.d.newest()
        for target, body in (("/v1/tasks", {"sleep": 0, "name": "x"}), ("/v1/tasks", b'{"sleep": 0 }'),
                             ("/v1/tasks?wait=1", {"sleep": 0}), ("/v1/batches", [{"sleep": 0}]),
                             ("/v1/gather", [{"sleep": 0}])):
            for _ in range(2):
                self.assertProblem(self.post(target, body, "other"), 409, "idempotency-key-reused")
        self.assertEqual(self.d.newest()[:2], before[:2])

    def test_what_was_refused_left_no_key(self):
        for target, body in (("/v1/tasks", {"sleep": -1}), ("/v1/tasks", b"{"), ("/v1/batches", [{"x": 1}]),
                             ("/v1/tasks?wait=x", {"sleep": 0})):
            self.assertEqual(self.post(target, body, "refused").status, 400)
        self.assertEqual(self.post("/v1/tasks", {"sleep": 0}, "refused").status, 201)

    def test_while_the_first_is_in_progress(self):
        gate = self.gate()
        job = {"shell": gate.shell}
        waits = Later(self.post, "/v1/tasks?wait=30", job, "progress")
        task = gate.started()[0]
        more = [Later(self.post, "/v1/tasks?wait=30", job, "progress") for _ in range(5)]
        eventually("they wait", lambda: self.d.get("/v1/info").json["connections"] >= 7)
        gate.release()
        for x in [waits, *more]:
            self.assertEqual((x.value().status, x.value().json["id"]), (200, task))

    def test_a_gather_whose_client_went_away(self):
        gate = self.gate()
        body = json.dumps([{"shell": gate.shell, "result": "stdout"}])
        raw = self.d.raw()
        raw.send(f"POST /v1/gather HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: went\r\nContent-Length: {len(body)}\r\n\r\n"
                 + body)
        task = gate.started()[0]
        raw.reset()
        again = Later(self.post, "/v1/gather", body, "went")
        gate.release()
        self.assertReplayed(again.value(), 200)
        self.assertEqual(again.value().json["results"][0]["task"], task)

    def test_forms_of_a_key(self):
        first = self.post("/v1/tasks", {"sleep": 0}, "form of 1 key!")
        again = self.post("/v1/tasks", {"sleep": 0}, '"form of 1 key!"')
        self.assertEqual(again.json["id"], first.json["id"])
        self.assertEqual(self.post("/v1/tasks", {"sleep": 0}, "k" * 255).status, 201)
        for key in ("", '""', "k" * 256, '"' + "k" * 256 + '"', 'a"b', "a\\b", "\u00e9"):
            self.assertProblem(self.post("/v1/tasks", {"sleep": 0}, key.encode("latin-1")), 400, "bad-request")
        a = self.post("/v1/tasks", {"sleep": 0}, "K" * 255)
        self.assertIsNone(a.headers["Idempotency-Replayed"])  # case matters

    def test_keys_are_kept_over_restarts(self):
        d = self.daemon("--slots", "4")
        gate = self.gate()
        bodies = {"/v1/tasks": {"shell": gate.shell}, "/v1/batches": [{"sleep": 0}], "/v1/gather": [{"sleep": 0, "value": 1}]}
        first = {t: self.post(t, b, "key of " + t, d) for t, b in bodies.items()}
        gate.started()
        for kill in (True, False):
            d.restart(kill=kill)
            for target, body in bodies.items():
                again = self.post(target, body, "key of " + target, d)
                self.assertReplayed(again, first[target].status)
                name = "batch" if target == "/v1/gather" else "id"
                self.assertEqual(again.json[name], first[target].json[name])
                other = {"sleep": 0} if target == "/v1/tasks" else []
                self.assertProblem(self.post(target, other, "key of " + target, d), 409, "idempotency-key-reused")
        gate.release()
        self.assertEqual(d.done(first["/v1/tasks"].json["id"])["attempt"], 1)

    def test_killed_between_request_and_answer(self):
        """Whatever the daemon had done: sent again with its key, there is one task, run once."""
        d = self.daemon("--slots", "4")
        log = self.tmp() + "/log"
        for i in range(8):
            job = json.dumps({"shell": f"echo {i} >>{log}"})
            raw = d.raw()
            raw.send(f"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k{i}\r\nContent-Length: {len(job)}\r\n\r\n"
                     + job)
            if i % 2:
                raw.sock.recv(1)
            d.restart(kill=True)
            raw.sock.close()
            a = self.post("/v1/tasks", job, f"k{i}", d)
            self.assertEqual(a.status, 201)
            self.assertEqual(d.done(a.json["id"])["state"], "succeeded")
        with open(log) as f:
            self.assertEqual(sorted(f.read().split()), [str(i) for i in range(8)])
        self.assertEqual(len(d.get("/v1/tasks").json["tasks"]), 8)

    def test_a_full_queue_refuses_no_repetition(self):
        d = self.daemon("--max-tasks", "2")
        key = {"Idempotency-Key": "full"}
        first = d.post("/v1/batches", [{"sleep": 60}] * 2, headers=key)
        again = d.post("/v1/batches", [{"sleep": 60}] * 2, headers=key)
        self.assertEqual((first.status, again.status, again.json["id"]), (202, 202, first.json["id"]))
        self.assertProblem(d.post("/v1/batches", [{"sleep": 60}], headers=key), 409, "idempotency-key-reused")
        self.assertProblem(d.post("/v1/tasks", {"sleep": 60}), 429, "queue-full")

    def test_cancels_need_no_key(self):
        task = self.d.create({"sleep": 60})["id"]
        a = self.post(f"/v1/tasks/{task}/cancel", None, "x")
        self.assertEqual(a.status, 202)
