"""POST /v1/wait, asyncio.wait() on tasks; docs/api.md."""

from harness import Later, TestCase, eventually


class Wait(TestCase):
    options = ("--slots", "8")

    def ask(self, tasks, **options):
        return self.d.post("/v1/wait", {"tasks": tasks, **options})

    def wait(self, tasks, **options):
        a = self.ask(tasks, **options)
        self.assertEqual(a.status, 200, a)
        self.assertEqual(set(a.json), {"done", "pending"})
        return a.json["done"], a.json["pending"]

    def create(self, *jobs):
        return [self.d.create(job)["id"] for job in jobs]

    def ended(self, *jobs):
        tasks = self.create(*jobs)
        for task in tasks:
            self.d.done(task)
        return tasks

    def later(self, tasks, **options):
        """A wait beside the test; whether it comes before or after an end, the answer is the same."""
        return Later(self.wait, tasks, **options)

    def test_all_completed(self):
        gates = [self.gate() for _ in range(3)]
        tasks = self.create(*({"shell": g.shell} for g in gates))
        x = self.later(tasks)
        for g in (gates[2], gates[0], gates[1]):
            g.started()
            self.assertFalse(x.is_over)
            g.release()
        self.assertEqual(x.value(), (tasks, []))

    def test_first_completed(self):
        gates = [self.gate() for _ in range(3)]
        tasks = self.create(*({"shell": g.shell} for g in gates))
        x = self.later(tasks, return_when="FIRST_COMPLETED")
        gates[1].started()
        gates[1].release()
        self.assertEqual(x.value(), ([tasks[1]], [tasks[0], tasks[2]]))
        for g in gates[::2]:
            g.started()
            g.release()
        self.assertEqual(self.wait(tasks), (tasks, []))

    def test_first_exception(self):
        gates = [self.gate() for _ in range(3)]
        tasks = self.create({"shell": gates[0].shell}, {"shell": gates[1].shell + "; exit 3"}, {"shell": gates[2].shell})
        x = self.later(tasks, return_when="FIRST_EXCEPTION")
        gates[0].started()
        gates[0].release()
        self.d.done(tasks[0])
        self.assertFalse(x.is_over)
        gates[1].started()
        gates[1].release()
        self.assertEqual(x.value(), (tasks[:2], tasks[2:]))
        gates[2].started()
        gates[2].release()

    def test_cancelled_is_no_exception(self):
        tasks = self.create({"sleep": 3600}, {"sleep": 3600})
        x = self.later(tasks, return_when="FIRST_EXCEPTION")
        self.d.cancel(tasks[0])
        self.d.done(tasks[0])
        self.assertFalse(x.is_over)
        self.d.cancel(tasks[1])
        self.assertEqual(x.value(), (tasks, []))

    def test_those_that_are_done_already(self):
        good, bad = self.ended({"sleep": 0}, {"shell": "exit 3"})
        slow = self.create({"sleep": 3600})[0]
        self.assertEqual(self.wait([good, bad]), ([good, bad], []))
        self.assertEqual(self.wait([slow, good], return_when="FIRST_COMPLETED"), ([good], [slow]))
        self.assertEqual(self.wait([slow, bad, good], return_when="FIRST_EXCEPTION"), ([bad, good], [slow]))
        self.assertEqual(self.wait([slow, good], return_when="FIRST_EXCEPTION", timeout=0.05), ([good], [slow]))
        self.d.cancel(slow)

    def test_order_and_repeats(self):
        a, b, c = self.ended({"sleep": 0}, {"sleep": 0}, {"sleep": 0})
        self.assertEqual(self.wait([c, a, c, b, a]), ([c, a, b], []))

    def test_timeout(self):
        tasks = self.create({"sleep": 3600}, {"sleep": 0})
        self.d.done(tasks[1])
        for timeout, least in ((0, 0), (0.2, 0.2)):
            x = Later(self.wait, tasks, timeout=timeout)
            self.assertEqual(x.value(), ([tasks[1]], [tasks[0]]))
            self.assertGreaterEqual(x.took, least)
        self.assertEqual(self.d.task(tasks[0])["state"], "running")  # it cancels nothing
        self.d.cancel(tasks[0])
        self.assertEqual(self.wait(tasks, timeout=None), (tasks, []))

    def test_a_vanished_client_leaves_the_tasks_alone(self):
        task = self.create({"sleep": 3600})[0]
        with self.d.raw() as raw:
            body = f'{{"tasks": [{task}]}}'
            raw.send(f"POST /v1/wait HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}")
            raw.reset()
        eventually("it is noticed", lambda: self.d.get("/v1/info").json["connections"] <= 1)
        self.assertEqual(self.d.task(task)["state"], "running")
        self.d.cancel(task)

    def test_many(self):
        tasks = self.d.submit([{"sleep": 0.05}] * 5000)["tasks"]
        self.assertEqual(self.wait(tasks), (tasks, []))
        self.assertEqual(self.wait(tasks[::-1]), (tasks[::-1], []))

    def test_bad(self):
        task = self.ended({"sleep": 0})[0]
        for body, pointers in (
                ({}, ["/tasks"]), ({"tasks": []}, ["/tasks"]), ({"tasks": 17}, ["/tasks"]),
                ({"tasks": [task, "x", 0, -1, 1.5, None]}, [f"/tasks/{i}" for i in range(1, 6)]),
                ({"tasks": [10**9]}, ["/tasks"]), ({"tasks": list(range(1, 5010))}, ["/tasks"]),
                ({"tasks": [task], "return_when": "SOON"}, ["/return_when"]),
                ({"tasks": [task], "return_when": 5}, ["/return_when"]),
                ({"tasks": [task], "timeout": -1}, ["/timeout"]), ({"tasks": [task], "timeout": 1e6}, ["/timeout"]),
                ({"tasks": [task], "timeout": "x", "retur_when": 1}, ["/timeout", "/retur_when"]),
                ([task], [""])):
            a = self.d.post("/v1/wait", body)
            self.assertEqual(a.status, 400, (body, a))
            self.assertEqual([e["pointer"] for e in a.json["errors"]], pointers, body)
        self.assertEqual(self.d.post("/v1/wait", b"").status, 400)
        self.assertEqual(self.d.get("/v1/wait").status, 405)
