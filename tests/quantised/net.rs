//! Small quantised networks as ONNX files, with random weights, in the forms that tools write.

use crate::onnx::*;

/// The step of a network's input, whose values lie between -1 and 1.
pub const INPUT_STEP: f32 = 1.0 / 127.0;
/// The step of inner tensors: values of about -3 to 3.
pub const STEP: f32 = 1.0 / 40.0;

/// The type and value of a zero point.
#[derive(Debug, Clone, Copy)]
pub enum Zero {
    Signed(i8),
    Unsigned(u8),
    /// An INT16 zero point, for 16-bit activations.
    Wide,
}

/// How a weight is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weights {
    /// Signed bytes, a scale for each output channel.
    PerChannel,
    /// Signed bytes, one scale.
    PerTensor,
    /// Unsigned bytes about 128, one scale.
    Unsigned,
    /// No integers at all.
    Float,
}

/// How a bias is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bias {
    None,
    Float,
    /// 32-bit integers in units of the input's step times the weight's.
    Int32(f32),
}

/// A convolution.
#[derive(Debug, Clone)]
pub struct Conv {
    pub inputs: usize,
    pub outputs: usize,
    pub groups: usize,
    pub kernel: [usize; 2],
    pub strides: [i64; 2],
    pub dilations: [i64; 2],
    pub pads: [i64; 4],
    pub auto_pad: Option<&'static str>,
    pub weights: Weights,
    pub bias: Bias,
}

impl Conv {
    /// A square kernel over one pixel at a time, padded so that the size stays.
    pub fn new(inputs: usize, outputs: usize, kernel: usize) -> Conv {
        Conv {
            inputs,
            outputs,
            groups: 1,
            kernel: [kernel; 2],
            strides: [1; 2],
            dilations: [1; 2],
            pads: [(kernel / 2) as i64; 4],
            auto_pad: None,
            weights: Weights::PerChannel,
            bias: Bias::Float,
        }
    }

    pub fn depthwise(channels: usize, kernel: usize) -> Conv {
        Conv { groups: channels, ..Conv::new(channels, channels, kernel) }
    }
}

/// A network being written. Nodes are called by their operator and a number: `Conv0`, `Conv1`.
pub struct Net {
    graph: Graph,
    pub shape: Vec<usize>,
    numbers: u64,
    nodes: Vec<(String, usize)>,
    constants: usize,
}

impl Net {
    /// A network with the input `x`.
    pub fn new(shape: &[usize]) -> Net {
        let dims: Vec<i64> = shape.iter().map(|&dim| dim as i64).collect();
        let graph = Graph::empty().input("x", FLOAT, &dims);
        Net { graph, shape: shape.to_vec(), numbers: 1, nodes: Vec::new(), constants: 0 }
    }

