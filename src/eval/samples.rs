use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use super::{
    AcquisitionFailure, EvalError, FoldAccuracy, FoldedComparison, Identification, Labelled, List, MatedSearch, Pair,
    Rate, ReferenceRule, Sample, Template, Verification,
};
use crate::domain::{Embedding, ModelMismatch, Similarity};

/// Embeddings of different faces are never this alike; those of a model that is broken are.
const SAME: f32 = 0.9999;

/// The samples of all photos of a test, by path.
#[derive(Debug, Clone)]
pub struct Samples(HashMap<PathBuf, Sample>);

impl Samples {
    /// Takes the samples of `pictures`, in the same order.
    ///
    /// # Errors
    /// [`EvalError::NoEmbedding`] when no picture gave a template, [`EvalError::Constant`] when all of several gave the same one.
    pub fn new(pictures: Vec<PathBuf>, samples: Vec<Sample>) -> Result<Self, EvalError> {
        let templates: Vec<&Template> = samples.iter().filter_map(|s| s.acquired.as_ref().ok()).collect();
        let Some(first) = templates.first() else {
            let reason = samples.iter().find_map(|s| s.acquired.as_ref().err()).map(ToString::to_string);
            return Err(EvalError::NoEmbedding { photos: samples.len(), reason: reason.unwrap_or_default() });
        };
        let same = |t: &&Template| first.embedding.similarity(&t.embedding).is_ok_and(|s| s.value() >= SAME);
        if templates.len() > 1 && templates.iter().all(same) {
            let model = first.embedding.model().name().to_owned();
            return Err(EvalError::Constant { model, photos: templates.len() });
        }
        Ok(Self(pictures.into_iter().zip(samples).collect()))
    }

    /// The sample of a picture.
    pub fn get(&self, picture: &Path) -> Option<&Sample> {
        self.0.get(picture)
    }

    /// The template of a picture; `None` where it failed to acquire.
    pub fn template(&self, picture: &Path) -> Option<&Template> {
        self.get(picture)?.acquired.as_ref().ok()
    }

    /// Which of the pictures failed to acquire, and why, in their order.
    pub fn failures<'a>(
        &'a self,
        pictures: impl IntoIterator<Item = &'a Path>,
    ) -> (Rate, Vec<(&'a Path, &'a AcquisitionFailure)>) {
        let mut failures = Vec::new();
        let failed = |picture: &'a Path| {
            let failure = self.get(picture).and_then(|s| s.acquired.as_ref().err());
            failures.extend(failure.map(|failure| (picture, failure)));
            failure.is_some()
        };
        (Rate::count(pictures.into_iter().map(failed)), failures)
    }

    /// Compares the pairs. Those with a sample that failed to acquire are no comparisons: FMR and FNMR are of the others. With
    /// folds every pair is decided, such a one as not mated.
    ///
    /// # Errors
    /// When embeddings are of several models.
    pub fn verify(&self, pairs: &List<Pair>) -> Result<(Verification, Option<FoldAccuracy>), ModelMismatch> {
        let (mut mated, mut nonmated, mut folded) = (Vec::new(), Vec::new(), Vec::new());
        for pair in &pairs.rows {
            let compared = match (self.template(&pair.left), self.template(&pair.right)) {
                (Some(left), Some(right)) => Some(left.embedding.similarity(&right.embedding)?),
                _ => None,
            };
            match pair.mated {
                true => mated.extend(compared),
                false => nonmated.extend(compared),
            }
            if let Some(fold) = &pair.fold {
                let similarity = compared.unwrap_or(Similarity::new(-1.0));
                folded.push(FoldedComparison { fold: fold.clone(), mated: pair.mated, similarity });
            }
        }
        Ok((Verification::new(mated, nonmated), FoldAccuracy::of(&folded)))
    }

    /// The templates of every subject in the gallery's list; a subject whose photos all failed has none.
    pub fn gallery<'a>(&self, gallery: &'a List<Labelled>) -> BTreeMap<&'a str, Vec<Template>> {
        let mut subjects: BTreeMap<&str, Vec<Template>> = BTreeMap::new();
        for row in &gallery.rows {
            subjects.entry(&row.subject).or_default().extend(self.template(&row.image).cloned());
        }
        subjects
    }

    /// Searches for every mated and every non-mated probe among the references that `rule` makes of the gallery.
    ///
    /// # Errors
    /// [`EvalError::NobodyEnrolled`] without any template, [`EvalError::Reference`] when a subject's templates cancel out.
    pub fn identify(
        &self,
        gallery: &List<Labelled>,
        mated: &List<Labelled>,
        nonmated: &List<Labelled>,
        rule: ReferenceRule,
    ) -> Result<Identification, EvalError> {
        let mut references = Vec::new();
        for (subject, templates) in self.gallery(gallery) {
            let made = rule
                .references(&templates)
                .map_err(|source| EvalError::Reference { subject: subject.to_owned(), source })?;
            references.extend(made.into_iter().map(|reference| (subject, reference)));
        }
        if references.is_empty() {
            return Err(EvalError::NobodyEnrolled { list: gallery.path.clone(), photos: gallery.rows.len() });
        }
        let search = |row: &Labelled| match self.template(&row.image) {
            None => MatedSearch::FailedToAcquire,
            Some(probe) => search(&references, &probe.embedding, &row.subject),
        };
        let best = |row: &Labelled| {
            let probe = &self.template(&row.image)?.embedding;
            references.iter().map(|(_, reference)| similarity(probe, reference)).max_by(|a, b| b.descending(*a))
        };
        let nonmated: Vec<Option<Similarity>> = nonmated.rows.iter().map(best).collect();
        Ok(Identification::new(mated.rows.iter().map(search).collect(), &nonmated))
    }
}

