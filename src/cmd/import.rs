use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;

use super::{
    Exit, Failure,
    compute::{ComputeArgs, kernels},
    printer::Printer,
    progress,
};
use crate::{
    config::EngineSettings,
    models::{
        Colour, InputSpec, Layout, ModelCard,
        import::{Draft, Examination, MAX_CARD_BYTES, MAX_FILE_BYTES, Mean, ModelFolder, Preprocessing, Tried},
    },
};

/// Bring a recogniser of your own: check it, try it on bundled faces, add it to a folder of models
///
/// The card says what no tool can find out: id, licence, and how the network was trained to see pixels (colour, mean, scale). What it
/// leaves open of the last is found by trial. Every usual preprocessing is tried in any case, and a warning given when another one
/// than the card's separates the faces better: a wrong one is silent, and ruins recognition.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  doorward models import my.onnx --card my.toml
  doorward models import model.onnx --card config.json --id arcface-r100 --licence Apache-2.0 --into models
  doorward embed --models models --model arcface-r100 face.jpg

A card:
  id = \"my-arcface\"
  title = \"ArcFace on our own data\"
  licence = \"Apache-2.0\"
  colour = \"RGB\"
  mean = 127.5
  scale = 0.0078125

Exit code 0 when it was added, with or without warnings; 2 for a card or an id that will not do; 3 for a file that cannot be used.")]
pub(super) struct Import {
    /// The model, an ONNX file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// What is known of it: a TOML file, or the config.json of a ModelHub repository
    #[arg(long, value_name = "FILE")]
    card: PathBuf,

    /// The folder of models to add it to [default: --models, else doorward/models in the user's data folder]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,

    /// Replace the model of this id in that folder
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    over: Over,

    /// One JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    compute: ComputeArgs,
}

/// What is said on the command line, over the card.
#[derive(Debug, Args)]
#[command(next_help_heading = "Over the card")]
struct Over {
    /// Its id in the catalogue
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    /// One line for people
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,

    /// Licence of the weights, an SPDX expression
    #[arg(long, value_name = "SPDX")]
    licence: Option<String>,

    /// The licence's text
    #[arg(long, value_name = "FILE")]
    licence_file: Option<PathBuf>,

    /// Order of the colours
    #[arg(long, value_name = "RGB|BGR", value_parser = parse_colour)]
    colour: Option<Colour>,

    /// Subtracted from each pixel (0 to 255): one number, or one a channel with commas
    #[arg(long, value_name = "MEAN", value_parser = parse_mean, requires = "scale", allow_hyphen_values = true)]
    mean: Option<Mean>,

    /// Multiplied with the difference
    #[arg(long, value_name = "FACTOR", requires = "mean", allow_hyphen_values = true)]
    scale: Option<f32>,

    /// Order of the input's axes
    #[arg(long, value_name = "NCHW|NHWC", value_parser = parse_layout)]
    layout: Option<Layout>,

    /// The output that is the embedding
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
}

#[derive(Serialize)]
struct Record<'a> {
    id: &'a str,
    folder: String,
    file: &'a str,
    sha256: String,
    bytes: u64,
    precision: String,
    opset: i64,
    producer: &'a str,
    input: &'a InputSpec,
    output: &'a str,
    dimension: usize,
    /// Whether the card says all of the preprocessing, or some of it was found by trial.
    preprocessing: &'static str,
    trial: Vec<TriedRecord>,
    inference_ms: f64,
    engine: String,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct TriedRecord {
    colour: Colour,
    mean: [f32; 3],
    scale: f32,
    allowed: bool,
    taken: bool,
    /// Null when the network gave no direction for a face.
    d_prime: Option<f64>,
    mated_mean: Option<f64>,
    nonmated_mean: Option<f64>,
}

