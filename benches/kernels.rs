//! Each kind of int8 layer on each family of kernels that this processor runs.
//!
//! A layer is a quantised graph of one convolution, as the recogniser has them, so what is timed is what the product runs:
//! `cargo bench --bench kernels`, or `cargo bench --bench kernels -- pointwise` for some of them.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use doorward::nn::{Engine, Graph, Isa, PixelTable, Precision};
use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::{Tensor as TensorType, Value};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType,
};

/// A layer of the recogniser: name, rows and columns, channels in and out, kernel, stride, groups.
const LAYERS: [(&str, usize, usize, usize, usize, usize, usize); 6] = [
    ("pointwise 56x56 64->128", 56, 64, 128, 1, 1, 1),
    ("pointwise 28x28 128->64", 28, 128, 64, 1, 1, 1),
    ("pointwise 14x14 128->256", 14, 128, 256, 1, 1, 1),
    ("depthwise 28x28 128", 28, 128, 128, 3, 1, 128),
    ("depthwise 56x56 128 stride 2", 56, 128, 128, 3, 2, 128),
    ("convolution 28x28 64->64", 28, 64, 64, 3, 1, 1),
];

fn floats(name: &str, dims: &[usize], values: Vec<f32>) -> TensorProto {
    tensor(name, dims, DataType::Float, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn tensor(name: &str, dims: &[usize], data_type: DataType, raw_data: Vec<u8>) -> TensorProto {
    let dims = dims.iter().map(|&dim| dim as i64).collect();
    TensorProto { name: name.into(), dims, data_type: data_type as i32, raw_data, ..TensorProto::default() }
}

fn node(op_type: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: op_type.into(),
        name: output.into(),
        input: inputs.iter().map(|&input| input.into()).collect(),
        output: vec![output.into()],
        attribute: attributes,
        ..NodeProto::default()
    }
}

fn integers(name: &str, ints: &[usize]) -> AttributeProto {
    let ints = ints.iter().map(|&value| value as i64).collect();
    AttributeProto { name: name.into(), r#type: AttributeType::Ints as i32, ints, ..AttributeProto::default() }
}

fn integer(name: &str, i: usize) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i: i as i64, ..AttributeProto::default() }
}

fn value_info(name: &str, dims: &[usize]) -> ValueInfoProto {
    use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
    let dim = dims
        .iter()
        .map(|&dim| Dimension { value: Some(dimension::Value::DimValue(dim as i64)), ..Dimension::default() })
        .collect();
    let shape = Some(tract_onnx::pb::TensorShapeProto { dim });
    let value = Some(Value::TensorType(TensorType { elem_type: DataType::Float as i32, shape }));
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { value, ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}

/// `x -> Q -> DQ -> Conv -> PRelu -> Q -> DQ -> Conv 1x1 -> y`: the layer with its epilogue, and a small end in float, which is
/// the same for all.
fn model(size: usize, inputs: usize, outputs: usize, kernel: usize, stride: usize, groups: usize) -> Vec<u8> {
    let pad = kernel / 2;
    let weights = outputs * inputs / groups * kernel * kernel;
    let graph = GraphProto {
        name: "layer".into(),
        input: vec![value_info("x", &[1, inputs, size, size])],
        output: vec![value_info("y", &[1, 1, size.div_ceil(stride), size.div_ceil(stride)])],
        initializer: vec![
            floats("scale", &[], vec![0.05]),
            tensor("zero", &[], DataType::Int8, vec![0]),
            tensor(
                "w",
                &[outputs, inputs / groups, kernel, kernel],
                DataType::Int8,
                (0..weights).map(|i| (i * 37 % 255) as i32 - 127).map(|w| w as i8 as u8).collect(),
            ),
            floats("w.scale", &[outputs], vec![0.001; outputs]),
            floats("slope", &[outputs, 1, 1], vec![0.25; outputs]),
            tensor("end", &[1, outputs, 1, 1], DataType::Int8, vec![1; outputs]),
            floats("end.scale", &[], vec![0.01]),
        ],
        node: vec![
            node("QuantizeLinear", &["x", "scale", "zero"], "x.q", vec![]),
            node("DequantizeLinear", &["x.q", "scale", "zero"], "x.d", vec![]),
            node("DequantizeLinear", &["w", "w.scale"], "w.d", vec![integer("axis", 0)]),
            node(
                "Conv",
                &["x.d", "w.d"],
                "c",
                vec![
                    integers("kernel_shape", &[kernel, kernel]),
                    integers("strides", &[stride, stride]),
                    integers("pads", &[pad; 4]),
                    integer("group", groups),
                ],
            ),
            node("PRelu", &["c", "slope"], "p", vec![]),
            node("QuantizeLinear", &["p", "scale", "zero"], "p.q", vec![]),
            node("DequantizeLinear", &["p.q", "scale", "zero"], "p.d", vec![]),
            node("DequantizeLinear", &["end", "end.scale"], "end.d", vec![]),
            node("Conv", &["p.d", "end.d"], "y", vec![]),
        ],
        ..GraphProto::default()
    };
    let model = ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 13 }],
        graph: Some(graph),
        ..ModelProto::default()
    };
    model.encode_to_vec()
}

fn layers(criterion: &mut Criterion) {
    for (name, size, inputs, outputs, kernel, stride, groups) in LAYERS {
        let mut group = criterion.benchmark_group(name);
        let places = size.div_ceil(stride) * size.div_ceil(stride);
        group.throughput(Throughput::Elements((places * outputs * inputs / groups * kernel * kernel) as u64));
        let model = model(size, inputs, outputs, kernel, stride, groups);
        let order: Vec<usize> = (0..inputs).collect();
        let picture = vec![100u8; inputs * size * size];
        for isa in Isa::available().filter(|&isa| isa != Isa::Portable) {
            let table = PixelTable::new(&order, |_, byte| (f32::from(byte) - 128.0) * 0.05);
            let engine = Engine { isa, threads: 1 };
            let mut graph =
                Graph::load_for_pixels(name, &model, &[1, inputs, size, size], engine, table).expect("the layer loads");
            assert_eq!(graph.precision(), Precision::Int8);
            group.bench_function(BenchmarkId::from_parameter(isa), |bencher| {
                bencher.iter(|| graph.run_pixels(black_box(&picture)).expect("the layer runs"));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, layers);
criterion_main!(benches);
