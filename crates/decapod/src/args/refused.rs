//! What is not understood, said in one line.

use clap::error::{Error, ErrorKind};
use clap::{Command, CommandFactory};

use super::Args;

/// What to print for `error` instead of its several lines, unless it is the help or the version that was asked for.
/// `words` are what was given, without the program's name.
pub fn one_line(error: &Error, words: impl Iterator<Item = String>) -> Option<String> {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    if matches!(error.kind(), DisplayHelp | DisplayHelpOnMissingArgumentOrSubcommand | DisplayVersion) {
        return None;
    }
    let text = error.to_string();
    let mut parts = text.split("\n\n");
    let join = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
    let what = join(parts.next()?.trim_start_matches("error: "));
    let tip = parts.find_map(|part| part.trim_start().strip_prefix("tip: "));
    let tip = tip.map(|tip| format!(" ({})", join(tip.lines().next().unwrap_or_default())));
    Some(format!("{what}{}; see {} --help", tip.unwrap_or_default(), path(&Args::command(), words)))
}

/// The innermost command that is named.
fn path(program: &Command, words: impl Iterator<Item = String>) -> String {
    let (mut command, mut path) = (program, program.get_name().to_owned());
    for inner in words {
        if let Some(found) = command.find_subcommand(&inner) {
            command = found;
            path = format!("{path} {}", found.get_name());
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn what_is_not_understood_is_one_line_that_says_where_to_look() {
        let said = |line: &str| {
            let words = || line.split_whitespace().map(str::to_owned);
            let parsed = Args::try_parse_from(std::iter::once("decapod".to_owned()).chain(words()));
            one_line(&parsed.err().expect("refused"), words())
        };
        for (line, expected) in [
            ("up --qqq", "unexpected argument '--qqq' found; see decapod up --help"),
            (
                "up --node-nam x",
                "unexpected argument '--node-nam' found (a similar argument exists: '--node-name'); see decapod up --help",
            ),
            ("upp", "unrecognized subcommand 'upp' (a similar subcommand exists: 'up'); see decapod --help"),
            ("token frobnicate", "unrecognized subcommand 'frobnicate'; see decapod token --help"),
            (
                "scheduler",
                "the following required arguments were not provided: --kubeconfig <FILE>; see decapod scheduler --help",
            ),
            (
                "up --port 99999",
                "invalid value '99999' for '--port <PORT>': 99999 is not in 0..=65535; see decapod up --help",
            ),
        ] {
            assert_eq!(said(line).as_deref(), Some(expected));
        }
        assert_eq!(said("up --help"), None);
        assert_eq!(said("--version"), None);
    }
}