impl Import {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let draft = self.draft()?;
        let licence_text = self.licence_text(&draft)?;
        let mut folder = ModelFolder::open_or_new(&self.folder(models)?)?;
        // Before the trial, which may take minutes.
        if let Some(id) = &draft.id {
            folder.admits(id, self.replace)?;
        }
        let name = self.file.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned());
        let bytes = read(&self.file, MAX_FILE_BYTES)?;
        let settings = self.compute.over(EngineSettings::default());
        let engine = kernels(settings)?;
        let mut bar = None;
        let examined = Examination::of(&name, bytes, &draft, engine, &mut |done, all| {
            bar.get_or_insert_with(|| progress::bar(all, "trying")).set_position(done as u64);
        })?;
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let card = folder.add(&examined, licence_text.as_deref(), &remark(&examined), self.replace)?;

        let record = Record {
            id: &card.id,
            folder: folder.dir().display().to_string(),
            file: &card.file,
            sha256: card.sha256.to_string(),
            bytes: card.bytes,
            precision: card.precision.to_string(),
            opset: examined.signature.opset,
            producer: &examined.signature.producer,
            input: &card.input,
            output: card.output.names.first().map_or("", String::as_str),
            dimension: card.output.dimension,
            preprocessing: if examined.trial.stated { "stated" } else { "found" },
            trial: examined.trial.tried.iter().enumerate().map(|(i, t)| tried(t, i == examined.trial.taken)).collect(),
            inference_ms: examined.inference.as_secs_f64() * 1e3,
            engine: format!(
                "{}, {} thread{}",
                engine.isa.name(),
                engine.threads,
                if engine.threads == 1 { "" } else { "s" }
            ),
            warnings: warnings(&examined),
        };
        Printer::new(self.json).result(&record, || describe(&record, &card, &examined))?;
        Ok(Exit::Done)
    }

    /// The card with what the command line says over it.
    fn draft(&self) -> Result<Draft, Failure> {
        let bytes = read(&self.card, MAX_CARD_BYTES)?;
        let path = self.card.display();
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::usage(format!("{path} is no text: a TOML file or a config.json is expected")))?;
        let draft = Draft::parse(&text).map_err(|error| Failure::usage(format!("{path}: {error}")))?;
        let over = &self.over;
        let (mean, scale) = match over.mean {
            Some(_) => (over.mean, over.scale),
            None => (draft.mean, draft.scale),
        };
        Ok(Draft {
            id: over.id.clone().or(draft.id),
            title: over.title.clone().or(draft.title),
            licence: over.licence.clone().or(draft.licence),
            colour: over.colour.or(draft.colour),
            layout: over.layout.or(draft.layout),
            output: over.output.clone().or(draft.output),
            mean,
            scale,
            ..draft
        })
    }

    fn licence_text(&self, draft: &Draft) -> Result<Option<Vec<u8>>, Failure> {
        let beside_card = |file: &String| self.card.parent().unwrap_or(Path::new("")).join(file);
        let path = self.over.licence_file.clone().or_else(|| draft.licence_file.as_ref().map(beside_card));
        path.map(|path| read(&path, MAX_CARD_BYTES)).transpose()
    }

    fn folder(&self, models: Option<&Path>) -> Result<PathBuf, Failure> {
        if let Some(dir) = self.into.as_deref().or(models) {
            return Ok(dir.to_owned());
        }
        dirs::data_dir()
            .map(|dir| dir.join("doorward").join("models"))
            .ok_or_else(|| Failure::usage("no place for the model: $HOME is not set; give --into DIR"))
    }
}

/// Reads a file that somebody named, of at most `limit` bytes.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let refuse = |error: std::io::Error| Failure::usage(format!("cannot read {}: {error}", path.display()));
    let found = fs::metadata(path).map_err(refuse)?;
    if found.len() > limit {
        let (path, bytes) = (path.display(), found.len());
        return Err(Failure::usage(format!("{path} has {bytes} bytes, {limit} are allowed: is it the right file?")));
    }
    fs::read(path).map_err(refuse)
}

/// What stands above the entry in the catalogue.
fn remark(examined: &Examination) -> String {
    let trial = &examined.trial;
    let how = if trial.stated { "as its card says" } else { "found by trial, the card leaves it open" };
    let d_prime = trial.taken().separation.map_or(f64::NAN, |separation| separation.d_prime);
    format!(
        "Imported by doorward {}. Preprocessing {how}: {}, d' {d_prime:.2} on the bundled faces.",
        env!("CARGO_PKG_VERSION"),
        trial.taken().preprocessing
    )
}

fn tried(tried: &Tried, taken: bool) -> TriedRecord {
    let Preprocessing { colour, mean, scale } = tried.preprocessing;
    let separation = tried.separation;
    TriedRecord {
        colour,
        mean,
        scale,
        allowed: tried.allowed,
        taken,
        d_prime: separation.map(|s| s.d_prime),
        mated_mean: separation.map(|s| s.mated_mean),
        nonmated_mean: separation.map(|s| s.nonmated_mean),
    }
}

