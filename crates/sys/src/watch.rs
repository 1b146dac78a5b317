//! A value that many watch, like `tokio::sync::watch`, but whoever waits is woken in the order of waiting.
//!
//! tokio's spreads its waiters by chance over several lists, which is good for many threads and keeps one seed from
//! replaying one run. Where more than one task waits for the same value, this is the one to use.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::Notify;

/// The side that changes the value. When it is dropped, whoever waits is told so.
pub struct Sender<T>(Arc<Shared<T>>);

/// The side that watches.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version that was looked at last.
    seen: u64,
}

/// The value, as long as it is looked at; it cannot change meanwhile.
pub struct Ref<'a, T>(RwLockReadGuard<'a, T>);

/// Nobody changes the value any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sender is gone")]
pub struct Closed;

struct Shared<T> {
    value: RwLock<T>,
    /// How often it has changed; moved while `value` is locked.
    version: AtomicU64,
    closed: AtomicBool,
    changed: Notify,
}

// === impl Sender ===

impl<T> Sender<T> {
    /// A value, which nobody watches yet.
    pub fn new(value: T) -> Sender<T> {
        Sender(Arc::new(Shared {
            value: RwLock::new(value),
            version: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            changed: Notify::new(),
        }))
    }

    /// Watches, as if the present value had been looked at.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver { shared: self.0.clone(), seen: self.0.version.load(Ordering::Acquire) }
    }

    /// The value.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.0.borrow()
    }

    /// Changes the value and tells everybody.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// Changes the value and tells everybody if `change` says that it did; gives that back.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let has_changed = {
            let mut value = self.0.value.write().unwrap_or_else(PoisonError::into_inner);
            let has_changed = change(&mut value);
            if has_changed {
                self.0.version.fetch_add(1, Ordering::Release);
            }
            has_changed
        };
        if has_changed {
            self.0.changed.notify_waiters();
        }
        has_changed
    }

    /// Puts `value` in place of the present one, which is given back, and tells everybody.
    pub fn send_replace(&self, mut value: T) -> T {
        self.send_modify(|current| std::mem::swap(current, &mut value));
        value
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.changed.notify_waiters();
    }
}

// === impl Receiver ===

impl<T> Receiver<T> {
    /// The value, from now on looked at.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.shared.borrow();
        self.seen = self.shared.version.load(Ordering::Acquire);
        value
    }

    /// Returns once there is a value that has not been looked at.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            // From here on no change is missed, also one between the look and the wait.
            changed.as_mut().enable();
            let version = self.shared.version.load(Ordering::Acquire);
            if version != self.seen {
                self.seen = version;
                return Ok(());
            }
            if self.shared.closed.load(Ordering::Acquire) {
                return Err(Closed);
            }
            changed.await;
        }
    }

    /// Returns the value once `check` holds.
    pub async fn wait_for(&mut self, mut check: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, Closed> {
        loop {
            if check(&self.borrow_and_update()) {
                return Ok(self.shared.borrow());
            }
            self.changed().await?;
        }
    }
}

// === impl Shared, Ref ===

impl<T> Shared<T> {
    fn borrow(&self) -> Ref<'_, T> {
        Ref(self.value.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Env;
    use std::sync::Mutex;

    #[tokio::test(start_paused = true)]
    async fn all_are_told_in_the_order_in_which_they_wait() {
        let (env, sender) = (Env::simulated(1), Sender::new(0));
        let order: Arc<Mutex<Vec<usize>>> = Arc::default();
        for waiter in 0..20 {
            let (mut receiver, order) = (sender.subscribe(), order.clone());
            env.spawn("waiter", async move {
                assert_eq!(*receiver.wait_for(|value| *value == 2).await.unwrap(), 2);
                order.lock().unwrap().push(waiter);
                assert_eq!(receiver.changed().await, Err(Closed));
                order.lock().unwrap().push(waiter);
            });
        }
        tokio::task::yield_now().await;
        assert_eq!(sender.send_replace(1), 0);
        assert!(!sender.send_if_modified(|_| false));
        tokio::task::yield_now().await;
        sender.send_modify(|value| *value += 1);
        tokio::task::yield_now().await;
        drop(sender);
        tokio::task::yield_now().await;
        assert_eq!(*order.lock().unwrap(), (0..20).chain(0..20).collect::<Vec<_>>());
    }
}
