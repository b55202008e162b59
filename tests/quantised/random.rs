//! Networks put together at random, fused and in float.

use proptest::prelude::*;

use crate::net::{Bias, Conv, INPUT_STEP, Net, STEP, Weights, Zero};
use crate::onnx::attr_float;
use crate::run;

/// A tensor while a network is being written.
#[derive(Debug, Clone)]
struct Tensor {
    name: String,
    channels: usize,
    size: [usize; 2],
}

/// One choice after the other.
struct Choices {
    left: Vec<u8>,
    /// tract does not load an activation between signed and unsigned bytes where it is left to it.
    signed: bool,
}

impl Choices {
    fn of(&mut self, count: usize) -> usize {
        self.left.pop().map_or(0, |choice| usize::from(choice) % count)
    }

    fn yes(&mut self) -> bool {
        self.of(2) == 1
    }

    fn zero(&mut self) -> Zero {
        let zero = [128, 128, 97, 133][self.of(4)];
        if self.signed { Zero::Signed((zero ^ 0x80) as i8) } else { Zero::Unsigned(zero) }
    }
}

fn rounded(net: &mut Net, choices: &mut Choices, tensor: &Tensor) -> Tensor {
    // Steps of one ratio or another, so that sums and means do not lie midway.
    let step = STEP * [1.0, 1.13, 0.97][choices.of(3)];
    let name = if choices.of(4) == 0 {
        let offsets = net.randoms(tensor.channels, 0.4);
        let zero = choices.zero();
        net.rounded_about(&tensor.name, step, zero, &offsets)
    } else {
        let zero = choices.zero();
        net.rounded(&tensor.name, step, zero)
    };
    Tensor { name, ..tensor.clone() }
}

fn convolved(net: &mut Net, choices: &mut Choices, tensor: &Tensor) -> Tensor {
    let channels = tensor.channels;
    let kernel = [1, 3, 3, 2][choices.of(4)];
    let mut conv = match choices.of(4) {
        0 => Conv::depthwise(channels, kernel),
        1 if channels.is_multiple_of(4) => Conv { groups: 4, ..Conv::new(channels, 12, kernel) },
        2 if channels <= 12 => Conv { groups: channels, ..Conv::new(channels, channels * 2, kernel) },
        _ => Conv::new(channels, [12, 20, 33][choices.of(3)], kernel),
    };
    conv.strides = [[1, 1], [1, 1], [2, 2], [1, 2]][choices.of(4)];
    // As many zeros as keep the size at a stride of 1, on either side.
    let (before, all) = (choices.of(kernel), kernel - 1);
    conv.pads = [before, all - before, all - before, before].map(|pad| pad as i64);
    if kernel > 1 && choices.of(4) == 0 && tensor.size.iter().all(|&side| side >= kernel) {
        conv.pads = [0; 4];
    }
    conv.weights = [Weights::PerChannel, Weights::PerTensor, Weights::Unsigned, Weights::PerChannel][choices.of(4)];
    conv.bias = [Bias::Float, Bias::None, Bias::Int32(STEP)][choices.of(3)];
    let size = [0, 1].map(|axis| {
        let padded = tensor.size[axis] + (conv.pads[axis] + conv.pads[axis + 2]) as usize;
        (padded - kernel) / conv.strides[axis] as usize + 1
    });
    Tensor { name: net.conv(&tensor.name, &conv), channels: conv.outputs, size }
}

/// The network's outputs.
fn write(net: &mut Net, choices: &mut Choices) -> Vec<String> {
    let mut tensor = Tensor { name: "x".to_owned(), channels: 4, size: [8, 9] };
    if choices.of(4) > 0 {
        let zero = choices.zero();
        tensor.name = net.rounded("x", 1.2 * INPUT_STEP, zero);
    }
    let mut known = vec![tensor.clone()];
    for _ in 0..12 {
        let name = &tensor.name.clone();
        tensor = match choices.of(9) {
            0 | 1 => convolved(net, choices, &tensor),
            2 | 3 => rounded(net, choices, &tensor),
            4 => Tensor { name: net.prelu(name, tensor.channels, 1.5), ..tensor },
            5 => {
                let name = match choices.of(3) {
                    0 => net.node("Relu", &[name], vec![]),
                    1 => net.node("LeakyRelu", &[name], vec![attr_float("alpha", 0.3)]),
                    _ => {
                        let (low, high) = (net.floats(&[], &[-0.7]), net.floats(&[], &[1.9]));
                        net.node("Clip", &[name, &low, &high], vec![])
                    }
                };
                Tensor { name, ..tensor }
            }
            6 => {
                let fits = |other: &&Tensor| other.channels == tensor.channels && other.size == tensor.size;
                let others: Vec<Tensor> = known.iter().filter(fits).cloned().collect();
                let other = others[choices.of(others.len())].name.clone();
                let sides = if choices.yes() { [name, &other] } else { [&other, name] };
                Tensor { name: net.node("Add", &sides.map(String::as_str), vec![]), ..tensor }
            }
            7 if tensor.size.iter().all(|&side| (2..6).contains(&side)) => {
                Tensor { name: net.doubled(name), size: tensor.size.map(|side| 2 * side), ..tensor }
            }
            7 => Tensor { name: net.max_pool(name, 3, 1, [1; 4]), ..tensor },
            // Back to an earlier tensor: a branch.
            _ => known[choices.of(known.len())].clone(),
        };
        known.push(tensor.clone());
    }
    let mut outputs = vec![];
    if choices.yes() {
        tensor = rounded(net, choices, &tensor);
    }
    let other = known[choices.of(known.len())].name.clone();
    for output in [tensor.name, other] {
        // The input itself is no node's output.
        if output != "x" && !outputs.contains(&output) {
            outputs.push(output);
        }
    }
    outputs
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Whatever is fused and whatever is not: the result is the float one but for values that lie midway between two steps.
    #[test]
    fn any_network_gives_what_tract_gives(left in prop::collection::vec(any::<u8>(), 40..120), signed: bool) {
        let mut net = Net::new(&[1, 4, 8, 9]);
        let outputs = write(&mut net, &mut Choices { left, signed });
        prop_assume!(!outputs.is_empty());
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        let (_, mean, magnitude) = run("random", &mut net, &outputs).differences();
        // Errors in constants or borders make whole steps everywhere, in 100 times larger means.
        prop_assert!(mean <= 0.05 * STEP * magnitude.max(1.0), "{mean} apart in the mean, largest value {magnitude}");
    }
}
