#!/usr/bin/env python3
"""Prints the Rust libraries that are linked into doorward for a target, each with its licence, and the texts of the licences.

    cross/debian/libraries.py TARGET

Names, versions and SPDX expressions come from `cargo metadata`, texts from the files that each library brings. A text that several
bring is printed once.
"""

import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
LICENCE_FILES = ("licen", "copying", "copyright", "notice", "unlicense")


def metadata(target):
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--features", "camera", "--filter-platform", target]
    try:
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT).stdout)
    except OSError:
        sys.exit("libraries: cargo is missing: install Rust")
    except subprocess.CalledProcessError as error:
        sys.exit(f"libraries: cargo metadata failed:\n{error.stderr}")


def linked(data):
    """The packages that doorward depends on other than for building and testing, without itself, by name."""
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    root = data["resolve"]["root"]
    seen, open_ids = {root}, [root]
    while open_ids:
        for dep in nodes[open_ids.pop()]["deps"]:
            if dep["pkg"] not in seen and any(kind["kind"] is None for kind in dep["dep_kinds"]):
                seen.add(dep["pkg"])
                open_ids.append(dep["pkg"])
    packages = [package for package in data["packages"] if package["id"] in seen - {root}]
    return sorted(packages, key=lambda package: (package["name"], package["version"]))


def texts(package):
    """The licence files beside the package's manifest, and the one its manifest names."""
    folder = Path(package["manifest_path"]).parent
    files = {path for path in folder.iterdir() if path.is_file() and path.name.lower().startswith(LICENCE_FILES)}
    if package["license_file"]:
        files.add(folder / package["license_file"])
    for path in sorted(files):
        yield "\n".join(line.rstrip() for line in path.read_text(encoding="utf-8", errors="replace").strip().splitlines())


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: libraries.py TARGET")
    packages = linked(metadata(sys.argv[1]))
    numbers = {}
    print(f"The Rust libraries in doorward for {sys.argv[1]}, their licences (SPDX), and by [number] the texts below that they came with.")
    print("Rust's standard library is in it too: MIT OR Apache-2.0, by the Rust project's developers.\n")
    for package in packages:
        licence = package["license"]
        own = [numbers.setdefault(text, len(numbers) + 1) for text in texts(package)]
        if not (licence or own):
            sys.exit(f"libraries: {package['name']} {package['version']} names no licence and brings no text of one")
        authors = "" if own else f"; by {', '.join(package['authors']) or 'its contributors'}, who enclosed no text"
        marks = "".join(f" [{number}]" for number in own)
        print(f"{package['name']} {package['version']}: {licence or 'see the text'}{marks}{authors}")
    for text, number in numbers.items():
        print(f"\n{'=' * 30} [{number}] {'=' * 30}\n{text}")


if __name__ == "__main__":
    main()
