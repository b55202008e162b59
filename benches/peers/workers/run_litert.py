"""LiteRT (TensorFlow Lite) on the processor, which hands the network to XNNPACK.

The batch of a .tflite file may be fixed above 1 (MobileFaceNet's is 2, and its Reshape forbids another): then the input
is given that often and the time is divided.
"""

from importlib.metadata import version

import numpy as np
import protocol
from ai_edge_litert.interpreter import Interpreter


class LiteRt(protocol.Worker):
    """One interpreter, fed NHWC."""

    engine = f"LiteRT {version('ai-edge-litert')}"

    def __init__(self, model: str, name: str, threads: int):
        self.interpreter = Interpreter(model, num_threads=threads)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]
        self.output = self.interpreter.get_output_details()[0]
        self.name = name
        self.images_per_run = int(self.input["shape"][0])
        if self.images_per_run > 1:
            self.note = f"runs {self.images_per_run} pictures at once, time of one"
        self.values = np.empty(0, np.float32)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.repeat(image.transpose(0, 2, 3, 1), self.images_per_run, axis=0))

    def run(self, image: np.ndarray) -> None:
        self.interpreter.set_tensor(self.input["index"], image)
        self.interpreter.invoke()
        self.values = self.interpreter.get_tensor(self.output["index"])

    def outputs(self) -> dict[str, np.ndarray]:
        return {self.name: self.values[0]}


parser = protocol.arguments()
parser.add_argument("--output-name", required=True, help="what the ONNX file calls the one output")
options = parser.parse_args()
protocol.serve(options, lambda: LiteRt(str(options.model), options.output_name, options.threads))
