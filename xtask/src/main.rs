//! Chores of the repository, one module a subcommand: `cargo xtask schema [--check] | testdata | tidy [--update [--grow]]`.

mod schema;
mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["schema"] => schema::write(),
        ["schema", "--check"] => schema::check(),
        ["testdata"] => schema::testdata(),
        ["tidy"] => tidy::check(),
        ["tidy", "--update"] => tidy::update(false),
        ["tidy", "--update", "--grow"] => tidy::update(true),
        _ => Err("usage: cargo xtask schema [--check] | testdata | tidy [--update [--grow]]".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
