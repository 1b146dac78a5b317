//! The rules that hold for each file by itself.

use super::Problem;
use super::source::{Source, is_word, line_of};

/// A text that may not be.
struct Ban {
    /// The text: whole words.
    text: &'static str,
    /// Where it is looked for.
    within: Within,
    /// What to do instead.
    instead: &'static str,
    /// Where it may be all the same.
    allowed: fn(&Source, usize) -> bool,
}

/// Where a [`Ban`] holds.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    /// Rust's code: not its strings, not its comments.
    Code,
    /// Rust's comments.
    Comments,
    /// Any file, all of it.
    Text,
}

const NOWHERE: fn(&Source, usize) -> bool = |_, _| false;
const IN_TESTS: fn(&Source, usize) -> bool = |source, line| source.is_test(line);
/// Where a person reads what is printed, or cargo does.
const WHERE_PRINTED: fn(&Source, usize) -> bool = |source, line| {
    let path = source.path.as_str();
    let printers =
        ["bench/", "crates/decapod/", "oracle/", "xtask/"].iter().any(|folder| path.starts_with(folder));
    printers || path.ends_with("/build.rs") || path.contains("/examples/") || source.is_test(line)
};
/// In tests, and where the rule itself is written down.
const IN_TESTS_AND_HERE: fn(&Source, usize) -> bool =
    |source, line| source.path.starts_with("xtask/src/tidy") || source.is_test(line);

const UNFINISHED: &str = "finish it, refuse it by name, or say in docs/ROADMAP.md that it is missing";
const PRINTED: &str = "use tracing; only the binary prints";
const ABSOLUTE: &str = "use a relative path, or take it from an argument";

const BANS: [Ban; 17] = [
    Ban { text: "todo!", within: Within::Code, instead: UNFINISHED, allowed: NOWHERE },
    Ban { text: "unimplemented!", within: Within::Code, instead: UNFINISHED, allowed: NOWHERE },
    Ban { text: "TODO", within: Within::Comments, instead: UNFINISHED, allowed: NOWHERE },
    Ban { text: "FIXME", within: Within::Comments, instead: UNFINISHED, allowed: NOWHERE },
    Ban { text: "HACK", within: Within::Comments, instead: "say why it has to be so", allowed: NOWHERE },
    Ban { text: "XXX", within: Within::Comments, instead: "say what the matter is", allowed: NOWHERE },
    Ban { text: "dbg!", within: Within::Code, instead: "use tracing", allowed: NOWHERE },
    Ban {
        text: "#[ignore",
        within: Within::Code,
        instead: "let it run, delete it, or pin today's wrong answer and say that it is wrong",
        allowed: NOWHERE,
    },
    Ban {
        text: "thread::sleep",
        within: Within::Code,
        instead: "use tokio::time::sleep, or wait for the event itself",
        allowed: NOWHERE,
    },
    Ban {
        text: "let _ =",
        within: Within::Code,
        instead: "handle it, or say `.ok();` or `drop(…)` and why it may fail",
        allowed: IN_TESTS,
    },
    Ban { text: "println!", within: Within::Code, instead: PRINTED, allowed: WHERE_PRINTED },
    Ban { text: "print!", within: Within::Code, instead: PRINTED, allowed: WHERE_PRINTED },
    Ban { text: "eprintln!", within: Within::Code, instead: PRINTED, allowed: WHERE_PRINTED },
    Ban { text: "eprint!", within: Within::Code, instead: PRINTED, allowed: WHERE_PRINTED },
    Ban { text: "/work/", within: Within::Text, instead: ABSOLUTE, allowed: IN_TESTS_AND_HERE },
    Ban { text: "/root/", within: Within::Text, instead: ABSOLUTE, allowed: IN_TESTS_AND_HERE },
    Ban {
        text: "proxy.golang.org",
        within: Within::Text,
        instead: "leave the choice of a registry to the machine",
        allowed: IN_TESTS_AND_HERE,
    },
];

/// Files that a program writes, and what their first line has to say.
const GENERATED: [(&str, &str); 1] = [("crates/api/schema/facts.txt", "generated")];

