use std::time::Duration;

use super::Tally;

/// How a running pipeline is, for whoever watches over it from outside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// What the stages have done.
    pub tally: Tally,
    /// Whether detector, recogniser and sinks are there.
    pub built: bool,
    /// Why the source gives no frames, from an error of it to its next frame.
    pub trouble: Option<String>,
    /// Subjects in the snapshot that is searched.
    pub subjects: usize,
    /// Whether the end has begun: a stop was asked for, the source has ended, or a stage failed.
    pub stopping: bool,
}

/// Is shown the pipeline's health, on the supervising thread, where nothing else takes time.
pub struct Observer {
    /// How often. When stopping begins it is shown at once.
    pub every: Duration,
    /// What it does with it; it must not take long.
    pub look: Box<dyn FnMut(&Health) + Send>,
}
