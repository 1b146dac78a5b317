//! Bugs planted on purpose, to show that the simulation finds them. A build without debug assertions has none.
//!
//! A bug is a line in the code that it spoils, `if is_planted(Bug::…)`, and is awake on the thread that planted it,
//! which in the simulation is all there is.

use std::cell::Cell;
use std::marker::PhantomData;

/// The bugs that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The store does not sync one frame of its log in four.
    ForgottenSync,
    /// The Deployment controller takes a ReplicaSet whose creation was not answered for another's of the same name.
    LostAnswer,
}

/// A bug that is awake on this thread until this is dropped. One at a time.
#[must_use]
pub struct Planted(PhantomData<*const ()>);

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Wakes `bug`.
pub fn plant(bug: Bug) -> Planted {
    PLANTED.set(Some(bug));
    Planted(PhantomData)
}

/// Whether `bug` is awake here; never in a release.
pub fn is_planted(bug: Bug) -> bool {
    cfg!(debug_assertions) && PLANTED.get() == Some(bug)
}

impl Drop for Planted {
    fn drop(&mut self) {
        PLANTED.set(None);
    }
}
