use std::collections::BTreeMap;

use super::Presentation;
use crate::{
    domain::{PadDoubt, PadVerdict},
    eval::Rate,
};

/// What a door says to presentations of one kind: the verdicts of whole tracks, with every gate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DoorTally {
    /// Taken for bona fide.
    pub bona_fide: u64,
    /// Taken for an attack.
    pub attack: u64,
    /// Neither, by reason: the non-responses of ISO/IEC 30107-3.
    pub undetermined: BTreeMap<PadDoubt, u64>,
}

impl DoorTally {
    /// Counts the bona fide presentations (`None`) or those of each species.
    pub fn by_species(presentations: &[Presentation]) -> BTreeMap<Option<String>, DoorTally> {
        let mut tallies: BTreeMap<_, DoorTally> = BTreeMap::new();
        for presentation in presentations {
            let tally = tallies.entry(presentation.species.clone()).or_default();
            match presentation.verdict {
                PadVerdict::BonaFide(_) => tally.bona_fide += 1,
                PadVerdict::Attack(_) => tally.attack += 1,
                PadVerdict::Undetermined(doubt) => *tally.undetermined.entry(doubt).or_default() += 1,
                PadVerdict::NotAssessed => *tally.undetermined.entry(PadDoubt::TooFewFrames).or_default() += 1,
            }
        }
        tallies
    }

    /// Presentations.
    pub fn all(&self) -> u64 {
        self.bona_fide + self.attack + self.unanswered()
    }

    fn unanswered(&self) -> u64 {
        self.undetermined.values().sum()
    }

    /// Presentations without a verdict: APNRR of attacks, BPNRR of bona fide presentations.
    pub fn non_response(&self) -> Rate {
        Rate { errors: self.unanswered(), trials: self.all() }
    }

    /// Presentations that get through: of attacks, the APCER of the whole. `admitted` says whether those without a verdict do.
    pub fn let_through(&self, admitted: bool) -> Rate {
        let unanswered = if admitted { self.unanswered() } else { 0 };
        Rate { errors: self.bona_fide + unanswered, trials: self.all() }
    }

    /// Presentations that are refused: of bona fide ones, the BPCER of the whole. `admitted` says whether those without a verdict
    /// are let through.
    pub fn turned_away(&self, admitted: bool) -> Rate {
        let Rate { errors, trials } = self.let_through(admitted);
        Rate { errors: trials - errors, trials }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presentation(species: Option<&str>, verdict: PadVerdict) -> Presentation {
        Presentation { subject: "Ada".into(), species: species.map(str::to_owned), log_odds: vec![], verdict }
    }

    #[test]
    fn what_is_undetermined_is_refused_or_admitted_as_the_door_says() {
        let (yes, no) = (PadVerdict::BonaFide(1.0), PadVerdict::Attack(-1.0));
        let (dark, short) = (PadDoubt::Dark, PadDoubt::TooFewFrames);
        let unsure = PadVerdict::Undetermined;
        let bona_fide = [yes, yes, no, unsure(dark)].map(|verdict| presentation(None, verdict));
        let print = [yes, no, unsure(short), unsure(dark), unsure(dark)].map(|v| presentation(Some("print"), v));
        let tallies = DoorTally::by_species(&[bona_fide.to_vec(), print.to_vec()].concat());
        let rate = |errors, trials| Rate { errors, trials };
        let people = &tallies[&None];
        assert_eq!((people.turned_away(false), people.turned_away(true)), (rate(2, 4), rate(1, 4)));
        let print = &tallies[&Some("print".to_owned())];
        assert_eq!((print.let_through(false), print.let_through(true)), (rate(1, 5), rate(4, 5)));
        assert_eq!((print.non_response(), print.all()), (rate(3, 5), 5));
        assert_eq!(print.undetermined, BTreeMap::from([(dark, 2), (short, 1)]));
    }
}
