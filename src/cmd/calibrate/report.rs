use std::collections::BTreeMap;

use serde::Serialize;

use super::Strangers;
use crate::{
    domain::{Similarity, Threshold},
    eval::{Basis, Calibration, ExpectedRate, Extrapolated, MatedScore, Recommendation, WrongScore},
};

/// Pairs and photos that are told by name.
const NAMED: usize = 10;
/// Subjects that a gallery may grow to.
const SIZES: [usize; 4] = [10, 100, 1000, 10_000];

/// Everything there is to tell.
pub(super) struct Report<'a> {
    pub(super) gallery: String,
    pub(super) model: String,
    pub(super) photos: usize,
    /// Subjects with one photo, whose mated similarity cannot be said.
    pub(super) single_photo: usize,
    pub(super) templates_of_other_models: BTreeMap<String, usize>,
    pub(super) subjects_without_model: usize,
    pub(super) strangers: &'a Strangers,
    pub(super) target: f64,
    pub(super) in_force: Threshold,
    pub(super) in_force_name: String,
    pub(super) recommended: Recommendation,
    pub(super) found: &'a Calibration,
}

/// The report for programs.
#[derive(Serialize)]
pub(super) struct Record<'a> {
    gallery: &'a str,
    model: &'a str,
    subjects: usize,
    photos: usize,
    subjects_without_model: usize,
    templates_of_other_models: &'a BTreeMap<String, usize>,
    strangers: StrangersRecord,
    fpir_target: f64,
    recommended: RecommendationRecord,
    in_force: RatesRecord,
    mated: ScoresRecord,
    between: ScoresRecord,
    nonmated: ScoresRecord,
    highest_wrong: Option<WrongRecord<'a>>,
    look_alikes: Vec<PairRecord<'a>>,
    disagreeing: Vec<PhotoRecord<'a>>,
    growth: Vec<GrowthRecord>,
}

#[derive(Serialize)]
struct StrangersRecord {
    people: usize,
    pictures: usize,
    pictures_failed: usize,
    people_failed: usize,
}

#[derive(Serialize)]
struct RecommendationRecord {
    threshold: Option<Threshold>,
    basis: &'static str,
    /// What the target alone would allow, and was refused.
    refused: Option<Threshold>,
    fpir: RateRecord,
    fnir: RateRecord,
}

#[derive(Serialize)]
struct RatesRecord {
    threshold: Threshold,
    fpir: RateRecord,
    fnir: RateRecord,
}

/// A rate whose trials are people; `null` without any.
#[derive(Serialize)]
struct RateRecord {
    value: Option<f64>,
    low: f64,
    high: f64,
    people: u64,
}

/// A distribution; `null` where there is none.
#[derive(Serialize)]
struct ScoresRecord {
    photos: usize,
    least: Option<Similarity>,
    median: Option<Similarity>,
    highest: Option<Similarity>,
}

#[derive(Serialize)]
struct WrongRecord<'a> {
    person: &'a str,
    photo: &'a str,
    resembles: &'a str,
    similarity: Similarity,
}

#[derive(Serialize)]
struct PairRecord<'a> {
    names: &'a [String; 2],
    similarity: Similarity,
    reaches_in_force: bool,
}

#[derive(Serialize)]
struct PhotoRecord<'a> {
    subject: &'a str,
    name: &'a str,
    photo: &'a str,
    similarity: Similarity,
    nearer_to: Option<&'a str>,
}

#[derive(Serialize)]
struct GrowthRecord {
    subjects: usize,
    /// At the recommended threshold, else at the one in force; `null` where the data is too little.
    fpir: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    /// For the target at this size.
    threshold: Option<Threshold>,
    extrapolated: bool,
}

