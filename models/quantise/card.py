"""What the catalogue says of a model, as far as quantising needs it."""

import pathlib
import tomllib
from dataclasses import dataclass

import numpy as np

from .recipe import Quantiser


@dataclass(frozen=True)
class Card:
    """A float model and how it is fed: each value is (pixel - mean) * scale."""

    id: str
    path: pathlib.Path
    role: str
    colour: str
    mean: tuple
    scale: float

    @property
    def bytes(self):
        return self.path.read_bytes()

    def inputs(self, pictures):
        """N x C x rows x columns of pictures (N x rows x columns x RGB u8)."""
        ordered = pictures[..., ::-1] if self.colour == "BGR" else pictures
        values = (ordered.astype(np.float32) - np.array(self.mean, np.float32)) * np.float32(self.scale)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2))

    def pixels(self, centre=0.0):
        """The quantiser of the input less `centre` (one value, or one a channel), whose integer is pixel - 128 and loses nothing.

        The value (q + 128 - mean) * scale - centre has, with centre / scale as part of the mean, the zero point mean - 128 where that is an integer of 8 bits. Otherwise the rest
        becomes an offset: with a mean of 127.5 there is no integer for 0.
        """
        zero_points = np.array(self.mean) + np.asarray(centre) / self.scale - 128
        whole = np.unique(zero_points).size == 1 and float(zero_points[0]).is_integer() and -128 <= zero_points[0] <= 127
        if whole:
            return Quantiser(np.float32(self.scale), int(zero_points[0]))
        return Quantiser(np.float32(self.scale), 0, (-zero_points * self.scale).astype(np.float32))


def cards(folder, ids):
    """The cards `ids` of the catalogue in `folder`."""
    catalogue = tomllib.loads((folder / "catalogue.toml").read_text(encoding="utf-8"))
    found = {card["id"]: card for card in catalogue["model"]}
    missing = [id for id in ids if id not in found]
    if missing:
        raise SystemExit(f"{folder / 'catalogue.toml'} has no model {missing[0]}; it has {', '.join(found)}")
    for id in ids:
        card = found[id]
        if card["format"] != "onnx" or card["input"]["colour"] == "GREY" or card["role"] not in ("recogniser", "detector"):
            raise SystemExit(f"{id} cannot be quantised: an ONNX recogniser or detector that reads colours is expected")
        yield Card(id, folder / card["file"], card["role"], card["input"]["colour"], tuple(card["input"]["mean"]), card["input"]["scale"])
