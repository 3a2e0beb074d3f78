"""How the daemon starts: addresses, port files, settings, and what it refuses; docs/configuration.md."""

import os
import shutil
import socket
import stat
import subprocess
import unittest

from harness import BIN, PATIENCE, ROOT, Daemon, TestCase

GATHERD = os.path.join(BIN, "gatherd")


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


class StartCase(TestCase):
    options = None

    def refused(self, *args, status=(1, 2), env=None):
        """Starts it with these; it must end, and says why."""
        r = subprocess.run([GATHERD, *args], capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=self.tmp(),
                           env={**os.environ, "XDG_STATE_HOME": self.tmp(), **(env or {})})
        self.assertIn(r.returncode, status, r)
        self.assertTrue(r.stderr.startswith("gatherd: "), r)
        return r.stderr


class Addresses(StartCase):
    def test_several_at_once(self):
        path = self.tmp() + "/sock"
        addresses = ["127.0.0.1:0", "localhost:0", f"unix:{path}", "127.0.0.2:0"] + (["[::1]:0"] if has_ipv6() else [])
        d = Daemon(listen=addresses)
        self.addCleanup(d.end)
        d.start()
        self.assertEqual(len(d.ports), len(addresses) - 1)  # the socket has none
        self.assertEqual(len(set(d.ports)), len(d.ports))
        self.assertEqual(d.get("/livez").status, 200)
        task = d.create({"sleep": 0})["id"]
        for i, address in enumerate([f"unix:{path}"] + (["[::1]:0"] if has_ipv6() else [])):
            d.listen[0] = address
            ports, d.ports = d.ports, d.ports[-1:]
            self.assertEqual(d.done(task)["state"], "succeeded", i)
            d.ports = ports
        d.listen[0] = "127.0.0.1:0"

    @unittest.skipUnless(has_ipv6(), "there is no ::1 here")
    def test_ipv6_alone(self):
        d = Daemon(listen=["[::1]:0"])
        self.addCleanup(d.end)
        d.start()
        self.assertEqual(d.run({"shell": "echo 6"})["result"]["stdout"], "6\n")

    def test_a_unix_socket(self):
        path = self.tmp() + "/sock"
        d = Daemon(listen=[f"unix:{path}"])
        self.addCleanup(d.end)
        d.start()
        st = os.stat(path)
        self.assertTrue(stat.S_ISSOCK(st.st_mode))
        self.assertEqual(st.st_mode & 0o777, 0o600)
        self.assertEqual(d.run({"shell": "echo unix"})["result"]["stdout"], "unix\n")
        with open(d.port_file) as f:
            self.assertEqual(f.read(), "")
        d.restart(kill=True)  # what is left over of the killed one is no hindrance
        self.assertEqual(d.get("/livez").status, 200)
        self.assertEqual(d.stop(), 0)
        self.assertFalse(os.path.exists(path))
        d.start()

    def test_a_socket_of_another_daemon_is_left_alone(self):
        path = self.tmp() + "/sock"
        d = Daemon(listen=[f"unix:{path}"])
        self.addCleanup(d.end)
        d.start()
        inode = os.stat(path).st_ino
        text = self.refused("--state-dir", self.tmp() + "/other", "--listen", f"unix:{path}")
        self.assertIn(path, text)
        self.assertEqual(os.stat(path).st_ino, inode)
        self.assertEqual(d.get("/livez").status, 200)

    def test_a_file_that_is_no_socket_is_left_alone(self):
        path = self.tmp() + "/file"
        with open(path, "w") as f:
            f.write("precious")
        self.refused("--listen", f"unix:{path}")
        with open(path) as f:
            self.assertEqual(f.read(), "precious")

    def test_a_port_that_is_taken(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            text = self.refused("--listen", f"127.0.0.1:{s.getsockname()[1]}")
            self.assertIn("in use", text)

    def test_others_can_not_be_listened_to(self):
        for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[2001:db8::1]:0", "[::ffff:127.0.0.1]:0", "126.255.255.255:0"):
            text = self.refused("--listen", address)
            self.assertIn(address, text)
            self.assertIn("loopback", text)
        for address in ("", "x", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "::1:0", "[::1]", ":0", "*:0",
                        "example.org:0", "unix:", "unix:relative", "unix:/" + "x" * 120, "unix:/proc/sock", "127.1:0",
                        "127.0.0.1:-1", "http://127.0.0.1:0"):
            self.assertIn("--listen", self.refused("--listen", address))

    def test_one_bad_address_of_several(self):
        path = self.tmp() + "/sock"
        self.refused("--listen", f"unix:{path}", "--listen", "0.0.0.0:0")
        self.assertFalse(os.path.exists(path))


class Settings(StartCase):
    def config(self, text):
        path = self.tmp() + "/gatherd.conf"
        with open(path, "w") as f:
            f.write(text)
        return path

    def test_a_file_and_the_command_line(self):
        d = Daemon("--slots", "3")
        self.addCleanup(d.end)
        d.options += ["--config", self.config(
            "# comment\n\nslots = 2\nlisten = 0.0.0.0:1   # replaced\nhost = a.example.org\nhost=b.example.org\n"
            'max-body = 1M\n\tdurability\t=\trelaxed \nlog-level = "debug"\nmax_tasks = 7\n')]
        d.start()
        info = d.get("/v1/info").json
        self.assertIn("3", str(info["executors"]))
        for host in ("a.example.org", "b.example.org"):
            self.assertEqual(d.get("/livez", headers={"Host": host}).status, 200)
        self.assertEqual(d.gather(b" " * (2 << 20)).status, 413)
        self.assertEqual(d.submit([{"sleep": 60}] * 7)["total"], 7)
        a = d.post("/v1/tasks", {"sleep": 0})
        self.assertProblem(a, 429, "queue-full")
        self.assertTrue(a.headers["Retry-After"])
        self.assertProblem(d.post("/v1/batches", '{"sleep":0}\n', headers={"Content-Type": "application/x-ndjson"}), 429, "queue-full")
        d.post("/v1/batches/1/cancel")
        d.batch_done(1, "settled")
        self.assertEqual(d.post("/v1/tasks", {"sleep": 0}).status, 201)

    def test_errors_of_the_file_tell_their_line(self):
        for text, line, word in (("slotz = 1\n", 1, 'did you mean "slots"'), ("\n\nnonsense = 1\n", 3, "nonsense"), ("slots\n", 1, "="),
                                 ("slots =\n", 1, "empty"), ("slots = 0\n", 1, "slots"), ("#\nslots = x\n", 2, "slots"),
                                 ("durability = none\n", 1, "durability"), ("log-level = loud\n", 1, "log-level"),
                                 ("max-body = 1X\n", 1, "max-body"), ("config = x\n", 1, "config"), ("[section]\n", 1, "="),
                                 ("max-connections = -1\n", 1, "max-connections"), ("slots = 1\0\n", 1, "slots")):
            path = self.config(text)
            message = self.refused("--config", path)
            self.assertIn(f"{path}:{line}: ", message)
            if "\0" not in text:
                self.assertIn(word, message)
        self.assertIn("/nowhere", self.refused("--config", "/nowhere/gatherd.conf"))

    def test_errors_of_the_command_line(self):
        for args in (["--nonsense"], ["--slots"], ["--slots", "0"], ["--slots", "x"], ["extra"], ["--durability", "x"],
                     ["--max-body", "0"], ["--fetches", "-1"], ["--log-level", ""], ["-x"]):
            r = self.refused(*args, status=(2,))
            self.assertLess(len(r.splitlines()), 10)

    def test_help_and_version(self):
        for args, word in ((["--help"], "--state-dir"), (["--version"], "gatherd 0")):
            r = subprocess.run([GATHERD, *args], capture_output=True, text=True, timeout=PATIENCE, check=False)
            self.assertEqual((r.returncode, r.stderr), (0, ""))
            self.assertIn(word, r.stdout)

    def test_where_the_state_is(self):
        for name, below in (("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "/gatherd"), ("HOME", "/.local/state/gatherd")):
            home = self.tmp() + "/place"
            os.mkdir(home, 0o700)
            d = Daemon(env={name: home})
            self.addCleanup(d.end)
            for other in {"STATE_DIRECTORY", "XDG_STATE_HOME"} - {name}:
                d.env.pop(other, None)
            d.state_dir = home + below
            argv = d.argv()
            i = argv.index("--state-dir")
            d.argv = lambda argv=argv, i=i: argv[:i] + argv[i + 2:]
            d.start()
            self.assertTrue(os.path.exists(f"{home}{below}/gatherd.db"), name)
            self.assertEqual(d.run({"sleep": 0})["state"], "succeeded")

    def test_a_relative_state_directory(self):
        place = self.tmp()
        d = Daemon(setup=lambda: os.chdir(place))
        self.addCleanup(d.end)
        argv = d.argv()
        argv[argv.index("--state-dir") + 1] = "a/b"
        d.argv = lambda: argv
        d.state_dir = place + "/a/b"
        d.start()
        self.assertEqual(d.run({"shell": "echo x"})["state"], "succeeded")

    def test_directories_that_cannot_be_used(self):
        place = self.tmp()
        with open(place + "/file", "w"):
            pass
        for path in (place + "/file", place + "/file/below", "/proc/nothing/here"):
            self.refused("--state-dir", path, status=(1,))

    def test_the_port_file(self):
        d = self.daemon()
        with open(d.port_file) as f:
            self.assertEqual(f.read(), f"{d.ports[0]}\n")
        d = Daemon()
        self.addCleanup(d.end)
        d.port_file = "/nowhere/port"
        d.spawn()
        self.assertEqual(d.wait(2 * PATIENCE), 1)
        self.assertIn("--port-file", d.log())

    def test_max_connections(self):
        d = self.daemon("--max-connections", "10")
        raws = [d.raw(PATIENCE) for _ in range(15)]
        for raw in raws[:9]:
            raw.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(raw.answer().status, 200)
        for raw in raws[:9]:
            raw.sock.close()
        for raw in raws[9:]:  # who had to wait is served now
            raw.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(raw.answer().status, 200)
            raw.sock.close()

    def test_without_its_workers(self):
        """Sleeps go on, commands wait, and /readyz says so."""
        place = self.tmp()
        shutil.copy(GATHERD, place)
        d = self.daemon(program=place + "/gatherd")
        a = d.get("/readyz")
        self.assertEqual(a.status, 503)
        self.assertEqual(d.run({"sleep": 0})["state"], "succeeded")
        task = d.create({"shell": "echo x"})["id"]
        self.assertEqual(d.state(task), "pending")
        for name in ("runner", "fetcher"):
            shutil.copy(os.path.join(BIN, f"gatherd-{name}"), place)
        d.await_ready()
        self.assertEqual(d.done(task)["state"], "succeeded")


class Unit(StartCase):
    PATH = os.path.join(ROOT, "systemd", "gatherd.service")

    def lines(self):
        with open(self.PATH) as f:
            return dict(line.strip().split("=", 1) for line in f if "=" in line and not line.startswith("#"))

    def test_commands_outlive_a_restart(self):
        self.assertEqual(self.lines()["KillMode"], "process")
        self.assertIn("StateDirectory", self.lines())

    def test_its_options_exist(self):
        words = self.lines()["ExecStart"].split()
        self.assertTrue(words[0].endswith("/gatherd"))
        help_text = subprocess.run([GATHERD, "--help"], capture_output=True, text=True, check=True).stdout
        for word in words[1:]:
            if word.startswith("--"):
                self.assertIn(word.split("=")[0], help_text)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "there is no systemd-analyze here")
    def test_systemd_understands_it(self):
        place = self.tmp()
        with open(self.PATH) as f:
            text = f.read().replace("/usr/local/sbin/gatherd", GATHERD)
        path = place + "/gatherd.service"
        with open(path, "w") as f:
            f.write(text)
        r = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, timeout=2 * PATIENCE,
                           check=False)
        about = [line for line in (r.stdout + r.stderr).splitlines() if "gatherd.service" in line]
        self.assertEqual(about, [], r)
