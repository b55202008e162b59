use std::collections::BTreeMap;

use super::{
    EvalError, ExpectedRate, Interval, Labelled, List, NonmatedSearch, OwnSearch, RandomGallery, Rate, ReferenceRule,
    Samples,
};
use crate::{
    domain::{Embedding, Similarity, Threshold},
    models::{Comparison, OperatingPoint},
};

/// The lists that operating points are measured on.
#[derive(Debug, Clone, Copy)]
pub struct PointLists<'a> {
    /// People with the photos they are enrolled from.
    pub gallery: &'a List<Labelled>,
    /// Other photos of theirs.
    pub mated: &'a List<Labelled>,
    /// People who are not among them, one photo each.
    pub nonmated: &'a List<Labelled>,
}

/// What operating points are wanted.
#[derive(Debug, Clone)]
pub struct PointTargets {
    /// False positive identification rates, one to many.
    pub fpirs: Vec<f64>,
    /// Numbers of subjects in the gallery.
    pub sizes: Vec<usize>,
    /// False match rates, one to one.
    pub fmrs: Vec<f64>,
}

/// Similarities of everybody to everybody, one photo each: non-mated comparisons that share their people.
struct Crossed {
    people: usize,
    /// The largest first, each with the two that were compared.
    pairs: Vec<(Similarity, u32, u32)>,
}

impl Samples {
    /// The operating points for `targets`, each at the least threshold (in thousandths) that keeps its target.
    ///
    /// - **One to many**: galleries are drawn at random out of a pool ([`RandomGallery`]). The pool is those enrolled, each with the
    ///   mean of its photos, as a door has them; for galleries larger than that the non-mated people join the pool with their one
    ///   photo, each searched for among all others. A trial of the FPIR is a stranger, one of the FNIR a mated probe.
    /// - **One to one**: FMR over all pairs of non-mated people, FNMR over mated probes against each single photo of their subject.
    ///
    /// # Errors
    /// [`EvalError::NobodyEnrolled`] without any template, [`EvalError::Reference`] when a subject's templates cancel out,
    /// [`EvalError::Points`] when the lists hold too few people for a size, or no threshold keeps a target.
    pub fn operating_points(
        &self,
        lists: PointLists<'_>,
        targets: &PointTargets,
        data: &str,
    ) -> Result<Vec<OperatingPoint>, EvalError> {
        let enrolled = self.enrolled(lists)?;
        let strangers: Vec<Option<&Embedding>> =
            lists.nonmated.rows.iter().map(|row| self.template(&row.image).map(|t| &t.embedding)).collect();
        let photos = photos_each(lists.gallery);
        let describe = |pool: &str| {
            format!(
                "{data}: galleries drawn at random out of {pool}; {} mated probes, {} non-mated people with one photo each",
                lists.mated.rows.len(),
                lists.nonmated.rows.len()
            )
        };
        let of_enrolled = format!("{} subjects, each the mean of {photos}", enrolled.len());
        let small = (self.galleries(lists, &enrolled, &strangers, false), describe(&of_enrolled));
        let large_needed = targets.sizes.iter().any(|size| *size > small.0.largest());
        let large = large_needed.then(|| {
            let pool = format!("{of_enrolled}, and the non-mated people, each as it is searched for left out");
            (self.galleries(lists, &enrolled, &strangers, true), describe(&pool))
        });

        let mut points = Vec::new();
        for &target in &targets.fpirs {
            for &size in &targets.sizes {
                let fits = |pool: &&(RandomGallery, String)| pool.0.largest() >= size;
                let Some((pool, data)) = Some(&small).into_iter().chain(&large).find(fits) else {
                    let largest = large.as_ref().map_or(small.0.largest(), |(pool, _)| pool.largest());
                    return Err(EvalError::Points {
                        reason: format!("a gallery of {size} cannot be drawn: the lists hold {largest} people"),
                    });
                };
                points.push(one_to_many(pool, target, size, data)?);
            }
        }
        points.extend(self.one_to_one(lists, &strangers, targets, data)?);
        Ok(points)
    }

