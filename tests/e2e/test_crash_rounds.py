"""Rounds of kill -9 under load, short; the long form is crash_rounds.py by itself."""

import os
import re
import subprocess
import sys
import unittest

from harness import BIN, SANITIZED, TMP

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = "5" if SANITIZED else "15"


def rounds(*args):
    return subprocess.run([sys.executable, os.path.join(HERE, "crash_rounds.py"), "--bin", BIN, *args], capture_output=True,
                          text=True, timeout=280, check=False, env={**os.environ, "TMPDIR": TMP})


class CrashRounds(unittest.TestCase):
    def test_nothing_is_lost_twice_or_disturbed(self):
        r = rounds("--rounds", ROUNDS)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        self.assertIn("0 lost, 0 started twice, 0 disturbed, 0 other", r.stdout)
        self.assertNotIn("blind", r.stdout)
        self.assertGreater(int(re.search(r"([\d,]+) tasks acknowledged", r.stdout).group(1).replace(",", "")), 50)

    def test_the_checker_sees_what_was_falsified(self):
        for how in ("lost", "disturbed"):
            r = rounds("--rounds", "1", "--mutate", how)
            self.assertEqual(r.returncode, 1, r.stdout + r.stderr)
            self.assertRegex(r.stderr, rf"(?m)^{how}: ")