impl Report<'_> {
    pub(super) fn record(&self) -> Record<'_> {
        let (found, threshold) = (self.found, self.recommended.threshold);
        Record {
            gallery: &self.gallery,
            model: &self.model,
            subjects: found.subjects(),
            photos: self.photos,
            subjects_without_model: self.subjects_without_model,
            templates_of_other_models: &self.templates_of_other_models,
            strangers: StrangersRecord {
                people: self.strangers.people.len(),
                pictures: self.strangers.people.iter().map(|person| person.photos.len()).sum(),
                pictures_failed: self.strangers.failures.len(),
                people_failed: self.strangers.lost,
            },
            fpir_target: self.target,
            recommended: RecommendationRecord {
                threshold,
                basis: match self.recommended.basis {
                    Basis::OperatingPoint => "operating-point",
                    Basis::HighestWrong => "highest-wrong",
                    Basis::Data => "data",
                },
                refused: self.recommended.refused,
                fpir: found.fpir(threshold).into(),
                fnir: found.fnir(threshold).into(),
            },
            in_force: RatesRecord {
                threshold: self.in_force,
                fpir: found.fpir(Some(self.in_force)).into(),
                fnir: found.fnir(Some(self.in_force)).into(),
            },
            mated: ScoresRecord::of(found.mated().iter().map(|s| s.similarity)),
            between: ScoresRecord::of(found.between().iter().map(|s| s.similarity)),
            nonmated: ScoresRecord::of(found.strangers().iter().map(|s| s.similarity)),
            highest_wrong: found.highest_wrong().map(|wrong| WrongRecord {
                person: &wrong.person,
                photo: &wrong.photo,
                resembles: &wrong.resembles,
                similarity: wrong.similarity,
            }),
            look_alikes: self.look_alikes().collect(),
            disagreeing: found.disagreeing(Some(self.in_force)).into_iter().map(PhotoRecord::of).collect(),
            growth: self.growth(),
        }
    }

    fn look_alikes(&self) -> impl Iterator<Item = PairRecord<'_>> {
        self.found.look_alikes().iter().take(NAMED).map(|pair| PairRecord {
            names: &pair.names,
            similarity: pair.similarity,
            reaches_in_force: pair.similarity.reaches(self.in_force),
        })
    }

    fn growth(&self) -> Vec<GrowthRecord> {
        let now = self.found.subjects();
        let threshold = self.recommended.threshold.unwrap_or(self.in_force);
        let sizes = std::iter::once(now).chain(SIZES.into_iter().filter(|size| *size > now));
        let at = |subjects| {
            let tail = self.found.tail();
            let rate: Option<Extrapolated> = tail.and_then(|tail| tail.fpir(threshold, subjects));
            GrowthRecord {
                subjects,
                fpir: rate.map(|rate| rate.value),
                low: rate.map(|rate| rate.interval.low),
                high: rate.map(|rate| rate.interval.high),
                threshold: tail.and_then(|tail| tail.threshold(self.target, subjects)),
                extrapolated: true,
            }
        };
        sizes.map(at).collect()
    }

    /// The report for people: the verdict, then why.
    pub(super) fn text(&self) -> String {
        let found = self.found;
        let mut text = self.verdict();
        text += &format!(
            "\ngallery     {}: {} subjects, {} photos of {}\n",
            self.gallery,
            found.subjects(),
            self.photos,
            self.model
        );
        for (model, templates) in &self.templates_of_other_models {
            text += &format!("            {templates} templates of {model} are left out: another model\n");
        }
        if self.subjects_without_model > 0 {
            text += &format!("            {} subjects have no template of this model\n", self.subjects_without_model);
        }
        if self.single_photo > 0 {
            text += &format!(
                "            {} subjects have one photo only: nothing to compare it with\n",
                self.single_photo
            );
        }
        text += &self.strangers_text();
        text += "\nsimilarities                 photos   least  median  highest\n";
        for (kind, scores) in [
            ("mated, photo left out", ScoresRecord::of(found.mated().iter().map(|s| s.similarity))),
            ("best other subject", ScoresRecord::of(found.between().iter().map(|s| s.similarity))),
            ("strangers, best", ScoresRecord::of(found.strangers().iter().map(|s| s.similarity))),
        ] {
            text += &format!("{kind:<28} {scores}\n");
        }
        if let Some(WrongScore { person, photo, resembles, similarity }) = found.highest_wrong() {
            text += &format!("the highest wrong one: {person} ({photo}) resembles {resembles}, {similarity}\n");
        }
        text += "\nrates, a trial is a person\n";
        text += &rates("in force", Some(self.in_force), found);
        if self.recommended.threshold != Some(self.in_force) {
            text += &rates("recommended", self.recommended.threshold, found);
        }
        text += &self.look_alikes_text();
        text += &self.disagreeing_text();
        text += &self.growth_text();
        match self.recommended.threshold {
            Some(threshold) => text + &format!("\n[recogniser]\nthreshold = {:.3}\n", threshold.value()),
            None => text,
        }
    }

    fn verdict(&self) -> String {
        let Recommendation { threshold, basis, refused } = self.recommended;
        let target = percent(self.target);
        let Some(threshold) = threshold else {
            return "no threshold tells everybody apart: two people of this data are as alike as can be; see the highest wrong similarity\n".into();
        };
        let people = self.found.fpir(None).trials;
        let mut text = match basis {
            Basis::OperatingPoint if people == 0 => format!(
                "take {threshold}: the operating point's threshold for FPIR {target} %; whether it suits cannot be said from one subject without strangers\n"
            ),
            Basis::OperatingPoint => format!(
                "take {threshold}: the operating point's threshold for FPIR {target} %; none of {people} people here is taken for somebody else by it, and they are too few to lower it\n"
            ),
            Basis::HighestWrong => format!(
                "take {threshold}: the operating point's threshold for FPIR {target} % would take somebody for somebody else; look at the highest wrong similarity first: a person enrolled twice or a wrong photo would explain it\n"
            ),
            Basis::Data => format!(
                "take {threshold}: none of {people} people here is taken for somebody else by it, which is enough for FPIR {target} %\n"
            ),
        };
        if let Some(refused) = refused {
            text += &format!(
                "not {refused}, which the target alone would allow: somebody in this data would be taken for somebody else\n"
            );
        }
        text + &format!("in force is {}\n", self.in_force_name)
    }

    fn strangers_text(&self) -> String {
        let Strangers { people, failures, lost } = self.strangers;
        if people.is_empty() && failures.is_empty() {
            return "strangers   no pictures given (--nonmated DIR): the subjects are strangers to each other\n".into();
        }
        let pictures: usize = people.iter().map(|person| person.photos.len()).sum();
        let mut text = format!("strangers   {} people, {pictures} pictures\n", people.len());
        if !failures.is_empty() {
            text += &format!(
                "            {} pictures gave no embedding, {lost} people are left out by it:\n",
                failures.len()
            );
        }
        for (picture, reason) in failures.iter().take(NAMED) {
            text += &format!("            {picture}: {reason}\n");
        }
        text
    }

    fn look_alikes_text(&self) -> String {
        if self.found.look_alikes().is_empty() {
            return "\nlook-alikes: cannot be said of one subject\n".into();
        }
        let mut text = "\nlook-alikes among the subjects, the most alike first\n".to_owned();
        for PairRecord { names: [a, b], similarity, reaches_in_force } in self.look_alikes() {
            let mark = if reaches_in_force {
                "  reaches the threshold in force: the same person twice, or a wrong photo?"
            } else {
                ""
            };
            text += &format!("  {similarity}  {a} and {b}{mark}\n");
        }
        text
    }

    fn disagreeing_text(&self) -> String {
        let odd = self.found.disagreeing(Some(self.in_force));
        if self.found.mated().is_empty() {
            return "\nphotos that do not fit: cannot be said, nobody has two photos\n".into();
        }
        if odd.is_empty() {
            return "\nphotos that do not fit: none\n".into();
        }
        let mut text = "\nphotos that do not fit the others of their subject\n".to_owned();
        for photo in odd.iter().take(NAMED) {
            let MatedScore { name, photo: source, similarity, best_other, .. } = photo;
            let why = match best_other {
                Some((other, alike)) if photo.is_nearer_to_another() => format!("nearer to {other}, {alike}"),
                _ => "below the threshold in force".to_owned(),
            };
            text += &format!("  {similarity}  {name}, {source}: {why}\n");
        }
        if odd.len() > NAMED {
            text += &format!("  ... and {} more\n", odd.len() - NAMED);
        }
        text
    }

    fn growth_text(&self) -> String {
        if self.found.tail().is_none() {
            return "\nas the gallery grows: cannot be said from so few comparisons\n".into();
        }
        let target = percent(self.target);
        let mut text = format!(
            "\nas the gallery grows, extrapolated from the most alike of all comparisons\nsubjects   FPIR at the threshold above       threshold for FPIR {target} %\n"
        );
        for row in self.growth() {
            let rate = match (row.fpir, row.low, row.high) {
                (Some(rate), Some(low), Some(high)) => {
                    format!("{:.3} % ({:.3}-{:.3} %)", 100.0 * rate, 100.0 * low, 100.0 * high)
                }
                _ => "cannot be said".to_owned(),
            };
            let threshold = row.threshold.map_or_else(|| "cannot be said".to_owned(), |t| t.to_string());
            text += &format!("{:>8}   {rate:<30}    {threshold}\n", row.subjects);
        }
        text
    }
}

