//! ResourceQuota: how much a namespace may use.

use crate::kinds::strategies::fill::{part, round, with};
use crate::kinds::strategy::Strategy;
use crate::value::Value;

/// ResourceQuota: how much a namespace may use.
pub struct ResourceQuota;

impl Strategy for ResourceQuota {
    fn default(&self, draft: &mut Value) {
        round(part(draft, "spec"), "hard");
        with(draft, "status", |status| {
            round(status, "hard");
            round(status, "used");
        });
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}
