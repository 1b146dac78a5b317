//! `cargo xtask tidy` holds every file to the rules of the house that neither the compiler nor clippy knows.
//!
//! Each problem is printed as `path:line: what; instead`. Files and functions that were too long before are listed in
//! `xtask/tidy-exceptions.txt`, with the length that they may not exceed: the list only shrinks. `--update` writes
//! down what has become shorter; `--update --grow` also what has become longer, for a reviewer to see.

mod exceptions;
mod rules;
mod source;

use std::path::{Path, PathBuf};
use std::process::Command;

use exceptions::Exceptions;
use source::Source;

/// The longest that a file may be, in lines.
const FILE_LINES_MAX: usize = 800;
/// The longest that a function outside tests may be, in lines.
const FUNCTION_LINES_MAX: usize = 70;

/// Something that is not as it should be.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    /// The file, from the root of the repository.
    path: String,
    /// The line, from 1.
    line: usize,
    /// What, and what to do instead.
    what: String,
}

/// Something that is too long.
#[derive(Debug, PartialEq, Eq)]
struct Excess {
    /// `path`, or `path function`.
    key: String,
    /// Its first line, from 1.
    line: usize,
    /// In lines.
    length: usize,
    /// What it may be at most.
    limit: usize,
}

/// Fails if anything is untidy.
pub fn check() -> Result<(), String> {
    let root = root();
    let files = files(&root)?;
    let exceptions = Exceptions::read(&root.join(exceptions::FILE))?;
    let mut problems: Vec<Problem> = files.iter().flat_map(rules::problems).collect();
    problems.extend(exceptions.problems(&excesses(&files)));
    problems.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for problem in &problems {
        println!("{}:{}: {}", problem.path, problem.line, problem.what);
    }
    match problems.len() {
        0 => Ok(()),
        count => Err(format!("{count} problems in {} files looked at", files.len())),
    }
}

/// Writes the list of exceptions anew: shorter, or as it has to be if it may `grow`.
pub fn update(grow: bool) -> Result<(), String> {
    let root = root();
    let path = root.join(exceptions::FILE);
    let now = excesses(&files(&root)?);
    Exceptions::read(&path)?.updated(&now, grow).write(&path)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files of the repository that are text and not ignored.
fn files(root: &Path) -> Result<Vec<Source>, String> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "-co", "--exclude-standard"]).current_dir(root);
    let output = git.output().map_err(|error| format!("cannot run git: {error}"))?;
    if !output.status.success() {
        return Err(format!("git ls-files: {}", output.status));
    }
    let names = String::from_utf8_lossy(&output.stdout);
    let mut names: Vec<&str> = names.split('\0').filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    // What is deleted but not committed, or no text, has nothing to be looked at.
    let read =
        |name: &&str| std::fs::read_to_string(root.join(name)).ok().map(|text| Source::new(name, text));
    Ok(names.iter().filter_map(read).collect())
}

/// What is longer than it may be.
fn excesses(files: &[Source]) -> Vec<Excess> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let length = file.text.lines().count();
        if length > FILE_LINES_MAX {
            found.push(Excess { key: file.path.clone(), line: 1, length, limit: FILE_LINES_MAX });
        }
        for function in file.functions() {
            if function.lines > FUNCTION_LINES_MAX && !file.is_test(function.line) {
                found.push(Excess {
                    key: format!("{} {}", file.path, function.name),
                    line: function.line,
                    length: function.lines,
                    limit: FUNCTION_LINES_MAX,
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_functions_count_outside_tests_only() {
        let body = "    step();\n".repeat(FUNCTION_LINES_MAX);
        let text = format!(
            "//! Doc.\nfn long() {{\n{body}}}\n#[cfg(test)]\nmod tests {{\nfn also() {{\n{body}}}\n}}\n"
        );
        let found = excesses(&[Source::new("crates/a/src/b.rs", text.clone())]);
        let expected = Excess { key: "crates/a/src/b.rs long".into(), line: 2, length: 72, limit: 70 };
        assert_eq!(found, [expected]);
        assert!(excesses(&[Source::new("crates/a/tests/b.rs", text)]).is_empty());
    }

    #[test]
    fn long_files_count_everywhere() {
        let text = "//! Doc.\n".repeat(FILE_LINES_MAX + 1);
        assert_eq!(excesses(&[Source::new("crates/a/tests/b.rs", text)]).len(), 1);
    }
}
