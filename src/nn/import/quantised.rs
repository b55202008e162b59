//! Bytes that stand for numbers: `(stored - zero point) * scale`.
//!
//! Of files in which layers carry their scales in nodes around them (QDQ form), whole groups are computed in bytes, see `qdq`. What
//! is left of them, and layers that carry their scales themselves, comes here. Scales and zero points were checked
//! (`check::scales`).

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::cast::cast;
use tract_onnx::tract_hir::ops::math;
use tract_onnx::tract_hir::ops::quant::{DequantizeLinearF32, quantize_linear_i8, quantize_linear_u8};

use super::axes::resolve;
use super::products::{MatMul, product_shape};
use super::wiring::Wiring;
use super::{Table, expanded, input};

pub(super) const TABLE: &Table = &[
    ("QuantizeLinear", |_, node| expanded(Quantise { axis: axis(node)?, zero_point: input(node, 2) })),
    ("DequantizeLinear", |_, node| expanded(Dequantise { axis: axis(node)?, zero_point: input(node, 2) })),
    ("QLinearMatMul", |_, _| expanded(QLinearMatMul)),
];

/// The axis along which scales vary, when there are several.
fn axis(node: &NodeProto) -> TractResult<i64> {
    node.expect_attr("block_size", node.get_attr_opt::<i64>("block_size")?.unwrap_or(0) == 0, "no blocks of scales")?;
    Ok(node.get_attr_opt("axis")?.unwrap_or(1))
}

/// Scales and zero points of a tensor.
struct Parameters {
    scales: Arc<Tensor>,
    zero_points: Arc<Tensor>,
    axis: i64,
}

impl Parameters {
    fn of(wiring: &Wiring<'_>, scale: OutletId, zero_point: Option<OutletId>, axis: i64) -> TractResult<Parameters> {
        let scales = wiring.known(scale, "the scale")?;
        let zero_points = match zero_point {
            Some(zero_point) => wiring.known(zero_point, "the zero point")?,
            None => rctensor0(0u8),
        };
        ensure!(scales.len() > 0 && zero_points.len() > 0, "a scale or zero point is missing");
        Ok(Parameters { scales, zero_points, axis })
    }

    /// The only scale and zero point, if there is one of each.
    fn only(&self) -> TractResult<Option<(f32, i32)>> {
        if self.scales.len() > 1 || self.zero_points.len() > 1 {
            return Ok(None);
        }
        let scale = self.scales.cast_to::<f32>()?.try_as_plain_ram()?.as_slice::<f32>()?[0];
        let zero_point = self.zero_points.cast_to::<i32>()?.try_as_plain_ram()?.as_slice::<i32>()?[0];
        Ok(Some((scale, zero_point)))
    }

    /// Scales and zero points as tensors of `rank` axes.
    fn along_axis(&self, wiring: &mut Wiring<'_>, rank: usize) -> TractResult<[OutletId; 2]> {
        let axis = resolve(self.axis, rank)?;
        let mut along = |name: &str, values: &Tensor| {
            let mut shape = vec![1; rank];
            shape[axis] = values.len();
            wiring.constant(name, values.cast_to::<f32>()?.into_owned().into_shape(&shape)?)
        };
        Ok([along("scale", &self.scales)?, along("zero_point", &self.zero_points)?])
    }

    fn quantise(&self, wiring: &mut Wiring<'_>, x: OutletId) -> TractResult<OutletId> {
        let kind = self.zero_points.datum_type();
        let range = match kind {
            DatumType::U8 => [0.0, 255.0],
            DatumType::I8 => [-128.0, 127.0],
            kind => bail!("{kind:?} is not supported, 8 bits are expected"),
        };
        if let Some((scale, zero_point)) = self.only()? {
            let op = match kind {
                DatumType::U8 => quantize_linear_u8(scale.recip(), zero_point as u8),
                _ => quantize_linear_i8(scale.recip(), zero_point as i8),
            };
            return wiring.apply("", op, &[x]);
        }
        let rank = wiring.fact(x)?.rank();
        let [scale, zero_point] = self.along_axis(wiring, rank)?;
        let x = wiring.apply("real", cast(f32::datum_type()), &[x])?;
        let steps = wiring.apply("steps", math::div(), &[x, scale])?;
        let whole = wiring.apply("whole", math::round_half_to_even(), &[steps])?;
        let stored = wiring.apply("stored", math::add(), &[whole, zero_point])?;
        let [least, most] = [wiring.number("least", range[0], stored)?, wiring.number("most", range[1], stored)?];
        let stored = wiring.apply("above", math::max(), &[stored, least])?;
        let stored = wiring.apply("below", math::min(), &[stored, most])?;
        wiring.apply("", cast(kind), &[stored])
    }

