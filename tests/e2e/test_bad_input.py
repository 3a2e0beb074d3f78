"""Bad bodies, paths, queries and headers: each gets its problem, and creates nothing."""

import json

from harness import TestCase

OK = {"sleep": 0}

# Not JSON as RFC 8259 has it.
NOT_JSON = [
    b"", b" ", b"\n", b"{", b"}", b"[", b"]", b"{]", b"[}", b"nul", b"tru", b"True", b"None", b"{'sleep':0}",
    b"{sleep:0}", b'{"sleep":0,}', b'{"sleep" 0}', b'{"sleep":}', b'{,"sleep":0}', b'{"sleep":0 "name":"x"}',
    b'{"sleep":01}', b'{"sleep":.5}', b'{"sleep":1.}', b'{"sleep":+1}', b'{"sleep":0x1}', b'{"sleep":1e}',
    b'{"sleep":NaN}', b'{"sleep":Infinity}', b'{"sleep":-Infinity}', b'{"sleep":1e400}', b'{"sleep":-}',
    b'{"sleep":0}x', b'{"sleep":0}{}', b'{"sleep":0},', b'{"sleep":0}\0', b'\xef\xbb\xbf{"sleep":0}',
    b'{"sleep":0,"name":"\xff"}', b'{"sleep":0,"name":"\xc0\xaf"}', b'{"sleep":0,"name":"\xed\xa0\x80"}',
    b'{"sleep":0,"name":"\xf5\x80\x80\x80"}', b'{"sleep":0,"name":"\xe2\x82"}', b'{"sleep":0,"name":"a\nb"}',
    b'{"sleep":0,"name":"a\tb"}', b'{"sleep":0,"name":"a\0b"}', b'{"sleep":0,"name":"\\x41"}',
    b'{"sleep":0,"name":"\\u12"}', b'{"sleep":0,"name":"\\u12g4"}', b'{"sleep":0,"name":"\\ud800"}',
    b'{"sleep":0,"name":"\\udc00\\ud800"}', b'{"sleep":0,"name":"x}', b'{"sleep":0,"name":"x\\"}',
    b'{"sleep":0,"sleep":0}', b'{"sleep":0,"\\u0073leep":1}', b'{"sleep":0,"value":{"a":1,"a":2}}',
    b'{"sleep":0 /* no */}', b'// no\n{"sleep":0}', b'{"sleep":0,"value":[1,]}', b'{"sleep":0,"value":[,1]}',
    b'{"sleep":0,"value":' + b"[" * 65 + b"]" * 65 + b"}", b"[" * 100_000, b'\x0b{"sleep":0}',
    '{"sleep":0}'.encode("utf-16"), '{"sleep":0}'.encode("utf-32-le"), b"sleep=0", b"<job/>", b"\xff\xfe",
]

