use super::{Accepted, Refusal};
use crate::domain::{Embedding, ModelMismatch, Similarity, Threshold};

/// What the photos of one enrolment turn out to be, by their numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Purified {
    /// One sub-centre is dominant.
    Clear {
        /// Its photos, in ascending order.
        kept: Vec<usize>,
        /// The others, in ascending order.
        set_aside: Vec<SetAside>,
    },
    /// No sub-centre is dominant: which photos show the subject cannot be told from the photos.
    Undecided {
        /// The photos of each sub-centre, the largest first.
        sub_centres: Vec<Vec<usize>>,
    },
}

/// A photo outside the dominant sub-centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SetAside {
    /// Its number.
    pub photo: usize,
    /// Mean similarity of its sub-centre's photos to those of the dominant one; below the threshold.
    pub similarity: Similarity,
    /// How many other photos are in its sub-centre. None: it shows nothing that any other does.
    pub companions: usize,
}

/// Finds among the photos of one subject those that show someone else, or nothing useful.
///
/// After sub-center ArcFace (Deng et al., TPAMI 2021): the photos form sub-centres, and the dominant one gathers the clean
/// majority. K is not set beforehand; sub-centres are joined, the most alike first, as long as the mean similarity between
/// their photos (average linkage) reaches `threshold`. By the mean, a photo that resembles two people does not join them, as it
/// would by the nearest pair; and one poor photo does not split a person, as it would by the farthest.
///
/// Dominant is the sub-centre with at least half of the photos and more than any other. Where templates are `enrolled` already,
/// somebody vouched for them: they are one sub-centre from the start, and the dominant one whatever its size.
///
/// `threshold` belongs to the model: at its one-to-one operating point two photos below it would not pass for one person.
/// The result does not depend on the order of the photos, but for exact ties of similarities.
///
/// # Errors
/// When embeddings of different models are mixed.
pub fn purify(photos: &[&Embedding], enrolled: &[&Embedding], threshold: Threshold) -> Result<Purified, ModelMismatch> {
    let mut linkage = Linkage::new(photos, enrolled)?;
    linkage.join_down_to(threshold);
    Ok(linkage.purified(photos.len(), !enrolled.is_empty()))
}

/// [Purifies](purify) what was judged: photos that were accepted, but are set aside or cannot be decided on, become refusals.
///
/// # Errors
/// As [`purify`]; then nothing is changed.
pub fn set_aside(
    judged: &mut [Result<Accepted, Refusal>],
    enrolled: &[&Embedding],
    threshold: Threshold,
) -> Result<(), ModelMismatch> {
    let accepted: Vec<usize> = (0..judged.len()).filter(|&n| judged[n].is_ok()).collect();
    let photos: Vec<&Embedding> = judged.iter().flatten().map(|a| &a.embedding).collect();
    match purify(&photos, enrolled, threshold)? {
        Purified::Clear { set_aside, .. } => {
            for SetAside { photo, similarity, companions } in set_aside {
                judged[accepted[photo]] = Err(Refusal::SetAside { similarity, threshold, companions });
            }
        }
        Purified::Undecided { sub_centres } => {
            let refusal = || Refusal::Undecided { sizes: sub_centres.iter().map(Vec::len).collect(), threshold };
            accepted.iter().for_each(|&n| judged[n] = Err(refusal()));
        }
    }
    Ok(())
}

/// Sub-centres, and the sums of the similarities between the members of every two of them.
struct Linkage {
    centres: Vec<SubCentre>,
    sums: Vec<Vec<f64>>,
}

struct SubCentre {
    /// Numbers of its photos.
    photos: Vec<usize>,
    /// Templates in it that are enrolled already.
    enrolled: usize,
}

impl SubCentre {
    fn members(&self) -> f64 {
        (self.photos.len() + self.enrolled) as f64
    }
}

impl Linkage {
    /// Every photo is a sub-centre of its own; the enrolled templates, if there are any, are the first.
    fn new(photos: &[&Embedding], enrolled: &[&Embedding]) -> Result<Self, ModelMismatch> {
        let mut centres = Vec::new();
        let mut members: Vec<&[&Embedding]> = Vec::new();
        if !enrolled.is_empty() {
            centres.push(SubCentre { photos: vec![], enrolled: enrolled.len() });
            members.push(enrolled);
        }
        centres.extend((0..photos.len()).map(|n| SubCentre { photos: vec![n], enrolled: 0 }));
        members.extend(photos.chunks(1));
        let sum = |a: &[&Embedding], b: &[&Embedding]| {
            let pairs = a.iter().flat_map(|a| b.iter().map(move |b| a.similarity(b)));
            pairs.map(|s| s.map(|s| f64::from(s.value()))).sum::<Result<f64, _>>()
        };
        let row = |a: &&[&Embedding]| members.iter().map(|b| sum(a, b)).collect::<Result<Vec<_>, _>>();
        let sums = members.iter().map(row).collect::<Result<_, _>>()?;
        Ok(Self { centres, sums })
    }

