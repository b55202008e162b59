//! Which preprocessing separates the bundled faces best: a wrong one is silent, and ruins recognition.

use super::faces::{self, faces};
use super::{ImportError, Preprocessing, Separation, Stated};
use crate::domain::FaceCrop;
use crate::models::InputSpec;
use crate::nn::Graph;

/// How much larger another d' must be to count as better. Of the four recognisers at hand (MobileFaceNet in float and int8, SFace, the
/// 512-d MobileFaceNet of faceplugin) the right preprocessing has the largest d' each time, and the nearest wrong one
/// (`x / 255` for `(x - 127.5) / 128`) 0.95 of it at most.
const CLEARLY: f64 = 1.03;

/// Below this d' the faces are not told apart. Trained recognisers reach 5 to 7, wrongly scaled ones 0.5 to 2.
const SEPARATES: f64 = 3.0;

/// Every preprocessing that was tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// In the order they were tried; those that the card allows first.
    pub tried: Vec<Tried>,
    /// Which of them is taken: the stated one, or the best of what is left open.
    pub taken: usize,
    /// Whether the card says everything, so that nothing was chosen.
    pub stated: bool,
}

/// One preprocessing and what it came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tried {
    /// What was tried.
    pub preprocessing: Preprocessing,
    /// How the faces lie apart; `None` when the network gave no direction for one of them.
    pub separation: Option<Separation>,
    /// Whether the card allows it.
    pub allowed: bool,
}

impl Tried {
    /// Its d'; the least there is where it has none.
    fn d_prime(&self) -> f64 {
        self.separation.map_or(f64::NEG_INFINITY, |separation| separation.d_prime)
    }
}

