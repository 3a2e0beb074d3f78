"""Lists: filters, order and the cursor; docs/api.md, section 7."""

import os
import re
import sqlite3
from urllib.parse import quote

from harness import PATIENCE, SLOWER, TestCase, cpu_seconds


class ListCase(TestCase):
    options = ("--slots", "8")

    def pages(self, target, what="tasks", d=None):
        """All ids, by `next`; the Link header must say the same."""
        ids = []
        while target:
            a = (d or self.d).get(target)
            self.assertEqual(a.status, 200, a)
            ids += [e["id"] for e in a.json[what]]
            target = a.json["next"]
            link = a.headers["Link"]
            self.assertEqual(link, f'<{target}>; rel="next"' if target else None)
            self.assertLess(len(ids), 100_000)
        return ids


class Tasks(ListCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        d = cls.d
        cls.batch = d.submit([{"sleep": 0, "labels": {"i": str(i % 3), "all": "x y"}, "name": f"n{i}"} for i in range(30)])
        d.batch_done(cls.batch["id"], "settled")
        cls.failed = [d.run({"shell": "exit 3", "labels": {"all": "x y"}})["id"] for _ in range(3)]
        task = d.create({"sleep": 600})["id"]
        d.cancel(task)
        d.done(task)
        cls.cancelled = [task]
        cls.running = [d.create({"sleep": 600, "labels": {"i": "1"}})["id"] for _ in range(4)]
        cls.all = cls.batch["tasks"] + cls.failed + cls.cancelled + cls.running
        for t in cls.running:
            d.await_state(t, "running")

    def test_newest_first_and_oldest_first(self):
        self.assertEqual(self.pages("/v1/tasks"), self.all[::-1])
        self.assertEqual(self.pages("/v1/tasks?order=asc"), self.all)
        self.assertEqual(self.pages("/v1/tasks?order=desc"), self.all[::-1])

    def test_pages_of_every_size(self):
        for limit in (1, 2, 7, len(self.all), 1000):
            for order in ("asc", "desc"):
                ids = self.pages(f"/v1/tasks?limit={limit}&order={order}")
                self.assertEqual(ids, self.all if order == "asc" else self.all[::-1], limit)
        a = self.d.get("/v1/tasks?limit=5")
        self.assertEqual(len(a.json["tasks"]), 5)
        self.assertIsNone(self.d.get("/v1/tasks?limit=1000").json["next"])

    def test_the_default_is_fifty(self):
        d = self.daemon()
        b = d.submit([{"sleep": 0}] * 120)
        d.batch_done(b["id"], "settled")
        self.assertEqual(len(d.get("/v1/tasks").json["tasks"]), 50)
        self.assertEqual(self.pages("/v1/tasks", d=d), b["tasks"][::-1])

    def test_states(self):
        succeeded = self.batch["tasks"]
        for text, expected in (("succeeded", succeeded), ("failed", self.failed), ("cancelled", self.cancelled),
                               ("running", self.running), ("pending", []), ("unfinished", self.running),
                               ("done", succeeded + self.failed + self.cancelled), ("failed,cancelled", self.failed + self.cancelled),
                               ("unfinished,failed", self.failed + self.running), ("failed,failed", self.failed)):
            for limit in (2, 1000):
                self.assertEqual(self.pages(f"/v1/tasks?order=asc&state={text}&limit={limit}"), expected, text)
                self.assertEqual(self.pages(f"/v1/tasks?state={text}&limit={limit}"), expected[::-1], text)

    def test_labels_names_batches(self):
        ones = [t for i, t in enumerate(self.batch["tasks"]) if i % 3 == 1]
        self.assertEqual(self.pages("/v1/tasks?order=asc&label=i=1"), ones + self.running)
        self.assertEqual(self.pages("/v1/tasks?order=asc&label=i=1&label=all=x%20y&limit=3"), ones)
        self.assertEqual(self.pages("/v1/tasks?order=asc&label=all=x+y&state=failed"), self.failed)
        self.assertEqual(self.pages("/v1/tasks?label=i=9"), [])
        self.assertEqual(self.pages("/v1/tasks?label=I=1"), [])
        self.assertEqual(self.pages("/v1/tasks?name=n7"), [self.batch["tasks"][7]])
        self.assertEqual(self.pages("/v1/tasks?name=n"), [])
        self.assertEqual(self.pages(f"/v1/tasks?name=Task-{self.failed[0]}"), [self.failed[0]])
        self.assertEqual(self.pages(f"/v1/tasks?batch={self.batch['id']}&order=asc&limit=4"), self.batch["tasks"])
        self.assertEqual(self.pages(f"/v1/tasks?batch={self.batch['id']}&state=unfinished"), [])
        self.assertEqual(self.pages("/v1/tasks?batch=999999"), [])

    def test_entries_are_snapshots_without_result(self):
        for e in self.d.get("/v1/tasks?limit=1000").json["tasks"]:
            t = self.d.get(f"/v1/tasks/{e['id']}?result=0").json
            t.pop("result", None)
            e.pop("result", None)
            self.assertEqual(e, t)

    def test_what_comes_meanwhile_does_not_disturb_a_walk(self):
        d = self.daemon()
        d.batch_done(d.submit([{"sleep": 0}] * 30)["id"], "settled")
        first = d.get("/v1/tasks?limit=10&state=done").json
        more = d.run({"sleep": 0})["id"]
        rest = self.pages(first["next"], d=d)
        ids = [t["id"] for t in first["tasks"]] + rest
        self.assertEqual(ids, sorted(set(ids), reverse=True))
        self.assertNotIn(more, ids)

    def test_bad_parameters(self):
        for query in ("limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "after=x", "after=-1", "order=up", "state=x", "state=", "state=done,x",
                      "label=x", "label=", "batch=x", "batch=-1", "x=1", "stat=done", "limit=1.5"):
            for target in ("/v1/tasks", "/v1/batches"):
                a = self.d.get(f"{target}?{query}")
                self.assertProblem(a, 400, "bad-request")
        self.assertProblem(self.d.get("/v1/batches?batch=1"), 400, "bad-request")
        self.assertLessEqual(len(self.d.get("/v1/tasks?limit=1000").json["tasks"]), 1000)


class Batches(ListCase):
    def test_filters_and_pages(self):
        d = self.daemon("--slots", "4")
        good = [d.submit({"jobs": [{"sleep": 0}], "name": f"b{i}", "labels": {"k": str(i % 2)}})["id"] for i in range(7)]
        bad = d.submit([{"shell": "exit 1"}])["id"]
        gone = d.submit([{"sleep": 600}])["id"]
        for b in [*good, bad]:
            d.batch_done(b, "settled")
        d.post(f"/v1/batches/{gone}/cancel")
        d.batch_done(gone, "settled")
        open_ = d.submit([{"sleep": 600}])["id"]
        everything = [*good, bad, gone, open_]
        for limit in (1, 3, 1000):
            self.assertEqual(self.pages(f"/v1/batches?limit={limit}", "batches", d), everything[::-1])
            self.assertEqual(self.pages(f"/v1/batches?limit={limit}&order=asc", "batches", d), everything)
        for query, expected in (("state=succeeded", good), ("state=failed", [bad]), ("state=cancelled", [gone]),
                                ("state=done", [*good, bad, gone]), ("state=unfinished", [open_]), ("name=b3", [good[3]]),
                                ("label=k=1", good[1::2]), ("label=k=1&name=b1", [good[1]])):
            self.assertEqual(self.pages(f"/v1/batches?order=asc&{query}", "batches", d), expected, query)
        d.restart(kill=True)
        self.assertEqual(self.pages("/v1/batches?order=asc&state=unfinished", "batches", d), [open_])
        self.assertEqual(self.pages("/v1/batches?order=asc", "batches", d), everything)
        for e in d.get("/v1/batches").json["batches"]:
            self.assertEqual(e, d.batch(e["id"]))
        d.post(f"/v1/batches/{open_}/cancel")

    def test_a_rare_match_among_many(self):
        """Looked for piece by piece: short pages, and nothing is missed."""
        d = self.daemon()
        n = 25_000
        jobs = [{"sleep": 0}] * n
        jobs[10] = jobs[n - 10] = {"sleep": 0, "labels": {"rare": "1"}, "name": "rare"}
        b = d.submit(jobs, timeout=4 * PATIENCE)
        d.batch_done(b["id"], "settled")
        expected = [b["tasks"][10], b["tasks"][n - 10]]
        for query in ("label=rare=1", "name=rare", f"batch={b['id']}&label=rare=1", "state=succeeded&label=rare=1"):
            self.assertEqual(self.pages(f"/v1/tasks?order=asc&{query}", d=d), expected, query)
            self.assertEqual(self.pages(f"/v1/tasks?{query}", d=d), expected[::-1], query)

    def test_a_page_of_many_that_match_is_not_the_work_of_all(self):
        d = self.daemon()
        b = d.submit([{"shell": "exit 3", "name": "n", "labels": {"a": "b"}}])
        d.batch_done(b["id"], "settled")
        d.stop()
        n = 100_000
        db = sqlite3.connect(os.path.join(d.state_dir, "gatherd.db"))
        for table, key in (("task", "id"), ("outcome", "task"), ("label", "task")):
            columns = [c[1] for c in db.execute(f"PRAGMA table_info({table})")]
            values = ["i" if c == key else "NULL" if c in ("batch", "idx") else f"t.{c}" for c in columns]
            db.execute(f"WITH RECURSIVE c(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM c WHERE i < {n})"
                       f" INSERT INTO {table} SELECT {','.join(values)} FROM c, {table} t WHERE t.{key} = 1")
        db.commit()
        db.close()
        d.start()
        before = cpu_seconds(d.pid)
        for query in ("state=failed", "label=a=b", "name=n", "name=n&label=a=b", "state=failed&label=a=b"):
            for order, first in (("asc", 1), ("desc", n)):
                a = d.get(f"/v1/tasks?limit=1&order={order}&{query}")
                self.assertEqual([t["id"] for t in a.json["tasks"]], [first], query)
        self.assertLess(cpu_seconds(d.pid) - before, 0.2 * SLOWER)

    def test_names_that_need_escapes_come_back_in_next(self):
        d = self.daemon()
        name = "a&b=c d%\u00e9+\"<>"
        b = d.submit([{"sleep": 0, "name": name, "labels": {"k&=": name}}] * 3)
        d.batch_done(b["id"], "settled")
        a = d.get(f"/v1/tasks?limit=1&name={quote(name)}&label={quote('k&')}%3D={quote(name)}")
        if a.json["tasks"]:
            self.assertTrue(re.fullmatch(r"[!-~]+", a.json["next"]), a)
        ids = self.pages(f"/v1/tasks?limit=1&order=asc&name={quote(name)}", d=d)
        self.assertEqual(ids, b["tasks"])