# A job, and where its faults are.
BAD_JOBS = [
    # kinds
    (None, [""]), (1, [""]), ("x", [""]), (True, [""]), ({}, [""]), ({"name": "x"}, [""]),
    ({"run": ["true"], "shell": "true"}, [""]), ({"sleep": 0, "shell": "true"}, [""]),
    ({"run": ["true"], "shell": "true", "sleep": 0, "fetch": "http://x/"}, [""]),
    # run
    ({"run": "true"}, ["/run"]), ({"run": []}, ["/run"]), ({"run": {}}, ["/run"]), ({"run": None}, ["/run"]),
    ({"run": [1]}, ["/run/0"]), ({"run": [""]}, ["/run/0"]), ({"run": ["a", None, "b", 1]}, ["/run/1", "/run/3"]),
    ({"run": ["x"] * 16385}, ["/run"]), ({"run": ["x", "y" * 131072]}, ["/run/1"]), ({"run": [["x"]]}, ["/run/0"]),
    ({"run": ["x"] + ["y" * 131000] * 9}, [""]), ({"run": ["a\0b"]}, [""]),
    # shell
    ({"shell": ["true"]}, ["/shell"]), ({"shell": ""}, ["/shell"]), ({"shell": 1}, ["/shell"]),
    ({"shell": "x" * 131072}, ["/shell"]), ({"shell": "a\0b"}, [""]),
    # sleep
    ({"sleep": -1}, ["/sleep"]), ({"sleep": -0.001}, ["/sleep"]), ({"sleep": "1"}, ["/sleep"]),
    ({"sleep": None}, ["/sleep"]), ({"sleep": True}, ["/sleep"]), ({"sleep": []}, ["/sleep"]),
    ({"sleep": 1000000001}, ["/sleep"]), ({"sleep": 1e300}, ["/sleep"]),
    # fetch
    ({"fetch": 1}, ["/fetch"]), ({"fetch": []}, ["/fetch"]), ({"fetch": {}}, ["/fetch/url"]),
    ({"fetch": ""}, ["/fetch/url"]), ({"fetch": "ftp://x/"}, ["/fetch/url"]), ({"fetch": "file:///etc/passwd"}, ["/fetch/url"]),
    ({"fetch": "http://"}, ["/fetch/url"]), ({"fetch": "http://x/ y"}, ["/fetch/url"]), ({"fetch": "http:///x"}, ["/fetch/url"]),
    ({"fetch": "http://x/\r\nY: z"}, ["/fetch/url"]), ({"fetch": "http://x/" + "a" * 8192}, ["/fetch/url"]),
    ({"fetch": {"url": "http://" + "a" * 254 + "/"}}, ["/fetch/url"]),
    ({"fetch": {"url": 1, "method": "G E T", "headers": [], "body": 1, "to": "x", "sha256": "1", "max_bytes": -1,
                "resume": 1, "urI": 1}},
     ["/fetch/url", "/fetch/method", "/fetch/headers", "/fetch/body", "/fetch/to", "/fetch/sha256",
      "/fetch/max_bytes", "/fetch/resume", "/fetch/urI", "/fetch/url"]),
    ({"fetch": {"url": "http://x/", "headers": {"a b": "x", "c": "x\r\ny", "d": 1, "": "x"}}},
     ["/fetch/headers/a b", "/fetch/headers/c", "/fetch/headers/d", "/fetch/headers/"]),
    ({"fetch": {"url": "http://x/", "resume": True}}, ["/fetch/resume"]),
    ({"fetch": {"url": "http://x/", "resume": True, "to": "/x", "method": "POST"}}, ["/fetch/resume"]),
    ({"fetch": {"url": "http://x/", "to": "/x/"}}, ["/fetch/to"]), ({"fetch": {"url": "http://x/", "to": ""}}, ["/fetch/to"]),
    ({"fetch": {"url": "http://x/", "sha256": "g" * 64}}, ["/fetch/sha256"]),
    # members of all
    ({**OK, "name": ""}, ["/name"]), ({**OK, "name": 1}, ["/name"]), ({**OK, "name": None}, ["/name"]),
    ({**OK, "name": "x" * 513}, ["/name"]), ({**OK, "name": "a\0b"}, [""]),
    ({**OK, "labels": []}, ["/labels"]), ({**OK, "labels": {"a": 1, "b": "x", "c": None}}, ["/labels/a", "/labels/c"]),
    ({**OK, "labels": {"": "x"}}, ["/labels/"]), ({**OK, "labels": {"k" * 129: "x"}}, ["/labels"]),
    ({**OK, "labels": {"k": "x" * 1025}}, ["/labels/k"]), ({**OK, "labels": {f"k{i}": "" for i in range(65)}}, ["/labels"]),
    ({**OK, "labels": {"a/b": 1, "c~d": 1}}, ["/labels/a~1b", "/labels/c~0d"]),
    ({**OK, "priority": 1001}, ["/priority"]), ({**OK, "priority": -1001}, ["/priority"]),
    ({**OK, "priority": 1.5}, ["/priority"]), ({**OK, "priority": "1"}, ["/priority"]), ({**OK, "priority": None}, ["/priority"]),
    ({**OK, "timeout": -1}, ["/timeout"]), ({**OK, "timeout": "1"}, ["/timeout"]), ({**OK, "timeout": 1e10}, ["/timeout"]),
    ({**OK, "on_lost": "x"}, ["/on_lost"]), ({**OK, "on_lost": True}, ["/on_lost"]), ({**OK, "on": "slurm"}, ["/on"]),
    ({**OK, "on": None}, ["/on"]),
    # members of other kinds, unknown members
    *[({**OK, m: v}, ["/" + m]) for m, v in (("env", {}), ("cwd", "/"), ("stdin", ""), ("grace", 1), ("check", True),
                                            ("result", "full"), ("max_output", 1))],
    ({"run": ["true"], "value": 1}, ["/value"]), ({"fetch": "http://x/", "cwd": "/"}, ["/cwd"]),
    ({**OK, "nmae": "x"}, ["/nmae"]), ({**OK, "Name": "x"}, ["/Name"]), ({**OK, "": 1}, ["/"]),
    ({**OK, "a/b~c": 1}, ["/a~1b~0c"]), ({"cmd": ["true"]}, ["/cmd", ""]), ({**OK, "__proto__": {}}, ["/__proto__"]),
    # members of commands
    ({"shell": "x", "env": []}, ["/env"]), ({"shell": "x", "env": {"A": 1, "": "x", "B=": "x", "GATHERD_TASK": "1"}},
                                            ["/env/A", "/env/", "/env/B=", "/env/GATHERD_TASK"]),
    ({"shell": "x", "env": {"A": "x" * 131072}}, ["/env/A"]), ({"shell": "x", "env": {"A": "a\0b"}}, [""]),
    ({"shell": "x", "env": {f"V{i}": "" for i in range(4097)}}, ["/env"]),
    ({"shell": "x", "cwd": ""}, ["/cwd"]), ({"shell": "x", "cwd": "tmp"}, ["/cwd"]), ({"shell": "x", "cwd": 1}, ["/cwd"]),
    ({"shell": "x", "cwd": "/" * 4096}, ["/cwd"]), ({"shell": "x", "stdin": 1}, ["/stdin"]),
    ({"shell": "x", "stdin": None}, ["/stdin"]), ({"shell": "x", "grace": -1}, ["/grace"]),
    ({"shell": "x", "grace": None}, ["/grace"]), ({"shell": "x", "check": 1}, ["/check"]),
    ({"shell": "x", "check": "false"}, ["/check"]), ({"shell": "x", "result": "text"}, ["/result"]),
    ({"shell": "x", "result": None}, ["/result"]), ({"shell": "x", "max_output": -1}, ["/max_output"]),
    ({"shell": "x", "max_output": 1.5}, ["/max_output"]), ({"shell": "x", "max_output": 1 << 40}, ["/max_output"]),
    # many at once
    ({"run": [1, ""], "name": 1, "labels": 1, "priority": "x", "timeout": "x", "env": 1, "cwd": 1, "stdin": 1,
      "grace": "x", "check": 1, "result": 1, "max_output": "x", "on": 1, "on_lost": 1, "x": 1},
     ["/run/0", "/name", "/labels", "/priority", "/timeout", "/env", "/cwd", "/stdin", "/grace", "/check", "/result",
      "/max_output", "/on", "/on_lost", "/x"]),
]

