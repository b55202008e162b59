//! What every family keeps to: the portable kernels follow the definition, all others give their bits.

use proptest::prelude::*;

use super::kernel;
use super::{Activation, Aligned, Conv, Epilogue, Grid, Output, PlannedConv, Residual};
use crate::nn::Isa;

/// A convolution, its input and how it is divided; the numbers themselves come from `seed`.
#[derive(Debug, Clone)]
struct Case {
    groups: usize,
    group_inputs: usize,
    group_outputs: usize,
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    pads: [usize; 4],
    /// Rows and columns of the input.
    size: [usize; 2],
    /// Whether the input's pixels lie side by side, as a picture's do.
    compact: bool,
    zero: u8,
    bytes: Bytes,
    weights: Weights,
    slopes: Slopes,
    /// The zero of the residual.
    residual: Option<u8>,
    shift: bool,
    /// `None` for float output.
    range: Option<(u8, u8)>,
    edge_bias: bool,
    parts: usize,
    seed: u64,
}

#[derive(Debug, Clone, Copy)]
enum Bytes {
    Any,
    /// 0 and 255, and the two between which most of them would lie.
    Ends,
    All(u8),
}

#[derive(Debug, Clone, Copy)]
enum Weights {
    /// -127 to 127, as symmetric quantisation makes them.
    Symmetric,
    /// -128 to 127.
    Any,
    /// Only the largest there are.
    Ends,
    All(i8),
}

#[derive(Debug, Clone, Copy)]
enum Slopes {
    None,
    Before,
    After,
}

/// SplitMix64: numbers from a seed.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// `-limit` to `limit`.
    fn real(&mut self, limit: f32) -> f32 {
        (self.below(20_001) as f32 / 10_000.0 - 1.0) * limit
    }

    fn bytes(&mut self, kind: Bytes, len: usize) -> Vec<u8> {
        let byte = |numbers: &mut Numbers| match kind {
            Bytes::Any => numbers.next() as u8,
            Bytes::Ends => [0, 127, 128, 255][numbers.below(4) as usize],
            Bytes::All(byte) => byte,
        };
        (0..len).map(|_| byte(self)).collect()
    }

    fn weights(&mut self, kind: Weights, len: usize) -> Vec<i8> {
        let weight = |numbers: &mut Numbers| match kind {
            Weights::Symmetric => (numbers.below(255) as i16 - 127) as i8,
            Weights::Any => numbers.next() as i8,
            Weights::Ends => [127, -127][numbers.below(2) as usize],
            Weights::All(weight) => weight,
        };
        (0..len).map(|_| weight(self)).collect()
    }
}

impl Case {
    fn conv(&self) -> Conv {
        let mut numbers = Numbers(self.seed);
        let outputs = self.groups * self.group_outputs;
        let taps = self.kernel[0] * self.kernel[1];
        let terms = self.group_inputs * taps;
        let mut reals = |limit: f32| -> Vec<f32> { (0..outputs).map(|_| numbers.real(limit)).collect() };
        // Sums of random terms then lie within some multiples of the range of a byte: most are stored, some are clamped.
        let scale = 1.0 / ((terms as f32).sqrt() * 90.0);
        let multiplier = reals(0.5).iter().map(|part| (1.0 + part) * scale).collect();
        let bias = reals(30.0);
        // With zeros of both signs among them.
        let mut slopes = reals(9.5);
        slopes.iter_mut().step_by(5).for_each(|slope| *slope *= 0.0);
        let shift = self.shift.then(|| reals(60.0));
        let edge_bias =
            self.edge_bias.then(|| (0..outputs * taps).map(|_| f64::from(numbers.real(9.0)) / 7.0).collect());
        let epilogue = Epilogue {
            multiplier,
            bias,
            activation: match self.slopes {
                Slopes::None => Activation::None,
                Slopes::Before => Activation::Before(slopes),
                Slopes::After => Activation::After(slopes),
            },
            residual: self.residual.map(|zero| Residual { multiplier: 0.3 + numbers.real(0.2), zero }),
            shift,
            range: self.range,
        };
        Conv {
            inputs: self.groups * self.group_inputs,
            outputs,
            groups: self.groups,
            kernel: self.kernel,
            strides: self.strides,
            dilations: self.dilations,
            pads: self.pads,
            weights: numbers.weights(self.weights, outputs * terms),
            zero: self.zero,
            edge_bias,
            epilogue,
        }
    }

