"""Waits of every kind, by the thousand, and clients that vanish; docs/api.md, section 1."""

import json
import time

from harness import PATIENCE, SLOWER, Later, TestCase, eventually, peak_bytes

GET = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(target, body, fields=""):
    text = json.dumps(body)
    return f"POST {target} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {len(text)}\r\n\r\n{text}"


class WaitCase(TestCase):
    options = ("--slots", "16")

    def held(self, d=None):
        """A running command and its gate."""
        gate = self.gate()
        task = (d or self.d).create({"shell": gate.shell})["id"]
        gate.started()
        return task, gate

    def connections(self, n, d=None):
        eventually(f"{n} connections", lambda: (d or self.d).get("/v1/info").json["connections"] >= n)


class Many(WaitCase):
    def test_a_thousand_wait_for_one_task(self):
        task, gate = self.held()
        raws = [self.d.raw(2 * PATIENCE) for _ in range(1000)]
        before = peak_bytes(self.d.pid)
        for raw in raws:
            raw.send(GET.format(f"/v1/tasks/{task}?wait=60"))
        self.connections(1000)
        self.assertLess(peak_bytes(self.d.pid) - before, (100 << 20) * SLOWER)
        gate.release()
        self.assertEqual({raw.answer().body for raw in raws}, {self.d.get(f"/v1/tasks/{task}").body})
        for raw in raws:
            raw.sock.close()

    def test_a_thousand_waits_for_a_thousand_tasks(self):
        with self.d.raw(2 * PATIENCE) as raw:
            n = 1000
            ids = self.d.submit([{"sleep": 0.5 + (i % 10) / 20, "value": i} for i in range(n)])["tasks"]
            later = []
            for task in ids[:200]:
                other = self.d.raw(2 * PATIENCE)
                other.send(GET.format(f"/v1/tasks/{task}/result?wait=60"))
                later.append(other)
            raw.send("".join(GET.format(f"/v1/tasks/{i}?wait=60&result=0") for i in ids))
            self.assertEqual([raw.answer().json["id"] for _ in ids], ids)
            for i, other in enumerate(later):
                self.assertEqual(other.answer().json, i)
                other.sock.close()

    def test_waits_of_all_sorts_for_one_batch(self):
        gate = self.gate()
        b = self.d.submit([{"shell": gate.shell, "result": "stdout"}, {"sleep": 0, "value": 1}])
        gate.started()
        targets = [f"/v1/batches/{b['id']}?wait=60", f"/v1/batches/{b['id']}?wait=60&until=settled",
                   f"/v1/batches/{b['id']}/results?wait=60", f"/v1/tasks/{b['tasks'][0]}/exception?wait=60",
                   f"/v1/tasks/{b['tasks'][0]}/result?wait=60"] * 10
        raws = [self.d.raw(2 * PATIENCE) for _ in targets]
        for raw, target in zip(raws, targets):
            raw.send(GET.format(target))
        self.connections(len(targets))
        gate.release()
        answers = [raw.answer() for raw in raws]
        self.assertEqual([a.status for a in answers], [200] * len(targets))
        self.assertEqual([a.json for a in answers[3:5]], [None, ""])
        for raw in raws:
            raw.sock.close()