    fn average(&self, a: usize, b: usize) -> Similarity {
        Similarity::new((self.sums[a][b] / (self.centres[a].members() * self.centres[b].members())) as f32)
    }

    /// The two sub-centres that are most alike.
    fn closest(&self) -> Option<(usize, usize)> {
        let pairs = (0..self.centres.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        pairs.min_by(|&(a, b), &(c, d)| self.average(a, b).descending(self.average(c, d)))
    }

    fn join_down_to(&mut self, threshold: Threshold) {
        while let Some((a, b)) = self.closest().filter(|&(a, b)| self.average(a, b).reaches(threshold)) {
            self.join(a, b);
        }
    }

    /// Joins `b` to `a`, which comes before it.
    fn join(&mut self, a: usize, b: usize) {
        let (joined, row) = (self.centres.remove(b), self.sums.remove(b));
        self.centres[a].photos.extend(joined.photos);
        self.centres[a].enrolled += joined.enrolled;
        self.sums[a].iter_mut().zip(row).for_each(|(sum, more)| *sum += more);
        for line in &mut self.sums {
            line[a] += line.remove(b);
        }
    }

    fn purified(self, photos: usize, enrolled: bool) -> Purified {
        let mut by_size: Vec<usize> = (0..self.centres.len()).collect();
        by_size
            .sort_by_key(|&n| (std::cmp::Reverse(self.centres[n].photos.len()), self.centres[n].photos.iter().min()));
        let size = |rank: usize| by_size.get(rank).map_or(0, |&n| self.centres[n].photos.len());
        let dominant = if enrolled {
            // It was first from the start, and nothing is ever joined to a later one.
            Some(0)
        } else {
            by_size.first().copied().filter(|_| 2 * size(0) >= photos && size(0) > size(1))
        };
        let Some(dominant) = dominant.or((photos == 0).then_some(0)) else {
            let sub_centres = by_size.into_iter().map(|n| ascending(self.centres[n].photos.clone())).collect();
            return Purified::Undecided { sub_centres };
        };
        let others = (0..self.centres.len()).filter(|&n| n != dominant);
        let mut set_aside: Vec<SetAside> = others
            .flat_map(|n| {
                let (similarity, companions) = (self.average(dominant, n), self.centres[n].photos.len() - 1);
                self.centres[n].photos.iter().map(move |&photo| SetAside { photo, similarity, companions })
            })
            .collect();
        set_aside.sort_by_key(|s| s.photo);
        let kept = self.centres.get(dominant).map(|c| ascending(c.photos.clone())).unwrap_or_default();
        Purified::Clear { kept, set_aside }
    }
}

fn ascending(mut photos: Vec<usize>) -> Vec<usize> {
    photos.sort_unstable();
    photos
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ModelId;

    fn embedding(values: &[f32]) -> Embedding {
        Embedding::new(ModelId::new("test", [1; 32]), values).unwrap()
    }

    /// A direction in the plane.
    fn at(degrees: f32) -> Embedding {
        let (sin, cos) = degrees.to_radians().sin_cos();
        embedding(&[cos, sin])
    }

    fn purified(photos: &[Embedding], enrolled: &[Embedding], threshold: f32) -> Purified {
        let threshold = Threshold::new(threshold).unwrap();
        purify(&photos.iter().collect::<Vec<_>>(), &enrolled.iter().collect::<Vec<_>>(), threshold).unwrap()
    }

    fn clear(purified: Purified) -> (Vec<usize>, Vec<(usize, usize)>) {
        match purified {
            Purified::Clear { kept, set_aside } => (kept, set_aside.iter().map(|s| (s.photo, s.companions)).collect()),
            Purified::Undecided { .. } => panic!("{purified:?}"),
        }
    }

    fn undecided(purified: Purified) -> Vec<Vec<usize>> {
        match purified {
            Purified::Undecided { sub_centres } => sub_centres,
            Purified::Clear { .. } => panic!("{purified:?}"),
        }
    }

    #[test]
    fn a_majority_of_two_sets_the_third_aside() {
        let Purified::Clear { kept, set_aside } = purified(&[at(0.0), at(90.0), at(60.0)], &[], 0.5) else { panic!() };
        // 60 degrees are 0.5 from 0, 30 degrees 0.866 from 90.
        assert_eq!(kept, [1, 2]);
        let expected = Similarity::new(0.25);
        assert!(
            matches!(set_aside[..], [SetAside { photo: 0, similarity, companions: 0 }] if near(similarity, expected))
        );
    }

    fn near(a: Similarity, b: Similarity) -> bool {
        (a.value() - b.value()).abs() < 1e-6
    }

    #[test]
    fn nothing_can_be_decided_without_a_dominant_sub_centre() {
        assert_eq!(undecided(purified(&[at(0.0), at(90.0)], &[], 0.5)), [[0], [1]]);
        assert_eq!(undecided(purified(&[at(0.0), at(90.0), at(180.0)], &[], 0.5)), [[0], [1], [2]]);
        assert_eq!(undecided(purified(&[at(0.0), at(120.0), at(1.0), at(121.0)], &[], 0.5)), [[0, 2], [1, 3]]);
        // Two of five are the most that agree, but less than half.
        let five = purified(&[at(0.0), at(75.0), at(150.0), at(225.0), at(226.0)], &[], 0.5);
        assert_eq!(undecided(five), [vec![3, 4], vec![0], vec![1], vec![2]]);
    }

    #[test]
    fn half_of_the_photos_dominate_when_the_others_disagree() {
        assert_eq!(
            clear(purified(&[at(0.0), at(10.0), at(120.0), at(240.0)], &[], 0.5)),
            (vec![0, 1], vec![(2, 0), (3, 0)])
        );
    }

    #[test]
    fn one_photo_or_none_is_as_it_is() {
        assert_eq!(clear(purified(&[at(7.0)], &[], 0.5)), (vec![0], vec![]));
        assert_eq!(clear(purified(&[], &[], 0.5)), (vec![], vec![]));
        assert_eq!(clear(purified(&[], &[at(0.0)], 0.5)), (vec![], vec![]));
    }

    #[test]
    fn a_photo_between_two_people_does_not_join_them() {
        // The one in the middle is alike to both neighbours (0.62, 0.66), the ends are not (100 degrees).
        let chain = [at(0.0), at(52.0), at(100.0), at(101.0), at(102.0)];
        assert_eq!(clear(purified(&chain, &[], 0.5)), (vec![1, 2, 3, 4], vec![(0, 0)]));
        let people = [at(0.0), at(1.0), at(52.0), at(100.0), at(101.0), at(102.0)];
        assert_eq!(clear(purified(&people, &[], 0.5)), (vec![2, 3, 4, 5], vec![(0, 1), (1, 1)]));
    }

    #[test]
    fn enrolled_templates_dominate_whatever_their_number() {
        let enrolled = [at(0.0)];
        assert_eq!(clear(purified(&[at(90.0), at(91.0), at(20.0)], &enrolled, 0.5)), (vec![2], vec![(0, 1), (1, 1)]));
        assert_eq!(clear(purified(&[at(90.0)], &enrolled, 0.5)), (vec![], vec![(0, 0)]));
        // They are one sub-centre even where they disagree: 45 degrees to both, 0.71 in the mean.
        assert_eq!(clear(purified(&[at(45.0)], &[at(0.0), at(90.0)], 0.7)).0, [0]);
        assert_eq!(clear(purified(&[at(0.0)], &[at(0.0), at(90.0)], 0.7)).0, [0usize; 0]);
    }

    #[test]
    fn embeddings_of_two_models_are_an_error() {
        let other = Embedding::new(ModelId::new("other", [2; 32]), &[1.0, 0.0]).unwrap();
        let threshold = Threshold::new(0.5).unwrap();
        assert!(purify(&[&at(0.0), &other], &[], threshold).is_err());
        assert!(purify(&[&at(0.0)], &[&other], threshold).is_err());
    }

    fn accepted(embedding: Embedding) -> Result<Accepted, Refusal> {
        let quality = crate::domain::SampleQuality {
            size_px: 100.0,
            sharpness: 800.0,
            brightness: 120.0,
            contrast: 50.0,
            yaw_deg: 0.0,
            pitch_deg: 0.0,
            roll_deg: 0.0,
            detector_score: 0.9,
        };
        let crop = crate::domain::FaceCrop::from_rgb(vec![0; crate::domain::FaceCrop::BYTES]).unwrap();
        Ok(Accepted { embedding, quality, crop })
    }

    fn codes(judged: &[Result<Accepted, Refusal>]) -> Vec<String> {
        judged.iter().map(|j| j.as_ref().map_or_else(|r| r.codes().join(" "), |_| "taken".into())).collect()
    }

    #[test]
    fn refused_photos_do_not_count_and_stay_as_they_are() {
        let threshold = Threshold::new(0.5).unwrap();
        let judged = || vec![accepted(at(80.0)), Err(Refusal::NoFace), accepted(at(0.0)), accepted(at(1.0))];
        let mut three = judged();
        set_aside(&mut three, &[], threshold).unwrap();
        assert_eq!(codes(&three), ["set-aside", "no-face", "taken", "taken"]);
        let mut two = judged();
        two.pop();
        set_aside(&mut two, &[], threshold).unwrap();
        assert_eq!(codes(&two), ["undecided", "no-face", "undecided"]);
        let said = two[0].as_ref().unwrap_err().to_string();
        assert!(said.contains("do not show one face") && said.contains("0.5000"), "{said}");
    }

    /// Unit vectors of a few dimensions, some of them near each other.
    fn photos() -> impl Strategy<Value = Vec<Embedding>> {
        let person = prop::array::uniform4(-1f32..1.0);
        let photo = (0usize..3, prop::array::uniform4(-0.4f32..0.4));
        (prop::array::uniform3(person), prop::collection::vec(photo, 1..9)).prop_map(|(people, photos)| {
            photos
                .iter()
                .map(|(who, off)| embedding(&std::array::from_fn::<_, 4, _>(|i| people[*who][i] + off[i] + 0.01)))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn every_photo_is_somewhere_once_and_what_is_set_aside_is_below_the_threshold(
            photos in photos(), enrolled in 0usize..3, threshold in -0.5f32..0.9,
        ) {
            let (enrolled, photos) = photos.split_at(enrolled.min(photos.len() - 1));
            let mut all = match purified(photos, enrolled, threshold) {
                Purified::Clear { kept, set_aside } => {
                    prop_assert!(set_aside.iter().all(|s| s.similarity.value() < threshold));
                    prop_assert!(!enrolled.is_empty() || 2 * kept.len() >= photos.len());
                    kept.into_iter().chain(set_aside.iter().map(|s| s.photo)).collect::<Vec<_>>()
                }
                Purified::Undecided { sub_centres } => {
                    prop_assert!(enrolled.is_empty() && sub_centres.len() > 1);
                    sub_centres.concat()
                }
            };
            all.sort_unstable();
            prop_assert_eq!(all, (0..photos.len()).collect::<Vec<_>>());
        }

        #[test]
        fn the_order_of_the_photos_does_not_matter(
            (photos, order) in photos().prop_flat_map(|p| { let n = (0..p.len()).collect::<Vec<_>>(); (Just(p), Just(n).prop_shuffle()) }),
            threshold in -0.5f32..0.9,
        ) {
            let shuffled: Vec<Embedding> = order.iter().map(|&n| photos[n].clone()).collect();
            let back = |numbers: &[usize]| ascending(numbers.iter().map(|&n| order[n]).collect());
            match (purified(&photos, &[], threshold), purified(&shuffled, &[], threshold)) {
                (Purified::Clear { kept, .. }, Purified::Clear { kept: same, .. }) => prop_assert_eq!(kept, back(&same)),
                (Purified::Undecided { mut sub_centres }, Purified::Undecided { sub_centres: same }) => {
                    let mut same: Vec<_> = same.iter().map(|c| back(c)).collect();
                    sub_centres.sort();
                    same.sort();
                    prop_assert_eq!(sub_centres, same);
                }
                (one, other) => prop_assert!(false, "{:?} and {:?}", one, other),
            }
        }

        #[test]
        fn the_same_photo_many_times_is_kept(photo in prop::array::uniform4(0.1f32..1.0), n in 1usize..12, threshold in 0.0f32..0.99) {
            let photos = vec![embedding(&photo); n];
            prop_assert_eq!(clear(purified(&photos, &[], threshold)), ((0..n).collect(), vec![]));
        }

        #[test]
        fn a_photo_at_right_angles_to_the_others_is_set_aside(
            others in prop::collection::vec(prop::array::uniform3(0.5f32..1.0), 2..10), at in 0usize..10, threshold in 0.05f32..0.6,
        ) {
            // Of positive components of at least half the largest each: more alike than 0.8.
            let mut photos: Vec<Embedding> = others.iter().map(|v| embedding(&[v[0], v[1], v[2], 0.0])).collect();
            let at = at.min(photos.len());
            photos.insert(at, embedding(&[0.0, 0.0, 0.0, 1.0]));
            let (kept, aside) = clear(purified(&photos, &[], threshold));
            prop_assert_eq!(aside, vec![(at, 0)]);
            prop_assert_eq!(kept.len(), others.len());
        }
    }
}
