"""Jobs of every kind and with every member: docs/api.md, section 2 (fetch: test_fetch)."""

import hashlib
import json
import os
import pwd
import signal
import sys
import time

from harness import SLOWER, TestCase, eventually, is_alive

PRINT_ARGV = r"import os, sys; sys.stdout.buffer.write(b'\0'.join(map(os.fsencode, sys.argv[1:])))"

# Strings that shells, templates, printf, terminals, JSON or paths would do something to.
HOSTILE = [
    "", " ", "  two  blanks ", "\t", "\n", "a\nb", "trailing\n", "\r\n", "\x01", "\x1b[31mred", "\x7f",
    "-", "--", "-n", "--help", "-e", "@file", "@-", "*", "?", "[a-z]", "~", "~root", "{a,b}", "!", "!!",
    "#", "# no comment", "$HOME", "${HOME}", "$(id)", "`id`", "$((1+1))", "$", "$$", "$1", "$@", "%s",
    "%n%n%n", "%d", "%%", "\\", "\\\\", "\\n", "\\0", "\\x41", "'", "''", "\"", "\"\"", "it's",
    "a'b\"c`d", "';id;'", "\";id;\"", ";", ";;", "a;id", "&", "&&", "a && id", "|", "|id", "||", "<",
    ">", ">/dev/null", "<<EOF", "2>&1", "(", ")", "()", "() { :;}; id", "{", "}", "{{7*7}}", "${7*7}",
    "<%= 7 %>", "#{7}", "=", "A=B", "LD_PRELOAD=x", "/", "//", "/../..", "../../etc/passwd", ".", "..",
    "C:\\x", "\u00e9", "e\u0301", "\u4f60\u597d", "\U0001f600", "\u202e", "\u200b", "\ufeff", "\ufffd",
    "\u2028", "\ud7ff", "\U0010ffff", "\u0080", "\u00a0", "null", "true", "0", "-1", "1e400", "NaN", "[]",
    "{}", "{\"a\":1}", "\\u0041", "\\ud800", "a" * 4096, "\u00e9" * 2000, "'" * 300, "\\" * 301,
    "http://x/?a=b&c=d#e", "user@host:path", ":(){ :|:& };:", "rm -rf /", "a\tb\tc", "\x0b\x0c", "\b",
    "*\n*", "$IFS", "${IFS}", "\\\n", "^", "a^b", ",", "+", "x y", "x\u00a0y", "-rf", "--=--", "''\"\"",
]


