"""A small HTTP server for fetches: it does what a test tells it, and notes what it was asked."""

import http.server
import threading


class Server:
    """Routes are functions of the request's handler, by path (without the query).

    `requests` notes (method, path, headers, body) of each.
    """

    def __init__(self, host="127.0.0.1"):
        self.routes = {}
        self.requests = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def answer(self):
                n = int(self.headers.get("Content-Length") or 0)
                self.sent_body = self.rfile.read(n)
                outer.requests.append((self.command, self.path, self.headers, self.sent_body))
                route = outer.routes.get(self.path.split("?")[0])
                if route:
                    route(self)
                else:
                    self.ok(b"no such path\n", status=404)

            def ok(self, body, status=200, headers=None, length=None):
                """A whole answer."""
                self.send_response(status)
                for name, value in (headers or {}).items():
                    for v in value if isinstance(value, list) else [value]:
                        self.send_header(name, v)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_REPORT = answer

        class Threads(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, request, client_address):
                pass

        self._server = Threads((host, 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def file(self, path, body, **kwargs):
        self.routes[path] = lambda h: h.ok(body, **kwargs)
        return self.url + path

    def ranges(self, path, body, etag='"v1"'):
        """A file that answers Range and If-Range."""

        def route(h):
            text = h.headers.get("Range")
            condition = h.headers.get("If-Range")
            headers = {"ETag": etag, "Accept-Ranges": "bytes"}
            if not text or (condition and condition != etag):
                h.ok(body, headers=headers)
                return
            first = int(text.removeprefix("bytes=").split("-")[0])
            if first >= len(body):
                h.ok(b"", status=416, headers={**headers, "Content-Range": f"bytes */{len(body)}"})
                return
            h.ok(body[first:], status=206, headers={
                **headers, "Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"})

        self.routes[path] = route
        return self.url + path

    def cut(self, path, body, at, etag='"v1"'):
        """Says it sends `body`, and leaves after `at` bytes."""

        def route(h):
            h.send_response(200)
            h.send_header("Content-Length", str(len(body)))
            h.send_header("ETag", etag)
            h.end_headers()
            h.wfile.write(body[:at])
            h.wfile.flush()
            h.close_connection = True

        self.routes[path] = route
        return self.url + path

    def gated(self, path, first, rest=b"", status=200):
        """Sends `first`, waits for the returned event, then sends `rest`."""
        go_on = threading.Event()

        def route(h):
            h.send_response(status)
            h.send_header("Content-Length", str(len(first) + len(rest)))
            h.end_headers()
            h.wfile.write(first)
            h.wfile.flush()
            go_on.wait(60)
            h.wfile.write(rest)

        self.routes[path] = route
        return self.url + path, go_on

    def close(self):
        self._server.shutdown()
        self._server.server_close()
