//! What the daemon should take note of: a module's process that ended when nobody told it to.

/// A module's process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The module's name in the configuration.
    pub module: String,
    /// What became of it.
    pub ending: Ending,
    /// How it ended: a signal, an exit status, or why it was killed.
    pub how: String,
}

/// What became of a module whose process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Another process is started.
    Replaced,
    /// It kept crashing and is left alone for a minute, for twice as long each time after that, and for an hour at most.
    Parked,
}