class Commands(TestCase):
    options = ("--slots", "8")

    def test_run_gives_exit_code_output_and_usage(self):
        t = self.d.run({"run": ["sh", "-c", "echo out; echo err >&2"]})
        self.assertEqual(t["state"], "succeeded")
        r = t["result"]
        self.assertEqual(set(r), {"exit_code", "stdout", "stderr", "truncated", "usage"})
        self.assertEqual((r["exit_code"], r["stdout"], r["stderr"], r["truncated"]),
                         (0, "out\n", "err\n", False))
        self.assertEqual(set(r["usage"]), {"user", "system", "wall", "max_rss"})
        self.assertGreater(r["usage"]["max_rss"], 100_000)
        self.assertGreaterEqual(r["usage"]["wall"], (r["usage"]["user"] + r["usage"]["system"]) * 0.9)
        self.assertIsNone(t["exception"])

    def test_shell_is_bin_sh(self):
        t = self.d.run({"shell": "echo $0; echo a | tr a b; exit 0"})
        self.assertEqual(t["result"]["stdout"], "/bin/sh\nb\n")
        self.assertEqual(t["kind"], "shell")

    def test_usage_counts_time_and_memory(self):
        t = self.d.run({"run": [sys.executable, "-c",
                                "import time; x = bytearray(50 << 20); t = time.process_time()\n"
                                "while time.process_time() < t + 0.3: pass\n"
                                "time.sleep(0.2)"]})
        usage = t["result"]["usage"]
        self.assertGreater(usage["user"] + usage["system"], 0.3)
        self.assertGreater(usage["wall"], 0.5)
        self.assertWithin(usage["max_rss"], 50 << 20, 200 << 20)

    def test_a_program_without_a_slash_is_looked_for_in_the_jobs_path(self):
        d = self.tmp()
        with open(f"{d}/hallo", "w") as f:
            f.write("#!/bin/sh\necho from $0\n")
        os.chmod(f"{d}/hallo", 0o755)
        t = self.d.run({"run": ["hallo"], "env": {"PATH": d}})
        self.assertEqual(t["result"]["stdout"], f"from {d}/hallo\n")
        self.assertEqual(self.d.run({"run": ["hallo"]})["exception"]["type"], "SpawnError")

    def test_no_argument_is_changed_by_anyone(self):
        self.assertGreaterEqual(len(HOSTILE), 130)
        t = self.d.run({"run": [sys.executable, "-c", PRINT_ARGV, *HOSTILE]})
        out = self.d.get(t["links"]["stdout"]).body
        self.assertEqual(out.split(b"\0"), [s.encode() for s in HOSTILE])

    def test_each_hostile_string_alone(self):
        jobs = [{"run": ["printf", "%s", s], "result": "stdout"} for s in HOSTILE]
        a = self.d.gather(jobs)
        self.assertEqual([r["result"] for r in a.json["results"]], HOSTILE)

    def test_hostile_strings_in_env_stdin_cwd_and_name(self):
        base = self.tmp()
        for s in ["$(id)", "a b", "'\"`", "\u4f60", "new\nline", "\x1b[1m", "-n", "*"]:
            os.mkdir(f"{base}/{s}")
            t = self.d.run({"run": ["sh", "-c", "pwd -P; printf %s \"$V\"; cat"], "name": s,
                            "cwd": f"{base}/{s}", "env": {"V": s}, "stdin": s})
            self.assertEqual(t["result"]["stdout"], f"{base}/{s}\n{s}{s}")
            self.assertEqual(t["name"], s)

    def test_the_environment_is_clean(self):
        d = self.daemon(env={"SECRET": "x", "LD_LIBRARY_PATH": "/nowhere", "LC_ALL": "C",
                             "PATH": os.environ["PATH"] + ":/own/bin"})
        a = d.gather([{"run": ["env", "-0"], "env": {"A": "1", "LANG": "de_DE"}}])
        entry = a.json["results"][0]
        env = dict(e.split("=", 1) for e in entry["result"]["stdout"].split("\0")[:-1])
        me = pwd.getpwuid(os.geteuid())
        self.assertEqual(set(env), {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "A",
                                    "GATHERD_TASK", "GATHERD_ATTEMPT", "GATHERD_BATCH"})
        self.assertEqual((env["HOME"], env["USER"], env["LOGNAME"]),
                         (me.pw_dir, me.pw_name, me.pw_name))
        self.assertEqual((env["A"], env["LANG"]), ("1", "de_DE"))
        self.assertEqual((env["GATHERD_TASK"], env["GATHERD_ATTEMPT"], env["GATHERD_BATCH"]),
                         (str(entry["task"]), "1", str(a.json["batch"])))
        t = d.run({"run": ["env"]})
        self.assertNotIn("GATHERD_BATCH", t["result"]["stdout"])
        self.assertIn("LANG=C.UTF-8\n", t["result"]["stdout"])

    def test_a_command_has_a_session_of_its_own_and_three_descriptors(self):
        t = self.d.run({"run": [sys.executable, "-c",
                                "import os\n"
                                "fds = os.listdir('/proc/self/fd'); fds.sort()\n"
                                "print(fds, os.getsid(0) == os.getpid(), os.getcwd())\n"
                                "print(os.readlink('/proc/self/fd/0'))"]})
        # listdir's own descriptor is 3
        self.assertEqual(t["result"]["stdout"],
                         "['0', '1', '2', '3'] True /\n/dev/null\n")

    def test_descriptors_stay_three_while_all_else_is_busy(self):
        gate = self.gate()
        busy = [self.d.create({"shell": gate.shell + "; yes | head -c 200000"}) for _ in range(4)]
        gate.started(4)
        with self.d.raw() as follower:
            follower.send(f"GET {busy[0]['links']['stdout']}?follow=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            t = self.d.run({"run": ["ls", "/proc/self/fd"]})
            self.assertEqual(t["result"]["stdout"].split(), ["0", "1", "2", "3"])
        gate.release()
        for b in busy:
            self.d.done(b["id"])

    def test_signals_and_their_mask_are_the_default(self):
        t = self.d.run({"run": ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]})
        internal = 1 << 31 | 1 << 32  # glibc's posix_spawn() ignores signals 32 and 33
        for line in t["result"]["stdout"].splitlines():
            self.assertEqual(int(line.split()[1], 16) & ~internal, 0, line)

    def test_stdin_is_the_jobs_text(self):
        text = "line\n" * 100_000 + "\u00e9 end"
        t = self.d.run({"run": ["sha256sum"], "stdin": text})
        self.assertEqual(t["result"]["stdout"].split()[0], hashlib.sha256(text.encode()).hexdigest())
        self.assertEqual(self.d.run({"run": ["cat"], "stdin": ""})["result"]["stdout"], "")

    def test_stdin_that_nobody_reads_is_no_failure(self):
        t = self.d.run({"run": ["true"], "stdin": "x" * 1_000_000})
        self.assertEqual(t["state"], "succeeded")

    def test_cwd(self):
        d = self.tmp()
        self.assertEqual(self.d.run({"run": ["pwd"], "cwd": d})["result"]["stdout"], d + "\n")

    def test_an_exit_code_is_a_failure(self):
        t = self.d.run({"shell": "echo some; echo why >&2; exit 3"})
        self.assertEqual(t["state"], "failed")
        self.assertIsNone(t["result"])
        e = t["exception"]
        self.assertEqual((e["type"], e["exit_code"], e["stderr"]), ("ExitError", 3, "why\n"))
        self.assertTrue(e["message"])
        self.assertEqual(self.d.get(t["links"]["stdout"]).body, b"some\n")
        self.assertEqual(self.d.get(t["links"]["stderr"]).body, b"why\n")

    def test_the_exception_has_the_last_4_kib_of_stderr(self):
        t = self.d.run({"run": [sys.executable, "-c",
                                "import sys; sys.stderr.write('a' * 5000 + 'b' * 4096); sys.exit(1)"]})
        self.assertEqual(t["exception"]["stderr"], "b" * 4096)
        t = self.d.run({"shell": "head -c 300000 /dev/zero | tr '\\0' x >&2; echo end >&2; exit 1"})
        self.assertEqual(t["exception"]["stderr"], ("x" * 4096 + "end\n")[-4096:])

    def test_check_false_makes_an_exit_code_a_value(self):
        t = self.d.run({"shell": "echo some; exit 3", "check": False})
        self.assertEqual((t["state"], t["result"]["exit_code"], t["result"]["stdout"]),
                         ("succeeded", 3, "some\n"))
        self.assertEqual(self.d.run({"shell": "exit 255", "check": False})["result"]["exit_code"],
                         255)
        self.assertEqual(self.d.run({"shell": "exit 3", "check": True})["state"], "failed")

    def test_check_false_with_result_stdout(self):
        t = self.d.run({"shell": "echo some; exit 3", "check": False, "result": "stdout"})
        self.assertEqual((t["state"], t["result"]), ("succeeded", "some\n"))

    def test_a_signal_is_a_failure_of_its_own(self):
        for sig, name in ((9, "KILL"), (6, "ABRT"), (15, "TERM"), (10, "USR1")):
            t = self.d.run({"shell": f"ulimit -c 0; echo why >&2; kill -{sig} $$"})
            e = t["exception"]
            self.assertEqual(t["state"], "failed")
            self.assertEqual((e["type"], e["signal"], e["core"], e["stderr"]),
                             ("SignalError", sig, False, "why\n"))
            self.assertIn(name, e["signal_name"])
            self.assertTrue(e["message"])
        t = self.d.run({"shell": "kill -9 $$", "check": False})
        self.assertEqual(t["exception"]["type"], "SignalError")

    def test_what_cannot_be_started_is_a_spawn_error(self):
        d = self.tmp()
        with open(f"{d}/plain", "w") as f:
            f.write("no program")
        with open(f"{d}/noexec", "w") as f:
            f.write("\0\1")
        os.chmod(f"{d}/noexec", 0o755)
        cases = [
            ({"run": ["/nowhere/at/all"]}, "ENOENT", "exec"),
            ({"run": ["no-such-program-here"]}, "ENOENT", "exec"),
            ({"run": [f"{d}/plain"]}, "EACCES", "exec"),
            ({"run": [d]}, "EACCES", "exec"),
            ({"run": [f"{d}/noexec"]}, "ENOEXEC", "exec"),
            ({"run": [f"{d}/plain/x"]}, "ENOTDIR", "exec"),
            ({"run": ["true"], "cwd": f"{d}/none"}, "ENOENT", "chdir"),
            ({"run": ["true"], "cwd": f"{d}/plain"}, "ENOTDIR", "chdir"),
            ({"run": ["x" * 300]}, "ENAMETOOLONG", "exec"),
        ]
        for job, errno, stage in cases:
            t = self.d.run(job)
            e = t["exception"]
            self.assertEqual((t["state"], e["type"], e["errno"], e["stage"]),
                             ("failed", "SpawnError", errno, stage), job)
            self.assertTrue(e["message"])
            self.assertEqual(self.d.get(t["links"]["stdout"]).body, b"")
        self.assertEqual(self.d.get("/readyz").status, 200)

    def test_result_stdout(self):
        t = self.d.run({"run": ["echo", "only this"], "result": "stdout"})
        self.assertEqual(t["result"], "only this\n")
        self.assertEqual(self.d.get(f"/v1/tasks/{t['id']}/result").body.strip(), b'"only this\\n"')

    def test_result_json(self):
        text = '{"a": [1, 2.50, {"b": null}], "big": 12345678901234567890, "s": "\\u00e9"}'
        t = self.d.run({"run": ["echo", text], "result": "json"})
        self.assertEqual(t["result"], json.loads(text))
        self.assertIn(b"12345678901234567890", self.d.get(f"/v1/tasks/{t['id']}/result").body)
        for word in ("3", '"x"', "null", "[]", " true \n"):
            self.assertEqual(self.d.run({"run": ["echo", word], "result": "json"})["result"],
                             json.loads(word))

    def test_result_json_that_is_none_is_a_result_error(self):
        for text, offset in (("nothing", 0), ("[1,2", 4), ("", 0), ("{\"a\":1} x", 8), ("[01]", 1),
                             ("[1,]", 3)):
            t = self.d.run({"run": ["printf", "%s", text], "result": "json"})
            e = t["exception"]
            self.assertEqual((t["state"], e["type"]), ("failed", "ResultError"), text)
            self.assertEqual(e["offset"], offset, text)
            self.assertEqual(self.d.get(t["links"]["stdout"]).body, text.encode())

    def test_a_failed_command_with_result_json_is_an_exit_error(self):
        t = self.d.run({"shell": "echo nothing; exit 2", "result": "json"})
        self.assertEqual(t["exception"]["type"], "ExitError")

    def test_large_json_as_result(self):
        t = self.d.run({"run": [sys.executable, "-c", "import json; print(json.dumps(list(range(200000))))"],
                        "result": "json"})
        self.assertEqual(t["result"], list(range(200000)))

    def test_the_end_is_the_commands_own_exit(self):
        before = time.monotonic()
        t = self.d.run({"shell": "sleep 60 & echo $!; echo done"})
        self.assertLess(time.monotonic() - before, 2 * SLOWER)
        pid, word = t["result"]["stdout"].split()
        self.assertEqual((t["state"], word), ("succeeded", "done"))
        self.assertTrue(is_alive(int(pid)))
        os.kill(int(pid), signal.SIGKILL)

    def test_a_job_takes_what_fits_exactly(self):
        t = self.d.run({"run": ["true", "x" * 131071]})
        self.assertEqual(t["state"], "succeeded")

    def test_a_million_bytes_of_arguments(self):
        words = ["x" * 1000] * 1000
        t = self.d.run({"run": [sys.executable, "-c", "import sys; print(len(sys.argv), len(sys.argv[-1]))",
                                *words]})
        self.assertEqual(t["result"]["stdout"], "1001 1000\n")


