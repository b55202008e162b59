use std::collections::BTreeMap;

use super::{EvalError, ExpectedRate, Rate, ResemblanceTail};
use crate::domain::{Embedding, EmbeddingError, Similarity, Threshold};

/// Embeddings of different faces are never this alike; those of a model that is broken are.
const SAME: f32 = 0.9999;
/// Non-mated comparisons kept for the tail; of more, evenly spread ones.
const KEPT_COMPARISONS: usize = 10_000_000;

/// A person with photos: somebody enrolled, or a stranger.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// The subject's id; of a stranger the file or folder.
    pub id: String,
    /// Its display name.
    pub name: String,
    /// Its photos that gave an embedding, all of one model.
    pub photos: Vec<Photo>,
}

/// A photo's embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Photo {
    /// The file's name.
    pub source: String,
    /// Its embedding.
    pub embedding: Embedding,
}

/// What one site's own gallery, and strangers if there are any, say about the threshold.
///
/// - **Mated**: each photo of a subject against the mean of its other photos. The reference that the door searches has one photo
///   more, so that the door does a little better than this.
/// - **Between**: each photo of a subject against the references of all others, as if its own were not enrolled; the best counts.
/// - **Strangers**: each photo of a stranger against all references; the best counts.
///
/// Photos of one person resemble each other, so a trial of every rate is a person: the share of its photos that err.
#[derive(Debug, Clone)]
pub struct Calibration {
    subjects: usize,
    mated: Vec<MatedScore>,
    between: Vec<WrongScore>,
    strangers: Vec<WrongScore>,
    /// Of every pair of subjects the most alike, most alike first.
    pairs: Vec<LookAlikes>,
    tail: Option<ResemblanceTail>,
}

/// A photo against the other photos of its subject.
#[derive(Debug, Clone, PartialEq)]
pub struct MatedScore {
    /// The subject's id.
    pub subject: String,
    /// The subject's name.
    pub name: String,
    /// The photo.
    pub photo: String,
    /// Its similarity to the mean of the subject's other photos.
    pub similarity: Similarity,
    /// Whom it resembles most of all others, and how much.
    pub best_other: Option<(String, Similarity)>,
}

/// A photo against somebody whom it does not show.
#[derive(Debug, Clone, PartialEq)]
pub struct WrongScore {
    /// Whom it shows: id of the subject, or file or folder of the stranger.
    pub person: String,
    /// The photo.
    pub photo: String,
    /// The subject whose reference it resembles most.
    pub resembles: String,
    /// How much.
    pub similarity: Similarity,
}

/// Two subjects, and how alike the most alike photo of the one is to the other.
#[derive(Debug, Clone, PartialEq)]
pub struct LookAlikes {
    /// Both names, with the id where the name alone does not tell.
    pub names: [String; 2],
    /// The larger of the two similarities.
    pub similarity: Similarity,
}

/// The threshold to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recommendation {
    /// The threshold; `None` when none is above the highest wrong similarity.
    pub threshold: Option<Threshold>,
    /// What decided on it.
    pub basis: Basis,
    /// The threshold that the target alone would allow but for which a misidentification exists in the data.
    pub refused: Option<Threshold>,
}

/// What decided on a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The operating point: there are too few people here to lower it, and nobody is taken for somebody else by it.
    OperatingPoint,
    /// The highest similarity of two different people, which the operating point's threshold does not reach above.
    HighestWrong,
    /// This data: so many people, none of whom is taken for somebody else, that the target is kept for certain.
    Data,
}

