/// Why recognition could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// No such rule.
    #[error("no reference rule is called {name:?}; there are: {known}")]
    UnknownRule {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A chart could not be drawn.
    #[error("the chart could not be drawn: {reason}")]
    Chart {
        /// What the library said.
        reason: String,
    },
}