class EndingCommands(TestCase):
    options = ("--slots", "16")

    def test_timeout_ends_a_command(self):
        before = time.monotonic()
        t = self.d.run({"shell": "echo begun; sleep 60", "timeout": 0.3})
        self.assertWithin(time.monotonic() - before, 0.3, 2 * SLOWER)
        e = t["exception"]
        self.assertEqual((t["state"], e["type"], e["timeout"]), ("failed", "TimeoutError", 0.3))
        self.assertEqual(self.d.get(t["links"]["stdout"]).body, b"begun\n")

    def test_a_command_that_ends_in_time_has_no_timeout(self):
        self.assertEqual(self.d.run({"run": ["true"], "timeout": 30})["state"], "succeeded")
        self.assertEqual(self.d.run({"run": ["true"], "timeout": None})["state"], "succeeded")

    def test_timeout_zero(self):
        t = self.d.run({"run": ["sleep", "60"], "timeout": 0})
        self.assertEqual(t["exception"]["type"], "TimeoutError")
        t = self.d.run({"sleep": 60, "timeout": 0})
        self.assertEqual(t["exception"]["type"], "TimeoutError")

    def test_after_grace_comes_kill(self):
        before = time.monotonic()
        t = self.d.run({"shell": "trap '' TERM; echo $$; while :; do sleep 1; done",
                        "timeout": 0.2, "grace": 0.4})
        self.assertWithin(time.monotonic() - before, 0.6, 3 * SLOWER)
        self.assertEqual(t["exception"]["type"], "TimeoutError")
        self.assertFalse(is_alive(int(self.d.get(t["links"]["stdout"]).body)))

    def test_grace_zero_is_kill_at_once(self):
        before = time.monotonic()
        t = self.d.run({"shell": "trap '' TERM; while :; do sleep 1; done", "timeout": 0.2, "grace": 0})
        self.assertLess(time.monotonic() - before, 2 * SLOWER)
        self.assertEqual(t["exception"]["type"], "TimeoutError")

    def test_a_command_may_refuse_a_timeout(self):
        t = self.d.run({"shell": "trap 'echo kept; exit 0' TERM; sleep 60 & wait", "timeout": 0.2})
        self.assertEqual((t["state"], t["result"]["stdout"]), ("succeeded", "kept\n"))

    def test_a_failure_during_a_timeout_is_a_failure(self):
        t = self.d.run({"shell": "trap 'exit 7' TERM; sleep 60 & wait", "timeout": 0.2})
        self.assertEqual((t["exception"]["type"], t["exception"]["exit_code"]), ("ExitError", 7))

    def test_128_plus_the_signal_is_the_timeout(self):
        t = self.d.run({"shell": "trap 'exit 143' TERM; sleep 60 & wait", "timeout": 0.2})
        self.assertEqual(t["exception"]["type"], "TimeoutError")

    def assert_tree_ends(self, shell, n):
        """A command line that prints the pids of `n` processes is cancelled."""
        t = self.d.create({"shell": shell, "grace": 0.5})
        pids = eventually("its processes", lambda: (
            p := self.d.get(t["links"]["stdout"]).body.split()) and len(p) == n and p)
        self.assertTrue(all(is_alive(int(p)) for p in pids))
        self.d.cancel(t["id"])
        self.assertEqual(self.d.done(t["id"])["state"], "cancelled")
        self.assertEqual([p for p in pids if is_alive(int(p))], [])

    def test_cancel_ends_the_whole_tree(self):
        self.assert_tree_ends("echo $$; (echo $(exec sh -c 'echo $PPID'); sleep 60) & "
                              "sleep 60 & echo $!; wait", 3)

    def test_cancel_ends_what_left_its_session(self):
        self.assert_tree_ends("echo $$; setsid sh -c 'echo $$; exec sleep 60' & "
                              "setsid sh -c 'setsid sleep 60 & echo $!; exec sleep 60' & wait", 3)

    def test_cancel_ends_daemons_that_ignore_term(self):
        self.assert_tree_ends(
            "echo $$; (setsid sh -c \"trap '' TERM HUP; echo \\$\\$; while :; do sleep 1; done\" &) ; "
            "sleep 60", 2)

    def test_cancel_ends_a_fork_storm(self):
        gate = self.gate()
        t = self.d.create({"shell": f"{gate.say}; i=0; while [ $i -lt 60 ]; do "
                                    f"(trap '' TERM; exec -a gd-e2e-storm sleep 60) & "
                                    f"setsid sleep 61 & i=$((i+1)); done; wait", "grace": 0.2})
        gate.started()
        self.d.cancel(t["id"])
        self.d.done(t["id"])
        left = [p for p in os.listdir("/proc") if p.isdigit() and is_alive(int(p))
                and open(f"/proc/{p}/cmdline", "rb").read() == b"sleep\x0061\x00"]
        self.assertEqual(left, [])