/// What somebody should know before this model opens a door.
fn warnings(examined: &Examination) -> Vec<String> {
    let trial = &examined.trial;
    let d_prime = |tried: &Tried| tried.separation.map_or(f64::NAN, |separation| separation.d_prime);
    let taken = trial.taken();
    let mut warnings = Vec::new();
    if let Some(better) = trial.better() {
        warnings.push(format!(
            "the card says {}, and {} separates the bundled faces better (d' {:.2} against {:.2}): look up how the model was \
             trained; a wrong colour, mean or scale is silent and ruins recognition",
            taken.preprocessing,
            better.preprocessing,
            d_prime(better),
            d_prime(taken)
        ));
    }
    let alike: Vec<String> = trial.not_told_apart().map(|tried| tried.preprocessing.to_string()).collect();
    if !alike.is_empty() {
        warnings.push(format!(
            "{} was taken, but the bundled faces do not tell it from {}: state colour, mean and scale in the card",
            taken.preprocessing,
            alike.join("; ")
        ));
    }
    if !trial.separates() {
        let open = if trial.stated {
            ""
        } else {
            ", so its preprocessing could not be found: state colour, mean and scale in the card"
        };
        warnings.push(format!(
            "it hardly tells the bundled faces apart (d' {:.2}; trained recognisers reach 5 to 7){open}; it may be untrained, no \
             recogniser, or made for crops that are aligned otherwise",
            d_prime(taken)
        ));
    }
    warnings
}

fn describe(record: &Record<'_>, card: &ModelCard, examined: &Examination) -> String {
    let (signature, trial) = (&examined.signature, &examined.trial);
    let by = if record.producer.is_empty() { String::new() } else { format!(", by {}", record.producer) };
    let how = if trial.stated { "as the card says" } else { "found by trial" };
    let mut text = format!("{} is in {}\n", record.id, record.folder);
    text += &format!(
        "  file        {}, {} bytes, {}, opset {}, {} operators{by}\n",
        record.file, record.bytes, record.precision, record.opset, signature.nodes
    );
    text += &format!("  input       {}: {}, {how}\n", signature.input, trial.taken().preprocessing);
    text += &format!("  output      {}: {} values\n", record.output, record.dimension);
    text += &format!("  licence     {}\n", card.licence);
    text += &format!("  speed       {:.1} ms a face ({})\n", record.inference_ms, record.engine);
    text += "  separation  d' of mated and non-mated pairs of the bundled faces\n";
    for (i, tried) in trial.tried.iter().enumerate() {
        let d_prime = tried.separation.map_or_else(|| "   -".to_owned(), |s| format!("{:>5.2}", s.d_prime));
        let taken = if i == trial.taken { "  <- taken" } else { "" };
        text += &format!("              {d_prime}  {}{taken}\n", tried.preprocessing);
    }
    for warning in &record.warnings {
        text += &format!("warning: {warning}\n");
    }
    let (folder, id) = (&record.folder, record.id);
    text += &format!("\nTry it:     doorward embed --models '{folder}' --model {id} face.jpg\n");
    text += &format!("Take it:    [models] dir = \"{folder}\"\n            [recogniser] model = \"{id}\"");
    if card.operating_points.is_empty() {
        text += ", threshold = a number of its own\n\n";
        text += "It has no operating points, and thresholds of other models mean nothing for it: `doorward eval identify` on labelled\n\
                 photos or `doorward calibrate` on a gallery finds one.\n";
    } else {
        text.push('\n');
    }
    text
}

fn parse_colour(text: &str) -> Result<Colour, String> {
    match text.to_ascii_uppercase().as_str() {
        "RGB" => Ok(Colour::Rgb),
        "BGR" => Ok(Colour::Bgr),
        _ => Err("RGB or BGR is expected".to_owned()),
    }
}

fn parse_layout(text: &str) -> Result<Layout, String> {
    match text.to_ascii_uppercase().as_str() {
        "NCHW" => Ok(Layout::Nchw),
        "NHWC" => Ok(Layout::Nhwc),
        _ => Err("NCHW or NHWC is expected".to_owned()),
    }
}

fn parse_mean(text: &str) -> Result<Mean, String> {
    let numbers: Result<Vec<f32>, _> = text.split(',').map(|number| number.trim().parse::<f32>()).collect();
    match numbers.as_deref() {
        Ok([one]) => Ok(Mean::One(*one)),
        Ok([a, b, c]) => Ok(Mean::Each([*a, *b, *c])),
        _ => Err("a number, or three with commas between them, is expected".to_owned()),
    }
}
