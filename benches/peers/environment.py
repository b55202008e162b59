"""The virtual environment of the peers: made once from requirements.txt, kept outside the checkout."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
LEAST_PYTHON = (3, 11)


def default_cache() -> pathlib.Path:
    """The folder for what is made once: in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (pathlib.Path(home) if home else pathlib.Path.home() / ".cache") / "doorward-peers"


def enter(cache: pathlib.Path) -> dict[str, str]:
    """Goes on in the environment's Python; says which packages could not be installed there, and why.

    Called outside the environment it makes the environment if need be and starts the same command again inside: it returns
    only there.
    """
    folder = cache / f"venv-{fingerprint()}"
    if pathlib.Path(sys.prefix).resolve() != folder.resolve():
        if not (folder / "ready.json").exists():
            make(folder)
        python = folder / "bin" / "python"
        os.execv(python, [str(python), *sys.argv])
    return json.loads((folder / "ready.json").read_text())


def fingerprint() -> str:
    """Another Python or other requirements make another environment."""
    what = REQUIREMENTS.read_bytes() + sys.version.encode()
    return hashlib.sha256(what).hexdigest()[:12]


def make(folder: pathlib.Path) -> None:
    """Makes the environment; ready.json, written last, lists what failed."""
    if sys.version_info < LEAST_PYTHON:
        sys.exit(f"Python {'.'.join(map(str, LEAST_PYTHON))} or later is needed, this is {sys.version.split()[0]}")
    print(f"making the peers' environment in {folder}, once", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    failed = {}
    if install(folder, "--requirement", str(REQUIREMENTS)) is not None:
        # One package that has no wheel for this machine must not cost the others.
        for requirement in pinned():
            reason = install(folder, requirement)
            if reason is not None:
                failed[requirement.partition("==")[0]] = reason
    (folder / "ready.json").write_text(json.dumps(failed, indent=2))


def pinned() -> list[str]:
    """The lines of requirements.txt that name a package."""
    lines = (line.strip() for line in REQUIREMENTS.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def install(folder: pathlib.Path, *what: str) -> str | None:
    """Runs the environment's pip; None when it worked, otherwise its last word."""
    command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--only-binary", ":all:", *what]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return None if done.returncode == 0 else last_line(done.stdout)


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
