use super::{
    Identification, MatedSearch, Rate,
    samples::{search, similarity},
};
use crate::domain::{Embedding, EmbeddingError, Similarity};

/// What is made of the photos of one enrolment: the numbers of those that are taken, or `None` when that cannot be decided.
pub type Purify<'a> = dyn Fn(&[&Embedding]) -> Option<Vec<usize>> + 'a;

/// Enrolments with one wrong photo among the good ones, to measure whether it is found.
pub struct Planting<'a> {
    /// The photos of each subject. What an enrolment does not take of them are its mated probes.
    pub subjects: &'a [Vec<&'a Embedding>],
    /// One photo each of people who are not enrolled. Wrong photos are drawn from them; the others are the non-mated probes.
    pub strangers: &'a [&'a Embedding],
    /// How often every subject is enrolled, each time with photos drawn anew.
    pub repetitions: u64,
    /// Decides on the photos that are drawn.
    pub seed: u64,
    /// FPIR at which FNIR is measured.
    pub target_fpir: f64,
}

/// What came of one wrong photo in each enrolment.
#[derive(Debug, Clone, PartialEq)]
pub struct Planted {
    /// Photos an enrolment, the wrong one among them.
    pub photos: usize,
    /// Subjects with enough photos.
    pub subjects: usize,
    /// Wrong photos that were set aside.
    pub found: Rate,
    /// Enrolments that were not decided on: nobody is enrolled.
    pub undecided: Rate,
    /// Good photos that were not taken, also because of such an enrolment.
    pub lost: Rate,
    /// The same without the wrong photo: what purification costs whose photos are all good.
    pub lost_unplanted: Rate,
    /// FNIR of the mated probes with the good photos only.
    pub fnir_good: Rate,
    /// FNIR with the wrong photo taken too.
    pub fnir_planted: Rate,
    /// FNIR with what is left by purification; who is not enrolled is missed.
    pub fnir_purified: Rate,
    /// Mean similarity of each good photo to the other good ones.
    pub good: Vec<Similarity>,
    /// Mean similarity of each wrong photo to the good ones.
    pub wrong: Vec<Similarity>,
}

impl Planting<'_> {
    /// Enrols every subject who has them from `photos - 1` good photos and a wrong one, and searches for the probes. `None` when
    /// nobody has so many photos, or there is no stranger.
    ///
    /// # Errors
    /// [`EmbeddingError::ZeroNorm`] when photos cancel out: no person's do.
    pub fn plant(&self, photos: usize, purify: &Purify<'_>) -> Result<Option<Planted>, EmbeddingError> {
        let good = photos.saturating_sub(1);
        let eligible: Vec<&Vec<&Embedding>> = self.subjects.iter().filter(|s| s.len() >= good).collect();
        if good == 0 || eligible.is_empty() || self.strangers.is_empty() {
            return Ok(None);
        }
        let mut planted = Planted::none(photos, eligible.len());
        let mut random = SplitMix64(self.seed);
        for _ in 0..self.repetitions {
            let mut is_planted = vec![false; self.strangers.len()];
            let mut galleries = [vec![], vec![], vec![]];
            let mut probes = Vec::new();
            for (subject, photos) in eligible.iter().enumerate() {
                let order = random.shuffled(photos.len());
                let drawn: Vec<&Embedding> = order[..good].iter().map(|&n| photos[n]).collect();
                probes.extend(order[good..].iter().map(|&n| (subject, photos[n])));
                let wrong = random.below(self.strangers.len());
                is_planted[wrong] = true;
                let references = planted.enrol(&drawn, self.strangers[wrong], purify)?;
                for (gallery, reference) in galleries.iter_mut().zip(references) {
                    gallery.extend(reference.map(|r| (subject, r)));
                }
            }
            let strangers: Vec<&Embedding> =
                self.strangers.iter().zip(&is_planted).filter(|(_, planted)| !**planted).map(|(s, _)| *s).collect();
            let [in_good, in_planted, in_purified] =
                galleries.map(|gallery| fnir(&gallery, &probes, &strangers, self.target_fpir));
            planted.fnir_good += in_good;
            planted.fnir_planted += in_planted;
            planted.fnir_purified += in_purified;
        }
        Ok(Some(planted))
    }
}

impl Planted {
    fn none(photos: usize, subjects: usize) -> Self {
        let rate = Rate { errors: 0, trials: 0 };
        Self {
            photos,
            subjects,
            found: rate,
            undecided: rate,
            lost: rate,
            lost_unplanted: rate,
            fnir_good: rate,
            fnir_planted: rate,
            fnir_purified: rate,
            good: vec![],
            wrong: vec![],
        }
    }

    /// Counts what becomes of one enrolment. Gives the references of the good photos, of all, and of those that are taken.
    fn enrol(
        &mut self,
        good: &[&Embedding],
        wrong: &Embedding,
        purify: &Purify<'_>,
    ) -> Result<[Option<Embedding>; 3], EmbeddingError> {
        let all: Vec<&Embedding> = good.iter().copied().chain([wrong]).collect();
        let taken = purify(&all);
        let kept: Vec<usize> = taken.clone().unwrap_or_default();
        self.found += Rate::count([taken.is_some() && !kept.contains(&good.len())]);
        self.undecided += Rate::count([taken.is_none()]);
        self.lost += Rate::count((0..good.len()).map(|n| !kept.contains(&n)));
        let unplanted = purify(good).unwrap_or_default();
        self.lost_unplanted += Rate::count((0..good.len()).map(|n| !unplanted.contains(&n)));
        for (n, photo) in good.iter().enumerate() {
            let others = good.iter().enumerate().filter(|(other, _)| *other != n);
            self.good.extend(mean_similarity(photo, others.map(|(_, other)| *other)));
        }
        self.wrong.extend(mean_similarity(wrong, good.iter().copied()));
        let kept: Vec<&Embedding> = kept.into_iter().map(|n| all[n]).collect();
        Ok([Embedding::mean(good)?, Embedding::mean(&all)?, Embedding::mean(&kept)?])
    }
}