impl ScoresRecord {
    fn of(scores: impl Iterator<Item = Similarity>) -> Self {
        let mut scores: Vec<Similarity> = scores.collect();
        scores.sort_unstable_by(|a, b| b.descending(*a));
        Self {
            photos: scores.len(),
            least: scores.first().copied(),
            median: scores.get(scores.len() / 2).copied(),
            highest: scores.last().copied(),
        }
    }
}

impl std::fmt::Display for ScoresRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.least, self.median, self.highest) {
            (Some(least), Some(median), Some(highest)) => {
                write!(f, "{:>6}  {least}  {median}  {highest}", self.photos)
            }
            _ => f.write_str("     0  cannot be said"),
        }
    }
}

impl From<ExpectedRate> for RateRecord {
    fn from(rate: ExpectedRate) -> Self {
        let interval = rate.interval();
        Self { value: rate.value(), low: interval.low, high: interval.high, people: rate.trials }
    }
}

impl<'a> PhotoRecord<'a> {
    fn of(score: &'a MatedScore) -> Self {
        let other = score.best_other.as_ref().filter(|_| score.is_nearer_to_another());
        Self {
            subject: &score.subject,
            name: &score.name,
            photo: &score.photo,
            similarity: score.similarity,
            nearer_to: other.map(|(name, _)| name.as_str()),
        }
    }
}

fn rates(name: &str, threshold: Option<Threshold>, found: &Calibration) -> String {
    let at = threshold.map_or_else(|| "none".to_owned(), |t| t.to_string());
    format!("{name:<12} {at}   FPIR {}\n{:<21} FNIR {}\n", found.fpir(threshold), "", found.fnir(threshold))
}

/// `0.3` for 0.003.
fn percent(rate: f64) -> String {
    let text = format!("{:.4}", 100.0 * rate);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