    fn enrolled<'a>(&self, lists: PointLists<'a>) -> Result<BTreeMap<&'a str, Embedding>, EvalError> {
        let mut enrolled = BTreeMap::new();
        for (subject, templates) in self.gallery(lists.gallery) {
            let reference = ReferenceRule::Mean
                .references(&templates)
                .map_err(|source| EvalError::Reference { subject: subject.to_owned(), source })?;
            enrolled.extend(reference.into_iter().map(|reference| (subject, reference)));
        }
        if enrolled.is_empty() {
            let (list, photos) = (lists.gallery.path.clone(), lists.gallery.rows.len());
            return Err(EvalError::NobodyEnrolled { list, photos });
        }
        Ok(enrolled)
    }

    fn galleries(
        &self,
        lists: PointLists<'_>,
        enrolled: &BTreeMap<&str, Embedding>,
        strangers: &[Option<&Embedding>],
        with_strangers: bool,
    ) -> RandomGallery {
        let joined: &[Option<&Embedding>] = if with_strangers { strangers } else { &[] };
        let others = |probe: &Embedding, own_subject: Option<&str>, own_place: Option<usize>| {
            let subjects = enrolled.iter().filter(|(subject, _)| Some(**subject) != own_subject).map(|(_, r)| r);
            let people = joined.iter().enumerate().filter(|(at, _)| Some(*at) != own_place).filter_map(|(_, s)| *s);
            subjects.chain(people).map(|reference| similarity(probe, reference)).collect()
        };
        let nonmated = strangers
            .iter()
            .enumerate()
            .map(|(at, stranger)| stranger.map(|probe| NonmatedSearch::new(others(probe, None, Some(at)))));
        let mated = lists.mated.rows.iter().map(|row| {
            let probe = &self.template(&row.image)?.embedding;
            let own = similarity(probe, enrolled.get(row.subject.as_str())?);
            Some(OwnSearch::new(own, others(probe, Some(&row.subject), None)))
        });
        RandomGallery::new(nonmated.collect(), mated.collect())
    }

    fn one_to_one(
        &self,
        lists: PointLists<'_>,
        strangers: &[Option<&Embedding>],
        targets: &PointTargets,
        data: &str,
    ) -> Result<Vec<OperatingPoint>, EvalError> {
        if targets.fmrs.is_empty() {
            return Ok(vec![]);
        }
        let crossed = Crossed::of(strangers);
        let mut mated = Vec::new();
        for row in &lists.mated.rows {
            let own = lists.gallery.rows.iter().filter(|photo| photo.subject == row.subject);
            mated.extend(own.filter_map(|photo| {
                let (left, right) = (self.template(&row.image)?, self.template(&photo.image)?);
                Some(similarity(&left.embedding, &right.embedding))
            }));
        }
        let data = format!(
            "{data}: FMR over all {} pairs of {} people with one photo each, FNMR over {} mated pairs, one photo against one",
            crossed.pairs.len(),
            crossed.people,
            mated.len()
        );
        let point = |&target: &f64| {
            let threshold = crossed.threshold_at(target).ok_or_else(|| no_threshold("FMR", target))?;
            let (fmr, fnmr) = (crossed.fmr(threshold), Rate::count(mated.iter().map(|s| !s.reaches(threshold))));
            Ok(OperatingPoint {
                name: format!("fmr-{target}"),
                kind: Comparison::OneToOne,
                threshold: threshold.value(),
                fpir: None,
                fpir_interval: None,
                fnir: None,
                fnir_interval: None,
                fmr: fmr.value().map(rounded),
                fmr_interval: fmr.value().map(|_| bounds(crossed.interval(threshold))),
                fnmr: fnmr.value().map(rounded),
                fnmr_interval: fnmr.value().map(|_| bounds(fnmr.interval())),
                gallery_size: None,
                data: data.clone(),
                note: Some("95 % intervals: FMR by the jackknife over people, since pairs share them, FNMR by Clopper and Pearson".to_owned()),
            })
        };
        targets.fmrs.iter().map(point).collect()
    }
}

