"""A file of vectors, read in parts: little-endian float32, one after the other."""

import pathlib
from collections.abc import Iterator

import numpy as np

PART = 16384
SAMPLE = 65536


class Vectors:
    """The vectors in a file."""

    def __init__(self, file: pathlib.Path, dimension: int):
        self.file, self.dimension = file, dimension
        self.count = file.stat().st_size // (4 * dimension)

    def parts(self) -> Iterator[np.ndarray]:
        """All of them in order, some at a time: so that a worker's memory is that of its index."""
        with self.file.open("rb") as file:
            while len(values := np.fromfile(file, "<f4", PART * self.dimension)):
                yield values.reshape(-1, self.dimension)

    def sample(self) -> np.ndarray:
        """The first of them, as many as an index may want to see before."""
        return np.fromfile(self.file, "<f4", SAMPLE * self.dimension).reshape(-1, self.dimension)


def as_bytes(rows: np.ndarray) -> np.ndarray:
    """Each row in signed bytes, its largest component 127."""
    return np.round(rows * (127 / np.abs(rows).max(axis=1, keepdims=True))).astype(np.int8)