impl Calibration {
    /// Compares everybody with everybody. People without photos are left out.
    ///
    /// # Errors
    /// [`EvalError::NothingToCalibrate`] without any subject, [`EvalError::Constant`] when all embeddings are the same,
    /// [`EvalError::Reference`] when a subject's photos cancel out, [`EvalError::Mixed`] when they are of several models.
    pub fn of(enrolled: &[Person], strangers: &[Person]) -> Result<Self, EvalError> {
        let enrolled: Vec<&Person> = enrolled.iter().filter(|person| !person.photos.is_empty()).collect();
        let Some(first) = enrolled.first().and_then(|person| person.photos.first()) else {
            return Err(EvalError::NothingToCalibrate);
        };
        let everything = || enrolled.iter().copied().chain(strangers).flat_map(|person| &person.photos);
        let same = |photo: &Photo| similarity(&first.embedding, &photo.embedding).value() >= SAME;
        if enrolled.len() + strangers.len() > 1 && everything().all(same) {
            let (model, photos) = (first.embedding.model().name().to_owned(), everything().count());
            return Err(EvalError::Constant { model, photos });
        }
        let mut references = Vec::with_capacity(enrolled.len());
        for person in &enrolled {
            let reference = reference(&person.photos.iter().collect::<Vec<_>>())
                .map_err(|source| EvalError::Reference { subject: person.id.clone(), source })?;
            references.push(reference.ok_or_else(|| EvalError::Mixed { subject: person.id.clone() })?);
        }

        let comparisons = everything().count() * references.len();
        let mut searches =
            Searches { names: names(&enrolled), references, stride: 1 + comparisons / KEPT_COMPARISONS, done: 0 };
        let (mut mated, mut between, mut nonmated) = (Vec::new(), Vec::new(), Vec::new());
        let mut pairs: BTreeMap<(usize, usize), Similarity> = BTreeMap::new();
        for (at, person) in enrolled.iter().enumerate() {
            let mut kept = Vec::new();
            for (n, photo) in person.photos.iter().enumerate() {
                let best = searches.others(photo, Some(at), &mut kept, |other, similarity| {
                    // Only the most alike of all pairs are ever told.
                    let pair = pairs.entry((at.min(other), at.max(other))).or_insert(similarity);
                    *pair = if similarity > *pair { similarity } else { *pair };
                });
                let rest: Vec<&Photo> =
                    person.photos.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, p)| p).collect();
                // Photos that cancel out have no mean; the subject as a whole has one.
                if let Ok(Some(rest)) = reference(&rest) {
                    mated.push(MatedScore {
                        subject: person.id.clone(),
                        name: person.name.clone(),
                        photo: photo.source.clone(),
                        similarity: similarity(&photo.embedding, &rest),
                        best_other: best.map(|(other, similarity)| (searches.names[other].clone(), similarity)),
                    });
                }
                between.extend(best.map(|best| searches.wrong(person, photo, best)));
            }
            nonmated.push(kept);
        }
        let mut from_outside = Vec::new();
        for person in strangers {
            let mut kept = Vec::new();
            for photo in &person.photos {
                let best = searches.others(photo, None, &mut kept, |_, _| ());
                from_outside.extend(best.map(|best| searches.wrong(person, photo, best)));
            }
            nonmated.push(kept);
        }
        let mut pairs: Vec<LookAlikes> = pairs
            .into_iter()
            .map(|((a, b), similarity)| LookAlikes {
                names: [searches.names[a].clone(), searches.names[b].clone()],
                similarity,
            })
            .collect();
        pairs.sort_by(|a, b| a.similarity.descending(b.similarity));
        let tail = ResemblanceTail::fit(&nonmated);
        Ok(Self { subjects: enrolled.len(), mated, between, strangers: from_outside, pairs, tail })
    }

    /// Subjects that were compared.
    pub fn subjects(&self) -> usize {
        self.subjects
    }

    /// Each photo of a subject with at least two, against the others.
    pub fn mated(&self) -> &[MatedScore] {
        &self.mated
    }

    /// The best similarity of every photo of a subject to somebody else; none with one subject only.
    pub fn between(&self) -> &[WrongScore] {
        &self.between
    }

    /// The best similarity of every photo of a stranger.
    pub fn strangers(&self) -> &[WrongScore] {
        &self.strangers
    }

    /// Every pair of subjects, the most alike first.
    pub fn look_alikes(&self) -> &[LookAlikes] {
        &self.pairs
    }

    /// How the chance of resembling falls; `None` when the data is too little to tell.
    pub fn tail(&self) -> Option<&ResemblanceTail> {
        self.tail.as_ref()
    }

    /// The highest similarity of a photo to somebody whom it does not show.
    pub fn highest_wrong(&self) -> Option<&WrongScore> {
        self.wrong().min_by(|a, b| a.similarity.descending(b.similarity))
    }

    /// FPIR: people who are not enrolled, or are taken as if they were not, and resemble somebody. `None` is a threshold that nothing
    /// reaches.
    pub fn fpir(&self, threshold: Option<Threshold>) -> ExpectedRate {
        // A stranger's file may be called what a subject is.
        let errs = |s: &WrongScore| threshold.is_some_and(|t| s.similarity.reaches(t));
        let between = self.between.iter().map(|s| ((true, s.person.as_str()), errs(s)));
        by_person(between.chain(self.strangers.iter().map(|s| ((false, s.person.as_str()), errs(s)))))
    }

    /// FNIR: photos of subjects that do not reach the threshold, or resemble somebody else at least as much.
    pub fn fnir(&self, threshold: Option<Threshold>) -> ExpectedRate {
        by_person(self.mated.iter().map(|s| (s.subject.as_str(), s.is_missed(threshold))))
    }

    /// Photos that do not fit their subject at a threshold: below it, or nearer to somebody else. The least alike first.
    pub fn disagreeing(&self, threshold: Option<Threshold>) -> Vec<&MatedScore> {
        let mut found: Vec<&MatedScore> = self.mated.iter().filter(|s| s.is_missed(threshold)).collect();
        found.sort_by(|a, b| b.similarity.descending(a.similarity));
        found
    }

    /// The threshold for an FPIR of at most `target`, where `start` is that of the operating point.
    ///
    /// - Never at or below a similarity that two different people have in this data.
    /// - Below `start` only when so many people stay under it that the upper bound of their FPIR's 95 % interval is not above the
    ///   target: 368 people for 1 %, 1,228 for 0.3 %.
    pub fn recommend(&self, target: f64, start: Threshold) -> Recommendation {
        let floor = match self.highest_wrong() {
            Some(wrong) => just_above(wrong.similarity),
            None => Some(start),
        };
        let people = Rate { errors: 0, trials: self.fpir(None).trials };
        let certain = people.trials > 0 && people.interval().high <= target;
        let (threshold, basis) = match floor {
            Some(floor) if certain => (Some(floor), if floor > start { Basis::HighestWrong } else { Basis::Data }),
            Some(floor) if floor <= start => (Some(start), Basis::OperatingPoint),
            floor => (floor, Basis::HighestWrong),
        };
        let by_target = self.least_at(target).filter(|least| Some(*least) < threshold);
        let refused = by_target.filter(|least| self.fpir(Some(*least)).errors > 0.0);
        Recommendation { threshold, basis, refused }
    }

    /// The least threshold at which the FPIR in this data is at most `target`, when the data can speak about it at all.
    fn least_at(&self, target: f64) -> Option<Threshold> {
        let resolved = self.fpir(None).trials as f64 * target >= 1.0;
        let mut scores: Vec<Similarity> = self.wrong().map(|s| s.similarity).collect();
        scores.sort_unstable_by(|a, b| b.descending(*a));
        let keeps = |t: &Threshold| self.fpir(Some(*t)).value().is_some_and(|rate| rate <= target);
        // The rate falls with the threshold: the first that keeps the target is found by halving.
        let candidates: Vec<Threshold> = scores.into_iter().filter_map(just_above).collect();
        let first = candidates.partition_point(|t| !keeps(t));
        candidates.get(first).copied().filter(|_| resolved)
    }

    fn wrong(&self) -> impl Iterator<Item = &WrongScore> {
        self.between.iter().chain(&self.strangers)
    }
}

