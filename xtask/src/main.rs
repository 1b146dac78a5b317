//! Chores of the repository: `cargo xtask tidy`, `cargo xtask schema`.
fn main() {}
