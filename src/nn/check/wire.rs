//! The raw bytes, before anything is decoded.
//!
//! Decoding protobuf takes memory by what the bytes declare, not by their number: an empty attribute is two bytes in the file and
//! more than a kilobyte once decoded. So the bytes are walked first, by the same schema as the decoder's, and what decoding would take
//! is added up. The walk allocates nothing, skips every tensor's data in one step and goes no deeper than [`MAX_DEPTH`].

use std::mem::size_of;

use tract_onnx::pb;

use super::fault::Fault;
use super::{MAX_DECODED_BYTES, MAX_FILE_BYTES};

/// How deep messages may lie in each other. An attribute's tensor is the fourth; a body of a loop adds three.
const MAX_DEPTH: usize = 24;

/// The longest name or other text. Exporters write documentation of some KB at most.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// The messages of an ONNX file.
#[derive(Debug, Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Dimension,
    Entry,
    OperatorSet,
    Function,
    Training,
    Annotation,
    Segment,
}

/// What a field holds, as far as its cost in memory goes.
enum Field {
    Message(Message),
    /// One text or block of bytes; the last one counts.
    Text,
    /// Many texts.
    Texts,
    /// Tensor data: as long in memory as in the file.
    Data,
    /// Many integers of the given size in memory, one byte or more each in the file.
    Integers(usize),
    /// A number, or a field that the decoder skips.
    Other,
}

impl Message {
    /// What one of these takes in memory, without what its lists and texts hold.
    fn decoded_bytes(self) -> usize {
        match self {
            Message::Model => size_of::<pb::ModelProto>(),
            Message::Graph => size_of::<pb::GraphProto>(),
            Message::Node => size_of::<pb::NodeProto>(),
            Message::Attribute => size_of::<pb::AttributeProto>(),
            Message::Tensor => size_of::<pb::TensorProto>(),
            Message::SparseTensor => size_of::<pb::SparseTensorProto>(),
            Message::ValueInfo => size_of::<pb::ValueInfoProto>(),
            Message::Type => size_of::<pb::TypeProto>(),
            Message::TensorType => size_of::<pb::type_proto::Tensor>(),
            Message::Shape => size_of::<pb::TensorShapeProto>(),
            Message::Dimension => size_of::<pb::tensor_shape_proto::Dimension>(),
            Message::Entry => size_of::<pb::StringStringEntryProto>(),
            Message::OperatorSet => size_of::<pb::OperatorSetIdProto>(),
            Message::Function => size_of::<pb::FunctionProto>(),
            Message::Training => size_of::<pb::TrainingInfoProto>(),
            Message::Annotation => size_of::<pb::TensorAnnotation>(),
            Message::Segment => size_of::<pb::tensor_proto::Segment>(),
        }
    }

