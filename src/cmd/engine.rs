use std::{env::consts, path::Path, path::PathBuf, sync::Arc};

use clap::Args;

use super::{
    Failure,
    compute::{ComputeArgs, open_store},
};
use crate::{
    config::{
        Config, DetectorSettings, EngineSettings, PadMode, PadSettings, QualityLimits, RecogniserChoice,
        RecogniserSettings, ThresholdChoice, Views,
    },
    decide::{Demands, PresentationDemands},
    detect::{self, FaceDetector},
    domain::{FaceChoice, Foothold, ModelId, Threshold, ThresholdLadder},
    embed::{self, FaceEmbedder},
    eval::Stages,
    gallery::Snapshot,
    models::{Comparison, ModelCard, ModelStore, Precision, Role},
    nn::{ISA_VARIABLE, Isa},
};

/// How faces are found and compared, for commands without a service.
#[derive(Debug, Args)]
pub(super) struct EngineArgs {
    /// Take engine, detector, quality, recogniser and policy from this configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Detector: yunet or seeta
    #[arg(long, value_name = "NAME")]
    detector: Option<crate::config::DetectorBackend>,

    /// Longer side of the picture the detector sees, pixels
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(64..=1920))]
    working_size: Option<u32>,

    /// Recogniser, by its id in the catalogue
    #[arg(long, value_name = "ID")]
    model: Option<String>,

    /// Operating point of the recogniser
    #[arg(long, value_name = "NAME", conflicts_with = "threshold")]
    operating_point: Option<String>,

    /// Threshold on the similarity, instead of an operating point's
    #[arg(long, value_name = "COSINE")]
    threshold: Option<f32>,

    /// Views of a face that its embedding is made of: single, or mirrored (the crop and its mirror image; twice the time)
    #[arg(long, value_name = "single|mirrored")]
    views: Option<Views>,

    #[command(flatten)]
    compute: ComputeArgs,
}

/// The models and settings a command works with.
pub(super) struct Engine {
    pub(super) store: ModelStore,
    pub(super) detector: DetectorSettings,
    pub(super) quality: QualityLimits,
    recogniser: RecogniserSettings,
    /// The operating point named on the command line.
    asked_point: Option<Arc<str>>,
    policy: crate::config::PolicySettings,
    pub(super) pad: PadSettings,
    /// Folder of the gallery, where the configuration names one.
    pub(super) gallery_dir: Option<PathBuf>,
}

/// A threshold for one-to-one comparison, and what it is called.
pub(super) struct ComparisonPoint {
    pub(super) name: Arc<str>,
    pub(super) threshold: Threshold,
}

/// The thresholds for one-to-many search by the size of the gallery, and the name under which events report them.
#[derive(Clone)]
pub(super) struct SearchPoint {
    pub(super) name: Arc<str>,
    pub(super) thresholds: ThresholdLadder,
}

impl SearchPoint {
    /// The threshold for a gallery of so many subjects.
    pub(super) fn at(&self, subjects: usize) -> Threshold {
        self.thresholds.at(subjects).threshold
    }

    /// The threshold for a gallery of so many subjects, for people.
    pub(super) fn describe(&self, subjects: usize) -> String {
        let Foothold { threshold, measured_for, .. } = self.thresholds.at(subjects);
        match measured_for {
            None => format!("threshold {threshold} ({})", self.name),
            Some(size) => format!("threshold {threshold} ({}, measured for up to {size} subjects)", self.name),
        }
    }

    /// Warns when the gallery is larger than any that the operating point was measured for.
    pub(super) fn warn_if_beyond(&self, subjects: usize) {
        if let Foothold { beyond: true, measured_for: Some(size), threshold } = self.thresholds.at(subjects) {
            let name = &self.name;
            log::warn!(
                "{subjects} subjects are more than the {size} that operating point {name} was measured for: threshold {threshold} lets more strangers in than its name says; `doorward calibrate` finds the threshold for this gallery"
            );
        }
    }

    /// Warns when another size of the gallery means another threshold: nobody's rate may change unnoticed.
    pub(super) fn warn_if_changed(&self, before: usize, now: usize) {
        let (was, is) = (self.at(before), self.at(now));
        if was != is {
            log::warn!("the gallery went from {before} to {now} subjects: {}, it was {was}", self.describe(now));
        }
        if !self.thresholds.at(before).beyond {
            self.warn_if_beyond(now);
        }
    }
}

