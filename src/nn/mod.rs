//! Inference: one ONNX graph in, one runnable plan out.
//!
//! This room wraps [tract](https://docs.rs/tract-onnx) behind three small things: [`Tensor`] (a shape and its `f32` values),
//! [`Graph`] (a loaded, optimised plan that keeps its buffers between runs) and [`NnError`]. It knows tensors and no faces:
//! what goes into a graph and what its outputs mean stands in the model's card (see `models`).
//!
//! A model file may come from anywhere, so it is checked before tract sees it: the `check` folder says what a file must keep to and why,
//! the `import` folder which operators it may name.
//!
//! What costs the time is ours, inside tract's graph and plan: a PRelu of one pass (`prelu`), convolutions and poolings that
//! keep the channels innermost (`float`), and for quantised files whole groups of nodes as single integer operators: `qdq`
//! recognises the groups in the file, `operator` is how tract sees them, `int8` computes them with kernels for each family of
//! processors ([`Isa`]), `team` shares one inference among threads. `scan` multiplies many rows of bytes with one, for searching.

mod check;
mod dialect;
#[allow(unsafe_code, reason = "vector instructions; each block carries its proof")]
mod float;
mod graph;
mod import;
#[allow(unsafe_code, reason = "vector instructions; each block carries its proof")]
mod int8;
mod isa;
#[allow(unsafe_code, reason = "threads write disjoint parts of one tensor")]
mod operator;
mod pixels;
mod prelu;
mod qdq;
#[allow(unsafe_code, reason = "vector instructions; each block carries its proof")]
mod scan;
mod signature;
#[allow(unsafe_code, reason = "a job is shared by reference with threads that outlive it")]
mod team;

pub use check::Fault;
pub use graph::{Engine, Graph, Precision, Profile};
pub use isa::{ISA_VARIABLE, Isa};
pub use pixels::PixelTable;
pub use scan::{ByteCode, ByteRow, ByteRows};
pub use signature::{Signature, Value};

/// A dense tensor of `f32` values in row-major order.
#[derive(Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Tensor {
    /// Makes a tensor of `shape` from its values in row-major order.
    ///
    /// # Errors
    /// [`NnError::Length`] when the number of values is not the product of the shape.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Result<Tensor, NnError> {
        if shape.iter().product::<usize>() != data.len() {
            return Err(NnError::Length { shape, found: data.len() });
        }
        Ok(Tensor { shape, data })
    }

    /// A tensor of `shape` filled with zeros.
    pub fn zeros(shape: &[usize]) -> Tensor {
        Tensor { shape: shape.to_vec(), data: vec![0.0; shape.iter().product()] }
    }

    /// The length of each axis, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values in row-major order.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The values in row-major order, to be written.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The values in row-major order, without a copy.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }
}

/// Shows the shape only: the values may be a picture or an embedding.
impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor {:?}", self.shape)
    }
}

/// What can go wrong between the bytes of a graph and its outputs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NnError {
    /// The bytes are not a graph that can be run.
    #[error(
        "model {model} cannot be loaded for input {input_shape:?}: {reason}; check that the file is an ONNX model with one input of this shape"
    )]
    Load {
        /// The model's name as given to [`Graph::load`].
        model: String,
        /// The input shape asked for.
        input_shape: Vec<usize>,
        /// What the importer said.
        reason: String,
    },
    /// The file is damaged, asks for too much, or holds something that is not supported.
    #[error("model {model} cannot be loaded: {fault}")]
    Refused {
        /// The model's name as given to [`Graph::load`].
        model: String,
        /// What is wrong with it, and where.
        fault: Box<Fault>,
    },
    /// The input has another shape than the graph was loaded for.
    #[error("model {model} takes input {expected:?}, not {found:?}; load it again for another size")]
    InputShape {
        /// The model's name.
        model: String,
        /// The shape the graph was loaded for.
        expected: Vec<usize>,
        /// The shape it was given.
        found: Vec<usize>,
    },
    /// The graph failed while running.
    #[error("model {model} failed while running: {reason}")]
    Run {
        /// The model's name.
        model: String,
        /// What the engine said.
        reason: String,
    },
    /// A tensor's values do not fill its shape.
    #[error("a tensor of shape {shape:?} cannot hold {found} values")]
    Length {
        /// The shape asked for.
        shape: Vec<usize>,
        /// How many values came.
        found: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_holds_exactly_its_shape() {
        let whole = Tensor::new(vec![2, 3], vec![0.5; 6]).unwrap();
        assert_eq!(whole.shape(), [2, 3]);
        assert_eq!(whole.data(), [0.5; 6]);
        let short = Tensor::new(vec![2, 3], vec![0.5; 5]).unwrap_err();
        assert!(matches!(short, NnError::Length { found: 5, .. }), "{short}");
    }

    #[test]
    fn debug_shows_no_values() {
        let secret = Tensor::new(vec![1], vec![0.123_456]).unwrap();
        assert_eq!(format!("{secret:?}"), "Tensor [1]");
    }
}
