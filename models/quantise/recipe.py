"""The recipe: which tensors are rounded to 8 bits, by which scale, and what is done to the weights first.

docs/quantisation.md tells what each step buys.
"""

from dataclasses import dataclass

import numpy as np

from .network import ACTIVATIONS, HOMOGENEOUS, PASSING

# A channel that hardly moves, of the greatest range: it is not blown up beyond this.
LEAST_RANGE = 1e-3


@dataclass(frozen=True)
class Steps:
    """The steps of the recipe, each of which may be left out to see what it buys."""

    equalise_depthwise: bool = True
    equalise_pointwise: bool = True
    offsets: bool = True
    correct_bias: bool = True
    float_tail: bool = True
    zero_points: bool = False  # for what depthwise convolutions read: levels where the values are, most of them above 0
    fit_rounding: bool = False  # of weights, to what they read: rounding.py
    alpha: float = 0.5  # how the equalisation of a 1x1's input is shared between activations (1) and weights (0)


@dataclass(frozen=True)
class Quantiser:
    """real = (q - zero_point) * scale + offset, q an i8; one offset a channel, or none."""

    scale: np.float32
    zero_point: int = 0
    offset: np.ndarray | None = None

    def __call__(self, values):
        """The values as they are after rounding (N x C x H x W)."""
        offset = np.float32(0) if self.offset is None else self.offset.reshape(1, -1, 1, 1)
        q = np.clip(np.rint((values - offset) / self.scale) + self.zero_point, -128, 127)
        return ((q - self.zero_point) * self.scale + offset).astype(np.float32)


def quantise_weights(weight):
    """(q, scale): symmetric, one scale an output channel, q within +-127."""
    scale = np.maximum(np.abs(weight).max((1, 2, 3)), 1e-12) / 127
    return np.rint(weight / scale[:, None, None, None]).astype(np.int8), scale.astype(np.float32)


class Plan:
    """Which tensors of a network are quantised, and who reads them."""

    def __init__(self, network, tail=()):
        """`tail`: names of the outputs of convolutions that stay in float."""
        self.network, self.tail = network, set(tail)
        self.tensors = self.points()

    def convolutions(self):
        """The convolutions that run on integers."""
        return [c for c in self.network.convolutions() if c.output not in self.tail]

    def readers(self, tensor):
        """The nodes that read it, those behind a pooling or a resizing included, which hand its numbers on."""
        found = []
        for node in self.network.readers(tensor):
            found += self.readers(node.output) if node.op in PASSING else [node]
        return found

    def points(self):
        """The tensors to quantise: what an int8 convolution reads, at the end of the group that makes it.

        A group is a convolution, its activation, and one addition behind it: within it nothing is rounded.
        """
        inside, adding = set(), set()
        for node in self.network.nodes:
            read_by = self.network.readers(node.output)
            if len(read_by) != 1 or self.network.is_output(node.output):
                continue
            behind = read_by[0]
            if node.op == "Conv" and behind.op in ACTIVATIONS:
                inside.add(node.output)
            elif behind.op == "Add" and behind.output not in adding and node.op in {"Conv"} | ACTIVATIONS:
                inside.add(node.output)
                adding.add(behind.output)
        made = [self.network.entry] + [n.output for n in self.network.nodes if n.op in {"Conv", "Add"} | ACTIVATIONS]
        return [t for t in made if t not in inside and self.leads_to_integers(t)]

    def leads_to_integers(self, tensor):
        """Whether a convolution on integers reads it, directly, through its activation or summed up with others."""
        through = ACTIVATIONS | {"Add"}
        return any(node.op == "Conv" and node.output not in self.tail
                   or node.op in through and self.leads_to_integers(node.output) for node in self.readers(tensor))

    def classes(self):
        """The sets of tensors whose channels can only be scaled together, each with the convolutions that make and read them.

        Tensors joined by an addition share their scaling, which is why a residual trunk has one. Where something other than a
        convolution reads a tensor, or an activation is not homogeneous, the class cannot be scaled and is left out.
        """
        made_by = {self.network.input.name: self.network.input.name}

        def root(tensor):
            while made_by[tensor] != tensor:
                tensor = made_by[tensor]
            return tensor

        fixed = {self.network.input.name}
        for node in self.network.nodes:
            for tensor in node.outputs:
                made_by[tensor] = tensor
            if node.op in HOMOGENEOUS | PASSING | {"Add"} and not (node.op == "Add" and node.constants):
                for tensor in node.inputs:
                    made_by[root(tensor)] = root(node.output)
            elif node.op != "Conv":
                fixed |= {*node.inputs, *node.outputs}
        fixed = {root(t) for t in fixed} | {root(value.name) for value in self.network.outputs}
        classes = {}
        for node in self.network.nodes:
            if root(node.output) not in fixed:
                classes.setdefault(root(node.output), []).append(node.output)
        for tensors in classes.values():
            makers = [c for c in self.network.convolutions() if c.output in tensors]
            readers = [c for c in self.network.convolutions() if c.inputs[0] in tensors]
            yield tensors, makers, readers