    /// The field called `number` of onnx.proto (IR version 8, as the decoder knows it).
    fn field(self, number: u64) -> Field {
        use Field::{Data, Integers, Message as Inner, Other, Text, Texts};
        match (self, number) {
            (Message::Model, 2 | 3 | 4 | 6) => Text,
            (Message::Model, 7) => Inner(Message::Graph),
            (Message::Model, 8) => Inner(Message::OperatorSet),
            (Message::Model, 14) => Inner(Message::Entry),
            (Message::Model, 20) => Inner(Message::Training),
            (Message::Model, 25) => Inner(Message::Function),
            (Message::Graph, 1) => Inner(Message::Node),
            (Message::Graph, 2 | 10) => Text,
            (Message::Graph, 5) => Inner(Message::Tensor),
            (Message::Graph, 11..=13) => Inner(Message::ValueInfo),
            (Message::Graph, 14) => Inner(Message::Annotation),
            (Message::Graph, 15) => Inner(Message::SparseTensor),
            (Message::Node, 1 | 2) => Texts,
            (Message::Node, 3 | 4 | 6 | 7) => Text,
            (Message::Node, 5) => Inner(Message::Attribute),
            (Message::Attribute, 1 | 4 | 13 | 21) => Text,
            (Message::Attribute, 5 | 10) => Inner(Message::Tensor),
            (Message::Attribute, 6 | 11) => Inner(Message::Graph),
            (Message::Attribute, 7) => Data,
            (Message::Attribute, 8) => Integers(8),
            (Message::Attribute, 9) => Texts,
            (Message::Attribute, 15) => Inner(Message::Type),
            (Message::Attribute, 22 | 23) => Inner(Message::SparseTensor),
            (Message::Tensor, 1 | 7 | 11) => Integers(8),
            (Message::Tensor, 3) => Inner(Message::Segment),
            (Message::Tensor, 4 | 9 | 10) => Data,
            (Message::Tensor, 5) => Integers(4),
            (Message::Tensor, 6) => Texts,
            (Message::Tensor, 8 | 12) => Text,
            (Message::Tensor, 13) => Inner(Message::Entry),
            (Message::SparseTensor, 1 | 2) => Inner(Message::Tensor),
            (Message::SparseTensor, 3) => Integers(8),
            (Message::ValueInfo, 1 | 3) => Text,
            (Message::ValueInfo, 2) => Inner(Message::Type),
            (Message::Type, 1) => Inner(Message::TensorType),
            (Message::Type, 6) => Text,
            (Message::TensorType, 2) => Inner(Message::Shape),
            (Message::Shape, 1) => Inner(Message::Dimension),
            (Message::Dimension, 2 | 3) => Text,
            (Message::Entry, 1 | 2) | (Message::OperatorSet, 1) => Text,
            (Message::Function, 1 | 8 | 10) => Text,
            (Message::Function, 4..=6) => Texts,
            (Message::Function, 7) => Inner(Message::Node),
            (Message::Function, 9) => Inner(Message::OperatorSet),
            (Message::Training, 1 | 2) => Inner(Message::Graph),
            (Message::Training, 3 | 4) => Inner(Message::Entry),
            (Message::Annotation, 1) => Text,
            (Message::Annotation, 2) => Inner(Message::Entry),
            _ => Other,
        }
    }
}

/// Walks `bytes` and refuses what cannot be decoded, or only with much more memory than the file is long.
pub(super) fn scan(bytes: &[u8]) -> Result<(), Fault> {
    if bytes.len() > MAX_FILE_BYTES {
        let reason = format!("{} bytes are more than the {MAX_FILE_BYTES} allowed", bytes.len());
        return Err(Fault::Graph { field: "file", reason });
    }
    let mut walk = Walk { bytes, at: 0, extra_bytes: 0 };
    walk.message(Message::Model, bytes.len(), 0)
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    /// What decoding takes in memory above the file's own length.
    extra_bytes: usize,
}

