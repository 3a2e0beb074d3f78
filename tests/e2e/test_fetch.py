"""Fetches: docs/fetch.md, and section 2 of docs/api.md, against a server of our own."""

import base64
import hashlib
import os
import socket
import threading
import time

from harness import PATIENCE, SLOWER, TestCase, eventually
from server import Server

BINARY = bytes(range(256)) * 1000  # 256,000: more than may stay in memory
LARGE = b"0123456789abcdef" * 200_000


def sha(data):
    return hashlib.sha256(data).hexdigest()


class FetchCase(TestCase):
    options = ("--slots", "2")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server()
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.server.requests.clear()

    def fetch(self, url, **members):
        return self.d.run({"fetch": {"url": url, **members}})

    def assertFails(self, task, reason, status=None):
        e = task["exception"]
        self.assertEqual((task["state"], e and e["type"], e and e.get("reason")),
                         ("failed", "FetchError", reason), task)
        self.assertTrue(e["message"])
        if status is not None:
            self.assertEqual(e["status"], status)
        return e


class Memory(FetchCase):
    def test_a_url_alone(self):
        url = self.server.file("/a", b"hello\n", headers={"X-Thing": "1", "Content-Type": "text/x"})
        t = self.d.run({"fetch": url})
        self.assertEqual((t["state"], t["kind"]), ("succeeded", "fetch"))
        r = t["result"]
        self.assertEqual((r["status"], r["body"], r["bytes"], r["sha256"]),
                         (200, "hello\n", 6, sha(b"hello\n")))
        self.assertEqual((r["headers"]["x-thing"], r["headers"]["content-type"]), ("1", "text/x"))
        self.assertNotIn("path", r)
        self.assertEqual(self.d.get(t["links"]["stdout"]).body, b"hello\n")
        self.assertIsNone(t["progress"])

    def test_what_is_sent_by_default(self):
        self.d.run({"fetch": self.server.file("/a", b"")})
        method, path, headers, body = self.server.requests[0]
        self.assertEqual((method, path, body), ("GET", "/a", b""))
        self.assertTrue(headers["User-Agent"].startswith("gatherd/"))
        self.assertEqual(headers["Accept"], "*/*")
        self.assertIsNone(headers["Accept-Encoding"])
        self.assertIsNone(headers["Cookie"])
        self.assertIsNone(headers["Authorization"])

    def test_method_headers_and_body(self):
        url = self.server.file("/a", b"ok")
        self.fetch(url, headers={"X-A": "b", "User-Agent": "me", "Accept": "text/x"})
        h = self.server.requests[-1][2]
        self.assertEqual((h["X-A"], h.get_all("User-Agent"), h.get_all("Accept")),
                         ("b", ["me"], ["text/x"]))
        self.fetch(url, body="k=\u00e9")
        method, _, h, body = self.server.requests[-1]
        self.assertEqual((method, body, h["Content-Type"]),
                         ("POST", "k=\u00e9".encode(), "application/x-www-form-urlencoded"))
        self.fetch(url, body="{}", method="PUT", headers={"content-type": "application/json"})
        method, _, h, body = self.server.requests[-1]
        self.assertEqual((method, body, h.get_all("Content-Type")), ("PUT", b"{}", ["application/json"]))
        for method in ("DELETE", "PATCH", "REPORT"):
            self.assertEqual(self.fetch(url, method=method)["state"], "succeeded")
            self.assertEqual(self.server.requests[-1][0], method)
        t = self.fetch(url, method="HEAD")
        self.assertEqual((t["result"]["status"], t["result"]["bytes"]), (200, 0))

    def test_a_body_that_is_not_utf8_comes_in_base64(self):
        small = b"\xff\0\x80binary"
        t = self.d.run({"fetch": self.server.file("/b", small)})
        self.assertEqual(base64.b64decode(t["result"]["body_base64"]), small)
        self.assertNotIn("body", t["result"])
        self.assertEqual(self.d.get(t["links"]["stdout"]).body, small)
        self.assertEqual(t["result"]["bytes"], len(small))

    def test_a_large_body_that_is_not_utf8_comes_in_base64_too(self):
        t = self.d.run({"fetch": self.server.file("/c", BINARY)})
        self.assertEqual((t["result"]["bytes"], t["result"]["sha256"]), (len(BINARY), sha(BINARY)))
        self.assertEqual(self.d.get(t["links"]["stdout"]).body, BINARY)
        self.assertEqual(set(t["result"]), {"status", "headers", "bytes", "sha256", "body_base64"})
        self.assertEqual(base64.b64decode(t["result"]["body_base64"]), BINARY)
        for n in (65537, 65538, 65539):
            t = self.d.run({"fetch": self.server.file("/c", BINARY[:n])})
            self.assertEqual(base64.b64decode(t["result"]["body_base64"]), BINARY[:n])

    def test_a_large_text(self):
        t = self.d.run({"fetch": self.server.file("/l", LARGE)})
        self.assertEqual(t["result"]["body"], LARGE.decode())
        self.assertEqual(self.d.get(t["links"]["stdout"]).body, LARGE)

    def test_headers_of_the_answer(self):
        url = self.server.file("/h", b"", headers={
            "X-Multi": ["a", "b"], "Set-Cookie": ["c=1", "d=2"], "X-Upper-CASE": "V"})
        h = self.d.run({"fetch": url})["result"]["headers"]
        self.assertEqual((h["x-multi"], h["x-upper-case"]), ("a, b", "V"))
        self.assertEqual(h["set-cookie"], ["c=1", "d=2"])

    def test_no_header_hides_the_body(self):
        t = self.d.run({"fetch": self.server.file("/p", b"here", headers={"Path": "/x", "Body": "y"})})
        self.assertEqual((t["result"]["body"], t["result"]["headers"]["path"]), ("here", "/x"))

    def test_statuses(self):
        for status in (200, 201, 202, 203, 299, 304):
            url = self.server.file("/s", b"" if status == 304 else b"x", status=status)
            t = self.d.run({"fetch": url})
            self.assertEqual(t["result"]["status"], status, t)
        for status in (400, 401, 404, 410, 418, 429, 500, 503, 599):
            t = self.d.run({"fetch": self.server.file("/s", b"the reason\n", status=status)})
            self.assertFails(t, "status", status)
            self.assertEqual(self.d.get(t["links"]["stdout"]).body, b"the reason\n")

    def test_of_a_bad_status_64_kib_are_kept(self):
        t = self.d.run({"fetch": self.server.file("/s", LARGE, status=500)})
        self.assertFails(t, "status", 500)
        self.assertEqual(self.d.get(t["links"]["stdout"]).body, LARGE[:65536])

    def test_chunked_bodies(self):
        def route(h):
            h.send_response(200)
            h.send_header("Transfer-Encoding", "chunked")
            h.end_headers()
            for piece in (b"one ", b"two ", b"three"):
                h.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            h.wfile.write(b"0\r\n\r\n")
        self.server.routes["/chunked"] = route
        t = self.d.run({"fetch": self.server.url + "/chunked"})
        self.assertEqual((t["result"]["body"], t["result"]["bytes"]), ("one two three", 13))

    def test_user_and_password_of_the_url(self):
        self.server.file("/a", b"")
        self.d.run({"fetch": f"http://me:se%20cret@127.0.0.1:{self.server.port}/a"})
        self.assertEqual(self.server.requests[0][2]["Authorization"],
                         "Basic " + base64.b64encode(b"me:se cret").decode())

    def test_no_proxy_and_no_netrc_of_the_environment(self):
        d = self.daemon(env={"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9",
                             "ALL_PROXY": "http://127.0.0.1:9", "HOME": self.tmp()})
        t = d.run({"fetch": self.server.file("/a", b"direct")})
        self.assertEqual(t["result"]["body"], "direct")

    def test_a_body_in_memory_can_be_followed(self):
        url, go_on = self.server.gated("/g", b"first\n", b"second\n")
        t = self.d.create({"fetch": url})
        with self.d.raw(PATIENCE) as raw:
            raw.send(f"GET {t['links']['stdout']}?follow=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            raw.head()
            self.assertEqual(int(raw._until(b"\r\n"), 16), 6)
            self.assertEqual(raw._exactly(6), b"first\n")
            raw._until(b"\r\n")
            go_on.set()
            self.assertEqual(raw._chunks(), b"second\n")
        self.assertEqual(self.d.done(t["id"])["result"]["body"], "first\nsecond\n")

    def test_what_came_before_a_failure_stays_readable(self):
        t = self.d.run({"fetch": self.server.cut("/cut", b"x" * 1000, 500)})
        self.assertFails(t, "closed")
        self.assertEqual(self.d.get(t["links"]["stdout"]).body, b"x" * 500)

    def test_progress(self):
        url, go_on = self.server.gated("/p", b"a" * 1000, b"b" * 2000)
        t = self.d.create({"fetch": url})
        p = eventually("progress", lambda: (p := self.d.task(t["id"])["progress"]) and p["bytes"] and p)
        self.assertEqual(p, {"bytes": 1000, "total": 3000})
        self.assertEqual(self.d.state(t["id"]), "running")
        go_on.set()
        self.assertIsNone(self.d.done(t["id"])["progress"])

    def test_progress_without_a_length(self):
        go_on = threading.Event()

        def route(h):
            h.send_response(200)
            h.send_header("Connection", "close")
            h.end_headers()
            h.wfile.write(b"12345")
            h.wfile.flush()
            go_on.wait(60)
            h.close_connection = True
        self.server.routes["/endless"] = route
        t = self.d.create({"fetch": self.server.url + "/endless"})
        p = eventually("progress", lambda: (p := self.d.task(t["id"])["progress"]) and p["bytes"] and p)
        self.assertEqual(p, {"bytes": 5, "total": None})
        go_on.set()
        self.assertEqual(self.d.done(t["id"])["result"]["bytes"], 5)


class Files(FetchCase):
    def test_to_a_file(self):
        to = os.path.join(self.tmp(), "out file \u00e9")
        t = self.fetch(self.server.file("/f", BINARY), to=to)
        r = t["result"]
        self.assertEqual((r["path"], r["bytes"], r["sha256"]), (to, len(BINARY), sha(BINARY)))
        self.assertNotIn("body", r)
        self.assertNotIn("body_base64", r)
        with open(to, "rb") as f:
            self.assertEqual(f.read(), BINARY)
        self.assertEqual(os.listdir(os.path.dirname(to)), ["out file \u00e9"])

    def test_the_old_file_stays_until_the_new_one_is_whole(self):
        to = os.path.join(self.tmp(), "f")
        with open(to, "w") as f:
            f.write("old")
        url, go_on = self.server.gated("/g", b"new ", b"content")
        t = self.d.create({"fetch": {"url": url, "to": to}})
        part = f"{to}.gatherd-{t['id']}.part"
        eventually("the part", lambda: os.path.exists(part) and os.path.getsize(part) == 4)
        with open(to) as f:
            self.assertEqual(f.read(), "old")
        go_on.set()
        self.d.done(t["id"])
        with open(to) as f:
            self.assertEqual(f.read(), "new content")
        self.assertEqual(os.listdir(os.path.dirname(to)), ["f"])

    def test_a_failure_leaves_nothing(self):
        d = self.tmp()
        with open(f"{d}/f", "w") as f:
            f.write("old")
        t = self.fetch(self.server.cut("/cut", b"x" * 1000, 500), to=f"{d}/f")
        self.assertFails(t, "closed")
        t = self.fetch(self.server.file("/404", b"nothing", status=404), to=f"{d}/f")
        self.assertFails(t, "status", 404)
        self.assertEqual(self.d.get(t["links"]["stdout"]).body, b"nothing")
        t = self.fetch(self.server.file("/a", b"abc"), to=f"{d}/f", sha256="0" * 64)
        self.assertFails(t, "checksum")
        t = self.fetch(self.server.file("/a", b"abc"), to=f"{d}/f", max_bytes=2)
        self.assertFails(t, "too-large")
        self.assertEqual(os.listdir(d), ["f"])
        with open(f"{d}/f") as f:
            self.assertEqual(f.read(), "old")

    def test_files_that_cannot_be_written(self):
        d = self.tmp()
        os.mkdir(f"{d}/dir")
        url = self.server.file("/a", b"abc")
        for to in (f"{d}/none/f", f"{d}/dir", "/proc/nothing/f", f"{d}/{'x' * 300}"):
            self.assertFails(self.fetch(url, to=to), "file")
        self.assertEqual(os.listdir(d), ["dir"])

    def test_a_link_is_replaced_and_not_followed(self):
        d = self.tmp()
        with open(f"{d}/other", "w") as f:
            f.write("keep")
        os.symlink("other", f"{d}/link")
        self.fetch(self.server.file("/a", b"abc"), to=f"{d}/link")
        self.assertFalse(os.path.islink(f"{d}/link"))
        with open(f"{d}/other") as f:
            self.assertEqual(f.read(), "keep")

    def test_304_leaves_the_file(self):
        d = self.tmp()
        with open(f"{d}/f", "w") as f:
            f.write("old")
        t = self.fetch(self.server.file("/304", b"", status=304), to=f"{d}/f",
                       headers={"If-None-Match": '"x"'})
        self.assertEqual(t["result"]["status"], 304)
        with open(f"{d}/f") as f:
            self.assertEqual(f.read(), "old")

    def test_sha256(self):
        url = self.server.file("/a", b"abc")
        for digest in (sha(b"abc"), sha(b"abc").upper()):
            self.assertEqual(self.fetch(url, sha256=digest)["state"], "succeeded")
        self.assertFails(self.fetch(url, sha256=sha(b"abd")), "checksum")

    def test_max_bytes(self):
        url = self.server.file("/a", b"abc")
        self.assertEqual(self.fetch(url, max_bytes=3)["state"], "succeeded")
        self.assertFails(self.fetch(url, max_bytes=2), "too-large")
        self.assertFails(self.fetch(url, max_bytes=0), "too-large")
        self.assertEqual(self.fetch(self.server.file("/e", b""), max_bytes=0)["state"], "succeeded")

        def route(h):  # says nothing about its length
            h.send_response(200)
            h.send_header("Connection", "close")
            h.end_headers()
            h.wfile.write(LARGE)
            h.close_connection = True
        self.server.routes["/unknown"] = route
        self.assertFails(self.fetch(self.server.url + "/unknown", max_bytes=100_000), "too-large")


class Resuming(FetchCase):
    def broken(self, to, at=120_000, **members):
        """A first attempt that breaks off after `at` bytes."""
        url = self.server.cut("/r", BINARY, at)
        t = self.fetch(url, to=to, resume=True, **members)
        self.assertFails(t, "closed")
        self.assertEqual(os.path.getsize(to + ".part"), at)
        return url

    def assertWhole(self, to, task):
        self.assertEqual(task["state"], "succeeded", task)
        self.assertEqual((task["result"]["bytes"], task["result"]["sha256"]), (len(BINARY), sha(BINARY)))
        with open(to, "rb") as f:
            self.assertEqual(f.read(), BINARY)
        self.assertEqual(os.listdir(os.path.dirname(to)), [os.path.basename(to)])

    def test_the_rest_is_asked_for(self):
        to = os.path.join(self.tmp(), "f")
        self.broken(to)
        t = self.fetch(self.server.ranges("/r", BINARY), to=to, resume=True)
        self.assertWhole(to, t)
        headers = self.server.requests[-1][2]
        self.assertEqual((headers["Range"], headers["If-Range"]), ("bytes=120000-", '"v1"'))
        self.assertEqual(t["result"]["status"], 206)

    def test_a_changed_file_comes_whole(self):
        to = os.path.join(self.tmp(), "f")
        self.broken(to)
        t = self.fetch(self.server.ranges("/r", BINARY, etag='"v2"'), to=to, resume=True)
        self.assertWhole(to, t)
        self.assertEqual(t["result"]["status"], 200)

    def test_a_server_without_ranges_sends_all(self):
        to = os.path.join(self.tmp(), "f")
        self.broken(to)
        self.assertWhole(to, self.fetch(self.server.file("/r", BINARY), to=to, resume=True))

    def test_a_wrong_part_with_sha256_is_removed(self):
        to = os.path.join(self.tmp(), "f")
        with open(to + ".part", "wb") as f:
            f.write(b"wrong" * 1000)
        url = self.server.ranges("/r", BINARY)
        t = self.fetch(url, to=to, resume=True, sha256=sha(BINARY))
        self.assertFails(t, "checksum")
        self.assertEqual(os.listdir(os.path.dirname(to)), [])
        self.assertWhole(to, self.fetch(url, to=to, resume=True, sha256=sha(BINARY)))

    def test_a_part_of_unknown_version_starts_over(self):
        to = os.path.join(self.tmp(), "f")
        with open(to + ".part", "wb") as f:
            f.write(b"wrong" * 1000)
        self.assertWhole(to, self.fetch(self.server.ranges("/r", BINARY), to=to, resume=True))
        self.assertIsNone(self.server.requests[-1][2]["Range"])

    def test_a_complete_part_is_only_checked(self):
        to = os.path.join(self.tmp(), "f")
        with open(to + ".part", "wb") as f:
            f.write(BINARY)
        t = self.fetch(self.server.ranges("/r", BINARY), to=to, resume=True, sha256=sha(BINARY))
        self.assertWhole(to, t)
        self.assertEqual(t["result"]["status"], 416)

    def test_cancel_and_timeout_keep_the_part(self):
        to = os.path.join(self.tmp(), "f")
        url, go_on = self.server.gated("/g", BINARY[:100_000], BINARY[100_000:])
        t = self.d.create({"fetch": {"url": url, "to": to, "resume": True}})
        eventually("some of it", lambda: os.path.exists(to + ".part")
                   and os.path.getsize(to + ".part") == 100_000)
        self.d.cancel(t["id"])
        self.assertEqual(self.d.done(t["id"])["state"], "cancelled")
        self.assertEqual(os.path.getsize(to + ".part"), 100_000)
        t = self.d.run({"fetch": {"url": url, "to": to, "resume": True}, "timeout": 0.3})
        self.assertEqual(t["exception"]["type"], "TimeoutError")
        go_on.set()

    def test_two_at_one_part(self):
        to = os.path.join(self.tmp(), "f")
        url, go_on = self.server.gated("/g", b"abc", b"def")
        t = self.d.create({"fetch": {"url": url, "to": to, "resume": True}})
        eventually("the part", lambda: os.path.exists(to + ".part"))
        self.assertFails(self.fetch(url, to=to, resume=True), "file")
        go_on.set()
        self.assertEqual(self.d.done(t["id"])["state"], "succeeded")


class Failures(FetchCase):
    def test_nobody_listens(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.assertFails(self.d.run({"fetch": f"http://127.0.0.1:{port}/"}), "refused")

    def test_a_name_that_does_not_resolve(self):
        self.assertFails(self.d.run({"fetch": "http://no-such-host.invalid/"}), "dns")

    def test_no_tls_on_that_port(self):
        self.assertFails(self.d.run({"fetch": f"https://127.0.0.1:{self.server.port}/"}), "tls")

    def test_not_http(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def speak():
                c, _ = listener.accept()
                c.recv(1000)
                c.sendall(b"220 mail.example.org ESMTP\r\n")
                c.close()
            threading.Thread(target=speak, daemon=True).start()
            t = self.d.run({"fetch": f"http://127.0.0.1:{listener.getsockname()[1]}/"})
        self.assertFails(t, "protocol")

    def test_no_answer_at_all(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def hang_up():
                for _ in range(3):
                    c, _ = listener.accept()
                    c.recv(1000)
                    c.close()
            threading.Thread(target=hang_up, daemon=True).start()
            t = self.d.run({"fetch": f"http://127.0.0.1:{listener.getsockname()[1]}/"})
        self.assertFails(t, "closed")

    def redirect(self, path, to, status=302):
        return self.server.file(path, b"", status=status, headers={"Location": to})

    def test_redirects(self):
        self.server.file("/end", b"here")
        url = self.redirect("/1", "/2")
        self.redirect("/2", self.server.url + "/end")
        self.assertEqual(self.d.run({"fetch": url})["result"]["body"], "here")
        for i in range(10):
            self.redirect(f"/ten{i}", f"/ten{i + 1}" if i < 9 else "/end")
        self.assertEqual(self.d.run({"fetch": self.server.url + "/ten0"})["result"]["body"], "here")
        loop = self.redirect("/loop", "/loop")
        self.server.requests.clear()
        self.assertFails(self.d.run({"fetch": loop}), "redirect")
        self.assertEqual(len(self.server.requests), 11)

    def test_redirects_to_other_schemes_are_refused(self):
        secret = os.path.join(self.tmp(), "secret")
        with open(secret, "w") as f:
            f.write("secret")
        for to in (f"file://{secret}", "gopher://127.0.0.1:70/_x", "ftp://127.0.0.1/x", "dict://127.0.0.1/x",
                   "javascript:1", "smb://127.0.0.1/x", "FILE:///etc/passwd", "ldap://127.0.0.1"):
            t = self.d.run({"fetch": self.redirect("/evil", to)})
            self.assertFails(t, "redirect")
            self.assertNotIn(b"secret", self.d.get(t["links"]["stdout"]).body)

    def test_a_redirect_without_a_place_is_an_answer(self):
        t = self.d.run({"fetch": self.server.file("/nowhere", b"x", status=302)})
        self.assertFails(t, "redirect", 302)

    def test_methods_after_a_redirect(self):
        self.server.file("/end", b"")
        for status, method, then in ((301, "POST", "GET"), (302, "POST", "GET"), (303, "POST", "GET"),
                                     (303, "PUT", "GET"), (307, "POST", "POST"), (308, "PUT", "PUT"),
                                     (301, "PUT", "PUT")):
            self.server.requests.clear()
            t = self.fetch(self.redirect("/r", "/end", status), method=method, body="x")
            self.assertEqual(t["state"], "succeeded", (status, method))
            self.assertEqual(self.server.requests[-1][0], then, (status, method))
            self.assertEqual(self.server.requests[-1][3], b"" if then == "GET" else b"x")

    def test_credentials_do_not_go_to_another_host(self):
        other = Server()
        self.addCleanup(other.close)
        other.file("/end", b"")
        url = self.redirect("/r", f"http://localhost:{other.port}/end")
        self.fetch(url, headers={"Authorization": "Bearer s", "Cookie": "c=1", "X-Other": "y"})
        self.assertEqual(self.server.requests[-1][2]["Authorization"], "Bearer s")
        headers = other.requests[-1][2]
        self.assertEqual((headers["Authorization"], headers["Cookie"], headers["X-Other"]),
                         (None, None, "y"))

    def test_urls_that_are_none(self):
        for url in ("http://[::1", "http://127.0.0.1:99999999/", "http://127.0.0.1:abc/"):
            a = self.d.post("/v1/tasks?wait=20", {"fetch": url})
            if a.status == 200:
                self.assertFails(a.json, "url")
            else:
                self.assertProblem(a, 400, "bad-job")

    def test_timeout(self):
        url, go_on = self.server.gated("/slow", b"some", b"more")
        before = time.monotonic()
        t = self.d.run({"fetch": url, "timeout": 0.3})
        self.assertWithin(time.monotonic() - before, 0.3, 2 * SLOWER)
        self.assertEqual(t["exception"]["type"], "TimeoutError")
        self.assertEqual(self.d.get(t["links"]["stdout"]).body, b"some")
        go_on.set()

    def test_cancel_while_it_waits_for_an_answer(self):
        silent = threading.Event()
        self.server.routes["/silent"] = lambda h: silent.wait(60)
        t = self.d.create({"fetch": self.server.url + "/silent"})
        eventually("it was asked", lambda: self.server.requests)
        before = time.monotonic()
        self.d.cancel(t["id"], {"msg": "enough"})
        t = self.d.done(t["id"])
        self.assertLess(time.monotonic() - before, 1 * SLOWER)
        self.assertEqual((t["state"], t["exception"]["type"], t["exception"]["msg"]),
                         ("cancelled", "CancelledError", "enough"))
        silent.set()


class Bounds(FetchCase):
    def test_sixteen_from_one_host(self):
        busy = [0, 0]
        lock = threading.Lock()
        go_on = threading.Event()

        def route(h):
            with lock:
                busy[0] += 1
                busy[1] = max(busy)
            go_on.wait(60)
            with lock:
                busy[0] -= 1
            h.ok(b"x")

        self.server.routes["/busy"] = route
        b = self.d.submit([{"fetch": self.server.url + f"/busy?{i}"} for i in range(40)])
        eventually("sixteen", lambda: busy[0] == 16)
        pending = self.d.get(f"/v1/tasks?batch={b['id']}&state=pending").json["tasks"]
        self.assertEqual(len(pending), 24)
        self.assertEqual({t["reason"] for t in pending}, {"limit"})
        other = Server()  # another port is another host
        self.addCleanup(other.close)
        self.assertEqual(self.d.run({"fetch": other.file("/a", b"ok")})["state"], "succeeded")
        go_on.set()
        self.assertEqual(self.d.batch_done(b["id"])["state"], "succeeded")
        self.assertEqual(busy[1], 16)

    def test_fetches_take_no_slot(self):
        gate = self.gate()
        blockers = [self.d.create({"shell": gate.shell}) for _ in range(2)]
        gate.started(2)
        self.assertEqual(self.d.run({"fetch": self.server.file("/a", b"ok")})["state"], "succeeded")
        gate.release()
        for b in blockers:
            self.d.done(b["id"])

    def test_settings_bound_fetches(self):
        d = self.daemon("--fetches", "3", "--fetches-a-host", "2")
        url, go_on = self.server.gated("/g", b"a", b"b")
        other = Server()
        self.addCleanup(other.close)
        url2, go_on2 = other.gated("/g", b"a", b"b")
        b = d.submit([{"fetch": url}] * 5 + [{"fetch": url2}] * 5)
        eventually("three are asked for", lambda: len(self.server.requests) + len(other.requests) == 3)
        self.assertEqual((len(self.server.requests), len(other.requests)), (2, 1))
        self.assertEqual(d.batch(b["id"])["counts"]["running"], 3)
        go_on.set()
        go_on2.set()
        self.assertEqual(d.batch_done(b["id"])["state"], "succeeded")

    def test_a_hundred_at_once_come_back_in_order(self):
        for i in range(100):
            self.server.file(f"/n{i}", str(i).encode())
        a = self.d.gather([{"fetch": f"{self.server.url}/n{i}"} for i in range(100)])
        self.assertEqual([e["result"]["body"] for e in a.json["results"]], [str(i) for i in range(100)])