class Sleeps(TestCase):
    options = ("--slots", "1")

    def test_sleep_gives_null_or_its_value(self):
        t = self.d.run({"sleep": 0})
        self.assertEqual((t["state"], t["result"], t["kind"]), ("succeeded", None, "sleep"))
        self.assertEqual(self.d.run({"sleep": 0.01, "value": {"a": [1]}})["result"], {"a": [1]})

    def test_a_value_comes_back_byte_for_byte(self):
        values = [b'{"b":1,  "a" : 2.500e+01, "c":[ ]}', b'"\\u00e9\\/\\ud83d\\ude00"',
                  b"123456789012345678901234567890", b"-0.0", b"1E+2", b"[1 ,\n\t2 ]", b"null",
                  b"false", b'""', "\"\u00e9\"".encode(), b'{"":{"":[[[]]]}}',
                  b'"' + b"x" * 500_000 + b'"']
        for value in values:
            a = self.d.post("/v1/tasks?wait=30", b'{"sleep":0,"value":' + value + b"}")
            self.assertEqual(a.status, 200)
            self.assertEqual(self.d.get(f"/v1/tasks/{a.json['id']}/result").body, value + b"\n")

    def test_a_sleep_takes_its_time_and_not_more(self):
        for seconds in (0.05, 0.5, 1):
            before = time.monotonic()
            self.d.run({"sleep": seconds})
            self.assertWithin(time.monotonic() - before, seconds, seconds + 0.3 * SLOWER)

    def test_sleeps_take_no_slot(self):
        gate = self.gate()
        t = self.d.create({"shell": gate.shell})
        gate.started()
        before = time.monotonic()
        self.d.gather([{"sleep": 0.3}] * 200)
        self.assertLess(time.monotonic() - before, 3 * SLOWER)
        gate.release()
        self.d.done(t["id"])

    def test_a_sleep_with_a_timeout(self):
        t = self.d.run({"sleep": 60, "timeout": 0.1})
        self.assertEqual((t["state"], t["exception"]["type"], t["exception"]["timeout"]),
                         ("failed", "TimeoutError", 0.1))
        self.assertEqual(self.d.run({"sleep": 0.1, "timeout": 5})["state"], "succeeded")

    def test_twenty_thousand_sleeps_at_once(self):
        n = 20_000
        before = time.monotonic()
        a = self.d.gather([{"sleep": 1, "value": i} for i in range(n)])
        took = time.monotonic() - before
        self.assertEqual([r["result"] for r in a.json["results"]], list(range(n)))
        self.assertWithin(took, 1, 8 * SLOWER)