    fn input_grid(&self) -> Grid {
        let [height, width] = self.size;
        let make = if self.compact { Grid::compact } else { Grid::new };
        make(height, width, self.groups * self.group_inputs)
    }

    /// The input, with `noise` behind the last channel of every pixel.
    fn input(&self, noise: u64) -> Vec<u8> {
        tensor(self.input_grid(), self.bytes, self.seed ^ 1, noise)
    }

    fn residual(&self, grid: Grid, noise: u64) -> Option<Vec<u8>> {
        self.residual.map(|_| tensor(grid, Bytes::Any, self.seed ^ 2, noise))
    }

    /// The bits of every output value, pixel by pixel; `None` where the kernel does not fit into the input.
    fn run(&self, conv: &Conv, isa: Isa, noise: u64, scratch: &mut Aligned<u8>) -> Option<Vec<u32>> {
        let planned = PlannedConv::new(conv, self.input_grid(), isa)?;
        assert_eq!(planned.isa(), if kernel::of(isa).suits(conv) { isa } else { Isa::Portable });
        let grid = planned.output();
        let (input, residual) = (self.input(noise), self.residual(grid, noise));
        // What is not written shows.
        let mut bytes = vec![noise as u8; grid.len()];
        let mut reals = vec![f32::from_bits(noise as u32); grid.len()];
        for part in 0..self.parts {
            let units = planned.units() * part / self.parts..planned.units() * (part + 1) / self.parts;
            let values = planned.values_of(&units);
            let output = match self.range {
                Some(_) => Output::Int8(&mut bytes[values]),
                None => Output::Float(&mut reals[values]),
            };
            planned.run(&input, residual.as_deref(), output, units, scratch);
        }
        Some(match self.range {
            Some(_) => meaningful(grid, &bytes, |&byte| u32::from(byte)),
            None => meaningful(grid, &reals, |real| real.to_bits()),
        })
    }

    /// As [`run`](Case::run), by the definitions of a convolution and of [`Epilogue`].
    fn by_definition(&self, conv: &Conv) -> Option<Vec<u32>> {
        let [height, width] = conv.output_size(self.size[0], self.size[1])?;
        let grid = Grid::new(height, width, conv.outputs);
        let (input, residual) = (self.input(0), self.residual(grid, 0));
        let mut values = Vec::with_capacity(height * width * conv.outputs);
        for y in 0..height {
            for x in 0..width {
                for out in 0..conv.outputs {
                    let (sum, bias) = self.sum_and_bias(conv, &input, [y, x], out);
                    let place = (y * width + x) * grid.stride + out;
                    let value =
                        conv.epilogue.value(out, bias, sum, residual.as_ref().map_or(0, |residual| residual[place]));
                    values.push(match self.range {
                        Some((low, high)) => {
                            let stored = (f64::from(value).round_ties_even() + 128.0).clamp(0.0, 255.0) as u32;
                            stored.clamp(low.into(), high.into())
                        }
                        None => value.to_bits(),
                    });
                }
            }
        }
        Some(values)
    }