impl EngineArgs {
    /// The option that names a threshold, if one is given.
    pub(super) fn asked_for_a_threshold(&self) -> Option<&'static str> {
        let point = self.operating_point.is_some().then_some("--operating-point");
        point.or(self.threshold.is_some().then_some("--threshold"))
    }

    pub(super) fn engine(&self, models: Option<&Path>) -> Result<Engine, Failure> {
        let mut engine = match &self.config {
            None => Engine::new(models, &self.compute)?,
            Some(path) => Engine::configured(&Config::load(path)?, models, &self.compute)?,
        };
        if let Some(backend) = self.detector {
            engine.detector.backend = backend;
        }
        if let Some(px) = self.working_size {
            engine.detector.working_size_px = px;
        }
        if let Some(model) = &self.model {
            engine.recogniser.model = RecogniserChoice::Model(model.as_str().into());
        }
        if let Some(name) = &self.operating_point {
            engine.recogniser.threshold = ThresholdChoice::OperatingPoint(name.as_str().into());
            engine.asked_point = Some(name.as_str().into());
        }
        if let Some(cosine) = self.threshold {
            let threshold = Threshold::new(cosine).filter(|_| cosine > 0.0).ok_or_else(|| {
                Failure::usage(format!("--threshold {cosine}: allowed is a cosine above 0 and up to 1"))
            })?;
            engine.recogniser.threshold = ThresholdChoice::Fixed(threshold);
        }
        engine.recogniser.views = self.views.unwrap_or(engine.recogniser.views);
        Ok(engine)
    }
}

impl Engine {
    /// Everything by default but what `compute` says.
    pub(super) fn new(models: Option<&Path>, compute: &ComputeArgs) -> Result<Self, Failure> {
        Ok(Self {
            store: open_store(models, compute.over(EngineSettings::default()))?,
            detector: DetectorSettings::default(),
            quality: QualityLimits::default(),
            recogniser: RecogniserSettings::default(),
            asked_point: None,
            policy: crate::config::PolicySettings::default(),
            pad: PadSettings::default(),
            gallery_dir: None,
        })
    }

    /// As a configuration says; the command line's folder of models, engine and threads win.
    pub(super) fn configured(config: &Config, models: Option<&Path>, compute: &ComputeArgs) -> Result<Self, Failure> {
        Ok(Self {
            store: open_store(models.or(config.models_dir.as_deref()), compute.over(config.engine))?,
            detector: config.detector,
            quality: config.quality,
            recogniser: config.recogniser.clone(),
            asked_point: None,
            policy: config.policy,
            pad: config.pad.clone(),
            gallery_dir: config.gallery_dir.clone(),
        })
    }

    pub(super) fn build_detector(&self) -> Result<Box<dyn FaceDetector>, Failure> {
        Ok(detect::build(&self.detector, &self.store)?)
    }

    pub(super) fn build_embedder(&self) -> Result<Box<dyn FaceEmbedder>, Failure> {
        Ok(embed::in_views(embed::build(Some(&self.recogniser()?.id), &self.store)?, self.views()))
    }

