"""The folder of models with SFace as its recogniser: its cards, the int8 file, and the committed models beside it."""

import hashlib
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
CARDS = HERE / "sface" / "catalogue.toml"
FLOAT, INT8 = "sface", "sface-int8"


def complete(out, calibration, doorward, check):
    """Makes a folder that holds SFace's float file whole: catalogue, licences, the committed models and, where there are pictures
    to calibrate on, the int8 file. Returns 1 when `check` finds a file that is not the one of the committed card."""
    ours, others = (path.read_text(encoding="utf-8") for path in (CARDS, HERE / "catalogue.toml"))
    committed = {card["id"]: card for card in tomllib.loads(others)["model"]}
    pinned = {card["id"]: card for card in tomllib.loads(ours)["model"]}
    for card in committed.values():
        shutil.copyfile(HERE / card["file"], out / card["file"])
    shutil.copytree(HERE / "LICENSES", out / "LICENSES", dirs_exist_ok=True)

    differing = [] if is_pinned(out, pinned[FLOAT]) else [FLOAT]
    ours = describe(ours, out, pinned[FLOAT])
    if calibration:
        # The quantiser reads a catalogue: the float card alone is one.
        write_catalogue(out, [without(ours, INT8), without_default(others, "recogniser")])
        quantise(out, calibration, doorward)
        differing += [] if is_pinned(out, pinned[INT8]) else [INT8]
        ours = describe(ours, out, pinned[INT8])
    else:
        (out / pinned[INT8]["file"]).unlink(missing_ok=True)  # of an earlier run: it would lie there without a card
        ours = without(ours, INT8)
    write_catalogue(out, [ours, without_default(others, "recogniser")])
    for model in differing:
        print(f"{pinned[model]['file']} is not the file that {CARDS.relative_to(HERE.parent)} tells of, whose figures are those of "
              f"SHA-256 {pinned[model]['sha256']}", file=sys.stderr)
    return 1 if check and differing else 0


def quantise(out, calibration, doorward):
    """Writes the int8 file beside the float one, by quantize.py."""
    command = [sys.executable, HERE / "quantize.py", "--calibration", calibration, "--models", out, "--model", FLOAT, "--fit-rounding", "--zero-points"]
    command += ["--doorward", doorward] if doorward else []
    if subprocess.run(command).returncode:
        sys.exit("the int8 file could not be made")


def is_pinned(out, card):
    return hashlib.sha256((out / card["file"]).read_bytes()).hexdigest() == card["sha256"]


def describe(text, out, card):
    """The catalogue's text with length and hash of the file as it is there."""
    data = (out / card["file"]).read_bytes()
    block = blocks(text)[card["id"]]
    told = re.sub(r"(?m)^bytes = \d+$", f"bytes = {len(data)}", block, count=1)
    told = re.sub(r'(?m)^sha256 = "[0-9a-f]{64}"$', f'sha256 = "{hashlib.sha256(data).hexdigest()}"', told, count=1)
    return text.replace(block, told)


def blocks(text):
    """{id: the text of its [[model]]}."""
    parts = re.split(r"(?m)^(?=\[\[model\]\]$)", text)[1:]
    return {tomllib.loads(part)["model"][0]["id"]: part for part in parts}


def without(text, model):
    return text.replace(blocks(text)[model], "")


def without_default(text, role):
    """The cards of a catalogue, none of them the default of `role`."""
    cards = [block.replace("default = true\n", "", 1) if tomllib.loads(block)["model"][0]["role"] == role else block
             for block in blocks(text).values()]
    return "".join(cards)


def write_catalogue(out, texts):
    joined = "\n".join(text.strip("\n") + "\n" for text in texts)
    (out / "catalogue.toml").write_text(joined, encoding="utf-8")
