"""HTTP itself: bodies and their types, framing, methods, sizes, conditions; docs/api.md, section 1."""

import json
import re

from harness import PATIENCE, Later, TestCase, eventually

CREATE = b'{"sleep":0}'
HEAD = "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\n"


def chunked(*parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


class Http(TestCase):
    options = ("--max-body", "1M")

    def exchange(self, data, method="POST"):
        with self.d.raw(PATIENCE) as raw:
            raw.send(data)
            return raw.answer(method)

    def test_content_types(self):
        for kind in (None, "", "application/json", "application/json;charset=utf-8", "APPLICATION/JSON",
                     "application/json ; x=y", "application/x-www-form-urlencoded"):
            headers = {} if kind is None else {"Content-Type": kind}
            self.assertEqual(self.d.post("/v1/tasks", CREATE, headers=headers).status, 201, kind)
            a = self.d.gather([{"sleep": 0}], headers=headers)
            self.assertEqual(a.status, 200)
        before = self.d.newest()
        for kind in ("text/plain", "application/xml", "multipart/form-data; boundary=x", "application/jsonx",
                     "application/json+x", "text/json", "*/*", "x"):
            for target, body in (("/v1/tasks", CREATE), ("/v1/batches", [{"sleep": 0}]), ("/v1/gather", [])):
                a = self.d.post(target, body, headers={"Content-Type": kind})
                self.assertProblem(a, 415, "unsupported-media-type")
        a = self.d.post("/v1/tasks", CREATE, headers={"Content-Type": "application/x-ndjson"})
        self.assertProblem(a, 415, "unsupported-media-type")
        self.assertEqual(self.d.newest()[:2], before[:2])

    def test_curl_sends_a_batch(self):
        a = self.exchange(b"POST /v1/gather HTTP/1.1\r\nHost: localhost:4284\r\nUser-Agent: curl/7.88.1\r\n"
                          b"Accept: */*\r\nContent-Length: 13\r\n"
                          b'Content-Type: application/x-www-form-urlencoded\r\n\r\n[{"sleep":0}]')
        self.assertEqual((a.status, a.json["results"][0]["result"]), (200, None))

    def test_chunked(self):
        for parts in ([CREATE], [CREATE[i:i + 1] for i in range(len(CREATE))]):
            a = self.exchange(HEAD.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(*parts))
            self.assertEqual(a.status, 201)
        jobs = json.dumps([{"sleep": 0, "value": "x" * 1000}] * 500).encode()
        a = self.exchange(b"POST /v1/gather HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: Chunked\r\n\r\n"
                          + chunked(*(jobs[i:i + 777] for i in range(0, len(jobs), 777))))
        self.assertEqual(len(a.json["results"]), 500)

    def test_a_body_byte_by_byte(self):
        with self.d.raw(PATIENCE) as raw:
            for i in range(len(HEAD)):
                raw.send(HEAD[i])
            raw.send(f"Content-Length: {len(CREATE)}\r\n\r\n")
            for i in range(len(CREATE)):
                raw.send(CREATE[i:i + 1])
            self.assertEqual(raw.answer().status, 201)

    def test_an_incomplete_body_creates_nothing(self):
        before = self.d.newest()
        for fields, part in ((f"Content-Length: {len(CREATE) + 1}", CREATE),
                             ("Transfer-Encoding: chunked", b"b\r\n" + CREATE + b"\r\n"),
                             ("Transfer-Encoding: chunked", b"b\r\n" + CREATE)):
            with self.d.raw() as raw:
                raw.send(HEAD + fields + "\r\n\r\n")
                raw.send(part)
                self.d.get("/livez")  # by now it was read
                raw.half_close()
                a = raw.answer()
                self.assertTrue(a is None or a.status == 400, a)
        eventually("they are gone", lambda: self.d.get("/v1/info").json["connections"] <= 1)
        self.assertEqual(self.d.newest()[:2], before[:2])

    def test_expect_100_continue(self):
        with self.d.raw(PATIENCE) as raw:
            raw.send(HEAD + f"Expect: 100-continue\r\nContent-Length: {len(CREATE)}\r\n\r\n")
            self.assertEqual(raw.answer().status, 100)
            raw.send(CREATE)
            self.assertEqual(raw.answer().status, 201)
        for head, status in (("POST /v1/tasks HTTP/1.1\r\nHost: example.org\r\nContent-Length: 11\r\n", 421),
                             (HEAD + "Content-Length: 2000000\r\n", 413), (HEAD + "Content-Length: 11\r\nContent-Type: a/b\r\n", 415),
                             ("POST /v1/none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n", 404),
                             ("POST /v1/tasks?x=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n", 400)):
            a = self.exchange(head + "Expect: 100-continue\r\n\r\n")
            self.assertEqual(a.status, status, a)

    def test_too_large(self):
        before = self.d.newest()
        big = b'[{"sleep":0,"value":"' + b"x" * 1_100_000 + b'"}]'
        self.assertProblem(self.d.gather(big), 413, "too-large")
        self.assertProblem(self.d.post("/v1/tasks", big[1:-1]), 413, "too-large")
        a = self.exchange(b"POST /v1/gather HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                          + chunked(*(big[i:i + 50_000] for i in range(0, len(big), 50_000))))
        self.assertProblem(a, 413, "too-large")
        self.assertEqual(self.d.newest()[:2], before[:2])
        fits = b'[{"sleep":0,"value":"' + b"x" * ((1 << 20) - 24) + b'"}]'
        self.assertEqual(len(fits), 1 << 20)
        self.assertEqual(self.d.gather(fits).status, 200)

    def test_one_job_has_8_mib(self):
        d = self.daemon()
        limit = 8 << 20
        head = len(b'{"sleep":0,"value":""}')
        fits = b'{"sleep":0,"value":"' + b"x" * (limit - head) + b'"}'
        self.assertEqual(len(d.post("/v1/tasks?wait=30", fits).json["result"]), limit - head)
        before = d.newest()
        over = fits[:-2] + b'x"}'
        self.assertProblem(d.post("/v1/tasks", over), 413, "too-large")
        with d.raw(PATIENCE) as raw:
            raw.send(HEAD + "Transfer-Encoding: chunked\r\n\r\n")
            raw.send(chunked(*(over[i:i + 100_000] for i in range(0, len(over), 100_000))))
            self.assertProblem(raw.answer(), 413, "too-large")
        self.assertEqual(d.post("/v1/batches", b"[" + over + b"]").pointers, ["/0"])
        a = d.post("/v1/batches", over, headers={"Content-Type": "application/x-ndjson"})
        self.assertEqual(a.pointers, ["/0"])
        self.assertProblem(d.post(f"/v1/tasks/{before[0]}/cancel", b" " * (limit + 1)), 413, "too-large")
        self.assertEqual(d.newest()[:2], before[:2])

    def test_the_head_has_8_kib(self):
        for name, value, status in (("X", "y" * 7900, 200), ("X", "y" * 8193, 431), ("X", "y" * 12000, 431)):
            a = self.d.get("/v1/info", headers={name: value})
            self.assertEqual(a.status, status)
            if status == 431:
                self.assertProblem(a, 431, "too-many-headers")
        self.assertProblem(self.d.get("/" + "y" * 8200), 431, "too-many-headers")
        for target, headers, status in (("/", {"X": "y" * 40_000}, 431), ("/" + "y" * 40_000, {}, 414)):
            self.assertEqual(self.d.get(target, headers=headers).status, status)

    def test_64_header_fields(self):
        for n, status in ((62, 200), (64, 431), (200, 431)):  # with Host and Accept-Encoding
            a = self.d.get("/v1/info", headers={f"X-{i}": "y" for i in range(n)})
            self.assertEqual(a.status, status)

    def test_ambiguous_framing_is_refused(self):
        before = self.d.newest()
        for fields in ("Content-Length: 11\r\nContent-Length: 11", "Content-Length: 11\r\nContent-Length: 5",
                       "Content-Length: 11\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 11",
                       "Transfer-Encoding: gzip", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, chunked",
                       "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: xchunked",
                       "Transfer-Encoding : chunked", "Content-Length : 11", "Content-Length: +11", "Content-Length: 0x0b",
                       "Content-Length: 11, 11", "Content-Length: -11", "Content-Length: 1e1", "Content-Length:",
                       "Content-Length: 99999999999999999999999", "Transfer-Encoding:\r\n chunked",
                       "Content-Length: 11\r\nX: y\rZ: w"):
            with self.subTest(fields=fields), self.d.raw(PATIENCE) as raw:
                raw.send(HEAD + fields + "\r\n\r\n")
                raw.send(CREATE + b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")
                a = raw.answer()
                self.assertIn(a and a.status, (400, 413, None), a)
                if a:
                    self.assertNotIn(b"smuggled", raw.rest())  # the connection ends
        for body in (b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n", b"b\r\n" + CREATE + b"XX0\r\n\r\n", b"ffffffffffffffffff\r\n"):
            with self.subTest(body=body), self.d.raw(PATIENCE) as raw:
                raw.send(HEAD.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + body)
                a = raw.answer()
                self.assertTrue(a is None or a.status in (400, 413), a)
        self.assertEqual(self.d.newest()[:2], before[:2])

    def test_what_is_no_http(self):
        for data in (b"\r\n\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GARBAGE\r\n\r\n",
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n",
                     b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\0" * 1000 + b"\r\n\r\n"):
            with self.d.raw(PATIENCE) as raw:
                raw.send(data)
                self.d.get("/livez")  # by now it was read
                raw.half_close()
                for a in raw.answers():
                    self.assertIn(a.status, (400, 421, 501, 505), a)
        self.assertEqual(self.d.get("/livez").status, 200)

    def test_http_1_0(self):
        with self.d.raw(PATIENCE) as raw:
            raw.send("GET /v1/info HTTP/1.0\r\nHost: localhost\r\n\r\n")
            a = raw.answer()
            self.assertEqual((a.status, "version" in a.json), (200, True))
            self.assertTrue(raw.is_closed())
        a = self.exchange(b"POST /v1/gather HTTP/1.0\r\nHost: localhost\r\nContent-Length: 13\r\n\r\n" + b"[" + CREATE + b"]")
        self.assertEqual(a.json["state"], "succeeded")

    def test_keep_alive(self):
        with self.d.raw(PATIENCE) as raw:
            for i in range(200):
                raw.send(HEAD + f"Content-Length: {len(CREATE)}\r\n\r\n")
                raw.send(CREATE)
                a = raw.answer()
                self.assertEqual(a.status, 201)
                raw.send(f"GET {a.headers['Location']}?wait=20 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self.assertEqual(raw.answer().json["state"], "succeeded")
            for target, status in (("/v1/tasks/999999", 404), ("/v1/tasks/999999/result", 404), ("/v1/info", 200)):
                raw.send(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self.assertEqual(raw.answer().status, status)
            raw.send(HEAD + "Content-Length: 2\r\n\r\n{}")
            self.assertEqual(raw.answer().status, 400)
            raw.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            self.assertEqual(raw.answer().status, 200)
            self.assertTrue(raw.is_closed())

    def test_pipelining(self):
        n = 60
        with self.d.raw(PATIENCE) as raw:
            raw.send(b"".join(HEAD.encode() + b"Content-Length: %d\r\n\r\n%s" % (len(b), b) for b in
                              (b'{"sleep":0,"value":%d,"name":"p"}' % i for i in range(n))))
            ids = [raw.answer().json["id"] for _ in range(n)]
            self.assertEqual(ids, sorted(ids))
            raw.send("".join(f"GET /v1/tasks/{i}/result?wait=20 HTTP/1.1\r\nHost: localhost\r\n\r\n" for i in ids))
            self.assertEqual([raw.answer().json for _ in ids], list(range(n)))
            # a wait in front holds what is behind it, and the order stays
            raw.send(b"POST /v1/tasks?wait=20 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13\r\n\r\n"
                     b'{"sleep":0.2}GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n')
            self.assertTrue(raw.answer().json["done"])
            self.assertEqual(raw.answer().status, 200)

    def test_head(self):
        task = self.d.run({"shell": "echo x"})["id"]
        batch = self.d.gather([{"sleep": 0}]).json["batch"]
        for target in ("/", "/v1/info", "/v1/tasks", "/v1/batches", f"/v1/tasks/{task}", f"/v1/tasks/{task}/result",
                       f"/v1/tasks/{task}/exception", f"/v1/tasks/{task}/stdout", f"/v1/tasks/{task}/stderr",
                       f"/v1/batches/{batch}", f"/v1/batches/{batch}/results", "/livez", "/readyz", "/problems/bad-json",
                       "/v1/tasks/999999", "/none", "/v1/tasks?limit=x"):
            get = self.d.get(target)
            with self.d.raw(PATIENCE) as raw:
                raw.send(f"HEAD {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
                status, headers = raw.head()
                self.assertEqual((status, headers["Content-Type"]), (get.status, get.headers["Content-Type"]), target)
                if get.headers["Content-Length"] and target != "/v1/info":
                    self.assertEqual(headers["Content-Length"], get.headers["Content-Length"])
                if status == 200:  # no body: the next answer follows at once
                    raw.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    self.assertEqual(raw.answer().status, 200)
                else:
                    self.assertEqual(raw.buffer, b"")

    def test_methods(self):
        known = {"/": "GET", "/v1/tasks": "GET POST", "/v1/tasks/1": "GET PATCH", "/v1/tasks/1/result": "GET",
                 "/v1/tasks/1/exception": "GET", "/v1/tasks/1/stdout": "GET", "/v1/tasks/1/stderr": "GET",
                 "/v1/tasks/1/cancel": "POST", "/v1/tasks/1/uncancel": "POST", "/v1/tasks/1/signal": "POST",
                 "/v1/gather": "POST", "/v1/batches": "GET POST", "/v1/batches/1": "GET", "/v1/batches/1/results": "GET",
                 "/v1/batches/1/cancel": "POST", "/v1/info": "GET", "/livez": "GET", "/readyz": "GET",
                 "/problems/bad-job": "GET"}
        for path, methods in known.items():
            allowed = {*methods.split(), "OPTIONS", *(["HEAD"] if "GET" in methods else [])}
            a = self.d.http("OPTIONS", path)
            self.assertEqual((a.status, set(a.headers["Allow"].split(", "))), (204, allowed), path)
            for method in {"GET", "POST", "PATCH", "DELETE"} - allowed:
                a = self.d.http(method, path)
                self.assertProblem(a, 405, "method-not-allowed")
                self.assertEqual(set(a.headers["Allow"].split(", ")), allowed)
            for method in ("PUT", "TRACE", "BREW", "get", "PROPFIND", "X" * 50):
                self.assertProblem(self.d.http(method, path), 501, "method-unknown")
        self.assertEqual(self.d.http("OPTIONS", "/none").status, 404)

    def test_etags_of_what_a_client_polls(self):
        gate = self.gate()
        task = self.d.create({"shell": gate.shell})["id"]
        gate.started()
        self.d.await_state(task, "running")
        a = self.d.get(f"/v1/tasks/{task}")
        etag = a.headers["ETag"]
        self.assertRegex(etag, r'^(W/)?"[^"]+"$')
        for value in (etag, f'"x", {etag}', f'{etag}, "y"', "*", "W/" + etag.removeprefix("W/")):
            b = self.d.get(f"/v1/tasks/{task}", headers={"If-None-Match": value})
            self.assertEqual((b.status, b.body, b.headers["ETag"]), (304, b"", etag), value)
        for value in ('"x"', "x", etag[1:-1], ""):
            self.assertEqual(self.d.get(f"/v1/tasks/{task}", headers={"If-None-Match": value}).status, 200, value)
        gate.release()
        self.d.done(task)
        a = self.d.get(f"/v1/tasks/{task}", headers={"If-None-Match": etag})
        self.assertEqual((a.status, a.json["state"]), (200, "succeeded"))
        self.assertNotEqual(a.headers["ETag"], etag)

    def test_if_none_match_is_for_get_alone(self):
        task = self.d.create({"sleep": 0})["id"]
        etag = self.d.get(f"/v1/tasks/{task}?wait=30").headers["ETag"]
        for method, target, body in (("POST", f"/v1/tasks/{task}/cancel", {}),
                                     ("PATCH", f"/v1/tasks/{task}", {"name": "n"}),
                                     ("POST", "/v1/tasks?wait=30", {"sleep": 0})):
            for value in (etag, "*"):
                a = self.d.http(method, target, body, {"If-None-Match": value})
                self.assertNotEqual(a.status, 304, (method, target))

    def test_a_change_gives_another_etag(self):
        gate = self.gate()
        task = self.d.create({"shell": gate.shell})["id"]
        gate.started()
        self.d.await_state(task, "running")
        seen = {self.d.get(f"/v1/tasks/{task}").headers["ETag"]}
        for change in (lambda: self.d.patch(f"/v1/tasks/{task}", {"name": "n"}),
                       lambda: self.d.patch(f"/v1/tasks/{task}", {"labels": {"a": "b"}}),
                       lambda: self.d.cancel(task, {"grace": 60})):
            change()
            seen.add(self.d.get(f"/v1/tasks/{task}").headers["ETag"])
        self.assertEqual(len(seen), 4)
        gate.release()
        self.d.done(task)

    def test_every_snapshot_of_a_get_has_an_etag(self):
        gate = self.gate()
        b = self.d.submit([{"shell": gate.shell}])
        task = b["tasks"][0]
        gate.started()
        self.d.await_state(task, "running")
        for target in (f"/v1/tasks/{task}", f"/v1/batches/{b['id']}"):
            a = self.d.get(f"{target}?wait=0.01")
            self.assertEqual((a.status, a.headers["ETag"]), (202, self.d.get(target).headers["ETag"]))
        later = [Later(self.d.get, f"{t}?wait=30") for t in (f"/v1/tasks/{task}", f"/v1/batches/{b['id']}")]
        gate.release()
        for x in later:
            a = x.value()
            target = a.json["links"]["self"]
            self.assertEqual((a.status, a.headers["Gatherd-State"]), (200, "succeeded"))
            self.assertEqual(self.d.get(target, headers={"If-None-Match": a.headers["ETag"]}).status, 304)
        a = self.d.get(f"/v1/tasks/{task}?result=0")
        again = self.d.get(f"/v1/tasks/{task}?result=0", headers={"If-None-Match": a.headers["ETag"]})
        self.assertEqual(again.status, 304)

    def test_the_head_of_a_large_snapshot(self):
        a = self.d.post("/v1/tasks?wait=30", {"shell": "yes | head -c 300000; exit 3", "check": False})
        task = a.json["id"]
        for a in (a, self.d.get(f"/v1/tasks/{task}"), self.d.get(f"/v1/tasks/{task}?wait=1"),
                  self.d.http("HEAD", f"/v1/tasks/{task}")):
            self.assertEqual((a.status, a.headers["Gatherd-State"], a.headers["Gatherd-Exit-Code"]), (200, "succeeded", "3"))
        etag = a.headers["ETag"]
        self.assertEqual(self.d.get(f"/v1/tasks/{task}", headers={"If-None-Match": etag}).status, 304)
        self.d.patch(f"/v1/tasks/{task}", {"name": "other"})
        self.assertEqual(self.d.get(f"/v1/tasks/{task}", headers={"If-None-Match": etag}).status, 200)

    def test_problems_have_pages(self):
        for name in ("bad-json", "bad-job", "bad-request", "forbidden", "misdirected-request", "no-such-task",
                     "no-such-batch", "no-such-resource", "method-not-allowed", "method-unknown", "invalid-state",
                     "idempotency-key-reused", "too-large", "unsupported-media-type", "range-not-satisfiable",
                     "too-many-headers", "task-failed", "task-cancelled", "queue-full", "shutting-down", "out-of-memory",
                     "too-busy", "outcome-unknown", "store-full"):
            a = self.d.get(f"/problems/{name}")
            self.assertEqual(a.status, 200, name)
            self.assertGreater(len(a.body), 40)
        self.assertProblem(self.d.get("/problems/none"), 404, "no-such-resource")

    def test_info_and_probes(self):
        a = self.d.get("/v1/info")
        self.assertRegex(a.json["version"], r"^\d+\.\d+\.\d+$")
        self.assertEqual(set(a.json["kinds"]), {"run", "shell", "sleep", "fetch"})
        self.assertIn("limits", a.json)
        self.assertEqual(a.json["limits"]["jobs_per_batch"], 1_000_000)
        self.assertEqual(self.d.get("/livez").status, 200)
        self.assertEqual(self.d.get("/readyz").status, 200)
        self.assertIn(b"/v1/gather", self.d.get("/").body)

    def test_every_answer_says_what_it_is(self):
        for target in ("/", "/v1/info", "/v1/tasks", "/none", "/problems/bad-job", "/livez"):
            a = self.d.get(target)
            self.assertEqual(a.headers["X-Content-Type-Options"], "nosniff", target)
            self.assertTrue(a.headers["Content-Type"])
            self.assertIsNone(a.headers["Access-Control-Allow-Origin"])

    def test_a_query_is_decoded(self):
        self.d.post("/v1/tasks", {"sleep": 0, "name": "a b&c=d\u00e9+"})
        for text in ("a%20b%26c%3Dd%C3%A9%2B", "a+b%26c=d%c3%a9%2b"):
            a = self.d.get(f"/v1/tasks?&name={text}&")
            self.assertEqual([t["name"] for t in a.json["tasks"]], ["a b&c=d\u00e9+"])

    def test_many_connections_at_once(self):
        raws = [self.d.raw(PATIENCE) for _ in range(300)]
        for raw in raws:
            raw.send("GET /v1/info HTTP/1.1\r\nHost: localhost\r\n")
        later = Later(self.d.get, "/livez")
        self.assertEqual(later.value().status, 200)
        for raw in raws:
            raw.send("\r\n")
        for raw in raws:
            self.assertEqual(raw.answer().status, 200)
            raw.sock.close()

    def test_dates(self):
        t = self.d.run({"sleep": 0})
        for name in ("created_at", "started_at", "finished_at"):
            self.assertTrue(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", t[name]), t)