fn mean_similarity<'a>(photo: &Embedding, others: impl Iterator<Item = &'a Embedding>) -> Option<Similarity> {
    let similarities: Vec<f32> = others.map(|other| similarity(photo, other).value()).collect();
    (!similarities.is_empty()).then(|| Similarity::new(similarities.iter().sum::<f32>() / similarities.len() as f32))
}

fn fnir(gallery: &[(usize, Embedding)], probes: &[(usize, &Embedding)], strangers: &[&Embedding], target: f64) -> Rate {
    let mated: Vec<MatedSearch> = probes.iter().map(|(subject, probe)| search(gallery, probe, *subject)).collect();
    let best = |probe: &&Embedding| gallery.iter().map(|(_, r)| similarity(probe, r)).max_by(|a, b| b.descending(*a));
    let nonmated: Vec<Option<Similarity>> = strangers.iter().map(best).collect();
    Identification::new(mated, &nonmated).at_fpir(target).false_negatives
}

/// The generator of Steele, Lea and Flood (OOPSLA 2014): a few lines, the same draws on every machine and in every release.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is above 0. Even to one part in 2^64 / n.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// The numbers below `n` in random order (Fisher, Yates).
    fn shuffled(&mut self, n: usize) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            numbers.swap(last, self.below(last + 1));
        }
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ModelId;

    fn embedding(values: &[f32]) -> Embedding {
        Embedding::new(ModelId::new("test", [1; 32]), values).unwrap()
    }

    /// Subject `n` of `count` has its own axis; photo `photo` lies a little off it. Strangers share the last axis.
    fn along(axis: usize, off: usize, dimensions: usize) -> Embedding {
        let mut values = vec![0.0; dimensions];
        values[axis] = 1.0;
        values[(axis + off) % dimensions] += 0.1;
        embedding(&values)
    }

    fn plant(photos: usize, purify: &Purify<'_>) -> Option<Planted> {
        let subjects: Vec<Vec<Embedding>> = (0..4).map(|s| (1..5).map(|off| along(s, off, 8)).collect()).collect();
        let strangers: Vec<Embedding> = (1..30).map(|off| along(6 + off % 2, off % 4, 8)).collect();
        let subjects: Vec<Vec<&Embedding>> = subjects.iter().map(|s| s.iter().collect()).collect();
        let strangers: Vec<&Embedding> = strangers.iter().collect();
        let planting =
            Planting { subjects: &subjects, strangers: &strangers, repetitions: 3, seed: 7, target_fpir: 0.05 };
        planting.plant(photos, purify).unwrap()
    }

    const fn rate(errors: u64, trials: u64) -> Rate {
        Rate { errors, trials }
    }

    #[test]
    fn one_who_knows_finds_every_wrong_photo_and_loses_none() {
        // The planted photo is the last one.
        let knows = |photos: &[&Embedding]| Some((0..photos.len().min(3)).collect());
        let planted = plant(4, &knows).unwrap();
        assert_eq!((planted.photos, planted.subjects), (4, 4));
        assert_eq!((planted.found, planted.undecided, planted.lost), (rate(12, 12), rate(0, 12), rate(0, 36)));
        assert_eq!(planted.lost_unplanted, rate(0, 36));
        // Four photos, three drawn: one probe a subject and repetition.
        assert_eq!((planted.fnir_good, planted.fnir_purified), (rate(0, 12), rate(0, 12)));
        assert_eq!((planted.good.len(), planted.wrong.len()), (36, 12));
        assert!(planted.good.iter().all(|s| s.value() > 0.9) && planted.wrong.iter().all(|s| s.value() < 0.3));
    }

    #[test]
    fn whoever_takes_everything_finds_nothing_and_whoever_takes_nothing_loses_all() {
        let everything = |photos: &[&Embedding]| Some((0..photos.len()).collect());
        let planted = plant(3, &everything).unwrap();
        assert_eq!((planted.found, planted.lost), (rate(0, 12), rate(0, 24)));
        assert_eq!(planted.fnir_purified, planted.fnir_planted);
        let planted = plant(3, &|_| None).unwrap();
        assert_eq!((planted.found, planted.undecided, planted.lost), (rate(0, 12), rate(12, 12), rate(24, 24)));
        assert_eq!(planted.fnir_purified, rate(24, 24), "who is not enrolled is missed");
    }

    #[test]
    fn the_seed_decides_on_the_draws() {
        let first = |photos: &[&Embedding]| Some(vec![usize::from(photos.len() > 2)]);
        assert_eq!(plant(3, &first), plant(3, &first));
        let draws = |seed| SplitMix64(seed).shuffled(20);
        assert_ne!(draws(1), draws(2));
        // The generator's first numbers from the seed 1234567, as published.
        let mut random = SplitMix64(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn too_few_photos_can_say_nothing() {
        let all = |photos: &[&Embedding]| Some((0..photos.len()).collect());
        assert!(plant(6, &all).is_none() && plant(1, &all).is_none() && plant(0, &all).is_none());
        assert!(plant(5, &all).is_some_and(|p| p.fnir_good == rate(0, 0)), "no photo is left as a probe");
    }
}
