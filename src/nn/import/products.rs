//! Products of matrices.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::math;
use tract_onnx::tract_hir::ops::matmul::MatMulInference;

use super::wiring::Wiring;
use super::{Built, Table, expanded, input};

pub(super) const TABLE: &Table = &[("MatMul", |_, _| expanded(MatMul)), ("Gemm", gemm)];

fn gemm(_: &ParsingContext, node: &NodeProto) -> Built {
    expanded(Gemm {
        alpha: node.get_attr_opt("alpha")?.unwrap_or(1.0),
        beta: node.get_attr_opt("beta")?.unwrap_or(1.0),
        turn_a: node.get_attr_opt("transA")?.unwrap_or(false),
        turn_b: node.get_attr_opt("transB")?.unwrap_or(false),
        sum: input(node, 2),
    })
}

/// tract's product, of tensors that have axes: it takes the last of each as given.
#[derive(Debug, Clone)]
pub(super) struct MatMul;

impl Expansion for MatMul {
    fn name(&self) -> StaticName {
        "MatMul".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 2)?;
        check_output_arity(outputs, 1)?;
        s.equals(&inputs[0].datum_type, &inputs[1].datum_type)?;
        s.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
        product_shape(s, &inputs[0], &inputs[1], &outputs[0])
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        MatMulInference::default().wire(prefix, model, inputs)
    }
}

/// The rule for the shape of a product.
pub(super) fn product_shape<'r, 'p: 'r>(
    s: &mut Solver<'r>,
    a: &'p TensorProxy,
    b: &'p TensorProxy,
    product: &'p TensorProxy,
) -> InferenceResult {
    s.given_2(&a.shape, &b.shape, move |s, a, b| {
        ensure!(!a.is_empty() && !b.is_empty() && a.len() + b.len() > 2, "a matrix is expected, {a:?} and {b:?} found");
        let (_, _, _, shape) = tract_onnx::tract_hir::ops::matmul::compute_shapes(a, b, false, false, false)?;
        s.equals(&product.shape, shape)
    })
}

/// `alpha * A * B + beta * C`.
#[derive(Debug, Clone)]
struct Gemm {
    alpha: f32,
    beta: f32,
    turn_a: bool,
    turn_b: bool,
    /// Where C stands.
    sum: Option<usize>,
}

impl Expansion for Gemm {
    fn name(&self) -> StaticName {
        "Gemm".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, if self.sum.is_some() { 3 } else { 2 })?;
        check_output_arity(outputs, 1)?;
        for matrix in &inputs[..2] {
            s.equals(&matrix.rank, 2)?;
        }
        for input in inputs {
            s.equals(&input.datum_type, &outputs[0].datum_type)?;
        }
        s.equals(&outputs[0].rank, 2)?;
        let (rows, sum_a) = if self.turn_a { (1, 0) } else { (0, 1) };
        let (sum_b, columns) = if self.turn_b { (1, 0) } else { (0, 1) };
        s.equals(&inputs[0].shape[sum_a], &inputs[1].shape[sum_b])?;
        s.equals(&inputs[0].shape[rows], &outputs[0].shape[0])?;
        s.equals(&inputs[1].shape[columns], &outputs[0].shape[1])
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut wiring = Wiring::new(prefix, model);
        let kind = wiring.fact(inputs[0])?.datum_type;
        let axes = AxesMapping::for_numpy_matmul(2, self.turn_a, self.turn_b, false)?;
        let mut wire = wiring.apply("product", EinSum::new(axes, kind), &inputs[..2])?;
        if self.alpha != 1.0 {
            let alpha = wiring.number("alpha", self.alpha, wire)?;
            wire = wiring.apply("scaled", math::mul(), &[alpha, wire])?;
        }
        if let Some(sum) = self.sum.filter(|_| self.beta != 0.0) {
            let mut sum = inputs[sum];
            if self.beta != 1.0 {
                let beta = wiring.number("beta", self.beta, sum)?;
                sum = wiring.apply("scaled_sum", math::mul(), &[beta, sum])?;
            }
            wire = wiring.apply("", math::add(), &[wire, sum])?;
        }
        Ok(tvec!(wire))
    }
}
