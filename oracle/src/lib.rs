//! The oracle: the `api` crate, and what else is a pure function, held against upstream's own Go code on random inputs.
//!
//! A [`run::Subject`] makes an input from a seed, asks a Go program of ours (`conformance/oracle`, which links upstream's
//! modules) what upstream makes of it, and compares. A failing case is made small and printed with the command that
//! replays it. For tests only; nothing depends on this crate.
#![forbid(unsafe_code)]

pub mod change;
pub mod codec;
pub mod damage;
pub mod generate;
pub mod managed;
pub mod node;
pub mod patch;
pub mod pipe;
pub mod quantity;
pub mod random;
pub mod report;
pub mod run;
pub mod samples;
pub mod scalar;
pub mod security;
pub mod selector;