    /// The sum of products for one output value, and its bias.
    fn sum_and_bias(&self, conv: &Conv, input: &[u8], at: [usize; 2], out: usize) -> (i32, f32) {
        let grid = self.input_grid();
        let first = out / self.group_outputs * self.group_inputs;
        let taps = conv.kernel[0] * conv.kernel[1];
        let (mut sum, mut missing) = (0, 0.0);
        for tap in 0..taps {
            let k = [tap / conv.kernel[1], tap % conv.kernel[1]];
            let from = [0, 1].map(|axis| {
                (at[axis] * conv.strides[axis] + k[axis] * conv.dilations[axis]).checked_sub(conv.pads[axis])
            });
            match from {
                [Some(y), Some(x)] if y < grid.height && x < grid.width => {
                    for i in 0..self.group_inputs {
                        let stored = input[(y * grid.width + x) * grid.stride + first + i];
                        let weight = conv.weights[(out * self.group_inputs + i) * taps + tap];
                        sum += (i32::from(stored) - i32::from(conv.zero)) * i32::from(weight);
                    }
                }
                _ => missing += conv.edge_bias.as_ref().map_or(0.0, |edge| edge[out * taps + tap]),
            }
        }
        (sum, (f64::from(conv.epilogue.bias[out]) - missing) as f32)
    }

    /// Every family gives the portable one's bits, whatever lies behind the last channels and in the scratch memory.
    fn check_families(&self) {
        let conv = self.conv();
        let mut scratch = Aligned::default();
        let Some(reference) = Case { parts: 1, ..self.clone() }.run(&conv, Isa::Portable, 0, &mut scratch) else {
            return;
        };
        for isa in Isa::available() {
            for noise in [0x55aa_55aa, u64::MAX] {
                scratch.fill(noise as u8);
                let found = self.run(&conv, isa, noise, &mut scratch).unwrap();
                self.assert_same(isa.name(), &found, &reference);
            }
        }
    }

    fn check_definition(&self) {
        let conv = self.conv();
        let found = self.run(&conv, Isa::Portable, 0, &mut Aligned::default());
        let expected = self.by_definition(&conv);
        assert_eq!(found.is_some(), expected.is_some());
        if let (Some(found), Some(expected)) = (found, expected) {
            self.assert_same("the portable kernel", &found, &expected);
        }
    }

    fn assert_same(&self, what: &str, found: &[u32], expected: &[u32]) {
        assert_eq!(found.len(), expected.len());
        let first = found.iter().zip(expected).position(|(found, expected)| found != expected);
        if let Some(at) = first {
            let outputs = self.groups * self.group_outputs;
            let (pixel, channel) = (at / outputs, at % outputs);
            panic!(
                "{what}: {:#x}, not {:#x}, in pixel {pixel}, channel {channel}, of {self:?}",
                found[at], expected[at]
            );
        }
    }
}

/// A tensor whose channels depend on `seed` and whose other bytes depend on `noise`.
fn tensor(grid: Grid, kind: Bytes, seed: u64, noise: u64) -> Vec<u8> {
    let values = Numbers(seed).bytes(kind, grid.height * grid.width * grid.channels);
    let mut bytes = vec![noise as u8; grid.len()];
    for (pixel, values) in bytes.chunks_exact_mut(grid.stride).zip(values.chunks_exact(grid.channels)) {
        pixel[..grid.channels].copy_from_slice(values);
    }
    bytes
}

/// The channels that mean something.
fn meaningful<T>(grid: Grid, values: &[T], bits: impl Fn(&T) -> u32) -> Vec<u32> {
    values.chunks_exact(grid.stride).flat_map(|pixel| &pixel[..grid.channels]).map(bits).collect()
}

/// Groups, and the inputs and outputs of each; at most `most` channels.
fn channels(most: usize) -> impl Strategy<Value = [usize; 3]> {
    prop_oneof![
        4 => (1..=most, 1..=most).prop_map(|(inputs, outputs)| [1, inputs, outputs]),
        2 => (2usize..=8, 1..=most / 8, 1..=most / 8).prop_map(|(groups, inputs, outputs)| [groups, inputs, outputs]),
        4 => (2..=most).prop_map(|channels| [channels, 1, 1]),
        1 => (1..=most / 4, 2usize..=4).prop_map(|(channels, each)| [channels, 1, each]),
    ]
}

