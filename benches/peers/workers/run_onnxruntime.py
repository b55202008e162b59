"""onnxruntime on the processor, whatever precision the file has."""

import numpy as np
import onnxruntime
import protocol


class OnnxRuntime(protocol.Worker):
    """A session with as many threads as asked, which do not spin on after a run."""

    engine = f"onnxruntime {onnxruntime.__version__}"

    def __init__(self, model: str, threads: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.names = [output.name for output in self.session.get_outputs()]
        self.values: list[np.ndarray] = []

    def run(self, image: np.ndarray) -> None:
        self.values = self.session.run(None, {self.input: image})

    def outputs(self) -> dict[str, np.ndarray]:
        return dict(zip(self.names, self.values, strict=True))


options = protocol.arguments().parse_args()
protocol.serve(options, lambda: OnnxRuntime(str(options.model), options.threads))