impl MatedScore {
    /// Whether the subject would not have been recognised by this photo.
    pub fn is_missed(&self, threshold: Option<Threshold>) -> bool {
        let below = threshold.is_none_or(|t| !self.similarity.reaches(t));
        below || self.is_nearer_to_another()
    }

    /// Whether the photo resembles somebody else at least as much as its own subject.
    pub fn is_nearer_to_another(&self) -> bool {
        self.best_other.as_ref().is_some_and(|(_, other)| *other >= self.similarity)
    }
}

/// The references, and comparisons with them.
struct Searches {
    names: Vec<String>,
    references: Vec<Embedding>,
    /// One of so many comparisons is kept for the tail.
    stride: usize,
    done: usize,
}

impl Searches {
    /// The subject, other than `own`, that the photo resembles most.
    fn others(
        &mut self,
        photo: &Photo,
        own: Option<usize>,
        kept: &mut Vec<Similarity>,
        mut each: impl FnMut(usize, Similarity),
    ) -> Option<(usize, Similarity)> {
        let mut best: Option<(usize, Similarity)> = None;
        for (at, reference) in self.references.iter().enumerate().filter(|(at, _)| Some(*at) != own) {
            let found = similarity(&photo.embedding, reference);
            self.done += 1;
            if self.done.is_multiple_of(self.stride) {
                kept.push(found);
            }
            each(at, found);
            if best.is_none_or(|(_, best)| found > best) {
                best = Some((at, found));
            }
        }
        best
    }