fn one_to_many(pool: &RandomGallery, target: f64, size: usize, data: &str) -> Result<OperatingPoint, EvalError> {
    let found = pool.threshold_at_fpir(target, size).and_then(in_thousandths);
    let threshold = found.ok_or_else(|| no_threshold("FPIR", target))?;
    let rate = |rate: Option<ExpectedRate>| rate.filter(|rate| rate.trials > 0);
    let (fpir, fnir) = (rate(pool.fpir(Some(threshold), size)), rate(pool.fnir(Some(threshold), size)));
    let value = |rate: Option<ExpectedRate>| rate.and_then(ExpectedRate::value).map(rounded);
    let gallery_size = u32::try_from(size).map_err(|e| EvalError::Points { reason: format!("{size}: {e}") })?;
    let count = |rate: Option<ExpectedRate>| rate.map_or(0.0, |rate| rate.errors);
    Ok(OperatingPoint {
        name: format!("fpir-{target}"),
        kind: Comparison::OneToMany,
        threshold: threshold.value(),
        fpir: value(fpir),
        fpir_interval: fpir.map(|rate| bounds(rate.interval())),
        fnir: value(fnir),
        fnir_interval: fnir.map(|rate| bounds(rate.interval())),
        fmr: None,
        fmr_interval: None,
        fnmr: None,
        fnmr_interval: None,
        gallery_size: Some(gallery_size),
        data: data.to_owned(),
        note: Some(format!(
            "Expected over all galleries of this size: {:.1} false positives, {:.1} false negatives. 95 % intervals of Clopper and Pearson, a stranger or a probe a trial; they do not speak of the choice of the pool",
            count(fpir),
            count(fnir)
        )),
    })
}

impl Crossed {
    fn of(people: &[Option<&Embedding>]) -> Self {
        let acquired: Vec<&Embedding> = people.iter().flatten().copied().collect();
        let mut pairs = Vec::with_capacity(acquired.len() * acquired.len().saturating_sub(1) / 2);
        for (i, left) in (0u32..).zip(&acquired) {
            pairs.extend((0..i).zip(&acquired).map(|(j, right)| (similarity(left, right), i, j)));
        }
        pairs.sort_unstable_by(|a, b| a.0.descending(b.0));
        Self { people: acquired.len(), pairs }
    }

    fn reaching(&self, threshold: Threshold) -> &[(Similarity, u32, u32)] {
        &self.pairs[..self.pairs.partition_point(|(s, _, _)| s.reaches(threshold))]
    }

    fn fmr(&self, threshold: Threshold) -> Rate {
        Rate { errors: self.reaching(threshold).len() as u64, trials: self.pairs.len() as u64 }
    }

    /// The least threshold, in thousandths, whose FMR is at most `target`.
    fn threshold_at(&self, target: f64) -> Option<Threshold> {
        let allowed = (target * self.pairs.len() as f64 + 1e-9) as usize;
        let least = self.pairs.get(allowed).map_or(-1.0, |(s, _, _)| s.value().next_up());
        in_thousandths(Threshold::new(least)?)
    }

    /// The 95 % interval of the FMR by the delete-one jackknife over people (Arvesen 1969, for means over all pairs), never
    /// narrower than that of as many independent pairs.
    fn interval(&self, threshold: Threshold) -> Interval {
        let rate = self.fmr(threshold);
        let independent = rate.interval();
        let (Some(value), true) = (rate.value(), self.people > 2) else { return independent };
        let mut matches = vec![0f64; self.people];
        for (_, i, j) in self.reaching(threshold) {
            matches[*i as usize] += 1.0;
            matches[*j as usize] += 1.0;
        }
        let n = self.people as f64;
        let without = |own: f64| (rate.errors as f64 - own) / ((n - 1.0) * (n - 2.0) / 2.0);
        let mean = matches.iter().map(|own| without(*own)).sum::<f64>() / n;
        let variance = matches.iter().map(|own| (without(*own) - mean).powi(2)).sum::<f64>() * (n - 1.0) / n;
        let half = 1.96 * variance.sqrt();
        Interval {
            low: (value - half).max(0.0).min(independent.low),
            high: (value + half).min(1.0).max(independent.high),
        }
    }
}

/// The next thousandth that is not below. `None` above 1.
pub(super) fn in_thousandths(threshold: Threshold) -> Option<Threshold> {
    let value = f64::from(threshold.value());
    let up = (value * 1000.0).ceil() / 1000.0;
    // The nearest f32 may lie below what was asked for.
    let cosine = if (up as f32) < threshold.value() { (up + 0.001) as f32 } else { up as f32 };
    Threshold::new(cosine)
}

