"""Checks the demo's events: each line against the published schema, and that somebody was granted and somebody denied.

    python .ci/check_events.py docs/events.schema.json events.jsonl

Runs on the packages of .ci/requirements.txt.
"""

import collections
import json
import pathlib
import sys

import jsonschema


def main() -> int:
    schema_path, events_path = map(pathlib.Path, sys.argv[1:3])
    schema = json.loads(schema_path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    formats = jsonschema.Draft202012Validator.FORMAT_CHECKER
    # A format without its package would be passed over in silence.
    missing = {"date-time", "uuid"} - set(formats.checkers)
    if missing:
        sys.exit(f"formats that cannot be checked: {', '.join(sorted(missing))}")
    validator = jsonschema.Draft202012Validator(schema, format_checker=formats)
    outcomes, faults = collections.Counter(), 0
    for number, line in enumerate(events_path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            event = json.loads(line)
        except json.JSONDecodeError as e:
            print(f"line {number}: not JSON: {e}", file=sys.stderr)
            faults += 1
            continue
        errors = list(validator.iter_errors(event))
        for error in errors:
            print(f"line {number}: {error.json_path}: {error.message}", file=sys.stderr)
        faults += len(errors)
        if not errors and event["event"] == "access":
            outcomes[event["decision"]] += 1
    print(f"{outcomes['granted']} events grant, {outcomes['denied']} deny, {faults} faults")
    for decision in ("granted", "denied"):
        if not outcomes[decision]:
            print(f"no event says {decision!r}", file=sys.stderr)
            faults += 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