/// A kernel's rows and columns, and channels that keep the work within bounds.
fn kernel_and_channels() -> impl Strategy<Value = ([usize; 2], [usize; 3])> {
    prop_oneof![
        3 => channels(150).prop_map(|channels| ([1, 1], channels)),
        4 => channels(150).prop_map(|channels| ([3, 3], channels)),
        3 => ([1usize..=7, 1usize..=7], channels(40)),
    ]
}

fn epilogue() -> impl Strategy<Value = (Slopes, Option<u8>, bool, Option<(u8, u8)>)> {
    let slopes = prop_oneof![Just(Slopes::None), Just(Slopes::Before), Just(Slopes::After)];
    let range = prop_oneof![
        2 => Just(Some((0, 255))),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Some((a.min(b), a.max(b)))),
        1 => Just(None),
    ];
    (slopes, proptest::option::of(zero()), any::<bool>(), range)
}

fn zero() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0), Just(128), Just(255), any::<u8>()]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![6 => Just(Bytes::Any), 2 => Just(Bytes::Ends), 1 => Just(Bytes::All(255))]
}

fn weights() -> impl Strategy<Value = Weights> {
    prop_oneof![4 => Just(Weights::Symmetric), 2 => Just(Weights::Any), 2 => Just(Weights::Ends), 1 => Just(Weights::All(-128))]
}

