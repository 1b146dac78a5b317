//! The messages of CRI v1 that the kubelet sends and reads: field numbers and names as in
//! `k8s.io/cri-api/pkg/apis/runtime/v1` v0.36, left out what no Linux kubelet uses. Unknown fields are skipped.
#![allow(missing_docs, reason = "the names are CRI's own; its specification says what they mean")]

mod container;
mod image;
mod runtime;
mod sandbox;
mod stats;

pub use container::*;
pub use image::*;
pub use runtime::*;
pub use sandbox::*;
pub use stats::*;