    fn dequantise(&self, wiring: &mut Wiring<'_>, x: OutletId) -> TractResult<OutletId> {
        if let Some((scale, zero_point)) = self.only()? {
            return wiring.apply("", DequantizeLinearF32::new(scale, zero_point), &[x]);
        }
        let rank = wiring.fact(x)?.rank();
        let [scale, zero_point] = self.along_axis(wiring, rank)?;
        let x = wiring.apply("real", cast(f32::datum_type()), &[x])?;
        let steps = wiring.apply("steps", math::sub(), &[x, zero_point])?;
        wiring.apply("", math::mul(), &[steps, scale])
    }
}

/// The type of the bytes, by their zero point.
fn byte_type<'r, 'p: 'r>(
    s: &mut Solver<'r>,
    bytes: &'p TensorProxy,
    inputs: &'p [TensorProxy],
    zero_point: Option<usize>,
) -> InferenceResult {
    check_input_arity(inputs, if zero_point.is_some() { 3 } else { 2 })?;
    s.equals(&inputs[1].datum_type, f32::datum_type())?;
    match zero_point {
        Some(zero_point) => s.equals(&bytes.datum_type, &inputs[zero_point].datum_type),
        None => Ok(()),
    }
}

#[derive(Debug, Clone)]
struct Quantise {
    axis: i64,
    zero_point: Option<usize>,
}

impl Expansion for Quantise {
    fn name(&self) -> StaticName {
        "QuantizeLinear".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_output_arity(outputs, 1)?;
        byte_type(s, &outputs[0], inputs, self.zero_point)?;
        if self.zero_point.is_none() {
            s.equals(&outputs[0].datum_type, u8::datum_type())?;
        }
        s.equals(&inputs[0].shape, &outputs[0].shape)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut wiring = Wiring::new(prefix, model);
        let zero_point = self.zero_point.map(|index| inputs[index]);
        let parameters = Parameters::of(&wiring, inputs[1], zero_point, self.axis)?;
        Ok(tvec!(parameters.quantise(&mut wiring, inputs[0])?))
    }
}

#[derive(Debug, Clone)]
struct Dequantise {
    axis: i64,
    zero_point: Option<usize>,
}

impl Expansion for Dequantise {
    fn name(&self) -> StaticName {
        "DequantizeLinear".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_output_arity(outputs, 1)?;
        ensure!(!inputs.is_empty(), "an input is missing");
        byte_type(s, &inputs[0], inputs, self.zero_point)?;
        s.equals(&outputs[0].datum_type, f32::datum_type())?;
        s.equals(&inputs[0].shape, &outputs[0].shape)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut wiring = Wiring::new(prefix, model);
        let zero_point = self.zero_point.map(|index| inputs[index]);
        let parameters = Parameters::of(&wiring, inputs[1], zero_point, self.axis)?;
        Ok(tvec!(parameters.dequantise(&mut wiring, inputs[0])?))
    }
}

/// A product of bytes: of the numbers that they stand for, which `f32` sums exactly enough for the byte that comes out.
#[derive(Debug, Clone)]
struct QLinearMatMul;

impl Expansion for QLinearMatMul {
    fn name(&self) -> StaticName {
        "QLinearMatMul".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 8)?;
        check_output_arity(outputs, 1)?;
        for (bytes, zero_point) in [(&inputs[0], 2), (&inputs[3], 5), (&outputs[0], 7)] {
            s.equals(&bytes.datum_type, &inputs[zero_point].datum_type)?;
            s.equals(&inputs[zero_point - 1].datum_type, f32::datum_type())?;
        }
        product_shape(s, &inputs[0], &inputs[3], &outputs[0])
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut wiring = Wiring::new(prefix, model);
        let mut factor = |name: &str, at: usize, axis: i64| {
            let parameters = Parameters::of(&wiring, inputs[at + 1], Some(inputs[at + 2]), axis)?;
            parameters.dequantise(&mut wiring.part(name), inputs[at])
        };
        // Several scales belong to the rows of the one and the columns of the other.
        let factors = [factor("a", 0, -2)?, factor("b", 3, -1)?];
        let product = wiring.expand("product", &MatMul, &factors)?;
        let parameters = Parameters::of(&wiring, inputs[6], Some(inputs[7]), -2)?;
        Ok(tvec!(parameters.quantise(&mut wiring, product)?))
    }
}
