"""OpenVINO on the processor. Its default precision is the processor's choice: bfloat16 where the instructions are there."""

import numpy as np
import openvino
import protocol


class OpenVino(protocol.Worker):
    """One infer request, whose input and output buffers are kept."""

    engine = f"OpenVINO {openvino.__version__.split('-')[0]}"

    def __init__(self, model: str, shape: list[int], threads: int, precision: str | None):
        core = openvino.Core()
        network = core.read_model(model)
        network.reshape(shape)
        properties = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(threads),
                      # The processor cores are chosen by whoever started this process.
                      "ENABLE_CPU_PINNING": "NO"}
        if precision:
            properties["INFERENCE_PRECISION_HINT"] = precision
        compiled = core.compile_model(network, "CPU", properties)
        used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.note = f"floats computed in {used}"
        self.request = compiled.create_infer_request()
        self.input = np.empty(shape, np.float32)
        self.request.set_input_tensor(openvino.Tensor(self.input, shared_memory=True))
        # An output may have several names, of which the file's is one.
        self.ports = {name: index for index, output in enumerate(compiled.outputs) for name in output.get_names()}

    def run(self, image: np.ndarray) -> None:
        self.input[...] = image
        self.request.infer(share_outputs=True)

    def outputs(self) -> dict[str, np.ndarray]:
        return {name: self.request.get_output_tensor(index).data for name, index in self.ports.items()}


parser = protocol.arguments()
parser.add_argument("--precision", help="of float operators (default: OpenVINO's own choice)")
options = parser.parse_args()
protocol.serve(options, lambda: OpenVino(str(options.model), options.shape, options.threads, options.precision))
