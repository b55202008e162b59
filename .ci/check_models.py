"""Checks that every model file is the one its card in catalogue.toml speaks of, and that no file is without a card.

    python3 .ci/check_models.py models
"""

import hashlib
import pathlib
import sys
import tomllib


def faults(folder: pathlib.Path) -> list[str]:
    """One line for each thing that does not fit."""
    cards = tomllib.loads((folder / "catalogue.toml").read_text(encoding="utf-8"))["model"]
    found = []
    for card in cards:
        path = folder / card["file"]
        if not path.is_file():
            found.append(f"{path}: missing")
            continue
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if len(data) != card["bytes"]:
            found.append(f"{path}: {len(data)} bytes, the catalogue says {card['bytes']}")
        if digest != card["sha256"]:
            found.append(f"{path}: SHA-256 {digest}, the catalogue says {card['sha256']}")
        if not (folder / card["licence_file"]).is_file():
            found.append(f"{folder / card['licence_file']}: missing, the licence of {card['id']}")
    known = {card["file"] for card in cards}
    for path in sorted(folder.iterdir()):
        if path.suffix in {".onnx", ".bin", ".tflite"} and path.name not in known:
            found.append(f"{path}: no card in the catalogue")
    if not found:
        print(f"{len(cards)} models are what their cards say")
    return found


def main() -> int:
    found = faults(pathlib.Path(sys.argv[1]))
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
