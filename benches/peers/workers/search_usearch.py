"""usearch: exhaustive search over vectors as bytes, or its approximate graph (HNSW) of such."""

import numpy as np
import protocol
import usearch
import vectors
from usearch.index import Index, MetricKind, search

CANDIDATES = 5


class Exhaustive(protocol.Worker):
    """All vectors compared by cosine."""

    engine = f"usearch {usearch.__version__}"
    note = "exact=True"

    def __init__(self, file: vectors.Vectors, threads: int):
        self.threads = threads
        self.rows = np.empty((file.count, file.dimension), np.int8)
        at = 0
        for part in file.parts():
            self.rows[at:at + len(part)] = vectors.as_bytes(part)
            at += len(part)

    def prepare(self, probe: np.ndarray) -> np.ndarray:
        return vectors.as_bytes(probe.reshape(1, -1))

    def run(self, probe: np.ndarray) -> None:
        self.found = search(self.rows, probe, CANDIDATES, MetricKind.Cos, exact=True, threads=self.threads)

    def outputs(self) -> dict[str, np.ndarray]:
        return {"rows": self.found.keys, "similarities": 1 - self.found.distances}


class Graph(protocol.Worker):
    """The approximate index with usearch's own settings: it does not look at everybody."""

    engine = f"usearch {usearch.__version__}"
    note = "approximate"

    def __init__(self, file: vectors.Vectors, threads: int):
        self.threads = threads
        self.index = Index(ndim=file.dimension, metric=MetricKind.Cos, dtype="i8")
        at = 0
        for part in file.parts():
            self.index.add(np.arange(at, at + len(part)), part, threads=threads)
            at += len(part)

    def run(self, probe: np.ndarray) -> None:
        self.found = self.index.search(probe.ravel(), CANDIDATES, threads=self.threads)

    def outputs(self) -> dict[str, np.ndarray]:
        return {"rows": self.found.keys, "similarities": 1 - self.found.distances}


parser = protocol.arguments()
parser.add_argument("--graph", action="store_true")
options = parser.parse_args()
protocol.serve(options, lambda: (Graph if options.graph else Exhaustive)(
    vectors.Vectors(options.model, options.shape[0]), options.threads))