impl Walk<'_> {
    fn message(&mut self, message: Message, end: usize, depth: usize) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(self.fault(format!("messages lie in each other more than {MAX_DEPTH} deep")));
        }
        self.charge(message.decoded_bytes())?;
        while self.at < end {
            let key = self.varint(end)?;
            let (number, wire_type) = (key >> 3, key & 7);
            match wire_type {
                0 => {
                    self.varint(end)?;
                    if let Field::Integers(size) = message.field(number) {
                        self.charge(size)?;
                    }
                }
                1 => self.skip(8, end)?,
                2 => self.block(message.field(number), end, depth)?,
                5 => self.skip(4, end)?,
                _ => return Err(self.fault(format!("field {number} of {message:?} has wire type {wire_type}"))),
            }
        }
        Ok(())
    }

    /// A field with a length of its own.
    fn block(&mut self, field: Field, end: usize, depth: usize) -> Result<(), Fault> {
        let length = self.varint(end)?;
        let length = match usize::try_from(length) {
            Ok(length) if length <= end - self.at => length,
            _ => return Err(self.fault(format!("{length} bytes are announced where {} are left", end - self.at))),
        };
        match field {
            Field::Message(inner) => return self.message(inner, self.at + length, depth + 1),
            Field::Text | Field::Texts if length > MAX_TEXT_BYTES => {
                return Err(self.fault(format!("a text of {length} bytes, {MAX_TEXT_BYTES} are allowed")));
            }
            Field::Texts => self.charge(size_of::<String>())?,
            // As many numbers as bytes, at worst.
            Field::Integers(size) => self.charge(length.saturating_mul(size - 1))?,
            Field::Text | Field::Data | Field::Other => {}
        }
        self.skip(length, end)
    }

    fn varint(&mut self, end: usize) -> Result<u64, Fault> {
        let mut value = 0u64;
        for (i, &byte) in self.bytes[self.at..end].iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.at += i + 1;
                return Ok(value);
            }
        }
        Err(self.fault("a number does not end".to_owned()))
    }

    fn skip(&mut self, length: usize, end: usize) -> Result<(), Fault> {
        if length > end - self.at {
            return Err(self.fault(format!("{length} bytes are announced where {} are left", end - self.at)));
        }
        self.at += length;
        Ok(())
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        self.extra_bytes = self.extra_bytes.saturating_add(bytes);
        if self.extra_bytes > MAX_DECODED_BYTES {
            let reason = format!("decoding takes {MAX_DECODED_BYTES} bytes more than the file is long");
            return Err(self.fault(reason));
        }
        Ok(())
    }

    fn fault(&self, reason: String) -> Fault {
        Fault::Encoding { offset: self.at, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        scan(bytes).unwrap_err().to_string()
    }

    /// `inner` as the content of field `number`.
    fn wrap(number: u8, inner: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2];
        let mut length = inner.len();
        while length >= 0x80 {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend_from_slice(inner);
        bytes
    }

    #[test]
    fn sound_bytes_pass() {
        scan(&[]).unwrap();
        // ir_version 8, an unknown field of each wire type, a graph with a node with an input
        let unknown = [0xb8, 0x06, 1, 0xb9, 0x06, 0, 0, 0, 0, 0, 0, 0, 0, 0xba, 0x06, 1, 7, 0xbd, 0x06, 0, 0, 0, 0];
        scan(&[&[0x08, 0x08][..], &unknown, &wrap(7, &wrap(1, &wrap(1, b"x")))].concat()).unwrap();
    }

    #[test]
    fn a_cut_is_refused_with_its_place() {
        let whole = wrap(7, &wrap(2, b"name"));
        for cut in 1..whole.len() {
            assert!(refusal(&whole[..cut]).starts_with("byte "), "{cut}");
        }
        assert!(refusal(&[0x3a, 5, 0]).contains("byte 2: 5 bytes are announced where 1 are left"));
        assert!(refusal(&wrap(7, &[0x0a, 200, 1])).contains("200 bytes are announced where 0 are left"));
    }

    #[test]
    fn sizes_that_overflow_are_refused() {
        let huge = [0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert!(refusal(&huge).contains("18446744073709551615 bytes are announced"));
        assert!(
            refusal(&[0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).contains("does not end")
        );
    }

    #[test]
    fn groups_and_unknown_wire_types_are_refused() {
        for wire_type in [3, 4, 6, 7] {
            assert!(refusal(&[0x38 | wire_type]).contains(&format!("wire type {wire_type}")));
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        // graph > node > attribute > graph > ...
        let nested = |times: usize| {
            let mut graph = Vec::new();
            for _ in 0..times {
                graph = wrap(1, &wrap(5, &wrap(6, &graph)));
            }
            wrap(7, &graph)
        };
        scan(&nested(7)).unwrap();
        assert!(refusal(&nested(8)).contains("more than 24 deep"));
        assert!(refusal(&nested(2000)).contains("more than 24 deep"));
    }

    #[test]
    fn what_grows_in_decoding_is_refused() {
        // Empty attributes, dimensions of one byte, empty input names: each two bytes at most. So many that it is too much where
        // addresses have 32 bits, too.
        let attributes = wrap(7, &wrap(1, &[0x2a, 0].repeat(200_000)));
        let dims = wrap(7, &wrap(5, &wrap(1, &vec![1; 20_000_000])));
        let inputs = wrap(7, &wrap(1, &[0x0a, 0].repeat(6_000_000)));
        for bytes in [attributes, dims, inputs] {
            assert!(refusal(&bytes).contains("more than the file is long"));
        }
        // Floats are as long in memory as in the file.
        scan(&wrap(7, &wrap(5, &wrap(4, &vec![0; 20_000_000])))).unwrap();
        assert!(refusal(&wrap(7, &wrap(2, &vec![b'x'; 2_000_000]))).contains("a text of 2000000 bytes"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_walked_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
            let _ = scan(&bytes);
            let _ = scan(&wrap(7, &bytes));
            let _ = scan(&wrap(7, &wrap(1, &wrap(5, &bytes))));
        }
    }
}