    /// A random value between -1 and 1.
    pub fn random(&mut self) -> f32 {
        // Knuth's generator; its upper bits.
        self.numbers = self.numbers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.numbers >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub fn randoms(&mut self, count: usize, limit: f32) -> Vec<f32> {
        (0..count).map(|_| self.random() * limit).collect()
    }

    /// Adds a node and returns its output.
    pub fn node(&mut self, operator: &str, inputs: &[&str], attributes: Vec<Message>) -> String {
        let number = match self.nodes.iter_mut().find(|(known, _)| known == operator) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                self.nodes.push((operator.to_owned(), 0));
                0
            }
        };
        let (name, output) = (format!("{operator}{number}"), format!("{operator}{number}:out"));
        self.edit(|graph| graph.node(operator, &name, inputs, &[&output], attributes));
        output
    }

    fn edit(&mut self, edit: impl FnOnce(Graph) -> Graph) {
        self.graph = edit(std::mem::take(&mut self.graph));
    }

    fn constant(&mut self, make: impl FnOnce(&str) -> Message) -> String {
        let name = format!("constant{}", self.constants);
        self.constants += 1;
        let tensor = make(&name);
        self.edit(|graph| graph.tensor(tensor));
        name
    }

    pub fn floats(&mut self, dims: &[usize], values: &[f32]) -> String {
        self.constant(|name| floats(name, &signed(dims), values))
    }

    pub fn integers(&mut self, values: &[i64]) -> String {
        self.constant(|name| longs(name, values))
    }

    /// One value a channel, as `[channels, 1, 1]`.
    pub fn by_channel(&mut self, values: &[f32]) -> String {
        self.floats(&[values.len(), 1, 1], values)
    }

    fn zero(&mut self, zero: Zero, count: usize) -> String {
        let (kind, raw) = match zero {
            Zero::Signed(zero) => (INT8, vec![zero as u8; count]),
            Zero::Unsigned(zero) => (UINT8, vec![zero; count]),
            Zero::Wide => (INT16, vec![0; 2 * count]),
        };
        let dims: &[i64] = if count == 1 { &[] } else { &[count as i64] };
        self.constant(|name| tensor(name, kind, dims, &raw))
    }

    /// QuantizeLinear alone.
    pub fn quantise(&mut self, input: &str, step: f32, zero: Zero) -> String {
        let (scale, zero) = (self.floats(&[], &[step]), self.zero(zero, 1));
        self.node("QuantizeLinear", &[input, &scale, &zero], vec![])
    }

    /// DequantizeLinear alone.
    pub fn dequantise(&mut self, input: &str, step: f32, zero: Zero) -> String {
        let (scale, zero) = (self.floats(&[], &[step]), self.zero(zero, 1));
        self.node("DequantizeLinear", &[input, &scale, &zero], vec![])
    }

    /// QuantizeLinear and DequantizeLinear.
    pub fn rounded(&mut self, input: &str, step: f32, zero: Zero) -> String {
        let stored = self.quantise(input, step, zero);
        self.dequantise(&stored, step, zero)
    }

    /// The same with a scale for each of `channels`.
    pub fn rounded_by_channel(&mut self, input: &str, channels: usize, step: f32) -> String {
        let steps: Vec<f32> = (0..channels).map(|channel| step * (1.0 + channel as f32 / 10.0)).collect();
        let scale = self.floats(&[channels], &steps);
        let zero = self.zero(Zero::Signed(0), channels);
        let axis = || vec![attr_int("axis", 1)];
        let stored = self.node("QuantizeLinear", &[input, &scale, &zero], axis());
        self.node("DequantizeLinear", &[&stored, &scale, &zero], axis())
    }

    /// The same about an offset for each channel: Sub, QuantizeLinear, DequantizeLinear, Add.
    pub fn rounded_about(&mut self, input: &str, step: f32, zero: Zero, offsets: &[f32]) -> String {
        let offset = self.by_channel(offsets);
        let centred = self.node("Sub", &[input, &offset], vec![]);
        let rounded = self.rounded(&centred, step, zero);
        self.node("Add", &[&rounded, &offset], vec![])
    }

    /// A weight of `[outputs, ..]` (the scales along `axis`) for sums of `terms`, as DequantizeLinear gives it, and its steps.
    fn weight(&mut self, form: Weights, dims: &[usize], axis: usize, terms: usize) -> (String, Vec<f32>) {
        let count: usize = dims.iter().product();
        let limit = 3.0 / (terms as f32).sqrt();
        if form == Weights::Float {
            let values = self.randoms(count, limit);
            return (self.floats(dims, &values), vec![]);
        }
        let steps: Vec<f32> = match form {
            Weights::PerChannel => (0..dims[axis]).map(|_| (1.0 + 0.5 * self.random()) * limit / 127.0).collect(),
            _ => vec![limit / 127.0],
        };
        let integers: Vec<i16> = (0..count).map(|_| (self.random() * 127.0).round() as i16).collect();
        let (kind, zero) = match form {
            Weights::Unsigned => (UINT8, 128),
            _ => (INT8, 0),
        };
        let raw: Vec<u8> = integers.iter().map(|&value| (value + zero) as u8).collect();
        let scale_dims: &[usize] = if form == Weights::PerChannel { &[steps.len()] } else { &[] };
        let values = self.constant(|name| tensor(name, kind, &signed(dims), &raw));
        let scale = self.floats(scale_dims, &steps);
        let zeros = match form {
            Weights::PerChannel => self.zero(Zero::Signed(0), steps.len()),
            Weights::PerTensor => self.zero(Zero::Signed(0), 1),
            _ => self.zero(Zero::Unsigned(128), 1),
        };
        let attributes = if form == Weights::PerChannel { vec![attr_int("axis", axis as i64)] } else { vec![] };
        (self.node("DequantizeLinear", &[&values, &scale, &zeros], attributes), steps)
    }

    fn bias(&mut self, form: Bias, outputs: usize, weight_steps: &[f32]) -> Option<String> {
        let values = self.randoms(outputs, 0.5);
        Some(match form {
            Bias::None => return None,
            Bias::Float => self.floats(&[outputs], &values),
            Bias::Int32(input_step) => {
                let steps: Vec<f32> = weight_steps.iter().map(|step| step * input_step).collect();
                let integers =
                    values.iter().enumerate().map(|(i, value)| (value / steps[i % steps.len()]).round() as i32);
                let raw: Vec<u8> = integers.flat_map(i32::to_le_bytes).collect();
                let stored = self.constant(|name| tensor(name, INT32, &[outputs as i64], &raw));
                let dims: &[usize] = if steps.len() == 1 { &[] } else { &[outputs] };
                let scale = self.floats(dims, &steps);
                let attributes = if steps.len() == 1 { vec![] } else { vec![attr_int("axis", 0)] };
                self.node("DequantizeLinear", &[&stored, &scale], attributes)
            }
        })
    }

    pub fn conv(&mut self, input: &str, conv: &Conv) -> String {
        let [rows, columns] = conv.kernel;
        let group_in = conv.inputs / conv.groups;
        let dims = [conv.outputs, group_in, rows, columns];
        let (weight, steps) = self.weight(conv.weights, &dims, 0, group_in * rows * columns);
        let bias = self.bias(conv.bias, conv.outputs, &steps);
        let mut attributes = vec![
            attr_int("group", conv.groups as i64),
            attr_ints("kernel_shape", &[rows as i64, columns as i64]),
            attr_ints("strides", &conv.strides),
            attr_ints("dilations", &conv.dilations),
        ];
        attributes.push(match conv.auto_pad {
            Some(auto_pad) => attr_text("auto_pad", auto_pad),
            None => attr_ints("pads", &conv.pads),
        });
        let inputs: Vec<&str> = [input, &weight].into_iter().chain(bias.as_deref()).collect();
        self.node("Conv", &inputs, attributes)
    }

    /// Flatten and Gemm.
    pub fn gemm(&mut self, input: &str, [terms, outputs]: [usize; 2], transposed: bool, weights: Weights) -> String {
        let flat = self.node("Flatten", &[input], vec![]);
        let (dims, axis) = if transposed { ([outputs, terms], 0) } else { ([terms, outputs], 1) };
        let (weight, steps) = self.weight(weights, &dims, axis, terms);
        let bias = self.bias(Bias::Float, outputs, &steps).expect("there is a bias");
        self.node("Gemm", &[&flat, &weight, &bias], vec![attr_int("transB", transposed.into())])
    }

    /// MatMul and the Add of a bias.
    pub fn matmul(&mut self, input: &str, [terms, outputs]: [usize; 2]) -> String {
        let (weight, steps) = self.weight(Weights::PerChannel, &[terms, outputs], 1, terms);
        let product = self.node("MatMul", &[input, &weight], vec![]);
        let bias = self.bias(Bias::Float, outputs, &steps).expect("there is a bias");
        self.node("Add", &[&product, &bias], vec![])
    }

    /// PRelu with slopes between `-limit` and `limit`.
    pub fn prelu(&mut self, input: &str, channels: usize, limit: f32) -> String {
        let slopes = self.randoms(channels, limit);
        let slopes = self.by_channel(&slopes);
        self.node("PRelu", &[input, &slopes], vec![])
    }

    pub fn max_pool(&mut self, input: &str, kernel: i64, stride: i64, pads: [i64; 4]) -> String {
        let window =
            vec![attr_ints("kernel_shape", &[kernel; 2]), attr_ints("strides", &[stride; 2]), attr_ints("pads", &pads)];
        self.node("MaxPool", &[input], window)
    }

    /// Resize that repeats every pixel twice in both directions.
    pub fn doubled(&mut self, input: &str) -> String {
        let scales = self.floats(&[4], &[1.0, 1.0, 2.0, 2.0]);
        let attributes = vec![
            attr_text("mode", "nearest"),
            attr_text("coordinate_transformation_mode", "asymmetric"),
            attr_text("nearest_mode", "floor"),
        ];
        self.node("Resize", &[input, "", &scales], attributes)
    }

    /// The file with these outputs.
    pub fn file(&self, outputs: &[&str]) -> Vec<u8> {
        outputs.iter().fold(self.graph.clone(), |graph, output| graph.output(output)).file()
    }
}

fn signed(dims: &[usize]) -> Vec<i64> {
    dims.iter().map(|&dim| dim as i64).collect()
}

fn attr_text(name: &str, value: &str) -> Message {
    Message::default().bytes(1, name).bytes(4, value).int(20, 3)
}

/// INT16 of `TensorProto.DataType`.
const INT16: i64 = 5;
