"""Detection and alignment for `make.py`: YuNet in onnxruntime, the five-point template, a bilinear warp. Only the pictures it yields
are committed, so that nothing here needs to agree with the Rust code to the last bit."""

import numpy as np
import onnxruntime

# Five points of a face in a 112x112 crop (ArcFace, Deng et al., CVPR 2019): eyes, nose tip, corners of the mouth; left to right.
TEMPLATE = np.array([(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)])
SCORE = 0.6


def session(path, as_written=False):
    options = onnxruntime.SessionOptions()
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def yunet_input(rgb):
    """BGR, 0 to 255, planes; zero-padded at the right and bottom to multiples of 32."""
    height, width = (-(-n // 32) * 32 for n in rgb.shape[:2])
    padded = np.zeros((height, width, 3), np.float32)
    padded[: rgb.shape[0], : rgb.shape[1]] = rgb
    return np.ascontiguousarray(padded[..., ::-1].transpose(2, 0, 1)[None])


def detect(yunet, rgb):
    """All faces above SCORE, best first: (score, box x y w h, 5x2 landmarks), in px of `rgb`."""
    tensor = yunet_input(rgb)
    names = [output.name for output in yunet.get_outputs()]
    out = dict(zip(names, yunet.run(names, {"input": tensor}), strict=True))
    found = []
    for stride in (8, 16, 32):
        columns = tensor.shape[3] // stride
        score = np.sqrt(out[f"cls_{stride}"][0, :, 0] * out[f"obj_{stride}"][0, :, 0])
        for cell in np.flatnonzero(score > SCORE):
            corner = np.array([cell % columns, cell // columns])
            offset, size = np.split(out[f"bbox_{stride}"][0, cell], 2)
            size = np.exp(size) * stride
            box = np.concatenate([(corner + offset) * stride - size / 2, size])
            points = (out[f"kps_{stride}"][0, cell].reshape(5, 2) + corner) * stride
            found.append((float(score[cell]), box, points))
    found.sort(key=lambda face: -face[0])
    kept = []
    for face in found:
        if all(overlap(face[1], other[1]) < 0.3 for other in kept):
            kept.append(face)
    return kept


def overlap(a, b):
    """Intersection over union of two boxes."""
    sides = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    common = np.prod(np.maximum(sides, 0))
    return common / (np.prod(a[2:]) + np.prod(b[2:]) - common)


def similarity(source, target):
    """The 2x3 least-squares similarity transform from `source` to `target` (Umeyama 1991)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, d, vt = np.linalg.svd(b.T @ a / len(a))
    sign = np.array([1, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ np.diag(sign) @ vt
    scaled = (d * sign).sum() / a.var(0).sum() * rotation
    return np.column_stack([scaled, target.mean(0) - scaled @ source.mean(0)])


def align(rgb, landmarks):
    """The 112x112 crop with the landmarks on the template; outside the picture it is black."""
    matrix = similarity(landmarks, TEMPLATE)
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    y, x = np.mgrid[:112, :112]
    u, v = (inverse @ np.stack([x.ravel(), y.ravel(), np.ones(112 * 112)]))[:2]
    bordered = np.pad(rgb, ((1, 1), (1, 1), (0, 0))).astype(np.float64)
    u, v = np.clip(u + 1, 0, rgb.shape[1] + 0.999), np.clip(v + 1, 0, rgb.shape[0] + 0.999)
    left, top = u.astype(int), v.astype(int)
    fx, fy = (u - left)[:, None], (v - top)[:, None]
    above = bordered[top, left] * (1 - fx) + bordered[top, left + 1] * fx
    below = bordered[top + 1, left] * (1 - fx) + bordered[top + 1, left + 1] * fx
    return np.rint(above * (1 - fy) + below * fy).astype(np.uint8).reshape(112, 112, 3)
