"""FAISS, exhaustive: vectors as 32-bit floats (IndexFlatIP) or as bytes (IndexScalarQuantizer)."""

import faiss
import numpy as np
import protocol
import vectors

CANDIDATES = 5


class Faiss(protocol.Worker):
    """An index of all vectors, searched by inner product."""

    engine = f"FAISS {faiss.__version__} ({' '.join(faiss.get_compile_options().split())})"

    def __init__(self, file: vectors.Vectors, precision: str, threads: int):
        faiss.omp_set_num_threads(threads)
        if precision == "f32":
            self.index = faiss.IndexFlatIP(file.dimension)
        else:
            self.index = faiss.IndexScalarQuantizer(file.dimension, faiss.ScalarQuantizer.QT_8bit,
                                                    faiss.METRIC_INNER_PRODUCT)
            # The range of each component.
            self.index.train(file.sample())
        for part in file.parts():
            self.index.add(part)
        self.found: tuple[np.ndarray, np.ndarray] | None = None

    def prepare(self, probe: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(probe.reshape(1, -1))

    def run(self, probe: np.ndarray) -> None:
        self.found = self.index.search(probe, CANDIDATES)

    def outputs(self) -> dict[str, np.ndarray]:
        similarities, rows = self.found
        return {"rows": rows, "similarities": similarities}


parser = protocol.arguments()
parser.add_argument("--precision", choices=("f32", "int8"), required=True)
options = parser.parse_args()
protocol.serve(options, lambda: Faiss(vectors.Vectors(options.model, options.shape[0]), options.precision, options.threads))
