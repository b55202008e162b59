//! What can be wrong with a model file.

/// Why a model file is refused. Each message names the node, the tensor or the field, and what to do.
///
/// Names come from the file: they are shown shortened and with control characters escaped.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes are not the protobuf encoding of a model.
    #[error("byte {offset}: {reason}; the file is cut off or is no ONNX model: copy it or export it again")]
    Encoding {
        /// Where it was noticed, counted from the start of the file.
        offset: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The file or the graph as a whole.
    #[error("{field}: {reason}; export it again as a plain ONNX graph (ONNX's own checker may say more)")]
    Graph {
        /// The field of the file, such as `graph.output`.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor that the file holds: an initialiser, or the value of a Constant.
    #[error("tensor {tensor}: {field}: {reason}; export the model again")]
    Tensor {
        /// The tensor's name, or that of the Constant's output.
        tensor: String,
        /// The field of the tensor, such as `dims`.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor whose data are kept in another file.
    #[error(
        "tensor {tensor}: external_data: its values lie in another file ({location}), and only the model file itself is read; \
         save the model as one file (onnx.save with save_as_external_data=False)"
    )]
    External {
        /// The tensor's name.
        tensor: String,
        /// Where the file says that the values are.
        location: String,
    },
    /// A node whose operator the engine does not have.
    #[error("node {node}: operator {operator} is not supported; export the model without it")]
    Operator {
        /// The node's name, or that of its first output.
        node: String,
        /// The operator, with its domain when it is not ONNX's own.
        operator: String,
    },
    /// A node that is not what its operator allows.
    #[error("node {node} ({operator}): {field}: {reason}; correct the node or export the model again")]
    Node {
        /// The node's name, or that of its first output.
        node: String,
        /// Its operator.
        operator: String,
        /// The attribute or input.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The network does not take the shape that it is loaded for.
    #[error(
        "input {input}: the file declares {declared}, but {asked:?} is asked for: {reason}; \
         give the shape that the network was made for (a model's card states it as input.shape)"
    )]
    Input {
        /// The input's name.
        input: String,
        /// The shape by the file; an open axis is `?` or its name.
        declared: String,
        /// The shape that the model is loaded for.
        asked: Vec<usize>,
        /// Why they do not go together.
        reason: String,
    },
    /// The values that the graph computes would take too much memory.
    #[error(
        "node {node} ({operator}): with it the graph's values take {bytes} bytes, more than the {limit} allowed; \
         use a smaller input or model"
    )]
    Memory {
        /// The node at which the limit was passed.
        node: String,
        /// Its operator.
        operator: String,
        /// What would be needed up to this node.
        bytes: u64,
        /// What is allowed.
        limit: u64,
    },
}

/// The longest piece of a name that a message repeats.
const SHOWN_CHARS: usize = 80;

/// A name of the file as a message shows it: one line, not too long, never empty.
pub(in crate::nn) fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
    if name.is_empty() {
        shown.push_str("(without name)");
    } else if name.chars().nth(SHOWN_CHARS).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn names_are_shown_on_one_short_line() {
        assert_eq!(shown("conv1/weight"), "conv1/weight");
        assert_eq!(shown(""), "(without name)");
        assert_eq!(shown("a\u{1b}[2J\nb"), "a\\u{1b}[2J\\nb");
        assert_eq!(shown(&"x".repeat(5000)), format!("{}...", "x".repeat(80)));
    }
}
