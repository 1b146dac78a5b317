//! Builds the pause program: a static one without any library, for the same machine as the kubelet.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=pause/pause.rs");
    let variable = |name: &str| std::env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"));
    let output = PathBuf::from(variable("OUT_DIR")).join("pause");
    let mut command = Command::new(variable("RUSTC"));
    command.args([
        "--edition=2024",
        "--crate-type=bin",
        "--crate-name=pause",
        "-Copt-level=z",
        "-Cpanic=abort",
    ]);
    command.args(["-Cstrip=symbols", "-Crelocation-model=static", "-Ctarget-feature=+crt-static"]);
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-n"] {
        command.arg(format!("-Clink-arg={argument}"));
    }
    if let Some(linker) = std::env::var_os("RUSTC_LINKER") {
        command.arg("-Clinker").arg(linker);
    }
    command.arg("--target").arg(variable("TARGET")).arg("-o").arg(&output).arg("pause/pause.rs");
    let status = command.status().unwrap_or_else(|error| panic!("rustc cannot be run: {error}"));
    assert!(status.success(), "the pause program does not build");
}
