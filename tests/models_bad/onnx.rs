//! ONNX files written byte by byte, so that a test can write what no exporter would.

/// FLOAT, UINT8, INT8, INT32, INT64 of `TensorProto.DataType`.
pub const FLOAT: i64 = 1;
pub const UINT8: i64 = 2;
pub const INT8: i64 = 3;
pub const INT32: i64 = 6;
pub const INT64: i64 = 7;

/// A protobuf message being written.
#[derive(Debug, Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub fn int(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn bytes(mut self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.as_ref().len() as u64);
        self.0.extend_from_slice(bytes.as_ref());
        self
    }

    pub fn message(self, field: u64, inner: Message) -> Self {
        self.bytes(field, inner.0)
    }

    /// Packed integers.
    pub fn ints(self, field: u64, values: &[i64]) -> Self {
        let mut packed = Message::default();
        for &value in values {
            packed.varint(value as u64);
        }
        self.message(field, packed)
    }
}

/// A tensor with its values in `raw_data`.
pub fn tensor(name: &str, data_type: i64, dims: &[i64], raw: &[u8]) -> Message {
    Message::default().ints(1, dims).int(2, data_type).bytes(8, name).bytes(9, raw)
}

/// A FLOAT tensor.
pub fn floats(name: &str, dims: &[i64], values: &[f32]) -> Message {
    tensor(name, FLOAT, dims, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
}

/// An INT64 tensor of one axis.
pub fn longs(name: &str, values: &[i64]) -> Message {
    tensor(name, INT64, &[values.len() as i64], &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
}

pub fn attr_int(name: &str, value: i64) -> Message {
    Message::default().bytes(1, name).int(3, value).int(20, 2)
}

pub fn attr_float(name: &str, value: f32) -> Message {
    Message::default().bytes(1, name).float(2, value).int(20, 1)
}

pub fn attr_ints(name: &str, values: &[i64]) -> Message {
    Message::default().bytes(1, name).ints(8, values).int(20, 7)
}

pub fn attr_tensor(name: &str, value: Message) -> Message {
    Message::default().bytes(1, name).message(5, value).int(20, 4)
}

pub fn attr_graph(name: &str, value: Message) -> Message {
    Message::default().bytes(1, name).message(6, value).int(20, 5)
}

/// A node called `name`.
pub fn node(operator: &str, name: &str, inputs: &[&str], outputs: &[&str], attributes: Vec<Message>) -> Message {
    let mut node = Message::default();
    for input in inputs {
        node = node.bytes(1, input);
    }
    for output in outputs {
        node = node.bytes(2, output);
    }
    node = node.bytes(3, name).bytes(4, operator);
    attributes.into_iter().fold(node, |node, attribute| node.message(5, attribute))
}

/// A value of an element type and shape, for the graph's inputs and outputs.
pub fn value(name: &str, data_type: i64, dims: &[i64]) -> Message {
    let shape = dims.iter().fold(Message::default(), |shape, &dim| shape.message(1, Message::default().int(1, dim)));
    let tensor = Message::default().int(1, data_type).message(2, shape);
    Message::default().bytes(1, name).message(2, Message::default().message(1, tensor))
}

/// The graph's message: nodes, initialisers, inputs and outputs in any order.
#[derive(Debug, Clone, Default)]
pub struct Graph(pub Message);

impl Graph {
    /// A graph with the FLOAT input `x` of shape `[1, 3, 8, 8]` and the output `y`.
    pub fn new() -> Graph {
        Graph::empty().input("x", FLOAT, &[1, 3, 8, 8]).output("y")
    }

    pub fn empty() -> Graph {
        Graph(Message::default().bytes(2, "g"))
    }

    pub fn input(self, name: &str, data_type: i64, dims: &[i64]) -> Graph {
        Graph(self.0.message(11, value(name, data_type, dims)))
    }

    pub fn output(self, name: &str) -> Graph {
        Graph(self.0.message(12, value(name, FLOAT, &[])))
    }

    pub fn node(
        self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: Vec<Message>,
    ) -> Graph {
        Graph(self.0.message(1, node(operator, name, inputs, outputs, attributes)))
    }

    pub fn tensor(self, tensor: Message) -> Graph {
        Graph(self.0.message(5, tensor))
    }

    /// More fields of the graph's own.
    pub fn with(mut self, fields: Message) -> Graph {
        self.0.0.extend(fields.0);
        self
    }

    /// The file.
    pub fn file(self) -> Vec<u8> {
        self.file_with(Message::default())
    }

    /// The file with more fields of the model's own.
    pub fn file_with(self, more: Message) -> Vec<u8> {
        let operators = Message::default().bytes(1, "").int(2, 13);
        let mut file = Message::default().int(1, 8).message(7, self.0).message(8, operators).0;
        file.extend(more.0);
        file
    }
}