    fn wrong(&self, person: &Person, photo: &Photo, (resembles, similarity): (usize, Similarity)) -> WrongScore {
        WrongScore {
            person: person.id.clone(),
            photo: photo.source.clone(),
            resembles: self.names[resembles].clone(),
            similarity,
        }
    }
}

/// The names of everybody; with the id where two have the same.
fn names(people: &[&Person]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    people.iter().for_each(|person| *counts.entry(&person.name).or_default() += 1);
    let name = |person: &&Person| match counts[person.name.as_str()] {
        1 => person.name.clone(),
        _ => format!("{} ({})", person.name, person.id),
    };
    people.iter().map(name).collect()
}

/// The normalised mean, which is what the door searches; `None` of no photos.
fn reference(photos: &[&Photo]) -> Result<Option<Embedding>, EmbeddingError> {
    let embeddings: Vec<&Embedding> = photos.iter().map(|photo| &photo.embedding).collect();
    Embedding::mean(&embeddings)
}

/// The mean over people of the share of their photos that err.
fn by_person<K: Ord>(photos: impl Iterator<Item = (K, bool)>) -> ExpectedRate {
    let mut people: BTreeMap<K, Rate> = BTreeMap::new();
    for (person, errs) in photos {
        let rate = people.entry(person).or_insert(Rate { errors: 0, trials: 0 });
        rate.trials += 1;
        rate.errors += u64::from(errs);
    }
    ExpectedRate::mean(people.values().filter_map(|rate| rate.value()))
}

/// The least threshold in thousandths that the similarity does not reach.
fn just_above(similarity: Similarity) -> Option<Threshold> {
    let next = Threshold::new(similarity.value().next_up())?;
    super::operating_points::in_thousandths(next)
}