fn cases() -> impl Strategy<Value = Case> {
    // Mostly strides of 1 and no dilation, as networks have it.
    let strides = [1usize..=2, 1usize..=2];
    let dilations = prop_oneof![3 => Just([1, 1]), 1 => [1usize..=2, 1usize..=3]];
    let pads = prop_oneof![Just([0; 4]), Just([1; 4]), [0usize..=3, 0usize..=3, 0usize..=3, 0usize..=3]];
    let window = (kernel_and_channels(), strides, dilations, pads, [1usize..=9, 1usize..=9]);
    let data = (any::<bool>(), zero(), bytes(), weights(), any::<bool>(), 1usize..=4, any::<u64>());
    (window, data, epilogue()).prop_map(|(window, data, epilogue)| {
        let ((kernel, [groups, group_inputs, group_outputs]), strides, dilations, pads, size) = window;
        let (compact, zero, bytes, weights, edge_bias, parts, seed) = data;
        let (slopes, residual, shift, range) = epilogue;
        Case {
            groups,
            group_inputs,
            group_outputs,
            kernel,
            strides,
            dilations,
            pads,
            size,
            compact,
            zero,
            bytes,
            weights,
            slopes,
            residual,
            shift,
            range,
            // One group only, and without padding there is no edge.
            edge_bias: edge_bias && groups == 1 && pads != [0; 4],
            parts,
            seed,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn every_family_gives_the_portable_bits(case in cases()) {
        case.check_families();
    }

    #[test]
    fn the_portable_kernels_follow_the_definition(case in cases()) {
        case.check_definition();
    }
}

/// The largest sums there are: any 16-bit sum of pairs, or saturating instruction, would show.
#[test]
fn nothing_overflows_at_the_extremes() {
    let case = Case {
        groups: 1,
        group_inputs: 150,
        group_outputs: 33,
        kernel: [7, 7],
        strides: [1, 1],
        dilations: [1, 1],
        pads: [0; 4],
        size: [7, 9],
        compact: false,
        zero: 0,
        bytes: Bytes::All(255),
        weights: Weights::All(0),
        slopes: Slopes::None,
        residual: None,
        shift: false,
        range: None,
        edge_bias: false,
        parts: 1,
        seed: 1,
    };
    let depthwise = Case { groups: 150, group_inputs: 1, group_outputs: 1, ..case.clone() };
    let pointwise = Case { kernel: [1, 1], group_inputs: 512, size: [2, 7], ..case.clone() };
    for shape in [case, depthwise, pointwise] {
        for weights in [Weights::All(127), Weights::All(-127), Weights::All(-128), Weights::Ends] {
            for (zero, byte) in [(0, 255), (255, 0), (128, 255), (128, 0)] {
                let case = Case { zero, bytes: Bytes::All(byte), weights, ..shape.clone() };
                let mut conv = case.conv();
                // The sums themselves come out.
                conv.epilogue.multiplier.fill(1.0);
                conv.epilogue.bias.fill(0.0);
                let expected = case.by_definition(&conv).unwrap();
                for isa in Isa::available() {
                    let found = case.run(&conv, isa, 0, &mut Aligned::default()).unwrap();
                    case.assert_same(isa.name(), &found, &expected);
                }
            }
        }
    }
}

/// Some processors' vector units take denormal numbers for zero.
#[test]
fn denormal_numbers_make_no_difference() {
    let base = Case {
        groups: 1,
        group_inputs: 16,
        group_outputs: 48,
        kernel: [1, 1],
        strides: [1, 1],
        dilations: [1, 1],
        pads: [0; 4],
        size: [3, 5],
        compact: false,
        zero: 128,
        bytes: Bytes::Any,
        weights: Weights::Symmetric,
        slopes: Slopes::None,
        residual: None,
        shift: true,
        range: Some((0, 255)),
        edge_bias: false,
        parts: 1,
        seed: 7,
    };
    let depthwise =
        Case { groups: 48, group_inputs: 1, group_outputs: 1, kernel: [3, 3], pads: [1; 4], ..base.clone() };
    let denormal = f32::MIN_POSITIVE / 1.1;
    for shape in [base, depthwise] {
        // The second steepness needs kernels that keep denormal numbers. What it multiplies is so small that values stay below 2^31, as
        // the kernels ask for.
        let (multipliers, biases) =
            ([denormal, 1e-45, 1e-38, 0.0, 1e-30], [-denormal, 0.0, -1e-45, -0.0, 1e-38, -f32::MIN_POSITIVE, -1e-22]);
        for (steepest, multipliers, biases) in
            [(1_048_576.0f32, &multipliers[..], &biases[..]), (2.5e38, &multipliers[..4], &biases[..6])]
        {
            for (slopes, residual) in [
                (Slopes::None, Some(128)),
                (Slopes::Before, None),
                (Slopes::Before, Some(3)),
                (Slopes::After, None),
                (Slopes::After, Some(3)),
            ] {
                for range in [Some((0, 255)), None] {
                    let case = Case { slopes, residual, range, ..shape.clone() };
                    let mut conv = case.conv();
                    let cycle = |to: &mut [f32], from: &[f32]| {
                        to.iter_mut().zip(from.iter().cycle()).for_each(|(to, from)| *to = *from);
                    };
                    let epilogue = &mut conv.epilogue;
                    // Cycles of different lengths, so that most pairs of values meet.
                    cycle(&mut epilogue.multiplier, multipliers);
                    cycle(&mut epilogue.bias, biases);
                    if let Some(residual) = &mut epilogue.residual {
                        residual.multiplier = denormal;
                    }
                    cycle(epilogue.shift.as_mut().unwrap(), &[0.5, denormal, 1.5, 0.0, -0.5, -1e-45]);
                    if let Activation::Before(slopes) | Activation::After(slopes) = &mut epilogue.activation {
                        cycle(slopes, &[steepest, -steepest, 1.0, denormal]);
                    }
                    let mut scratch = Aligned::default();
                    let expected = case.run(&conv, Isa::Portable, 0, &mut scratch).unwrap();
                    for isa in Isa::available() {
                        let found = case.run(&conv, isa, 0, &mut scratch).unwrap();
                        case.assert_same(isa.name(), &found, &expected);
                    }
                }
            }
        }
    }
}
