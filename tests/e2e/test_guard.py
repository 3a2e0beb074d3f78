"""Who may ask: Host, Origin and Sec-Fetch-Site; docs/api.md, section 1."""

from harness import PATIENCE, Daemon, TestCase

OURS = ["127.0.0.1", "[::1]", "localhost", "LocalHost", "127.0.0.1:1", "[::1]:65535", "localhost:4284", "build.example.org",
        "BUILD.example.org:80"]
NOT_OURS = ["example.org", "127.0.0.2", "localhost.example.org", "localhos", "localhostx", "build.example.orgx",
            "x.build.example.org", "127.0.0.1.nip.io", "0.0.0.0", "::1", "[::1", "[::2]", "[::ffff:127.0.0.1]", "localhost:",
            "localhost:x", "localhost:123456", "localhost:80:80", "127.1", "2130706433", "user@localhost", "localhost/x",
            "localhost, example.org", "", "http://localhost", "localhost.", "*", "%6cocalhost"]


class Guard(TestCase):
    options = ("--host", "build.example.org")

    def ask(self, fields, method="GET", target="/v1/info", body=""):
        with self.d.raw(PATIENCE) as raw:
            raw.send(f"{method} {target} HTTP/1.1\r\n{fields}Content-Length: {len(body)}\r\n\r\n{body}")
            return raw.answer(method)

    def test_host(self):
        for host in OURS:
            self.assertEqual(self.ask(f"Host: {host}\r\n").status, 200, host)
        before = self.d.newest()
        for host in NOT_OURS:
            for method, target, body in (("GET", "/v1/info", ""), ("POST", "/v1/tasks", '{"sleep":0}'), ("GET", "/livez", ""),
                                         ("GET", "/none", ""), ("OPTIONS", "/v1/tasks", "")):
                a = self.ask(f"Host: {host}\r\n", method, target, body)
                self.assertProblem(a, 421, "misdirected-request")
        self.assertProblem(self.ask(""), 400, "bad-request")
        self.assertProblem(self.ask("Host: localhost\r\nHost: example.org\r\n"), 400, "bad-request")
        self.assertEqual(self.d.newest()[:2], before[:2])

    def test_other_origins(self):
        host = f"127.0.0.1:{self.d.ports[0]}"
        before = self.d.newest()
        for fields, good in (
                ("", True), (f"Origin: http://{host}\r\n", True), (f"Origin: HTTP://{host}\r\n", True),
                ("Origin: http://example.org\r\n", False), ("Origin: null\r\n", False), ("Origin: http://127.0.0.1\r\n", False),
                ("Origin: http://127.0.0.1:1\r\n", False), (f"Origin: file://{host}\r\n", False),
                (f"Origin: http://{host}.example.org\r\n", False), (f"Origin: http://{host}/\r\n", False),
                ("Origin: \r\n", False), ("Origin: http://localhost\r\n", False),
                ("Sec-Fetch-Site: none\r\n", True), ("Sec-Fetch-Site: same-origin\r\n", True),
                ("Sec-Fetch-Site: same-site\r\n", False), ("Sec-Fetch-Site: cross-site\r\n", False),
                ("Sec-Fetch-Site: x\r\n", False), ("Sec-Fetch-Site: \r\n", False),
                ("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n", False),
                (f"Sec-Fetch-Site: cross-site\r\nOrigin: http://{host}\r\n", False),
                ("sec-fetch-site: cross-site\r\n", False), ("oRIGIN: http://example.org\r\n", False),
                ("Referer: http://example.org/\r\n", True)):
            for method, target, body in (("GET", "/v1/info", ""), ("GET", "/v1/tasks", ""), ("POST", "/v1/tasks", '{"sleep":-1}'),
                                         ("POST", "/v1/gather", "x"), ("OPTIONS", "/v1/tasks", ""), ("HEAD", "/", ""),
                                         ("GET", "/readyz", "")):
                with self.subTest(fields=fields, target=target, method=method):
                    a = self.ask(f"Host: {host}\r\n{fields}", method, target, body)
                    if good:
                        self.assertIn(a.status, (200, 204, 400), a)
                    elif method == "HEAD":
                        self.assertEqual(a.status, 403)
                    else:
                        self.assertProblem(a, 403, "forbidden")
        self.assertEqual(self.d.newest()[:2], before[:2])

    def test_a_preflight_is_refused(self):
        a = self.ask("Host: localhost\r\nOrigin: http://example.org\r\nAccess-Control-Request-Method: POST\r\n"
                     "Access-Control-Request-Headers: content-type\r\n", "OPTIONS", "/v1/tasks")
        self.assertEqual(a.status, 403)
        self.assertFalse([name for name in a.headers if name.lower().startswith("access-control")])

    def test_the_body_of_who_is_refused_is_no_request(self):
        before = self.d.newest()
        inner = "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n{\"sleep\":0}"
        with self.d.raw(PATIENCE) as raw:
            raw.send(f"POST /v1/tasks HTTP/1.1\r\nHost: example.org\r\nContent-Length: {len(inner)}\r\n\r\n{inner}")
            self.assertEqual(raw.answer().status, 421)
            self.assertEqual(raw.rest(), b"")
        self.assertEqual(self.d.newest()[:2], before[:2])

    def test_a_unix_socket_wants_a_host_too(self):
        path = self.tmp() + "/s"
        d = Daemon(listen=[f"unix:{path}"])
        self.addCleanup(d.end)
        d.start()
        self.assertEqual(d.get("/livez").status, 200)
        self.assertEqual(d.get("/livez", headers={"Host": "example.org"}).status, 421)