def equalise(plan, ranges, steps):
    """Scales channels so that one scale a tensor fits them all, in place; returns the ranges as they are then.

    Makers' rows and biases are divided by e, readers' input channels multiplied: the network computes the same. Where only
    depthwise convolutions read, weights are rounded by channel on both sides and nothing is lost by e = the channel's
    largest magnitude. Where a 1x1 reads, channels share a row's scale, so the range is moved into the weights only by half.
    """
    ranges = dict(ranges)
    for tensors, makers, readers in plan.classes():
        rounded = [t for t in tensors if t in plan.tensors]
        only_depthwise = all(reader.depthwise for reader in readers)
        if not rounded or not (steps.equalise_depthwise if only_depthwise else steps.equalise_pointwise):
            continue
        low = np.min([ranges[t][0] for t in rounded], 0)
        high = np.max([ranges[t][1] for t in rounded], 0)
        if only_depthwise and steps.zero_points:
            e = bounded_below(levels_wanted(low, high, best_zero_point(low, high)))
        elif only_depthwise:
            e = bounded_below(np.maximum(-low, high))
        else:
            span = bounded_below(np.max([ranges[t][1] - ranges[t][0] for t in rounded], 0))
            rows = [np.abs(r.weight) / np.abs(r.weight).max((1, 2, 3), keepdims=True) for r in readers if not r.depthwise]
            weight = bounded_below(np.max([r.max((0, 2, 3)) for r in rows], 0))
            e = span ** steps.alpha / weight ** (1 - steps.alpha)
        e = e / np.exp(np.log(e).mean())
        for maker in makers:
            maker.weight = maker.weight / e[:, None, None, None]
            maker.bias = maker.bias / e
        for reader in readers:
            reader.weight = reader.weight * (e[:, None, None, None] if reader.depthwise else e[None, :, None, None])
        for tensor in tensors:
            if tensor in ranges:
                ranges[tensor] = tuple(bound / e for bound in ranges[tensor])
    return ranges


def levels_wanted(low, high, zero_point):
    """How far apart each channel's levels must be for its range, real 0 at `zero_point`."""
    return np.maximum(np.maximum(high, 0) / (127 - zero_point), np.maximum(-low, 0) / (128 + zero_point))


def best_zero_point(low, high):
    """The zero point that the channels' levels are finest with, by the mean square relative to what 0 would give."""
    reference = bounded_below(np.maximum(-low, high))
    return min(range(-127, 127), key=lambda zero_point: np.square(levels_wanted(low, high, zero_point) / reference).mean())


def bounded_below(values):
    """The values, none less than a thousandth of the greatest."""
    return np.maximum(values, LEAST_RANGE * values.max())


def quantisers(plan, ranges, steps, pixels):
    """A quantiser for each tensor of the plan; `pixels` is that of the network's entry."""
    made = {plan.network.entry: pixels}
    for tensor in plan.tensors:
        if tensor in made:
            continue
        low, high = (bound.astype(np.float64) for bound in ranges[tensor])
        direct = plan.readers(tensor)
        passed_on = any(node.op in PASSING for node in plan.network.readers(tensor))
        if low.min() >= 0:  # behind a Relu: real 0, and with it the padding, is the integer -128
            made[tensor] = Quantiser(np.float32(high.max() / 255), -128)
        elif steps.offsets and not passed_on and all(n.op == "Add" or n.unpadded for n in direct):
            made[tensor] = Quantiser(np.float32((high - low).max() / 255), 0, ((low + high) / 2).astype(np.float32))
        elif steps.zero_points:  # real 0 is an integer: padding stays what it is
            zero_point = best_zero_point(low, high)
            made[tensor] = Quantiser(np.float32(levels_wanted(low, high, zero_point).max()), zero_point)
        else:  # real 0 is the integer 0
            made[tensor] = Quantiser(np.float32(np.maximum(-low, high).max() / 127))
    return made