# A batch that is none, and where its faults are.
BAD_BATCHES = [
    (None, [""]), (1, [""]), ("x", [""]), ({}, ["/jobs"]), ({"jobs": None}, ["/jobs"]), ({"jobs": {}}, ["/jobs"]),
    ({"jobs": OK}, ["/jobs"]), (OK, [""]), ({"shell": "x"}, [""]),
    ({"jobs": [], "return_exceptions": 1}, ["/return_exceptions"]),
    ({"jobs": [], "return_exceptions": "true"}, ["/return_exceptions"]),
    ({"jobs": [], "on_failure": "stop"}, ["/on_failure"]), ({"jobs": [], "on_failure": None}, ["/on_failure"]),
    ({"jobs": [], "concurrency": 0}, ["/concurrency"]), ({"jobs": [], "concurrency": -1}, ["/concurrency"]),
    ({"jobs": [], "concurrency": 1.5}, ["/concurrency"]), ({"jobs": [], "concurrency": "8"}, ["/concurrency"]),
    ({"jobs": [], "concurrency": 1000001}, ["/concurrency"]), ({"jobs": [], "timeout": -1}, ["/timeout"]),
    ({"jobs": [], "timeout": "1"}, ["/timeout"]), ({"jobs": [], "name": ""}, ["/name"]),
    ({"jobs": [], "labels": {"a": 1}}, ["/labels/a"]), ({"jobs": [], "priority": 1001}, ["/priority"]),
    ({"jobs": [], "return_exception": True}, ["/return_exception"]), ({"jobs": [], "x": 1, "y": 2}, ["/x", "/y"]),
    ({"name": 1, "jobs": [{"shell": 1}, OK, {"run": [1], "nmae": 1}, 7], "concurrency": 0, "x": 1},
     ["/name", "/jobs/0/shell", "/jobs/2/run/0", "/jobs/2/nmae", "/jobs/3", "/concurrency", "/x"]),
]

BAD_QUERIES = [
    ("/v1/tasks", q) for q in ("wiat=1", "wait=x", "wait=-1", "wait=86401", "wait=1&x", "on_disconnect=no", "wait=%zz",
                               "wait=%0", "wait=1%00", "%ff=1", "timeout=1", "name=x", "return_exceptions=1")
] + [
    ("/v1/batches", q) for q in ("wiat=1", "concurrency=0", "concurrency=x", "concurrency=1.5", "return_exceptions=2",
                                 "on_failure=stop", "timeout=x", "timeout=-1", "priority=1001", "priority=x", "label=x",
                                 "label==x", "name=", "jobs=1", "wait=1d1", "concurency=2")
]

