//! What a machine must have before a node can be on it, one finding a subject. Nothing is changed. Kernel features are those
//! that `preflight` tries out before a cluster starts.

mod kernel;
mod machine;

pub use kernel::{control_groups, features};
pub use machine::{clock, disk, port, rights, runtime};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It is as it should be.
    Ok,
    /// A cluster runs, with less.
    Warn,
    /// No cluster runs.
    Fail,
}

/// What was found out about a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// About what, such as `cgroups`.
    pub subject: &'static str,
    /// What it is and, unless it is well, what to do.
    pub text: String,
}

// === impl Finding ===

impl Finding {
    /// Something that is well.
    pub fn ok(subject: &'static str, text: impl Into<String>) -> Finding {
        Finding { level: Level::Ok, subject, text: text.into() }
    }

    /// Something that a cluster runs without.
    pub fn warn(subject: &'static str, text: impl Into<String>) -> Finding {
        Finding { level: Level::Warn, subject, text: text.into() }
    }

    /// Something that no cluster runs without.
    pub fn fail(subject: &'static str, text: impl Into<String>) -> Finding {
        Finding { level: Level::Fail, subject, text: text.into() }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        };
        write!(f, "{level:<5} {:<11} {}", self.subject, self.text)
    }
}