    /// The stages that make embeddings of photos.
    pub(super) fn stages(&self, face: FaceChoice) -> Result<Stages<'_>, Failure> {
        let recogniser = &self.recogniser()?.id;
        Ok(Stages { models: &self.store, detector: self.detector, recogniser, views: self.views(), face })
    }

    /// Of which views embeddings are made.
    pub(super) fn views(&self) -> Views {
        self.recogniser.views
    }

    /// The recogniser's card: the model that is named, else that of the profile, else the default; these two in the variant that
    /// the engine asks for.
    pub(super) fn recogniser(&self) -> Result<&ModelCard, Failure> {
        let id = match &self.recogniser.model {
            RecogniserChoice::Default => return Ok(self.store.default_for(Role::Recogniser)?),
            RecogniserChoice::Profile(name) => return Ok(self.store.profile(name)?),
            RecogniserChoice::Model(id) => id,
        };
        let card = self.store.catalogue().get(id)?;
        match Precision::asked(self.store.choice()) {
            Some(asked) if asked != card.precision => Err(Failure::usage(format!(
                "engine = \"{asked}\" contradicts the recogniser {id}, a model in {}: leave one of the two out",
                card.precision
            ))),
            _ => Ok(card),
        }
    }

    /// Warns of subjects who cannot be recognised because their templates are of other models, and says what to do.
    pub(super) fn warn_of_other_models(&self, gallery: &Path, snapshot: &Snapshot) -> Result<(), Failure> {
        let n = snapshot.without_model();
        if n > 0 {
            let (gallery, model, remedy) = (gallery.display(), snapshot.model(), self.remedy_for_other_models()?);
            log::warn!("gallery {gallery}: {n} enrolled without a template of {model} cannot be recognised; {remedy}");
        }
        Ok(())
    }

    /// What to do about templates of other models.
    pub(super) fn remedy_for_other_models(&self) -> Result<String, Failure> {
        let card = self.recogniser()?;
        let other = match card.precision {
            Precision::F32 => Precision::Int8,
            Precision::Int8 => Precision::F32,
        };
        let again = "enrol them again";
        Ok(match self.store.catalogue().variant(card, other) {
            None => again.to_owned(),
            Some(variant) if matches!(self.recogniser.model, RecogniserChoice::Model(_)) => {
                format!("{again}, or take the model {} if they were enrolled with it", variant.id)
            }
            Some(variant) => {
                format!(
                    "{again}, or set engine = \"{other}\" (--engine {other}) if they were enrolled with {}",
                    variant.id
                )
            }
        })
    }

    /// What there is to say of the kernels that compute, where they are the slow ones.
    pub(super) fn remark_on_kernels(&self) -> Option<String> {
        let (isa, best) = (self.store.engine().isa, Isa::best());
        match isa {
            Isa::Portable if best == Isa::Portable => {
                let fast: Vec<_> = Isa::ALL.iter().filter(|isa| **isa != Isa::Portable).map(|isa| isa.name()).collect();
                Some(format!(
                    "this processor ({}) can run none of the fast kernels ({}): the portable kernels compute, which take many times as long",
                    consts::ARCH,
                    fast.join(", ")
                ))
            }
            Isa::Portable => Some(format!(
                "{ISA_VARIABLE} holds doorward to the portable kernels, which take many times as long as {best}, the best here"
            )),
            _ => None,
        }
    }

    /// The identity that the recogniser's embeddings carry.
    pub(super) fn model_id(&self) -> Result<ModelId, Failure> {
        let card = self.recogniser()?;
        Ok(ModelId::new(&card.id, card.sha256.0))
    }

    /// The thresholds for one-to-many search.
    pub(super) fn one_to_many(&self) -> Result<SearchPoint, Failure> {
        Ok(match &self.recogniser.threshold {
            ThresholdChoice::Fixed(threshold) => {
                SearchPoint { name: "fixed".into(), thresholds: ThresholdLadder::fixed(*threshold) }
            }
            ThresholdChoice::OperatingPoint(name) => {
                SearchPoint { name: name.clone(), thresholds: self.recogniser()?.one_to_many(name)? }
            }
        })
    }

    /// The threshold for one-to-one comparison: the one asked for on the command line, else the first that the model's
    /// card has (a configuration names the point of the door, which is for one-to-many search).
    pub(super) fn one_to_one(&self) -> Result<ComparisonPoint, Failure> {
        if let ThresholdChoice::Fixed(threshold) = self.recogniser.threshold {
            return Ok(ComparisonPoint { name: "fixed".into(), threshold });
        }
        let card = self.recogniser()?;
        let first = || card.operating_points.iter().find(|p| p.kind == Comparison::OneToOne).map(|p| p.name.as_str());
        let name = self
            .asked_point
            .as_deref()
            .or_else(first)
            .ok_or_else(|| card.no_operating_point("for one-to-one comparison"))?;
        Ok(ComparisonPoint { name: name.into(), threshold: card.one_to_one(name)? })
    }

    /// The threshold from which on two photos pass for one person: that of the first one-to-one operating point on the model's card.
    pub(super) fn one_person(&self) -> Result<Option<Threshold>, Failure> {
        let points = &self.recogniser()?.operating_points;
        Ok(points.iter().find(|p| p.kind == Comparison::OneToOne).and_then(|p| Threshold::new(p.threshold)))
    }

    /// What a grant demands.
    pub(super) fn demands(&self) -> Result<Demands, Failure> {
        Ok(Demands {
            thresholds: self.one_to_many()?.thresholds,
            margin: self.policy.margin,
            max_frame_age: self.policy.max_frame_age,
            cooldown: self.policy.cooldown,
            agree: self.policy.agree,
            looks: self.policy.looks,
            retry: self.policy.retry,
            presentation: (self.pad.mode == PadMode::Require)
                .then_some(PresentationDemands { cooldown: self.pad.cooldown }),
        })
    }
}
