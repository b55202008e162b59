//! The `config.json` of a ModelHub repository as a card.
//!
//! It says what a model is and who made it, not how its pixels are scaled nor under which licence it is; the first is found by trial, the
//! second must be given. Other programs write into these files too, so keys that are not known here are passed over.

use serde::Deserialize;

use super::{Draft, DraftPublication, ImportError};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ConfigFile {
    id: Option<String>,
    meta: Meta,
    publication: Publication,
    model: Model,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Meta {
    name: Option<String>,
    data_source: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Publication {
    title: Option<String>,
    source: Option<String>,
    year: Option<Year>,
    authors: Option<Authors>,
    url: Option<String>,
}

/// People write both.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "publication.year: a number is expected")]
enum Year {
    Number(u16),
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "publication.authors: a text or a list of texts is expected")]
enum Authors {
    Text(String),
    List(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Model {
    description: Option<String>,
    architecture: Option<String>,
    learning_type: Option<String>,
    format: Option<String>,
    io: Io,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Io {
    output: Vec<Output>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Output {
    name: Option<String>,
    r#type: Option<String>,
}

/// Reads a `config.json`.
///
/// # Errors
/// [`ImportError::Card`] when it is no JSON of this shape, or speaks of something that is no recogniser in ONNX.
pub(super) fn draft(text: &str) -> Result<Draft, ImportError> {
    let refuse = |reason: String| ImportError::Card { reason };
    let config: ConfigFile = serde_json::from_str(text).map_err(|error| refuse(format!("config.json: {error}")))?;
    let ConfigFile { id, meta, publication, model } = config;
    let onnx = |format: &str| format.trim_start_matches('.').eq_ignore_ascii_case("onnx");
    if let Some(format) = model.format.filter(|format| !onnx(format)) {
        return Err(refuse(format!("config.json: model.format is {format:?}: only .onnx can be run")));
    }
    let vector = |output: &Output| output.r#type.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("vector"));
    if !model.io.output.is_empty() && !model.io.output.iter().any(vector) {
        let named = |output: &Output| output.name.clone().unwrap_or_else(|| "(without name)".to_owned());
        let names: Vec<String> = model.io.output.iter().take(5).map(named).collect();
        let reason = format!("model.io.output is {}: a recogniser's output is of type \"vector\"", names.join(", "));
        return Err(refuse(format!("config.json: {reason}")));
    }
    let year = match publication.year {
        Some(Year::Number(year)) => Some(year),
        Some(Year::Text(text)) => text.trim().parse().ok(),
        None => None,
    };
    let authors = publication.authors.map(|authors| match authors {
        Authors::Text(text) => text,
        Authors::List(list) => list.join(", "),
    });
    let described = [model.architecture, model.description.map(|text| one_line(&text))];
    let described: Vec<String> = described.into_iter().flatten().filter(|text| !text.is_empty()).collect();
    Ok(Draft {
        id: id.as_deref().and_then(catalogue_id).or_else(|| meta.name.as_deref().and_then(catalogue_id)),
        title: meta.name.or(id),
        architecture: (!described.is_empty()).then(|| described.join(": ")),
        origin: publication.url.clone(),
        publication: DraftPublication {
            title: publication.title,
            authors,
            venue: publication.source,
            year,
            training_loss: model.learning_type.map(|kind| format!("Not recorded ({kind})")),
            training_data: meta.data_source,
            note: publication.url,
        },
        ..Draft::default()
    })
}

/// A name as the catalogue's ids are written: lower-case letters, digits, `-` and `.`, at most 64.
fn catalogue_id(name: &str) -> Option<String> {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').filter(|word| !word.is_empty());
    let id: String = words.collect::<Vec<_>>().join("-").to_ascii_lowercase().chars().take(64).collect();
    (!id.is_empty()).then_some(id)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARCFACE: &str = r#"{
        "id": "52db9a5f-arc_face",
        "meta": {"name": "ArcFace", "application_area": "Face recognition", "task": "Recognition", "task_extended": "",
                 "data_type": "Image/Photo", "data_source": "MS1M"},
        "publication": {"title": "ArcFace: Additive Angular Margin Loss", "source": "CVPR", "year": 2019,
                        "authors": "Jiankang Deng et al.", "email": "", "abstract": "...", "url": "https://example.org/paper",
                        "google_scholar": "", "bibtex": ""},
        "model": {"description": "A ResNet-100\n  backbone", "provenance": "", "architecture": "CNN",
                  "learning_type": "Supervised learning", "format": ".onnx",
                  "io": {"input": {"single": {"format": ["image/png"], "dim_limits": [{"min": 1, "max": 4}]}},
                         "output": [{"name": "embedding", "type": "vector", "description": "512 values"}]}},
        "modelhub": {}
    }"#;

    #[test]
    fn the_config_of_a_recogniser_becomes_a_card_without_preprocessing() {
        let draft = draft(ARCFACE).unwrap();
        assert_eq!(draft.id.as_deref(), Some("52db9a5f-arc-face"));
        assert_eq!(draft.title.as_deref(), Some("ArcFace"));
        assert_eq!(draft.architecture.as_deref(), Some("CNN: A ResNet-100 backbone"));
        assert_eq!((draft.publication.year, draft.publication.venue.as_deref()), (Some(2019), Some("CVPR")));
        assert_eq!(draft.publication.training_data.as_deref(), Some("MS1M"));
        assert_eq!((draft.licence, draft.colour, draft.mean, draft.scale), (None, None, None, None));
    }

    #[test]
    fn what_people_write_differently_is_understood() {
        let edited = ARCFACE.replace("2019", "\"2019\"").replace("\"Jiankang Deng et al.\"", "[\"Deng\", \"Guo\"]");
        let draft = draft(&edited.replace(".onnx", "ONNX")).unwrap();
        assert_eq!((draft.publication.year, draft.publication.authors.as_deref()), (Some(2019), Some("Deng, Guo")));
        assert_eq!(super::draft("{}").unwrap(), Draft::default());
    }

    #[test]
    fn what_is_no_recogniser_in_onnx_is_refused() {
        for (from, to, part) in [
            (".onnx", ".pth", ".pth"),
            ("\"vector\"", "\"label_list\"", "model.io.output is embedding"),
            ("2019", "[]", "publication.year"),
            ("\"id\": \"52db9a5f-arc_face\"", "\"id\": 5", "config.json"),
            ("\"modelhub\": {}", "\"modelhub\": {", "config.json"),
        ] {
            let message = draft(&ARCFACE.replace(from, to)).unwrap_err().to_string();
            assert!(message.contains(part), "{to}: {message}");
        }
    }

    #[test]
    fn ids_fit_the_catalogue() {
        assert_eq!(catalogue_id("Arc Face (R100)").as_deref(), Some("arc-face-r100"));
        assert_eq!(catalogue_id("v1.2_final").as_deref(), Some("v1.2-final"));
        assert_eq!(catalogue_id("人臉"), None);
        assert_eq!(catalogue_id(&"x".repeat(100)).unwrap().len(), 64);
    }
}