BAD_PATHS = [
    "/v1", "/v1/", "/v1/task", "/v1/tasks/", "/v1/tasks/0", "/v1/tasks/x", "/v1/tasks/-1", "/v1/tasks/1.5", "/v1/tasks/01",
    "/v1/tasks/+1", "/v1/tasks/%31", "/v1/tasks/1/", "/v1/tasks/1/nothing", "/v1//tasks", "/v2/tasks", "/V1/tasks", "/v1/Tasks",
    "/v1/tasks/18446744073709551616", "/v1/tasks/99999999999999999999999", "/v1/batches/x", "/v1/batches/1/result",
    "/v1/gather/1", "/../v1/tasks", "/v1/./tasks", "/v1/tasks;x", "/favicon.ico", "/.well-known/x", "/v1/tasks/1/stdout/x",
    "/problems/", "/index.html",
]


class BadInput(TestCase):
    def assertNothingMade(self, before):
        self.assertEqual(self.d.newest()[:2], before[:2])

    def check(self, answer, pointers):
        body = self.assertProblem(answer, 400, "bad-job")
        self.assertEqual(sorted(answer.pointers), sorted(pointers), answer)
        for e in body["errors"]:
            self.assertTrue(e["detail"], body)

    def test_the_table_is_long(self):
        self.assertGreater(len(NOT_JSON) + len(BAD_JOBS) + len(BAD_BATCHES) + len(BAD_QUERIES) + len(BAD_PATHS), 250)

    def test_what_is_not_json(self):
        before = self.d.newest()
        for text in NOT_JSON:
            for target, body in (("/v1/tasks", text), ("/v1/batches", b'[{"sleep":0},' + text + b"]"),
                                 ("/v1/gather", b'{"jobs":[{"sleep":0}],"x":' + text + b"}")):
                if target != "/v1/tasks" and text in (b'{"sleep":0},', b'{"sleep":0}x'):
                    body = text
                with self.subTest(target=target, text=text[:60]):
                    a = self.d.post(target, body)
                    problem = self.assertProblem(a, 400, "bad-json")
                    self.assertRegex(problem["detail"], r"byte \d+" if body else "^the body is empty")
        self.assertNothingMade(before)

    def test_bad_jobs(self):
        before = self.d.newest()
        for job, pointers in BAD_JOBS:
            with self.subTest(job=str(job)[:100]):
                self.check(self.d.post("/v1/tasks", json.dumps(job)), pointers)
                self.check(self.d.post("/v1/batches", [OK, job, OK]), ["/1" + p for p in pointers])
                self.check(self.d.gather({"jobs": [OK, OK, job]}), ["/jobs/2" + p for p in pointers])
                lines = json.dumps(OK) + "\n\n" + json.dumps(job) + "\n" + json.dumps(OK)
                self.check(self.d.post("/v1/batches", lines, headers={"Content-Type": "application/x-ndjson"}),
                           ["/2" + p for p in pointers])
        self.assertNothingMade(before)

    def test_an_array_is_no_job(self):
        before = self.d.newest()
        for body in ([], [OK]):
            self.check(self.d.post("/v1/tasks", body), [""])
            self.check(self.d.post("/v1/batches", [body]), ["/0"])
        self.assertNothingMade(before)

    def test_bad_batches(self):
        before = self.d.newest()
        for body, pointers in BAD_BATCHES:
            for target in ("/v1/batches", "/v1/gather"):
                with self.subTest(target=target, body=body):
                    self.check(self.d.post(target, json.dumps(body)), pointers)
        self.assertNothingMade(before)

    def test_every_fault_of_all_jobs_in_one_answer(self):
        before = self.d.newest()
        some = [x for x in BAD_JOBS if len(json.dumps(x[0])) < 1000][:60]
        pointers = [f"/jobs/{i}{p}" for i, (_, ps) in enumerate(some) for p in ps]
        self.assertLessEqual(len(pointers), 100)
        self.check(self.d.post("/v1/batches", {"jobs": [job for job, _ in some]}), pointers)
        self.assertNothingMade(before)

    def test_at_most_a_hundred_are_named_and_the_rest_counted(self):
        before = self.d.newest()
        for body, headers in (({"jobs": [{"shell": 1}] * 5000}, {}),
                              ("{\"shell\":1}\n" * 5000, {"Content-Type": "application/x-ndjson"})):
            body = self.assertProblem(self.d.post("/v1/batches", body, headers=headers), 400, "bad-job")
            self.assertEqual((len(body["errors"]), body["errors_left_out"]), (100, 4900))
        self.assertNothingMade(before)

    def test_suggestions(self):
        for job, word in (({**OK, "nmae": "x"}, "name"), ({**OK, "prioritiy": 1}, "priority"),
                          ({"shel": "x"}, "shell"), ({"fetch": {"ur": "http://x/"}}, "url")):
            a = self.d.post("/v1/tasks", job)
            self.assertIn(f'did you mean \\"{word}\\"', a.body.decode())
        a = self.d.post("/v1/batches", {"jobs": [], "return_exception": True})
        self.assertIn('did you mean \\"return_exceptions\\"', a.body.decode())
        a = self.d.post("/v1/tasks?wiat=1", OK)
        self.assertIn('did you mean \\"wait\\"', a.body.decode())

    def test_bad_queries(self):
        before = self.d.newest()
        for target, query in BAD_QUERIES:
            with self.subTest(target=target, query=query):
                a = self.d.post(f"{target}?{query}", OK if target == "/v1/tasks" else [OK])
                self.assertIn((a.status, a.problem), ((400, "bad-request"), (400, "bad-job")), a)
        a = self.d.post("/v1/batches?" + "&".join(["label=a=b"] * 200), [OK])
        self.assertProblem(a, 400, "bad-request")
        self.assertNothingMade(before)

    def test_bad_paths(self):
        before = self.d.newest()
        for path in BAD_PATHS:
            for method, body in (("GET", None), ("POST", OK), ("PATCH", {})):
                with self.subTest(path=path, method=method):
                    self.assertProblem(self.d.http(method, path, body), 404, "no-such-resource")
        self.assertNothingMade(before)

    def test_bad_headers(self):
        before = self.d.newest()
        body = b'{"sleep":0}'
        for fields, status in (
                ("", 400), ("Host: localhost\r\nHost: localhost\r\n", 400), ("Host: localhost\r\nBad Name: x\r\n", 400),
                ("Host: localhost\r\nIdempotency-Key: \r\n", 400), ("Host: localhost\r\nIdempotency-Key: \"\"\r\n", 400),
                ("Host: localhost\r\nIdempotency-Key: " + "k" * 256 + "\r\n", 400),
                ("Host: localhost\r\nIdempotency-Key: a\xe9b\r\n", 400), ("Host: localhost\r\nX: a\x01b\r\n", 400),
                ("Host: localhost\r\n" + "".join(f"X-{i}: y\r\n" for i in range(70)), 431),
                ("Host: localhost\r\nX: " + "y" * 9000 + "\r\n", 431), ("Host: example.org\r\n", 421),
                ("Host: localhost\r\nContent-Type: text/plain\r\n", 415),
                ("Host: localhost\r\nContent-Type: application/jsonp\r\n", 415),
                ("Host: localhost\r\nContent-Type: application/x-ndjson\r\n", 415)):
            with self.subTest(fields=fields[:70]), self.d.raw() as raw:
                raw.send(b"POST /v1/tasks HTTP/1.1\r\n" + fields.encode("latin-1")
                         + b"Content-Length: 11\r\n\r\n" + body)
                a = raw.answer()
                self.assertEqual(a.status, status, a)
        self.assertNothingMade(before)

    def test_limits_themselves_are_allowed(self):
        for job in ({**OK, "name": "x" * 512}, {**OK, "name": "\u00e9" * 256}, {**OK, "labels": {"k" * 128: "v" * 1024}},
                    {**OK, "labels": {f"k{i}": "" for i in range(64)}}, {**OK, "priority": 1000}, {**OK, "priority": -1000},
                    {**OK, "timeout": None}, {**OK, "on": "local"}, {**OK, "on_lost": "rerun"}, {**OK, "name": "\\u0000"},
                    {"run": ["true"] + ["x"] * 16383}, {"run": ["true", "y" * 131071]}, {"shell": ":", "cwd": "/"},
                    {"shell": ":", "max_output": 0}, {"shell": ":", "env": {f"V{i}": "" for i in range(4096)}}):
            self.assertEqual(self.d.run(job)["state"], "succeeded", str(job)[:80])
        deep = b'{"sleep":0,"value":' + b"[" * 63 + b"]" * 63 + b"}"
        self.assertEqual(self.d.post("/v1/tasks", deep).status, 201)
        for job in ({"sleep": 1_000_000_000}, {**OK, "timeout": 1_000_000_000}):
            self.d.cancel(self.d.create(job)["id"])
        with self.d.raw() as raw:
            raw.send("POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: " + "k" * 255
                     + "\r\n" + "".join(f"X-{i}: y\r\n" for i in range(61)) + "Content-Length: 11\r\n\r\n{\"sleep\":0}")
            self.assertEqual(raw.answer().status, 201)
