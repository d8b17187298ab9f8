//! What a query is for, which decides who goes first when there is too much to do.

/// What a query is for; the more important first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Somebody is woken up by it. Has slots of its own.
    Alert,
    /// A panel that many look at.
    Dashboard,
    /// A person waits for it. What does not say what it is for.
    #[default]
    AdHoc,
    /// A report, an export: it can wait.
    Batch,
}

impl Class {
    /// All of them, the most important first.
    pub const ALL: [Self; 4] = [Self::Alert, Self::Dashboard, Self::AdHoc, Self::Batch];

    /// As it is written in requests, settings and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Dashboard => "dashboard",
            Self::AdHoc => "adhoc",
            Self::Batch => "batch",
        }
    }

    /// The class of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}
