//! What the program says on the command line. That this test needs the program also makes `cargo test` build it, for the
//! tests of whole binaries.
use std::process::{Command, Output};

fn decapod(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_decapod")).args(arguments).output().expect("the program was built")
}

#[test]
fn says_its_version() {
    let output = decapod(&["version"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn refuses_unknown_options_by_name_in_one_line() {
    for command in ["up", "down", "uninstall", "apiserver"] {
        let output = decapod(&[command, "--no-such-option"]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.starts_with("decapod: unexpected argument '--no-such-option' found"), "{said}");
        assert!(said.ends_with(&format!("; see decapod {command} --help\n")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
