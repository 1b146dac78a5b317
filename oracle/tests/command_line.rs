//! What a person sees who runs the program without what it needs.

#![allow(clippy::unwrap_used)]

use std::process::Command;

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_decapod-oracle"));
    let output = command
        .args(arguments)
        .env_remove("DECAPOD_ORACLE")
        .env_remove("DECAPOD_API_TESTDATA")
        .env_remove("DECAPOD_POD_SECURITY_TESTDATA")
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn what_is_missing_is_named() {
    let table = [
        (&["codec"][..], "DECAPOD_ORACLE is not set"),
        (&["samples"], "DECAPOD_API_TESTDATA is not set"),
        (&["pod-security"], "DECAPOD_POD_SECURITY_TESTDATA is not set"),
        (&["codec", "--seed", "x"], "--seed wants a number"),
        (&["nonsense"], "usage:"),
        (&[], "usage:"),
    ];
    for (arguments, wanted) in table {
        let (code, error) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(error.contains(wanted), "{arguments:?}: {error}");
    }
}
