"""From a float model and calibration pictures to the bytes of its int8 model."""

from .calibrate import channel_ranges, correct_biases
from .crops import crops_of
from .emit import emit
from .frames import scenes
from .network import Network, shapes
from .recipe import Plan, Steps, equalise, quantisers
from .simplify import simplify

SEED = 1
# Pictures, one a person: for the ranges, and of these for the bias correction, which holds them in memory at every layer.
PICTURES, BIAS_PICTURES = 128, 64


def calibration(card, binary, paths, seed):
    """The pictures a model of this kind is calibrated on, N x rows x columns x RGB, and the files they are made of."""
    if card.role == "recogniser":
        used, pictures = crops_of(binary, paths, PICTURES)
    else:
        used = paths[:PICTURES]
        pictures = scenes(used, seed)
    if len(used) < PICTURES:
        raise SystemExit(f"{len(used)} people with a face are too few to calibrate {card.id} on, {PICTURES} are needed")
    return pictures, used


def global_tail(network):
    """The convolutions whose output is one pixel: they cost next to nothing, and their error goes to the output undiminished.

    Not so where they hold most of the weights, as a fully connected layer over large feature maps does: reading them is what
    takes time then.
    """
    known = shapes(network)
    tail = [c for c in network.convolutions() if known.get(c.output, (0, 0, 0, 0))[2:] == (1, 1)]
    weights = sum(c.weight.size for c in network.convolutions())
    return [c.output for c in tail] if 2 * sum(c.weight.size for c in tail) < weights else []


def prepare(card, pictures):
    """The part that all recipes share: (a function that makes the simplified network, the ranges of its channels, inputs)."""
    inputs = card.inputs(pictures)
    data = card.bytes

    def network():
        return simplify(Network.read(data))

    return network, channel_ranges(network(), (value[None] for value in inputs)), inputs


def quantise(card, prepared, steps=Steps(), activations=True):
    """The int8 model, as ONNX bytes; without `activations` only the weights are rounded."""
    make, ranges, inputs = prepared
    network = make()
    plan = Plan(network, global_tail(network) if steps.float_tail else ())
    ranges = equalise(plan, ranges, steps)
    rounders = quantisers(plan, ranges, steps, card.pixels(network.centre)) if activations else {}
    if not steps.offsets and activations and rounders[network.entry].offset is not None:
        del rounders[network.entry]  # the first convolution reads floats, as without an offset pixels would be lost
    if steps.correct_bias:
        correct_biases(plan, rounders, inputs[:BIAS_PICTURES], last=card.role == "recogniser", fit_rounding=steps.fit_rounding)
    return emit(plan, rounders).SerializeToString(deterministic=True)