impl Trial {
    /// Runs the network on all bundled faces in every preprocessing that `stated` leaves open, and in those it does not. `graph` takes
    /// `input` but for its preprocessing; its output number `output` is the embedding. `progress` hears how many of how many
    /// inferences are done.
    ///
    /// # Errors
    /// When the network fails, or the faces are not there.
    pub(super) fn hold(
        graph: &mut Graph,
        output: usize,
        input: &InputSpec,
        stated: &Stated,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Trial, ImportError> {
        let (faces, candidates) = (faces()?, stated.candidates());
        let (mut done, all) = (0, faces::COUNT * candidates.len());
        let side = (FaceCrop::SIDE_PX, FaceCrop::SIDE_PX);
        let mut tried = Vec::with_capacity(candidates.len());
        for preprocessing in candidates {
            let input = preprocessing.over(input);
            let mut embeddings = Vec::with_capacity(faces.len());
            for face in &faces {
                let mut outputs = input.infer(graph, &face.rgb, side, None)?;
                embeddings.push((face.person, outputs.swap_remove(output).into_data()));
                done += 1;
                progress(done, all);
            }
            let (separation, allowed) = (Separation::of(&embeddings), stated.allows(&preprocessing));
            tried.push(Tried { preprocessing, separation, allowed });
        }
        Ok(Trial::judged(tried, stated.is_complete()))
    }

    fn judged(tried: Vec<Tried>, stated: bool) -> Trial {
        let best = |a: &&(usize, &Tried), b: &&(usize, &Tried)| a.1.d_prime().total_cmp(&b.1.d_prime());
        let allowed: Vec<(usize, &Tried)> = tried.iter().enumerate().filter(|(_, tried)| tried.allowed).collect();
        let taken = allowed.iter().max_by(best).map_or(0, |(place, _)| *place);
        Trial { tried, taken, stated }
    }

    /// The one that is taken.
    pub fn taken(&self) -> &Tried {
        &self.tried[self.taken]
    }

    /// The best of all, when it tells the faces apart, and clearly better than the one that is taken.
    pub fn better(&self) -> Option<&Tried> {
        let best = self.tried.iter().max_by(|a, b| a.d_prime().total_cmp(&b.d_prime()))?;
        let clearly = best.d_prime() >= self.taken().d_prime() * CLEARLY;
        (best.d_prime() >= SEPARATES && clearly && best != self.taken()).then_some(best)
    }

    /// What the card leaves open too and separates the faces as well as the one that is taken, or nearly; nothing when no preprocessing
    /// separates them.
    pub fn not_told_apart(&self) -> impl Iterator<Item = &Tried> {
        let (taken, separates) = (self.taken(), self.separates());
        let near = |tried: &Tried| tried.d_prime() * CLEARLY > taken.d_prime();
        self.tried.iter().filter(move |tried| separates && tried.allowed && *tried != taken && near(tried))
    }

    /// Whether the preprocessing that is taken tells the bundled faces apart at all.
    pub fn separates(&self) -> bool {
        self.taken().d_prime() >= SEPARATES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trial of `stated` whose candidates have these d', in their order.
    fn trial(stated: Stated, d_primes: &[f64]) -> Trial {
        let tried = stated.candidates().into_iter().zip(d_primes).map(|(preprocessing, &d_prime)| Tried {
            preprocessing,
            separation: d_prime.is_finite().then_some(Separation {
                mated_mean: 0.8,
                nonmated_mean: 0.1,
                d_prime,
                constant: false,
            }),
            allowed: stated.allows(&preprocessing),
        });
        Trial::judged(tried.collect(), stated.is_complete())
    }

    fn rgb() -> Stated {
        Stated { colour: Some(crate::models::Colour::Rgb), scaling: Some(([0.0; 3], 1.0)) }
    }

    #[test]
    fn what_is_stated_is_taken_and_a_clearly_better_one_named() {
        let wrong = trial(rgb(), &[1.2, 1.1, 6.2, 5.5, 5.8, 4.0]);
        assert_eq!(wrong.taken().preprocessing.to_string(), "RGB, 0 to 255");
        assert_eq!(wrong.better().unwrap().preprocessing.to_string(), "RGB, (x - 127.5) / 127.5");
        assert!(!wrong.separates() && wrong.stated);
        let right = trial(rgb(), &[6.0, 5.0, 6.1, 1.0, 1.0, 1.0]);
        assert_eq!(right.better(), None, "2 % are within the noise");
        assert_eq!(right.not_told_apart().count(), 0, "the card leaves nothing open");
        assert!(right.separates());
    }

    #[test]
    fn what_is_open_is_chosen_and_doubt_is_named() {
        let sure = trial(Stated::default(), &[6.2, 5.5, 1.0, 1.0, 5.8, 4.0]);
        assert_eq!((sure.taken, sure.not_told_apart().count(), sure.stated), (0, 0, false));
        let unsure = trial(Stated::default(), &[5.9, 6.0, 1.0, 1.0, 5.85, 4.0]);
        assert_eq!(unsure.taken().preprocessing.to_string(), "BGR, (x - 127.5) / 127.5");
        assert_eq!(unsure.not_told_apart().count(), 2);
        assert_eq!(unsure.better(), None);
    }

    #[test]
    fn a_preprocessing_without_result_is_never_better() {
        let nothing = trial(rgb(), &[f64::NAN, 4.0, f64::NAN, f64::NAN, f64::NAN, f64::NAN]);
        assert_eq!(nothing.taken().separation, None);
        assert_eq!(nothing.better().unwrap().preprocessing.to_string(), "BGR, 0 to 255");
        assert_eq!(trial(rgb(), &[f64::NAN; 6]).better(), None);
    }

    #[test]
    fn what_separates_nobody_is_no_advice() {
        let untrained = trial(rgb(), &[-0.2, 0.8, 0.3, -0.4, 0.5, 0.9]);
        assert_eq!((untrained.better(), untrained.separates()), (None, false));
        assert_eq!(trial(Stated::default(), &[0.8, 0.9, 0.8, 0.8, 0.8, 0.8]).not_told_apart().count(), 0);
    }
}