/// Six digits behind the point say more than any of these tests knows.
fn rounded(rate: f64) -> f64 {
    (rate * 1e6).round() / 1e6
}

fn bounds(Interval { low, high }: Interval) -> [f64; 2] {
    [(low * 1e6).floor() / 1e6, ((high * 1e6).ceil() / 1e6).min(1.0)]
}

fn no_threshold(rate: &str, target: f64) -> EvalError {
    EvalError::Points {
        reason: format!("no threshold keeps {rate} {target}: too many non-mated pairs are as alike as can be"),
    }
}

/// "3 photos", or "1 to 3 photos".
fn photos_each(gallery: &List<Labelled>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    gallery.rows.iter().for_each(|row| *counts.entry(&row.subject).or_default() += 1);
    let (least, most) = (counts.values().min().copied().unwrap_or(0), counts.values().max().copied().unwrap_or(0));
    match (least, most) {
        (1, 1) => "1 photo".to_owned(),
        (least, most) if least == most => format!("{most} photos"),
        (least, most) => format!("{least} to {most} photos"),
    }
}

/// All samples of a test are of one model; were one not, it would match nothing.
fn similarity(probe: &Embedding, reference: &Embedding) -> Similarity {
    probe.similarity(reference).unwrap_or(Similarity::new(-1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ModelId;

    fn embeddings(angles_deg: &[f32]) -> Vec<Embedding> {
        let model = ModelId::new("test", [1; 32]);
        let vector = |a: &f32| Embedding::new(model.clone(), &[a.to_radians().cos(), a.to_radians().sin()]).unwrap();
        angles_deg.iter().map(vector).collect()
    }

    #[test]
    fn everybody_is_compared_with_everybody_once() {
        let people = embeddings(&[0.0, 59.9, 90.0]);
        let crossed = Crossed::of(&[Some(&people[0]), None, Some(&people[1]), Some(&people[2])]);
        let cosines: Vec<f32> = crossed.pairs.iter().map(|p| (p.0.value() * 1e4).round() / 1e4).collect();
        assert_eq!((crossed.people, cosines), (3, vec![0.8652, 0.5015, 0.0]));
        let threshold = crossed.threshold_at(0.34).unwrap();
        assert_eq!((threshold.value(), crossed.fmr(threshold)), (0.502, Rate { errors: 1, trials: 3 }));
        assert_eq!(crossed.threshold_at(0.0).unwrap().value(), 0.866);
    }

    #[test]
    fn one_person_who_resembles_everybody_widens_the_interval() {
        // Person 0 matches the 39 others, nobody else does: 39 of 780 pairs. Without person 0 the rate is 0, without any other
        // 38/741: variance 39/40 * (0.05^2 + 39 * 0.00128^2) = 0.0025.
        let match_of = |j| Similarity::new(if j == 0 { 0.9 } else { 0.0 });
        let mut pairs: Vec<_> = (0..40u32).flat_map(|i| (0..i).map(move |j| (match_of(j), i, j))).collect();
        pairs.sort_unstable_by(|a, b| a.0.descending(b.0));
        let crossed = Crossed { people: 40, pairs };
        let threshold = Threshold::new(0.5).unwrap();
        assert_eq!(crossed.fmr(threshold), Rate { errors: 39, trials: 780 });
        let interval = crossed.interval(threshold);
        assert!((interval.high - (0.05 + 1.96 * 0.05)).abs() < 1e-3 && interval.low == 0.0, "{interval:?}");
        assert!(crossed.fmr(threshold).interval().high < 0.07);
    }

    #[test]
    fn thousandths_are_rounded_up() {
        let up = |t: f32| in_thousandths(Threshold::new(t).unwrap()).map(Threshold::value);
        assert_eq!((up(0.5), up(0.5001), up(0.4999), up(-0.1234)), (Some(0.5), Some(0.501), Some(0.5), Some(-0.123)));
        assert_eq!(up(0.99999), Some(1.0));
    }

    proptest! {
        #[test]
        fn a_rounded_threshold_is_never_lower(t in -1f32..=1.0) {
            let up = in_thousandths(Threshold::new(t).unwrap());
            prop_assert!(up.is_none_or(|up| up.value() >= t && up.value() <= t + 0.0021));
        }
    }
}
