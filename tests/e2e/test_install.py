"""What `make install` puts in place can be used from there; README.md, docs/libgather.md."""

import os
import re
import subprocess

from harness import PATIENCE, ROOT, TMP, TestCase, plain_only


def command(argv, **options):
    return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=True, **options)


def url(daemon):
    return "http://{}:{}".format(*daemon.address)


@plain_only("what is installed is not sanitized")
class Install(TestCase):
    options = None
    prefix = os.path.join(TMP, "usr")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        command(["make", "-s", "install", f"PREFIX={cls.prefix}"], cwd=ROOT)

    def test_programs_find_each_other(self):
        """The daemon starts its workers from beside it, the client talks to it."""
        d = self.daemon(program=f"{self.prefix}/sbin/gatherd")
        done = command([f"{self.prefix}/bin/gather", "run", "--", "echo", "installed"],
                       env={**os.environ, "GATHER_URL": url(d)})
        self.assertEqual(done.stdout, "installed\n")

    def test_first_program_of_the_library_page(self):
        with open(os.path.join(ROOT, "docs/libgather.md"), encoding="utf-8") as f:
            program = re.search(r"```c\n(.*?)```", f.read(), re.DOTALL).group(1)
        source = os.path.join(self.tmp(), "three.c")
        with open(source, "w", encoding="utf-8") as f:
            f.write(program)
        flags = command(["pkg-config", "--cflags", "--libs", "libgather"],
                        env={**os.environ, "PKG_CONFIG_PATH": f"{self.prefix}/lib/pkgconfig"}).stdout.split()
        command(["cc", "-Wall", "-Werror", source, "-o", source[:-2], *flags])
        lines = command([source[:-2]], env={**os.environ, "GATHER_URL": url(self.daemon())}).stdout.splitlines()
        self.assertEqual((lines[0], lines[2]), ("0: null", "2: exited with code 3"))
        self.assertIn("UTC", lines[1])

    def test_unit_names_the_programs_that_are_there(self):
        with open(f"{self.prefix}/lib/systemd/system/gatherd.service", encoding="utf-8") as f:
            program = re.search(r"^ExecStart=(\S+)", f.read(), re.MULTILINE).group(1)
        self.assertTrue(os.access(program, os.X_OK), program)

