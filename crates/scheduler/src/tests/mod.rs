//! Scenarios in text, and properties of random ones.

mod properties;
mod scenario;
mod storage;

use scenario::World;

/// Runs a scenario: lines that begin with `> ` are what the commands above them have to answer. With `REWRITE` set in the
/// environment the file is made to say what they do answer.
fn run(name: &str, text: &str) {
    let mut world = World::default();
    let (mut expected, mut got) = (String::new(), String::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix('>') {
            Some(answer) => expected += &format!("{}\n", answer.trim()),
            None => {
                expected += &format!("{line}\n");
                got += &format!("{line}\n{}", world.command(line));
            }
        }
    }
    if std::env::var_os("REWRITE").is_some() {
        let path = format!("{}/src/tests/scenarios/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        return std::fs::write(path, rewritten(text, &got)).unwrap();
    }
    assert!(got == expected, "not as written; it should read:\n{}", rewritten(text, &got));
}

/// What the scenario has to read to pass: comments kept, answers as they are.
fn rewritten(text: &str, got: &str) -> String {
    let mut answers = got.lines().peekable();
    let mut out = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('>')) {
        out += &format!("{line}\n");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        answers.next();
        while let Some(answer) = answers.next_if(|answer| !is_command(text, answer)) {
            out += &format!("> {answer}\n");
        }
    }
    out
}

fn is_command(text: &str, line: &str) -> bool {
    text.lines().any(|written| written.trim() == line)
}

macro_rules! scenarios {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            run(stringify!($name), include_str!(concat!("scenarios/", stringify!($name), ".txt")));
        }
    )* };
}

scenarios! { resources filters scores queueing gates_and_nominations preemption spread pod_affinity bind_failures volumes }