class Forms(WaitCase):
    def test_both_query_and_prefer(self):
        task, gate = self.held()
        before = time.monotonic()
        a = self.d.get(f"/v1/tasks/{task}?wait=0.05", headers={"Prefer": "wait=60"})
        self.assertEqual(a.status, 202)
        self.assertLess(time.monotonic() - before, 20)
        gate.release()

    def test_prefer_on_everything_that_waits(self):
        b = self.d.submit([{"sleep": 0.2}])
        for target in (f"/v1/batches/{b['id']}", f"/v1/tasks/{b['tasks'][0]}", f"/v1/batches/{b['id']}/results",
                       f"/v1/tasks/{b['tasks'][0]}/result"):
            a = self.d.get(target, headers={"Prefer": 'respond-async, wait=60'})
            self.assertIn(a.status, (200, 202, 409))
        a = self.d.post("/v1/batches", [{"sleep": 0.05}], headers={"Prefer": "wait=60"})
        self.assertEqual((a.status, a.json["done"], a.headers["Preference-Applied"]), (200, True, "wait=60"))
        for body, status in (([{"sleep": 0.05}], 200), ([{"shell": "exit 1"}], 424)):
            a = self.d.gather(body, headers={"Prefer": "wait=60"})
            self.assertEqual((a.status, a.headers["Preference-Applied"]), (status, "wait=60"))
        a = self.d.post("/v1/tasks", {"sleep": 30}, headers={"Prefer": "wait=0"})
        self.assertEqual((a.status, a.headers["Preference-Applied"]), (202, "wait=0"))
        self.d.cancel(a.json["id"])
        for value in ("wait=x", "wait=-1", "wait", "wait=99999999", "foo", ""):  # RFC 7240: what is not known is ignored
            a = self.d.post("/v1/tasks", {"sleep": 0}, headers={"Prefer": value})
            self.assertEqual((a.status, a.headers["Preference-Applied"]), (201, None), value)

    def test_a_wait_that_is_over_answers_the_present_state(self):
        task, gate = self.held()
        before = time.monotonic()
        a = self.d.get(f"/v1/tasks/{task}?wait=0.2")
        self.assertGreaterEqual(time.monotonic() - before, 0.2)
        self.assertEqual((a.status, a.json["state"]), (202, "running"))
        a = self.d.get(f"/v1/tasks/{task}/result?wait=0.01")
        self.assertEqual(a.status, 409)
        gate.release()

    def test_a_wait_sees_a_patch_and_a_cancel(self):
        task = self.d.create({"sleep": 60})["id"]
        later = Later(self.d.get, f"/v1/tasks/{task}?wait=30")
        self.d.patch(f"/v1/tasks/{task}", {"name": "n"})
        self.d.cancel(task, {"msg": "m"})
        t = later.value().json
        self.assertEqual((t["state"], t["name"], t["exception"]["msg"]), ("cancelled", "n", "m"))

    def test_the_wait_of_a_timeout(self):
        a = self.d.post("/v1/tasks?wait=30", {"run": ["sleep", "60"], "timeout": 0.2})
        self.assertEqual((a.status, a.json["exception"]["type"]), (200, "TimeoutError"))


