//! Other encodings of an [`Object`] than its canonical one: made when first asked for, then shared by all who serve them.
//!
//! An encoding hangs on its object and goes with it. All that are kept together have a budget, beyond which the oldest
//! are dropped; whoever still holds one keeps its bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;

use crate::object::{Inner, Object};

/// Which encoding of an object: one for each pair of what it is made for and of a type of the object's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// What it is made for; whoever keeps encodings numbers them.
    pub number: u32,
    /// The type as which the object is shown: [`TypeRef::id`](crate::schema::TypeRef::id).
    pub ty: usize,
}

/// Encodings that share a budget. Cloning shares it.
#[derive(Clone)]
pub struct Encodings(Arc<Kept>);

/// The encodings of one object.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Box<[(Form, Bytes)]>>);

struct Kept {
    budget_bytes: usize,
    queue: Mutex<Queue>,
}

/// What is kept, oldest first.
#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
}

struct Entry {
    object: Weak<Inner>,
    form: Form,
    bytes: usize,
}

/// The number of what is no encoding but a mark.
const MARK: u32 = u32::MAX;

/// What keeping an encoding costs beside its bytes.
const ENTRY_BYTES: usize = 192;

// === impl Encodings ===

impl Encodings {
    /// Keeps encodings of about this many bytes in all.
    pub fn new(budget_bytes: usize) -> Encodings {
        Encodings(Arc::new(Kept { budget_bytes, queue: Mutex::default() }))
    }

    /// The encoding `form` of `object`, if it is kept.
    pub fn get(&self, object: &Object, form: Form) -> Option<Bytes> {
        object.slot().get(form)
    }

    /// The encoding `form` of `object`: the one that is kept, or what `make` makes, which is kept then.
    pub fn of(&self, object: &Object, form: Form, make: impl FnOnce() -> Bytes) -> Bytes {
        object.slot().get(form).unwrap_or_else(|| self.keep(object, form, make()))
    }

    /// The same where there may be no such encoding.
    pub fn try_of(&self, object: &Object, form: Form, make: impl FnOnce() -> Option<Bytes>) -> Option<Bytes> {
        object.slot().get(form).or_else(|| Some(self.keep(object, form, make()?)))
    }

    /// Keeps what was made outside of any lock: two who ask at once may both make it.
    fn keep(&self, object: &Object, form: Form, made: Bytes) -> Bytes {
        if made.len() + ENTRY_BYTES <= self.0.budget_bytes && object.slot().put(form, &made) {
            self.0.admit(Entry { object: object.downgrade(), form, bytes: made.len() + ENTRY_BYTES });
        }
        made
    }

    /// How many bytes are kept.
    pub fn bytes(&self) -> usize {
        self.0.lock().bytes
    }
}

// === impl Kept ===

impl Kept {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an encoding in and drops what exceeds the budget.
    fn admit(&self, entry: Entry) {
        let mut queue = self.lock();
        queue.bytes += entry.bytes;
        queue.entries.push_back(entry);
        while queue.bytes > self.budget_bytes {
            let Some(oldest) = queue.entries.pop_front() else { break };
            queue.bytes -= oldest.bytes;
            if let Some(object) = oldest.object.upgrade() {
                object.slot().remove(oldest.form);
            }
        }
    }
}

// === impl Slot ===

impl Slot {
    fn lock(&self) -> std::sync::MutexGuard<'_, Box<[(Form, Bytes)]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, form: Form) -> Option<Bytes> {
        self.lock().iter().find(|(kept, _)| *kept == form).map(|(_, bytes)| bytes.clone())
    }

    /// Whether it was not there yet.
    fn put(&self, form: Form, bytes: &Bytes) -> bool {
        let mut kept = self.lock();
        if kept.iter().any(|(known, _)| *known == form) {
            return false;
        }
        let all = std::mem::take(&mut *kept).into_iter().chain([(form, bytes.clone())]);
        *kept = all.collect();
        true
    }

    /// Whether this mark is on it.
    pub(crate) fn is_marked(&self, mark: usize) -> bool {
        self.lock().iter().any(|(kept, _)| *kept == Form { number: MARK, ty: mark })
    }

    /// Puts a mark on it, in place of another.
    pub(crate) fn mark(&self, mark: usize) {
        let mut kept = self.lock();
        let others = std::mem::take(&mut *kept).into_iter().filter(|(known, _)| known.number != MARK);
        *kept = others.chain([(Form { number: MARK, ty: mark }, Bytes::new())]).collect();
    }

    fn remove(&self, form: Form) {
        let mut kept = self.lock();
        *kept = std::mem::take(&mut *kept).into_iter().filter(|(known, _)| *known != form).collect();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const FORM: Form = Form { number: 1, ty: 0 };

    fn object(body: &'static str) -> Object {
        Object::new(Bytes::from_static(body.as_bytes()), 1)
    }

    #[test]
    fn an_encoding_is_made_once_and_shared() {
        let (encodings, object, made) = (Encodings::new(1 << 20), object("{}"), Cell::new(0));
        let ask = |form| {
            encodings.of(&object, form, || {
                made.set(made.get() + 1);
                Bytes::from(format!("made {}", form.number))
            })
        };
        assert_eq!(ask(FORM), ask(FORM));
        assert_eq!(made.get(), 1);
        assert_eq!(ask(Form { number: 2, ty: 0 }), "made 2");
        assert_eq!(ask(Form { number: 1, ty: 7 }), "made 1");
        assert_eq!(made.get(), 3);
        assert_eq!(Encodings::new(1 << 20).try_of(&object, FORM, || None).as_deref(), Some(&b"made 1"[..]));
        assert_eq!(encodings.try_of(&object, Form { number: 3, ty: 0 }, || None), None);
    }

    #[test]
    fn the_oldest_go_when_the_budget_is_exceeded() {
        let encodings = Encodings::new(4 * (1000 + ENTRY_BYTES));
        let objects: Vec<Object> = (0..10).map(|_| object("{}")).collect();
        let big = || Bytes::from(vec![0; 1000]);
        for object in &objects {
            assert_eq!(encodings.of(object, FORM, big).len(), 1000);
        }
        let kept: Vec<bool> = objects.iter().map(|object| object.slot().get(FORM).is_some()).collect();
        assert_eq!(kept.iter().filter(|kept| **kept).count(), 4);
        assert!(kept.ends_with(&[true; 4]));
        assert_eq!(encodings.bytes(), 4 * (1000 + ENTRY_BYTES));
    }

    #[test]
    fn what_exceeds_the_budget_alone_is_not_kept() {
        let (encodings, object) = (Encodings::new(100), object("{}"));
        let big = || Bytes::from(vec![0; 1000]);
        assert_eq!(encodings.of(&object, FORM, big).len(), 1000);
        assert!(object.slot().get(FORM).is_none());
    }
}
