"""ncnn on the processor in float, from an ONNX file that pnnx converts."""

import hashlib
import pathlib
import shutil
import stat
import subprocess
import sysconfig

import ncnn
import numpy as np
import onnx
import protocol


def convert(model: pathlib.Path, shape: list[int], cache: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """The .param and .bin files pnnx makes of an ONNX file, made once."""
    size = "x".join(map(str, shape))
    digest = hashlib.sha256(model.read_bytes()).hexdigest()[:12]
    folder = cache / f"ncnn-{ncnn.__version__}-{digest}-{size}"
    param, weights = folder / "model.ncnn.param", folder / "model.ncnn.bin"
    if not (param.exists() and weights.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model, folder / "model.onnx")
        # Called by its path: the package's Python side wants PyTorch, this program does not.
        pnnx = pathlib.Path(sysconfig.get_path("purelib"), "pnnx", "pnnx")
        pnnx.chmod(pnnx.stat().st_mode | stat.S_IXUSR)
        command = [pnnx, "model.onnx", f"inputshape=[{size.replace('x', ',')}]", "fp16=0"]
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode or not weights.exists():
            raise RuntimeError(f"pnnx could not convert {model.name}: {done.stdout[-300:]}")
    return param, weights


class Ncnn(protocol.Worker):
    """A net with memory pools, as ncnn's own benchmark sets it up, and everything but float switched off."""

    engine = f"ncnn {ncnn.__version__}"

    def __init__(self, param: pathlib.Path, weights: pathlib.Path, names: list[str], shape: list[int], threads: int):
        self.names = names
        self.pools = ncnn.UnlockedPoolAllocator(), ncnn.PoolAllocator()
        self.net = ncnn.Net()
        option = self.net.opt
        option.num_threads = threads
        option.blob_allocator, option.workspace_allocator = self.pools
        for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(option, name, False)
        if self.net.load_param(str(param)) or self.net.load_model(str(weights)):
            raise RuntimeError(f"ncnn cannot load {param}")
        _, channels, height, width = shape
        self.input = ncnn.Mat(width, height, channels)
        self.pixels = np.array(self.input, copy=False)
        self.mats: list[ncnn.Mat] = []

    def run(self, image: np.ndarray) -> None:
        self.pixels[...] = image[0]
        with self.net.create_extractor() as extractor:
            extractor.input("in0", self.input)
            self.mats = [extractor.extract(f"out{index}")[1] for index in range(len(self.names))]

    def outputs(self) -> dict[str, np.ndarray]:
        return {name: np.array(mat) for name, mat in zip(self.names, self.mats, strict=True)}


parser = protocol.arguments()
parser.add_argument("--cache", type=pathlib.Path, required=True, help="where converted models are kept")
options = parser.parse_args()
names = [output.name for output in onnx.load(options.model).graph.output]
files = convert(options.model, options.shape, options.cache)
protocol.serve(options, lambda: Ncnn(*files, names, options.shape, options.threads))
