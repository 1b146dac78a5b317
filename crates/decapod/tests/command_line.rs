//! What the program says on the command line. That this test needs the program also makes `cargo test` build it, for the
//! tests of whole binaries.
use std::process::{Command, Output};

fn decapod(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_decapod")).args(arguments).output().expect("the program was built")
}

fn help(path: &[&str]) -> String {
    let output = decapod(&[path, &["--help"]].concat());
    assert!(output.status.success(), "{path:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// What stands under "Commands:" in a help text.
fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = lines.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
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

#[test]
fn the_help_of_every_command_has_an_example_of_it() {
    let mut to_see: Vec<Vec<String>> = commands(&help(&[])).into_iter().map(|name| vec![name]).collect();
    let mut seen = 0;
    while let Some(path) = to_see.pop() {
        if path.last().is_some_and(|name| name == "help") {
            continue;
        }
        let text = help(&path.iter().map(String::as_str).collect::<Vec<_>>());
        let example = format!("decapod {}", path.join(" "));
        let given = |line: &str| line.starts_with("  ") && line.trim_start().starts_with(&example);
        assert!(text.lines().any(given), "{example} --help has no example:\n{text}");
        to_see.extend(commands(&text).into_iter().map(|name| [path.clone(), vec![name]].concat()));
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} commands were found");
}
