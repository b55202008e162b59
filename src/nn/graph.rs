//! One network, loaded for one input size.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{
    Datum, DatumExt, Framework, InferenceModelExt, IntoRunnable, IntoTValue, Tensor as TractTensor, TractResult,
    TypedSimplePlan, TypedSimpleState, tvec,
};
use tract_onnx::tract_hir::internal::{ensure, format_err};

use super::{NnError, Tensor, channels_last, prelu};

/// A loaded and optimised ONNX graph with one `f32` input of a fixed shape.
///
/// It keeps its working state and its input buffer between runs, hence `&mut self` in [`run`](Graph::run): a thread owns its
/// own graph. Loading takes tens of milliseconds; load once.
pub struct Graph {
    name: String,
    input_shape: Vec<usize>,
    output_names: Vec<String>,
    state: TypedSimpleState,
    /// Shared with the engine during a run only, so that it can be written again afterwards without a new allocation.
    input: Arc<TractTensor>,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Graph {} {:?} -> {:?}", self.name, self.input_shape, self.output_names)
    }
}

impl Graph {
    /// Loads a graph from the bytes of an ONNX file, for inputs of `input_shape`.
    ///
    /// The input may have another size than the file declares, as far as the network allows it: shapes that the file states for
    /// outputs and inner values are not believed but worked out anew. `name` stands in every error.
    ///
    /// # Errors
    /// [`NnError::Load`] when the bytes are no ONNX graph, the graph has not exactly one input, an operator is not supported
    /// or the network does not fit the shape.
    pub fn load(name: &str, onnx: &[u8], input_shape: &[usize]) -> Result<Graph, NnError> {
        let refuse = |reason| NnError::Load { model: name.to_owned(), input_shape: input_shape.to_vec(), reason };
        // The importer indexes by what the file says in places: a file made by hand could make it panic.
        let (plan, output_names) = catch_unwind(AssertUnwindSafe(|| plan(onnx, input_shape)))
            .map_err(|_| refuse("the importer gave up on a malformed graph".to_owned()))?
            .map_err(|error| refuse(format!("{error:#}")))?;
        let state = plan.spawn().map_err(|error| refuse(format!("{error:#}")))?;
        let input = TractTensor::zero::<f32>(input_shape).map_err(|error| refuse(format!("{error:#}")))?;
        Ok(Graph {
            name: name.to_owned(),
            input_shape: input_shape.to_vec(),
            output_names,
            state,
            input: Arc::new(input),
        })
    }

    /// The input shape this graph was loaded for.
    pub fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    /// The outputs' names in the order in which [`run`](Graph::run) returns them, which is the file's.
    pub fn output_names(&self) -> &[String] {
        &self.output_names
    }

    /// The position of the output called `name`.
    pub fn output_index(&self, name: &str) -> Option<usize> {
        self.output_names.iter().position(|output| output == name)
    }

    /// Runs the graph on `input`; the outputs come in the file's order.
    ///
    /// # Errors
    /// [`NnError::InputShape`] for a tensor of another shape, [`NnError::Run`] when an operator fails.
    pub fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>, NnError> {
        if input.shape() != self.input_shape {
            return Err(NnError::InputShape {
                model: self.name.clone(),
                expected: self.input_shape.clone(),
                found: input.shape().to_vec(),
            });
        }
        self.run_with(|buffer| buffer.copy_from_slice(input.data()))
    }

    /// Runs the graph on what `fill` writes into its own input buffer (row-major, of [`input_shape`](Graph::input_shape)).
    ///
    /// This saves the copy of [`run`](Graph::run). The buffer holds the values of the run before: `fill` must write all of it.
    ///
    /// # Errors
    /// [`NnError::Run`] when an operator fails.
    pub fn run_with(&mut self, fill: impl FnOnce(&mut [f32])) -> Result<Vec<Tensor>, NnError> {
        self.infer(fill).map_err(|error| NnError::Run { model: self.name.clone(), reason: format!("{error:#}") })
    }

    fn infer(&mut self, fill: impl FnOnce(&mut [f32])) -> TractResult<Vec<Tensor>> {
        // After a run that failed half-way the engine may still hold the buffer; then this makes a new one.
        let buffer = Arc::make_mut(&mut self.input);
        fill(buffer.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?);
        let outputs = self.state.run(tvec!(self.input.clone().into_tvalue()));
        if outputs.is_err() {
            self.state.reset_turn()?;
        }
        outputs?
            .iter()
            .map(|output| {
                let values = output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
                Ok(Tensor { shape: output.shape().to_vec(), data: values })
            })
            .collect()
    }
}

/// Imports and optimises.
fn plan(mut onnx: &[u8], input_shape: &[usize]) -> TractResult<(Arc<TypedSimplePlan>, Vec<String>)> {
    let mut importer = tract_onnx::onnx().with_ignore_value_info(true);
    prelu::register(&mut importer);
    let proto: ModelProto = importer.proto_model_for_read(&mut onnx)?;
    let graph = proto.graph.as_ref().ok_or_else(|| format_err!("the file holds no graph"))?;
    let output_names: Vec<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    ensure!(!output_names.is_empty(), "the graph has no output");

    let model = importer.model_for_proto_model(&proto)?;
    ensure!(model.inputs.len() == 1, "the graph has {} inputs, one is expected", model.inputs.len());
    let model = model.with_input_fact(0, f32::fact(input_shape).into())?.into_typed()?;
    let model = channels_last::rewrite(model)?.into_optimized()?;
    for (name, outlet) in output_names.iter().zip(&model.outputs) {
        let fact = model.outlet_fact(*outlet)?;
        ensure!(fact.datum_type == f32::datum_type(), "output {name} is {:?}, f32 is expected", fact.datum_type);
    }
    Ok((model.into_runnable()?, output_names))
}
