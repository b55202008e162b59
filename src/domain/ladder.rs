use super::Threshold;

/// The thresholds of one operating point by the size of the gallery.
///
/// The chance that a stranger resembles somebody grows with the number of people enrolled, so that one false positive
/// identification rate asks for a higher threshold of a larger gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdLadder {
    /// In order of size, at least one, thresholds never falling.
    rungs: Vec<Rung>,
    reach: Reach,
}

/// The threshold for galleries up to a size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rung {
    /// Subjects in the gallery it was measured for.
    pub subjects: u32,
    /// The threshold.
    pub threshold: Threshold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Up to the largest size measured.
    Measured,
    /// Whatever the size: somebody chose a number.
    Any,
}

/// The threshold that holds for a gallery of a certain size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Foothold {
    /// The threshold.
    pub threshold: Threshold,
    /// The size of the gallery it was measured for; `None` for a number that somebody chose.
    pub measured_for: Option<u32>,
    /// Whether the gallery is larger than any that was measured, so that the rate is higher than the operating point says.
    pub beyond: bool,
}

impl ThresholdLadder {
    /// One threshold for galleries of every size, at the operator's own risk.
    pub fn fixed(threshold: Threshold) -> Self {
        Self { rungs: vec![Rung { subjects: u32::MAX, threshold }], reach: Reach::Any }
    }

    /// The thresholds measured, in any order. A threshold below that of a smaller gallery is raised to it. `None` without any.
    pub fn measured(mut rungs: Vec<Rung>) -> Option<Self> {
        rungs.sort_by_key(|rung| rung.subjects);
        let mut highest = rungs.first()?.threshold;
        for rung in &mut rungs {
            if rung.threshold < highest {
                rung.threshold = highest;
            }
            highest = rung.threshold;
        }
        Some(Self { rungs, reach: Reach::Measured })
    }

    /// The threshold for a gallery of so many subjects: that of the smallest size measured which is not below it, else that of the
    /// largest.
    pub fn at(&self, subjects: usize) -> Foothold {
        let large_enough = |rung: &&Rung| usize::try_from(rung.subjects).is_ok_and(|size| size >= subjects);
        let found = self.rungs.iter().find(large_enough);
        let rung = found.or(self.rungs.last()).expect("a ladder has a rung");
        match self.reach {
            Reach::Any => Foothold { threshold: rung.threshold, measured_for: None, beyond: false },
            Reach::Measured => {
                Foothold { threshold: rung.threshold, measured_for: Some(rung.subjects), beyond: found.is_none() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ladder(rungs: &[(u32, f32)]) -> ThresholdLadder {
        let rung = |&(subjects, t)| Rung { subjects, threshold: Threshold::new(t).unwrap() };
        ThresholdLadder::measured(rungs.iter().map(rung).collect()).unwrap()
    }

    #[test]
    fn the_smallest_size_that_is_not_below_counts() {
        let ladder = ladder(&[(1000, 0.6), (10, 0.4), (100, 0.5)]);
        for (subjects, threshold, size, beyond) in [
            (0, 0.4, 10, false),
            (10, 0.4, 10, false),
            (11, 0.5, 100, false),
            (100, 0.5, 100, false),
            (101, 0.6, 1000, false),
            (1000, 0.6, 1000, false),
            (1001, 0.6, 1000, true),
        ] {
            let at = ladder.at(subjects);
            let expected = Foothold { threshold: Threshold::new(threshold).unwrap(), measured_for: Some(size), beyond };
            assert_eq!(at, expected, "{subjects}");
        }
    }

    #[test]
    fn a_number_holds_for_every_gallery() {
        let threshold = Threshold::new(0.7).unwrap();
        let at = ThresholdLadder::fixed(threshold).at(usize::MAX);
        assert_eq!(at, Foothold { threshold, measured_for: None, beyond: false });
    }

    #[test]
    fn nothing_measured_is_no_ladder() {
        assert_eq!(ThresholdLadder::measured(vec![]), None);
    }

    proptest! {
        #[test]
        fn a_larger_gallery_never_has_a_lower_threshold(
            rungs in prop::collection::vec((1u32..5000, -1f32..=1.0), 1..8), a in 0usize..6000, b in 0usize..6000,
        ) {
            let ladder = ladder(&rungs);
            prop_assert!(ladder.at(a.min(b)).threshold <= ladder.at(a.max(b)).threshold);
        }
    }
}