class CommonMembers(TestCase):
    options = ("--slots", "4")

    def test_name_labels_and_priority(self):
        t = self.d.create({"sleep": 0, "name": "file1.txt", "labels": {"a": "1", "b": "\u00e9"},
                           "priority": -7})
        self.assertEqual((t["name"], t["labels"]), ("file1.txt", {"a": "1", "b": "\u00e9"}))
        t = self.d.create({"sleep": 0})
        self.assertEqual((t["name"], t["labels"]), (f"Task-{t['id']}", {}))

    def test_on_local_is_the_only_place(self):
        self.assertEqual(self.d.create({"sleep": 0, "on": "local"})["on"], "local")
        self.assertProblem(self.d.post("/v1/tasks", {"sleep": 0, "on": "mars"}), 400, "bad-job")

    def test_the_attempt_is_told(self):
        t = self.d.run({"shell": "echo $GATHERD_ATTEMPT $GATHERD_TASK"})
        self.assertEqual(t["result"]["stdout"], f"1 {t['id']}\n")
        self.assertEqual(t["attempt"], 1)

    def test_every_member_at_once(self):
        d = self.tmp()
        t = self.d.run({"shell": "pwd; cat; echo $A; exit 1", "name": "n", "labels": {"l": "v"},
                        "priority": 5, "timeout": 20, "on_lost": "rerun", "on": "local",
                        "env": {"A": "b"}, "cwd": d, "stdin": "in\n", "grace": 1, "check": False,
                        "result": "stdout", "max_output": 1000})
        self.assertEqual(t["result"], f"{d}\nin\nb\n")
