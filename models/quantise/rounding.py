"""Weights rounded up or down so that what a convolution puts out changes least, instead of each to its nearest integer.

Values next to each other in a picture are alike, above all where it is over- or underexposed: there the errors of a kernel's taps do
not cancel but add up to their sum. Weighed by how the input's values vary together, the sum is what counts. Each weight in turn is
rounded so that it makes up best for the others' errors, until none moves any more. After the idea of Nagel et al., *Up or Down?
Adaptive Rounding for Post-Training Quantization*, ICML 2020, with plain coordinate descent instead of a relaxation.
"""

import numpy as np

from .recipe import quantise_weights

# Kernels of more values than this are left alone: how so many vary together cannot be told from the calibration pictures.
MOST_TERMS = 1024
PASSES = 10
# Of the mean variance, added to each: what calibration did not show is not taken for certain.
RIDGE = 0.01


def fit_weights(node, values):
    """The convolution's weights as multiples of their scales that fit its input `values` (N x C x H x W) best."""
    q, scale = quantise_weights(node.weight)
    exact = (node.weight / scale.astype(np.float64)[:, None, None, None]).reshape(len(q), -1)
    rounded = q.reshape(len(q), -1).astype(np.float64)
    together = covariances(node, values)
    variances = np.trace(together, axis1=1, axis2=2) / together.shape[1]
    together += RIDGE * variances[:, None, None] * np.eye(together.shape[1])
    # The greatest of a row sets its scale and stays.
    fixed = np.abs(rounded) == 127
    for _ in range(PASSES):
        before, errors = rounded.copy(), rounded - exact
        for i in range(rounded.shape[1]):
            others = (errors * together[:, i]).sum(1) - errors[:, i] * together[:, i, i]
            best = np.rint(exact[:, i] - others / np.maximum(together[:, i, i], 1e-12))
            # Within a step of the exact value: calibration is no reason to write other weights.
            best = np.clip(best, np.floor(exact[:, i]), np.ceil(exact[:, i]))
            rounded[:, i] = np.where(fixed[:, i], rounded[:, i], np.clip(best, -126, 126))
            errors[:, i] = rounded[:, i] - exact[:, i]
        if np.array_equal(before, rounded):
            break
    return rounded.reshape(node.weight.shape) * scale.astype(np.float64)[:, None, None, None]


def covariances(node, values):
    """Of the values under a kernel, for each output channel: (channels or 1) x terms x terms. Means are left to the biases."""
    top, left, bottom, right = node.attributes.get("pads", [0, 0, 0, 0])
    rows, columns = node.weight.shape[2:]
    down, across = node.attributes.get("strides", [1, 1])
    moments, sums, places = 0.0, 0.0, 0
    for picture in values:
        padded = np.pad(picture, ((0, 0), (top, bottom), (left, right)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (rows, columns), (1, 2))[:, ::down, ::across]
        channels, count = len(windows), windows.shape[1] * windows.shape[2]
        if node.depthwise:
            under = windows.reshape(channels, count, rows * columns).astype(np.float64)
        else:
            under = windows.transpose(1, 2, 0, 3, 4).reshape(1, count, channels * rows * columns).astype(np.float64)
        moments = moments + under.transpose(0, 2, 1) @ under
        sums = sums + under.sum(1)
        places += count
    means = sums / places
    return moments / places - means[:, :, None] * means[:, None, :]


def fits(node):
    """Whether the rounding of a convolution's weights can be fitted."""
    dense = node.attributes.get("group", 1) == 1
    plain = set(node.attributes.get("dilations", [1])) == {1} and node.attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
    return plain and (dense or node.depthwise) and node.weight[0].size <= MOST_TERMS
