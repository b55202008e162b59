"""What the scripts of this folder say when something is missing: python3 -m unittest cross/test_scripts.py"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
# What any Linux system has.
TOOLS = "bash env sh awk sed grep sort head tail cut cat find stat dirname basename realpath mktemp rm printf ls tr uname".split()


class Machine(unittest.TestCase):
    """A machine that has the tools above and whatever a test gives it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for tool in TOOLS:
            self.has(tool, shutil.which(tool))

    def has(self, tool, program):
        """Gives the machine a program of that name: a path, or the lines of a shell script."""
        path = self.folder / tool
        if program.startswith("/"):
            path.symlink_to(program)
        else:
            path.write_text(f"#!/bin/sh\n{program}\n")
            path.chmod(0o755)

    def run_script(self, script, *arguments, **variables):
        environment = {"PATH": str(self.folder), "HOME": str(self.folder), "LC_ALL": "C", **variables}
        done = subprocess.run([HERE / script, *arguments], env=environment, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr

    def assert_says(self, outcome, *words):
        code, said = outcome
        self.assertNotEqual(code, 0)
        for word in words:
            self.assertIn(word, said)
        self.assertEqual(len(said.strip().splitlines()), 1, said)

    def has_rust(self):
        self.has("cargo", "exit 0")
        self.has("rustc", 'case "$*" in *target-libdir*) echo /nowhere;; *) echo "host: x86_64-unknown-linux-gnu";; esac')


class Build(Machine):
    def test_a_target_it_does_not_know(self):
        for target in ["", "mips-unknown-linux-gnu"]:
            self.assert_says(self.run_script("build.sh", target), "aarch64-unknown-linux-gnu", f"'{target}'")

    def test_no_rust(self):
        self.assert_says(self.run_script("build.sh", "aarch64-unknown-linux-gnu"), "cargo is missing", "install Rust 1.")

    def test_no_cross_compiler(self):
        self.has_rust()
        for target, package in [
            ("aarch64-unknown-linux-gnu", "gcc-aarch64-linux-gnu"),
            ("armv7-unknown-linux-gnueabihf", "gcc-arm-linux-gnueabihf"),
        ]:
            self.assert_says(self.run_script("build.sh", target), f"apt install {package}", "cross/setup.sh")

    def test_no_standard_library(self):
        self.has_rust()
        self.has("aarch64-linux-gnu-gcc", "exit 0")
        outcome = self.run_script("build.sh", "aarch64-unknown-linux-gnu", DOORWARD_CROSS=str(self.folder))
        self.assert_says(outcome, "rustup target add aarch64-unknown-linux-gnu")

    def test_no_compiler_for_this_machine(self):
        self.has_rust()
        self.assert_says(self.run_script("build.sh", "x86_64-unknown-linux-gnu"), "cc is missing", "apt install gcc")


class Emulate(Machine):
    def test_an_architecture_it_does_not_know(self):
        self.assert_says(self.run_script("emulate.sh", "riscv64", "/bin/true"), "'riscv64'", "aarch64 or armv7")

    def test_no_emulator(self):
        self.assert_says(self.run_script("emulate.sh", "armv7", "/bin/true"), "apt install qemu-user")

    def test_a_processor_that_was_not_set_up(self):
        self.has("qemu-aarch64", "exit 0")
        outcome = self.run_script(
            "emulate.sh", "aarch64", "/bin/true", DOORWARD_CROSS=str(self.folder), DOORWARD_CPU="cortex-a8"
        )
        self.assert_says(outcome, "cortex-a8", "cross/setup.sh")


class Setup(Machine):
    def test_no_rust(self):
        self.assert_says(self.run_script("setup.sh"), "cargo is missing")

    def test_no_apt(self):
        self.has_rust()
        self.assert_says(self.run_script("setup.sh"), "apt-get is missing", "cross/README.md")

    def test_an_option_it_does_not_have(self):
        self.assert_says(self.run_script("setup.sh", "--fast"), "--fast", "--help")


class EmulatedMachine(Machine):
    def test_no_emulator(self):
        for arch, package in [("amd64", "qemu-system-x86"), ("arm64", "qemu-system-arm")]:
            outcome = self.run_script("machine/boot.sh", "machine", "doorward", "out", arch)
            self.assert_says(outcome, "is missing", f"apt install {package}")

    def test_no_machine(self):
        self.has("qemu-system-x86_64", "exit 0")
        self.has("cpio", "exit 0")
        self.assert_says(self.run_script("machine/boot.sh", "/nowhere", "doorward", "out"), "/nowhere", "build.sh")

    def test_what_it_wants(self):
        self.assert_says(self.run_script("machine/boot.sh"), "MACHINE DOORWARD OUT")
        self.assert_says(self.run_script("machine/build.sh"), "give a folder")
        for script, arguments in [("boot.sh", ["m", "d", "o"]), ("build.sh", [str(self.folder)])]:
            self.assert_says(self.run_script(f"machine/{script}", *arguments, "mips"), "amd64 or arm64", "mips")


if __name__ == "__main__":
    unittest.main()
