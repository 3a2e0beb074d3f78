"""What survives what: kill -9 of the daemon and of its workers, SIGTERM, restarts; docs/reliability.md."""

import json
import os
import signal
import subprocess

from harness import PATIENCE, Daemon, Later, TestCase, end_pid, eventually, is_alive

PID = "echo $$"


class Recovery(TestCase):
    options = None

    def fresh(self, *options):
        return self.daemon("--slots", "4", *options).await_ready()

    def running(self, d, n=1):
        """Commands that run and will print a line when let go."""
        gate = self.gate()
        tasks = [d.create({"shell": f"{PID}; {gate.shell}; echo end"})["id"] for _ in range(n)]
        gate.started(n)
        return tasks, gate

    def pid_of(self, d, task):
        return int(eventually("its pid", lambda: d.get(f"/v1/tasks/{task}/stdout").body.split()[:1])[0])

    # the daemon

    def test_commands_survive_kill_9_and_sigterm_and_go_on(self):
        d = self.fresh()
        tasks, gate = self.running(d, 3)
        pids = [self.pid_of(d, t) for t in tasks]
        workers = d.workers()
        for kill in (True, False, True):
            d.restart(kill=kill)
            for t in tasks:  # until the runner has told, a lease is shown as pending
                d.await_state(t, "running")
            self.assertTrue(all(is_alive(p) for p in pids))
            self.assertEqual(d.workers()["runner"], workers["runner"])
        gate.release()
        for task, pid in zip(tasks, pids):
            t = d.done(task)
            self.assertEqual((t["state"], t["attempt"], t["result"]["stdout"]), ("succeeded", 1, f"{pid}\nend\n"))

    def test_what_ends_while_the_daemon_is_down(self):
        d = self.fresh()
        tasks, gate = self.running(d, 2)
        pids = [self.pid_of(d, t) for t in tasks]
        d.kill()
        gate.release()
        for pid in pids:
            eventually("it ends", lambda: not is_alive(pid))
        d.start()
        for task, pid in zip(tasks, pids):
            t = d.done(task)
            self.assertEqual((t["state"], t["result"]["stdout"]), ("succeeded", f"{pid}\nend\n"))

    def test_pending_tasks_go_on(self):
        d = self.fresh()
        _, gate = self.running(d, 4)
        b = d.submit({"jobs": [{"shell": f"echo {i}", "result": "stdout"} for i in range(200)], "concurrency": 3})
        sleeps = d.submit([{"sleep": 0.1, "value": i} for i in range(50)])
        d.restart(kill=True)
        gate.release()
        a = d.get(f"/v1/batches/{b['id']}/results?wait=30")
        self.assertEqual([e["result"] for e in a.json["results"]], [f"{i}\n" for i in range(200)])
        a = d.get(f"/v1/batches/{sleeps['id']}/results?wait=30")
        self.assertEqual([e["result"] for e in a.json["results"]], list(range(50)))

    def test_what_was_done_stays_as_it_was(self):
        d = self.fresh()
        a = d.gather({"jobs": [{"sleep": 0, "value": [1, {"a": "\u00e9"}]}, {"shell": "exit 3"}, {"run": ["/nowhere"]},
                               {"shell": "yes | head -c 300000"}], "return_exceptions": True})
        targets = [f"/v1/tasks/{e['task']}" for e in a.json["results"]] + [f"/v1/batches/{a.json['batch']}"]
        d.batch_done(a.json["batch"], "settled")
        before = [d.get(t).body for t in targets]
        for kill in (True, False):
            d.restart(kill=kill)
            self.assertEqual([d.get(t).body for t in targets], before)
            self.assertEqual(d.get(f"/v1/batches/{a.json['batch']}/results").body, a.body)

    def test_a_cancel_that_was_answered_is_kept(self):
        d = self.fresh()
        gate = self.gate()
        stubborn = d.create({"shell": f"trap '' TERM; {gate.shell}; while :; do sleep 0.05; done", "grace": 2})["id"]
        gate.started()
        _, full = self.running(d, 3)
        pending = d.create({"shell": "echo never"})["id"]
        d.cancel(stubborn, {"msg": "kept"})
        d.cancel(pending)
        d.restart(kill=True)
        self.assertEqual(d.done(pending)["state"], "cancelled")
        t = d.done(stubborn)
        self.assertEqual((t["state"], t["exception"]["msg"], t["cancelling"]), ("cancelled", "kept", 1))
        full.release()

    def test_timeouts_go_on(self):
        d = self.fresh()
        task = d.create({"run": ["sleep", "60"], "timeout": 1})["id"]
        d.await_state(task, "running")
        batch = d.submit({"jobs": [{"sleep": 60}], "timeout": 1})["id"]
        d.restart(kill=True)
        self.assertEqual(d.done(task)["exception"]["type"], "TimeoutError")
        self.assertEqual(d.batch_done(batch)["exception"]["type"], "TimeoutError")

    def test_a_batch_whose_time_was_up_before(self):
        """Its children are being ended: that one of them is cancelled already is not why it failed."""
        for options in ({}, {"return_exceptions": True}, {"on_failure": "cancel"}):
            with self.subTest(options=options):
                d = self.fresh()
                gate = self.gate()
                jobs = [{"sleep": 60}, {"shell": f"trap '' TERM; {gate.shell}; while :; do sleep 0.05; done", "grace": 1}]
                b = d.submit({"jobs": jobs, "timeout": 0.5, **options})
                gate.started()
                d.await_state(b["tasks"][0], "cancelled")
                d.restart(kill=True)
                a = d.batch_done(b["id"])
                self.assertEqual((a["exception"]["type"], a["first_failed"]), ("TimeoutError", None))
                gate.release()

    def test_a_batch_that_began_has_begun(self):
        d = self.daemon("--slots", "1").await_ready()
        _, gate = self.running(d)
        b = d.submit([{"sleep": 0}, {"shell": "true"}])
        d.done(b["tasks"][0])
        before = d.batch(b["id"])
        d.restart(kill=True)
        after = d.batch(b["id"])
        self.assertEqual((after["state"], after["started_at"]), ("running", before["started_at"]))
        gate.release()
        self.assertEqual(d.batch_done(b["id"])["started_at"], before["started_at"])

    def test_a_timeout_that_was_set_while_the_runner_was_silent(self):
        d = self.fresh()
        (task,), _ = self.running(d)
        runner = d.worker("runner")
        d.kill()
        os.kill(runner, signal.SIGSTOP)
        try:
            d.start()
            self.assertEqual(d.patch(f"/v1/tasks/{task}", {"timeout": 0.1}).status, 200)
        finally:
            os.kill(runner, signal.SIGCONT)
        self.assertEqual(d.done(task)["exception"]["type"], "TimeoutError")

    def test_who_reads_the_output_of_one_that_runs_again(self):
        """Asked of a runner that does not hear it any more, then of the one that runs it anew."""
        d = self.fresh()
        gate = self.gate()
        task = d.create({"shell": f"{gate.shell}; echo end", "on_lost": "rerun"})["id"]
        gate.started()
        runner = d.worker("runner")
        os.kill(runner, signal.SIGSTOP)
        reader = Later(d.get, f"/v1/tasks/{task}/stdout")
        self.assertEqual(d.get("/livez").status, 200)
        end_pid(runner)
        gate.started()
        self.assertEqual(reader.value().body, b"")
        self.assertEqual(d.await_state(task, "running")["attempt"], 2)
        gate.release()

    def test_ids_go_on(self):
        d = self.fresh()
        first = d.create({"sleep": 0})["id"]
        for kill in (True, False):
            d.restart(kill=kill)
            task = d.create({"sleep": 0})["id"]
            self.assertGreater(task, first)
            first = task

    def test_half_a_batch_never_exists(self):
        """Killed while a large body comes in: it is there whole, or not at all."""
        d = self.fresh()
        line = b'{"sleep":0,"labels":{"half":"1"}}\n'
        for i in range(4):
            raw = d.raw()
            raw.send(b"POST /v1/batches HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
                     b"Content-Length: %d\r\n\r\n" % (len(line) * 20000))
            raw.send(line * (5000 * (i + 1)))
            d.restart(kill=True)
            raw.sock.close()
            for b in d.get("/v1/batches").json["batches"]:
                self.assertEqual(b["total"], 20000)
            n = len(d.get("/v1/batches").json["batches"])
            if n == 0:
                self.assertEqual(d.get("/v1/tasks").json["tasks"], [])
        self.assertEqual(d.submit([{"sleep": 0}])["total"], 1)

    def test_what_was_taken_back_stays_so(self):
        """uncancel() is on disk, too: after a restart the command is not signalled again."""
        d = self.fresh()
        log = os.path.join(self.tmp(), "log")
        task = d.create({"shell": f"trap 'echo TERM >>{log}' TERM; echo up >>{log}; while :; do sleep 0.01; done",
                         "grace": 3600})["id"]
        eventually("it runs", lambda: os.path.exists(log))
        self.assertEqual([d.cancel(task) for _ in range(2)], [True, True])
        self.assertEqual([d.post(f"/v1/tasks/{task}/uncancel").json["cancelling"] for _ in range(2)], [1, 0])
        d.kill()
        d.start()
        d.await_state(task, "running")
        self.assertEqual(d.task(task)["cancelling"], 0)
        d.cancel(task)
        d.post(f"/v1/tasks/{task}/cancel", {"grace": 0})
        t = d.done(task)
        self.assertEqual((t["state"], t["cancelling"]), ("cancelled", 2))

    def test_sigterm_answers_waiters_and_exits_0(self):
        for sig in (signal.SIGTERM, signal.SIGINT):
            d = self.fresh()
            tasks, gate = self.running(d, 2)
            later = [Later(d.get, f"/v1/tasks/{tasks[0]}?wait=60"), Later(d.post, "/v1/gather", [{"sleep": 60}]),
                     Later(d.get, f"/v1/tasks/{tasks[1]}/result?wait=60")]
            idle = d.raw()
            follower = Later(d.get, f"/v1/tasks/{tasks[0]}/stdout?follow=1")
            eventually("all wait", lambda: d.get("/v1/info").json["connections"] >= 6)
            pids = [self.pid_of(d, t) for t in tasks]
            self.assertEqual(d.stop(sig), 0)
            answers = []
            for x in later:
                a = x.value()
                self.assertProblem(a, 503, "shutting-down")
                self.assertTrue(int(a.headers["Retry-After"]) >= 1)
                answers.append(a)
            self.assertTrue(idle.is_closed())
            try:
                follower.value()
            except OSError:
                pass
            except Exception as e:  # what had been sent is cut off
                self.assertIn("Incomplete", type(e).__name__)
            self.assertTrue(all(is_alive(p) for p in pids))
            d.start()
            for a, task in ((answers[0], tasks[0]), (answers[2], tasks[1])):
                self.assertEqual((a.json["task"], a.headers["Location"]), (task, f"/v1/tasks/{task}"))
            if "batch" in answers[1].json:  # it had come before the end
                batch = d.get(answers[1].headers["Location"]).json
                self.assertEqual((batch["id"], batch["total"]), (answers[1].json["batch"], 1))
            else:
                self.assertEqual(d.get("/v1/batches").json["batches"], [])
            for t in tasks:
                d.await_state(t, "running")
            gate.release()
            for t in tasks:
                self.assertEqual(d.done(t)["state"], "succeeded")

    def test_a_second_daemon_says_who_has_the_directory(self):
        d = self.fresh()
        second = subprocess.run(d.argv()[:-2] + ["--port-file", d.port_file + "2"], capture_output=True, text=True,
                                timeout=2 * PATIENCE, check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn(f"process {d.pid}", second.stderr)
        self.assertIn(d.state_dir, second.stderr)
        self.assertFalse(os.path.exists(d.port_file + "2"))
        self.assertEqual(d.run({"shell": "echo x"})["state"], "succeeded")

    # the workers

    def test_kill_9_of_the_runner(self):
        d = self.fresh()
        (fails,), gate = self.running(d)
        reruns = d.create({"shell": f'echo "$GATHERD_ATTEMPT"; {gate.shell}', "on_lost": "rerun"})["id"]
        gate.started()
        pids = [self.pid_of(d, fails)]
        sleeping = d.create({"sleep": 0.3, "value": "not touched"})["id"]
        old = d.kill_worker("runner")
        t = d.done(fails)
        self.assertEqual((t["state"], t["exception"]["type"], t["exception"]["reason"]), ("failed", "LostError", "runner"))
        for pid in pids:
            eventually("its command is ended", lambda: not is_alive(pid))
        gate.started()
        gate.release()
        t = d.done(reruns)
        self.assertEqual((t["state"], t["attempt"], t["result"]["stdout"]), ("succeeded", 2, "2\n"))
        self.assertEqual(d.done(sleeping)["result"], "not touched")
        d.await_ready()
        self.assertNotEqual(d.worker("runner"), old)
        self.assertEqual(d.run({"shell": "echo x"})["state"], "succeeded")

    def test_kill_9_of_the_runner_while_the_daemon_is_down(self):
        d = self.fresh()
        (fails,), gate = self.running(d)
        reruns = d.create({"shell": f"{gate.shell}; echo $GATHERD_ATTEMPT", "on_lost": "rerun"})["id"]
        gate.started()
        runner = d.worker("runner")
        d.kill()
        end_pid(runner)
        d.start()
        self.assertEqual(d.done(fails)["exception"]["type"], "LostError")
        gate.started()
        gate.release()
        self.assertEqual(d.done(reruns)["result"]["stdout"], "2\n")

    def test_kill_9_of_all_at_once(self):
        d = self.fresh()
        (fails,), gate = self.running(d)
        pending = d.submit([{"shell": "echo x"}] * 20)["id"]
        runner, fetcher = d.worker("runner"), d.worker("fetcher")
        d.process.kill()
        end_pid(runner)
        end_pid(fetcher)
        d.wait()
        d.start()
        self.assertEqual(d.done(fails)["exception"]["type"], "LostError")
        b = d.batch_done(pending, "settled")
        self.assertEqual(b["counts"]["succeeded"] + b["counts"]["failed"], 20)
        gate.release()

    def test_the_runner_dies_again_and_again(self):
        d = self.fresh()
        for _ in range(3):
            d.kill_worker("runner")
            d.await_ready()
            self.assertEqual(d.run({"shell": "exit 0", "on_lost": "rerun"})["state"], "succeeded")

    def test_kill_9_of_the_fetcher(self):
        d = self.fresh()
        d.kill_worker("fetcher")
        t = d.run({"fetch": f"{d.url}/livez", "on_lost": "rerun"})
        self.assertEqual((t["state"], t["result"]["status"]), ("succeeded", 200))

    # the directory

    def test_a_damaged_or_foreign_database_is_refused_with_words(self):
        for text in (b"this is no database" * 1000, b"SQLite format 3\0" + b"\xff" * 5000):
            d = Daemon()
            self.addCleanup(d.end)
            os.makedirs(d.state_dir, 0o700)
            path = os.path.join(d.state_dir, "gatherd.db")
            with open(path, "wb") as f:
                f.write(text)
            d.spawn()
            self.assertEqual(d.wait(2 * PATIENCE), 1)
            self.assertIn("gatherd.db", d.log())
            with open(path, "rb") as f:
                self.assertEqual(f.read(), text)

    def test_a_directory_that_others_can_write_is_refused(self):
        d = Daemon()
        self.addCleanup(d.end)
        os.makedirs(d.state_dir)
        os.chmod(d.state_dir, 0o777)
        d.spawn()
        self.assertEqual(d.wait(2 * PATIENCE), 1)
        self.assertIn("writable", d.log())

    def test_the_state_directory_is_private(self):
        d = self.fresh()
        d.run({"shell": "yes | head -c 300000"})
        self.assertEqual(os.stat(d.state_dir).st_mode & 0o777, 0o700)
        for place, _, files in os.walk(d.state_dir):
            for name in files:
                self.assertEqual(os.lstat(os.path.join(place, name)).st_mode & 0o077, 0, name)

    def test_many_restarts_leave_one_of_each_worker(self):
        d = self.fresh()
        for i in range(8):
            d.restart(kill=bool(i % 2))
            self.assertEqual(d.run({"shell": "echo x"})["state"], "succeeded")
        self.assertEqual({name: len(pids) for name, pids in d.workers().items()}, {"runner": 1, "fetcher": 1})

    def test_large_output_over_a_kill(self):
        d = self.fresh()
        gate = self.gate()
        text = "0123456789abcdef" * 20000
        task = d.create({"shell": f"printf %s '{text[:16]}'; head -c {len(text) - 16} {self.file(text[16:])}; {gate.shell}; echo"})
        gate.started()
        d.restart(kill=True)
        gate.release()
        self.assertEqual(d.done(task["id"])["result"]["stdout"], text + "\n")

    def file(self, text):
        path = self.tmp() + "/text"
        with open(path, "w") as f:
            f.write(text)
        return path

    def test_durability_relaxed(self):
        d = self.fresh("--durability", "relaxed")
        tasks = [d.create({"sleep": 60})["id"] for _ in range(20)]
        d.restart(kill=True)
        self.assertEqual([t["id"] for t in d.get("/v1/tasks?order=asc").json["tasks"]], tasks)

    def test_answers_are_json_to_the_end(self):
        """A kill -9 in the middle of many requests: what was answered completely is true afterwards."""
        d = self.fresh()
        made = []

        def load():
            try:
                while True:
                    a = d.post("/v1/tasks", json.dumps({"sleep": 0.01}))
                    made.append(a.json["id"])
            except Exception:  # the daemon is gone
                return

        later = [Later(load) for _ in range(4)]
        eventually("some are made", lambda: len(made) > 100)
        d.kill()
        for x in later:
            x.value()
        d.start()
        for task in made:
            self.assertEqual(d.done(task)["state"], "succeeded")
