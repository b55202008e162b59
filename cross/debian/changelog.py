#!/usr/bin/env python3
"""Prints CHANGELOG.md as a Debian changelog.

    cross/debian/changelog.py VERSION MAINTAINER

VERSION is that of the package: what stands below [Unreleased] is told as its. SOURCE_DATE_EPOCH dates that, else the last commit.
"""

import datetime
import email.utils
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
HEADING = re.compile(r"## \[(?P<version>[^]]+)\](?: - (?P<date>\d{4}-\d\d-\d\d))?$")


def releases(text):
    """Yields (version, date or None, lines) of each release, newest first."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    for part in parts:
        heading, *lines = part.splitlines()
        match = HEADING.match(heading)
        if not match:
            sys.exit(f"changelog: CHANGELOG.md: cannot read the heading {heading!r}; the form is '## [0.1.0] - 2027-01-31'")
        if any(line.strip() for line in lines):
            yield match["version"], match["date"], lines


def items(lines):
    """Joins wrapped lines: yields headings and bullets, one string each, without Markdown's links and stars."""
    joined = []
    for line in lines:
        if line.startswith("### "):
            joined.append(f"[ {line[4:]} ]")
        elif line.startswith("- "):
            joined.append(line)
        elif line.strip() and joined:
            joined[-1] += " " + line.strip()
    for item in joined:
        yield re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", item).replace("**", "")


def date_of_unreleased():
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        command = ["git", "-C", str(PROJECT), "log", "-1", "--format=%ct"]
        try:
            epoch = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        except (OSError, subprocess.CalledProcessError):
            sys.exit("changelog: no date for the unreleased changes: set SOURCE_DATE_EPOCH, or run this in a clone")
    return datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: changelog.py VERSION MAINTAINER")
    version, maintainer = sys.argv[1:]
    found = list(releases((PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")))
    names = [name for name, _, _ in found]
    if "Unreleased" in names and version in names:
        sys.exit(f"changelog: {version} is released and there are unreleased changes: raise the version in Cargo.toml")
    if "Unreleased" not in names and version not in names:
        sys.exit(f"changelog: CHANGELOG.md does not speak of {version}: add '## [Unreleased]' or '## [{version}] - DATE'")
    for name, day, lines in found:
        date = datetime.datetime.fromisoformat(day + "T12:00:00+00:00") if day else date_of_unreleased()
        print(f"doorward ({version if name == 'Unreleased' else name}) unstable; urgency=medium\n")
        for item in items(lines):
            first, rest = ("  * ", "    ") if item.startswith("- ") else ("  ", "  ")
            text = item.removeprefix("- ")
            print(textwrap.fill(text, 78, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False))
        print(f"\n -- {maintainer}  {email.utils.format_datetime(date)}\n")


if __name__ == "__main__":
    main()
