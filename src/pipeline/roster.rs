use std::sync::{Arc, Mutex, PoisonError};

use crate::gallery::Snapshot;

/// Whom the door knows now: a snapshot that is replaced whole. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Roster(Arc<Mutex<Arc<Snapshot>>>);

impl Roster {
    /// Starts with this snapshot.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self(Arc::new(Mutex::new(snapshot)))
    }

    /// The snapshot in force.
    pub fn current(&self) -> Arc<Snapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another snapshot in force.
    pub fn replace(&self, snapshot: Arc<Snapshot>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }
}