class Vanished(WaitCase):
    def test_clients_that_vanish_while_they_wait_change_nothing(self):
        task, gate = self.held()
        b = self.d.submit([{"sleep": 60}])
        for target in (f"/v1/tasks/{task}?wait=60", f"/v1/tasks/{task}/result?wait=60", f"/v1/batches/{b['id']}?wait=60",
                       f"/v1/batches/{b['id']}/results?wait=60", f"/v1/tasks/{task}/stdout?follow=1"):
            for leave in ("reset", "close"):
                raws = [self.d.raw() for _ in range(20)]
                for raw in raws:
                    raw.send(GET.format(target))
                self.connections(20)
                for raw in raws:
                    raw.reset() if leave == "reset" else raw.sock.close()
                eventually("they are gone", lambda: self.d.get("/v1/info").json["connections"] < 5)
        self.assertEqual((self.d.state(task), self.d.task(task)["cancelling"]), ("running", 0))
        self.assertEqual(self.d.batch(b["id"])["state"], "running")
        gate.release()
        self.assertEqual(self.d.done(task)["state"], "succeeded")
        self.d.post(f"/v1/batches/{b['id']}/cancel")

    def test_only_who_asked_for_it_cancels(self):
        task, gate = self.held()
        plain, cancels = self.d.raw(2 * PATIENCE), self.d.raw()
        plain.send(GET.format(f"/v1/tasks/{task}?wait=60"))
        cancels.send(GET.format(f"/v1/tasks/{task}?wait=60&on_disconnect=cancel"))
        self.connections(3)
        cancels.sock.close()
        t = plain.answer().json
        self.assertEqual((t["state"], t["cancelling"]), ("cancelled", 1))
        plain.sock.close()
        gate.release()

    def test_a_wait_that_is_over_no_longer_cancels(self):
        task, gate = self.held()
        with self.d.raw() as raw:
            raw.send(GET.format(f"/v1/tasks/{task}?wait=0.01&on_disconnect=cancel"))
            self.assertEqual(raw.answer().status, 202)
        eventually("it is gone", lambda: self.d.get("/v1/info").json["connections"] <= 1)
        self.assertEqual(self.d.task(task)["cancelling"], 0)
        gate.release()

    def test_a_batch_that_is_cancelled_with_its_client(self):
        for target in ("/v1/gather?on_disconnect=cancel", "/v1/batches?wait=60&on_disconnect=cancel"):
            gate = self.gate()
            raw = self.d.raw()
            raw.send(post(target, [{"shell": gate.shell}] * 3 + [{"sleep": 60}]))
            tasks = gate.started(3)
            raw.reset()
            for task in tasks:
                self.assertEqual(self.d.done(task)["state"], "cancelled")
            b = self.d.batch_done(self.d.task(tasks[0])["batch"], "settled")
            self.assertEqual((b["state"], b["counts"]["cancelled"]), ("cancelled", 4))

    def test_get_of_a_batch_with_on_disconnect(self):
        b = self.d.submit([{"sleep": 60}] * 2)["id"]
        raw = self.d.raw()
        raw.send(GET.format(f"/v1/batches/{b}?wait=60&on_disconnect=cancel"))
        self.connections(2)
        raw.sock.close()
        self.assertEqual(self.d.batch_done(b, "settled")["state"], "cancelled")

    def test_vanished_before_it_was_on_disk(self):
        """Sent and gone at once: what was taken in is there, and with the option cancelled."""
        d = self.daemon()
        for i in range(30):
            with d.raw() as raw:
                raw.send(post("/v1/tasks?wait=60&on_disconnect=cancel", {"sleep": 60, "name": "gone"}))
                if i % 3:
                    raw.reset()
        eventually("all were read", lambda: d.get("/v1/info").json["connections"] <= 1)
        eventually("all have ended", lambda: d.get("/v1/info").json["tasks"] == 0)
        tasks = d.get("/v1/tasks?limit=1000").json["tasks"]
        self.assertEqual({t["state"] for t in tasks} | {"cancelled"}, {"cancelled"})

    def test_a_client_that_does_not_read_holds_nobody_up(self):
        big = self.d.run({"shell": "yes | head -c 8000000"})
        slow = [self.d.raw() for _ in range(10)]
        for raw in slow:
            raw.send(GET.format(big["links"]["stdout"]) * 3)
        before = time.monotonic()
        for _ in range(50):
            self.assertEqual(self.d.run({"sleep": 0})["state"], "succeeded")
        self.assertLess(time.monotonic() - before, 20)
        for raw in slow:
            raw.sock.close()

    def test_the_end_of_the_daemon_is_no_disconnect(self):
        d = self.daemon("--slots", "4")
        task, gate = self.held(d)
        with d.raw(2 * PATIENCE) as raw:
            raw.send(GET.format(f"/v1/tasks/{task}?wait=60&on_disconnect=cancel"))
            self.connections(2, d)
            self.assertEqual(d.stop(), 0)
            a = raw.answer()
            self.assertProblem(a, 503, "shutting-down")
            self.assertTrue(a.headers["Retry-After"])
        d.start()
        self.assertEqual(d.task(task)["cancelling"], 0)
        gate.release()
        self.assertEqual(d.done(task)["state"], "succeeded")