/// Whether `subject` is the best candidate for the probe. Of equal similarities another subject's comes first: a tie is no
/// recognition.
fn search(references: &[(&str, Embedding)], probe: &Embedding, subject: &str) -> MatedSearch {
    let (mut own, mut other) = (None, None);
    for (of, reference) in references {
        let best = if *of == subject { &mut own } else { &mut other };
        let found = similarity(probe, reference);
        if best.is_none_or(|best| found > best) {
            *best = Some(found);
        }
    }
    match own {
        None => MatedSearch::NotEnrolled,
        Some(own) => MatedSearch::Searched { own, first: other.is_none_or(|other| own > other) },
    }
}

/// All samples of a test are of one model; were one not, it would match nothing.
fn similarity(probe: &Embedding, reference: &Embedding) -> Similarity {
    probe.similarity(reference).unwrap_or(Similarity::new(-1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ModelId, SampleQuality};

    fn sample(values: &[f32]) -> Sample {
        let quality = SampleQuality {
            size_px: 100.0,
            sharpness: 100.0,
            brightness: 120.0,
            contrast: 50.0,
            yaw_deg: 0.0,
            pitch_deg: 0.0,
            roll_deg: 0.0,
            detector_score: 0.9,
        };
        let embedding = Embedding::new(ModelId::new("test", [1; 32]), values);
        let template = embedding.map(|embedding| Template { embedding, quality });
        Sample { faces: 1, acquired: template.map_err(|e| AcquisitionFailure::Embedding(e.to_string())), took_ms: 1.0 }
    }

    /// Photos named by their number.
    fn samples(values: &[&[f32]]) -> Result<Samples, EvalError> {
        Samples::new(
            (0..values.len()).map(|i| i.to_string().into()).collect(),
            values.iter().map(|v| sample(v)).collect(),
        )
    }

    fn list(rows: &[(&str, &str)]) -> List<Labelled> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.csv");
        let rows: String = rows.iter().map(|(subject, image)| format!("{subject},{image}\n")).collect();
        std::fs::write(&path, format!("subject,image\n{rows}")).unwrap();
        List::labelled(&path, true).unwrap()
    }

    const NAN: &[f32] = &[f32::NAN, 0.0];

    #[test]
    fn a_model_that_always_gives_the_same_is_found_out() {
        let error = samples(&[&[1.0, 0.0], &[2.0, 0.0], &[1.0, 1e-4]]).unwrap_err();
        assert!(matches!(error, EvalError::Constant { photos: 3, .. }), "{error}");
        assert!(samples(&[&[1.0, 0.0], &[1.0, 0.0], &[0.0, 1.0]]).is_ok());
        assert!(samples(&[&[1.0, 0.0]]).is_ok(), "one says nothing");
    }

    #[test]
    fn a_model_that_gives_no_numbers_is_found_out() {
        let error = samples(&[NAN, NAN]).unwrap_err().to_string();
        assert!(error.contains("none of 2 pictures") && error.contains("not finite"), "{error}");
        let samples = samples(&[NAN, &[1.0, 0.0], NAN, &[0.0, 1.0]]).unwrap();
        let (fta, failures) = samples.failures(["0", "1", "2", "3"].map(Path::new));
        assert_eq!((fta, failures[1].0), (Rate { errors: 2, trials: 4 }, Path::new("2")));
    }

    #[test]
    fn a_search_by_hand() {
        let samples = samples(&[&[1.0, 0.0], &[0.0, 1.0], &[0.9, 0.1], &[0.6, 0.8], NAN, &[-1.0, 0.2], NAN]).unwrap();
        let gallery = list(&[("a", "0"), ("b", "1"), ("c", "6")]);
        let mated = list(&[("a", "2"), ("a", "3"), ("b", "4"), ("c", "5")]);
        let trial = samples.identify(&gallery, &mated, &list(&[("", "5"), ("", "6")]), ReferenceRule::Mean).unwrap();
        let [first, second, third, fourth] = trial.mated() else { panic!("{trial:?}") };
        assert!(matches!(first, MatedSearch::Searched { first: true, .. }));
        assert!(matches!(second, MatedSearch::Searched { own, first: false } if (own.value() - 0.6).abs() < 1e-6));
        assert_eq!((third, fourth), (&MatedSearch::FailedToAcquire, &MatedSearch::NotEnrolled));
        assert_eq!(trial.nonmated_best().len(), 1);
        assert_eq!(trial.fpir(None), Rate { errors: 0, trials: 2 });
    }

    #[test]
    fn a_tie_with_another_subject_is_no_recognition() {
        let samples = samples(&[&[1.0, 0.0], &[1.0, 0.0], &[0.5, 0.5]]).unwrap();
        let gallery = list(&[("a", "0"), ("b", "1")]);
        let trial =
            samples.identify(&gallery, &list(&[("a", "2")]), &list(&[("", "2")]), ReferenceRule::BestTemplate).unwrap();
        assert_eq!(trial.rank1_misses().errors, 1);
    }

    #[test]
    fn a_gallery_of_nobody_is_an_error() {
        let samples = samples(&[NAN, &[1.0, 0.0], &[0.0, 1.0]]).unwrap();
        let (gallery, probes) = (list(&[("a", "0")]), list(&[("a", "1")]));
        let error = samples.identify(&gallery, &probes, &probes, ReferenceRule::Mean).unwrap_err();
        assert!(matches!(error, EvalError::NobodyEnrolled { photos: 1, .. }), "{error}");
    }

    #[test]
    fn pairs_that_failed_to_acquire_are_wrong_in_folds_only_when_mated() {
        let samples = samples(&[&[1.0, 0.0], &[0.9, 0.1], &[0.0, 1.0], NAN]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pairs.csv");
        std::fs::write(&path, "image1,image2,same,fold\n0,1,1,1\n0,2,0,1\n0,3,1,2\n1,2,0,2\n").unwrap();
        let (verification, folds) = samples.verify(&List::pairs(&path).unwrap()).unwrap();
        assert_eq!((verification.mated().len(), verification.nonmated().len()), (1, 2));
        assert_eq!(folds.unwrap().folds, 2);
    }
}
