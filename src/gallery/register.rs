//! Who is in a snapshot, in little memory: a million subjects are to fit beside their references.

use jiff::Timestamp;

use super::SnapshotSubject;
use crate::domain::SubjectId;

/// Ids, names and expiries of subjects, each known by its row.
#[derive(Default)]
pub(super) struct Register {
    /// Each row's id and name, one after the other.
    texts: String,
    /// Where each row's id starts and how long it is.
    places: Vec<Place>,
    /// The rows that have an expiry, in order.
    expiries: Vec<(u32, Timestamp)>,
    /// The rows in order of id.
    by_id: Vec<u32>,
}

/// A row's texts: they go on to where the next row's start. Offset and length of the id share one number because two would
/// be padded: 58 bits for the one, 6 for the other, which is 1 to 64.
struct Place(u64);

impl Place {
    fn new(start: usize, id: &str) -> Self {
        Self((start as u64) << 6 | (id.len() as u64 - 1))
    }

    fn start(&self) -> usize {
        (self.0 >> 6) as usize
    }

    fn name(&self) -> usize {
        self.start() + (self.0 & 63) as usize + 1
    }
}

impl Register {
    /// Memory for so many subjects.
    pub fn with_capacity(subjects: usize) -> Self {
        let (places, by_id) = (Vec::with_capacity(subjects), Vec::with_capacity(subjects));
        Self { places, by_id, ..Self::default() }
    }

    /// Puts a subject into the next row. Until [`sort`](Self::sort), it cannot be found by its id.
    pub fn push(&mut self, id: &SubjectId, name: &str, expires: Option<Timestamp>) {
        let row = u32::try_from(self.places.len()).expect("four thousand million subjects fit no memory");
        self.places.push(Place::new(self.texts.len(), id.as_str()));
        self.texts.push_str(id.as_str());
        self.texts.push_str(name);
        self.expiries.extend(expires.map(|expires| (row, expires)));
        self.by_id.push(row);
    }

    /// Puts the rows in order of id, and gives back memory that was not needed.
    pub fn sort(&mut self) {
        self.texts.shrink_to_fit();
        self.places.shrink_to_fit();
        self.expiries.shrink_to_fit();
        let mut by_id = std::mem::take(&mut self.by_id);
        by_id.shrink_to_fit();
        by_id.sort_unstable_by_key(|row| self.id(*row as usize));
        self.by_id = by_id;
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The id in `row`.
    pub fn id(&self, row: usize) -> &str {
        &self.texts[self.places[row].start()..self.places[row].name()]
    }

    fn name(&self, row: usize) -> &str {
        let end = self.places.get(row + 1).map_or(self.texts.len(), Place::start);
        &self.texts[self.places[row].name()..end]
    }

    /// The subject in `row`.
    pub fn subject(&self, row: usize) -> SnapshotSubject {
        let at = self.expiries.binary_search_by_key(&row, |(row, _)| *row as usize);
        SnapshotSubject {
            id: self.id(row).parse().expect("it was an id before"),
            name: self.name(row).into(),
            expires: at.ok().map(|at| self.expiries[at].1),
        }
    }

    /// The rows in order of id.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = usize> {
        self.by_id.iter().map(|row| *row as usize)
    }

    /// The row of the subject that is at `place` in order of id.
    pub fn row(&self, place: usize) -> Option<usize> {
        self.by_id.get(place).map(|row| *row as usize)
    }

    /// The row of `id`.
    pub fn find(&self, id: &SubjectId) -> Option<usize> {
        let found = self.by_id.binary_search_by(|row| self.id(*row as usize).cmp(id.as_str()));
        found.ok().map(|at| self.by_id[at] as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn everybody_comes_back_in_order_of_id(
            people in prop::collection::btree_map("[a-z0-9][a-z0-9._-]{0,63}", ("\\PC{1,20}", prop::option::of(0i64..1_000_000)), 0..30),
            seed in any::<u64>(),
        ) {
            let people: BTreeMap<SubjectId, (String, Option<Timestamp>)> = people
                .into_iter()
                .map(|(id, (name, s))| (id.parse().unwrap(), (name, s.map(|s| Timestamp::from_second(s).unwrap()))))
                .collect();
            let mut shuffled: Vec<_> = people.iter().collect();
            shuffled.sort_by_key(|(id, _)| id.as_str().bytes().fold(seed, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)));
            let mut register = Register::with_capacity(3);
            for (id, (name, expires)) in &shuffled {
                register.push(id, name, *expires);
            }
            register.sort();

            prop_assert_eq!(register.len(), people.len());
            let listed: Vec<_> = register.rows().map(|row| register.subject(row)).collect();
            let expected: Vec<_> = people
                .iter()
                .map(|(id, (name, expires))| SnapshotSubject { id: id.clone(), name: name.as_str().into(), expires: *expires })
                .collect();
            prop_assert_eq!(&listed, &expected);
            for (row, (id, _)) in shuffled.iter().enumerate() {
                prop_assert_eq!(register.find(id), Some(row));
                prop_assert_eq!(register.id(row), id.as_str());
            }
            let nobody: SubjectId = "nobody".parse().unwrap();
            prop_assert_eq!(register.find(&nobody).is_some(), people.contains_key(&nobody));
        }
    }
}