/// What is wrong with a file.
pub fn problems(source: &Source) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut report = |line, what: String| found.push(Problem { path: source.path.clone(), line, what });
    if source.is_rust() && !source.text.starts_with("//!") {
        report(1, "no module documentation; begin with `//!` and say what is here".into());
    }
    if source.path.ends_with("src/lib.rs")
        && !is_unsafe(source)
        && !source.code.contains("#![forbid(unsafe_code)]")
    {
        report(1, "no `#![forbid(unsafe_code)]`; only crates/sys may do without".into());
    }
    for (path, word) in GENERATED {
        let first = source.text.lines().next().unwrap_or_default().to_lowercase();
        if source.path == path && !first.contains(word) {
            report(1, format!("a first line that says {word:?} is missing; run `cargo xtask schema`"));
        }
    }
    for ban in &BANS {
        for line in lines_with(source, ban) {
            if !(ban.allowed)(source, line) {
                report(line, format!("`{}`; {}", ban.text, ban.instead));
            }
        }
    }
    found
}

fn is_unsafe(source: &Source) -> bool {
    source.path.starts_with("crates/sys/")
}

/// The lines on which a banned text begins.
fn lines_with(source: &Source, ban: &Ban) -> Vec<usize> {
    let text = match ban.within {
        Within::Code => &source.code,
        Within::Comments => &source.comments,
        Within::Text => &source.text,
    };
    let bytes = text.as_bytes();
    let is_whole = |at: usize| {
        let (first, last) = (ban.text.as_bytes()[0], ban.text.as_bytes()[ban.text.len() - 1]);
        let left = at > 0 && is_word(first) && is_word(bytes[at - 1]);
        let right = is_word(last) && bytes.get(at + ban.text.len()).is_some_and(|byte| is_word(*byte));
        !left && !right
    };
    text.match_indices(ban.text).filter(|(at, _)| is_whole(*at)).map(|(at, _)| line_of(text, at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let problems = problems(&Source::new(path, text.to_owned()));
        problems.into_iter().map(|problem| (problem.line, problem.what)).collect()
    }

    #[test]
    fn each_banned_text_is_found_on_its_line() {
        for ban in &BANS {
            let text = match ban.within {
                Within::Comments => format!("//! Doc.\n// {} x\n", ban.text),
                _ => format!("//! Doc.\n{} x\n", ban.text),
            };
            let expected = [(2, format!("`{}`; {}", ban.text, ban.instead))];
            assert_eq!(found("crates/a/src/b.rs", &text), expected, "{}", ban.text);
        }
    }

    #[test]
    fn strings_other_words_and_tests_are_left_alone() {
        let clean = [
            "let s = \"todo!() FIXME\";",
            "my_dbg!();",
            "// XXXX and HACKS, and println!",
            "let _guard = lock();",
            "#[cfg(test)]\nmod tests {\n    fn f() { let _ = println!(\"/work/\"); }\n}",
        ];
        for text in clean {
            assert_eq!(found("crates/a/src/b.rs", &format!("//! Doc.\n{text}\n")), [], "{text}");
        }
        assert_eq!(found("crates/decapod/src/b.rs", "//! Doc.\nprintln!();\n"), []);
    }

    #[test]
    fn the_head_of_a_file_is_looked_at() {
        assert_eq!(found("crates/a/src/b.rs", "\n//! Doc.\n").len(), 1);
        assert_eq!(found("crates/a/src/lib.rs", "//! Doc.\n").len(), 1);
        assert_eq!(found("crates/a/src/lib.rs", "//! Doc.\n// #![forbid(unsafe_code)]\n").len(), 1);
        assert_eq!(found("crates/a/src/lib.rs", "//! Doc.\n#![forbid(unsafe_code)]\n"), []);
        assert_eq!(found("crates/sys/src/lib.rs", "//! Doc.\n"), []);
        assert_eq!(found("crates/api/schema/facts.txt", "a|b\n").len(), 1);
    }
}
