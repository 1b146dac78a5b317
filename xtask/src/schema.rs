//! `cargo xtask schema` writes the table of schema facts that the `api` crate reads; `--check` says whether it is
//! fresh. `cargo xtask testdata` prints where upstream's sample objects are. All of them need Go.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn table() -> PathBuf {
    root().join("../crates/api/schema/facts.txt")
}

/// Runs `go` in the folder of the extractor and returns what it prints.
fn go(args: &[&str]) -> Result<Vec<u8>, String> {
    let mut command = Command::new("go");
    command.args(args).current_dir(root().join("schema-go")).stderr(std::process::Stdio::inherit());
    let output = command.output().map_err(|error| format!("cannot run go (is it installed?): {error}"))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("go {}: {}", args.join(" "), output.status))
    }
}

/// Writes the table anew.
pub fn write() -> Result<(), String> {
    let facts = go(&["run", "."])?;
    std::fs::write(table(), facts).map_err(|error| format!("cannot write {}: {error}", table().display()))
}

/// Fails if the committed table differs from a new one.
pub fn check() -> Result<(), String> {
    let facts = go(&["run", "."])?;
    let committed =
        std::fs::read(table()).map_err(|error| format!("cannot read {}: {error}", table().display()))?;
    if facts == committed {
        return Ok(());
    }
    Err("crates/api/schema/facts.txt is stale: run `cargo xtask schema` and commit it".to_owned())
}

/// Fetches the module of upstream's sample objects and prints their folder.
pub fn testdata() -> Result<(), String> {
    go(&["mod", "download", "k8s.io/api"])?;
    let dir =
        String::from_utf8_lossy(&go(&["list", "-m", "-f", "{{.Dir}}", "k8s.io/api"])?).trim().to_owned();
    println!("{}", Path::new(&dir).join("testdata/HEAD").display());
    Ok(())
}