/// All are of one model; were one not, it would match nothing.
fn similarity(probe: &Embedding, reference: &Embedding) -> Similarity {
    probe.similarity(reference).unwrap_or(Similarity::new(-1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ModelId;

    fn person(id: &str, angles_deg: &[f32]) -> Person {
        let photo = |(n, a): (usize, &f32)| {
            let a = a.to_radians();
            let embedding = Embedding::new(ModelId::new("test", [1; 32]), &[a.cos(), a.sin()]).unwrap();
            Photo { source: format!("{n}.jpg"), embedding }
        };
        Person { id: id.into(), name: id.to_uppercase(), photos: angles_deg.iter().enumerate().map(photo).collect() }
    }

    fn threshold(cosine: f32) -> Threshold {
        Threshold::new(cosine).unwrap()
    }

    fn cos(deg: f32) -> f32 {
        deg.to_radians().cos()
    }

    fn near(found: Similarity, expected: f32) -> bool {
        (found.value() - expected).abs() < 1e-5
    }

    #[test]
    fn a_small_gallery_by_hand() {
        // References at 10, 90 and 175 degrees.
        let enrolled = [person("ada", &[0.0, 20.0]), person("bob", &[80.0, 100.0]), person("cid", &[175.0])];
        let found = Calibration::of(&enrolled, &[person("eve", &[45.0])]).unwrap();
        assert_eq!((found.subjects(), found.mated().len(), found.between().len()), (3, 4, 5));
        assert!(found.mated().iter().all(|s| near(s.similarity, cos(20.0))));
        // Ada at 20 to Bob's 90; Bob at 80 to Ada's 10, at 100 to Cid's 175.
        let best: Vec<(&str, &str)> =
            found.between().iter().map(|s| (s.person.as_str(), s.resembles.as_str())).collect();
        assert_eq!(best, [("ada", "BOB"), ("ada", "BOB"), ("bob", "ADA"), ("bob", "CID"), ("cid", "BOB")]);
        assert!(near(found.between()[1].similarity, cos(70.0)) && near(found.strangers()[0].similarity, cos(35.0)));
        assert_eq!(found.highest_wrong().unwrap().person, "eve");
        assert_eq!(found.look_alikes()[0].names, ["ADA", "BOB"]);
        // At 60 degrees nobody of the gallery is wrong, Eve is: 1 person of 4.
        assert_eq!(found.fpir(Some(threshold(0.5))), ExpectedRate { errors: 1.0, trials: 4 });
        // At 75.5 degrees: one photo of two of Ada, both of Bob, and Eve.
        let loose = found.fpir(Some(threshold(0.25)));
        assert_eq!(loose, ExpectedRate { errors: 0.5 + 1.0 + 1.0, trials: 4 });
        assert_eq!(found.fnir(Some(threshold(0.5))), ExpectedRate { errors: 0.0, trials: 2 });
        assert_eq!(found.fnir(Some(threshold(0.95))), ExpectedRate { errors: 2.0, trials: 2 });
        assert!(found.tail().is_none());
    }

    #[test]
    fn a_threshold_is_raised_above_a_stranger_and_kept_where_nobody_reaches_it() {
        let enrolled = [person("ada", &[0.0, 10.0]), person("bob", &[90.0, 100.0])];
        let kept = Calibration::of(&enrolled, &[]).unwrap().recommend(0.01, threshold(0.5));
        assert_eq!(
            kept,
            Recommendation { threshold: Some(threshold(0.5)), basis: Basis::OperatingPoint, refused: None }
        );
        let eve = Calibration::of(&enrolled, &[person("eve", &[35.0])]).unwrap().recommend(0.01, threshold(0.5));
        // cos 30 = 0.8660
        assert_eq!((eve.threshold, eve.basis), (Some(threshold(0.867)), Basis::HighestWrong));
        let enrolled = [person("ada", &[0.0]), person("bob", &[90.0])];
        let twin = Calibration::of(&enrolled, &[person("twin", &[0.0])]).unwrap().recommend(0.01, threshold(0.5));
        assert_eq!((twin.threshold, twin.basis), (None, Basis::HighestWrong));
    }

    #[test]
    fn many_strangers_lower_a_threshold_but_not_below_the_most_alike() {
        let enrolled = [person("ada", &[0.0, 10.0])];
        let strangers = |nearest: f32| -> Vec<Person> {
            (0..400).map(|n| person(&n.to_string(), &[if n == 0 { nearest } else { 85.0 }])).collect()
        };
        let found = Calibration::of(&enrolled, &strangers(64.9)).unwrap().recommend(0.01, threshold(0.6));
        // cos 59.9 = 0.5015; 1 % of 400 could do with less.
        assert_eq!((found.threshold, found.basis), (Some(threshold(0.502)), Basis::Data));
        // cos 80 = 0.1736: one of 400 above it would keep the target, and is somebody taken for Ada.
        assert_eq!(found.refused, Some(threshold(0.174)));
        let few = Calibration::of(&enrolled, &strangers(64.9)[..300]).unwrap().recommend(0.01, threshold(0.6));
        assert_eq!((few.threshold, few.basis), (Some(threshold(0.6)), Basis::OperatingPoint));
    }

    #[test]
    fn a_photo_of_somebody_else_is_named() {
        let enrolled = [person("ada", &[0.0, 5.0, 90.0]), person("bob", &[85.0, 95.0])];
        let found = Calibration::of(&enrolled, &[]).unwrap();
        let odd = found.disagreeing(Some(threshold(0.5)));
        assert_eq!((odd[0].subject.as_str(), odd[0].photo.as_str()), ("ada", "2.jpg"));
        assert!(odd[0].is_nearer_to_another() && odd[0].best_other.as_ref().unwrap().0 == "BOB");
    }

    #[test]
    fn what_cannot_be_said_is_not_said() {
        assert!(matches!(Calibration::of(&[], &[]), Err(EvalError::NothingToCalibrate)));
        assert!(matches!(Calibration::of(&[person("ada", &[])], &[]), Err(EvalError::NothingToCalibrate)));
        let alone = Calibration::of(&[person("ada", &[0.0])], &[]).unwrap();
        assert_eq!((alone.fpir(None).value(), alone.fnir(None).value()), (None, None));
        assert_eq!(alone.recommend(0.01, threshold(0.5)).threshold, Some(threshold(0.5)));
        let same = [person("ada", &[1.0, 1.0]), person("bob", &[1.0])];
        assert!(matches!(Calibration::of(&same, &[]), Err(EvalError::Constant { photos: 3, .. })));
        let mut odd = person("ada", &[0.0, 0.0]);
        odd.photos[1].embedding = Embedding::new(ModelId::new("test", [1; 32]), &[-1.0, 0.0]).unwrap();
        assert!(matches!(Calibration::of(&[odd.clone()], &[]), Err(EvalError::Reference { .. })));
        odd.photos[1].embedding = Embedding::new(ModelId::new("other", [2; 32]), &[1.0, 0.0]).unwrap();
        assert!(matches!(Calibration::of(&[odd], &[]), Err(EvalError::Mixed { .. })));
    }

    #[test]
    fn people_of_one_name_are_told_apart() {
        let mut enrolled = [person("ada", &[0.0]), person("ada-2", &[60.0])];
        enrolled[1].name = "ADA".into();
        let found = Calibration::of(&enrolled, &[]).unwrap();
        assert_eq!(found.look_alikes()[0].names, ["ADA (ada)", "ADA (ada-2)"]);
    }

    proptest! {
        #[test]
        fn nobody_wrong_reaches_the_recommended_threshold(
            enrolled in prop::collection::vec(prop::collection::vec(0f32..360.0, 1..4), 1..8),
            strangers in prop::collection::vec(0f32..360.0, 0..30),
            start in 0f32..=1.0, strict in 0.0001f64..0.5, loose in 0.0001f64..0.5, step in 0f32..0.3,
        ) {
            let people = |all: &[Vec<f32>], kind: &str| -> Vec<Person> {
                all.iter().enumerate().map(|(n, angles)| person(&format!("{kind}{n}"), angles)).collect()
            };
            let strangers: Vec<Vec<f32>> = strangers.into_iter().map(|a| vec![a]).collect();
            let Ok(found) = Calibration::of(&people(&enrolled, "a"), &people(&strangers, "s")) else { return Ok(()) };
            let (strict, loose) = (strict.min(loose), strict.max(loose));
            let at = |target, start| found.recommend(target, start).threshold;
            let lower = at(loose, threshold(start));
            if let (Some(t), Some(wrong)) = (lower, found.highest_wrong()) {
                prop_assert!(!wrong.similarity.reaches(t));
                prop_assert_eq!(found.fpir(Some(t)).errors, 0.0);
            }
            // A stricter target, with the stricter operating point that belongs to it, is never met by a lower threshold.
            let higher = at(strict, threshold((start + step).min(1.0)));
            prop_assert!(higher.is_none() == lower.is_none() && higher >= lower);
        }
    }
}
