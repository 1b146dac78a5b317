//! Scenarios from many seeds, each twice:
//! `cargo run --profile seeds -p decapod-sim --example sim_seeds -- [--seeds 1000] [--first 0] [--trace FILE] [SCENARIO …]`.
//! Without names, all scenarios. With `--trace`, one run of the first seed, and every request of it written down. Progress is shown; the first seed that finds something ends it, with what replays it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use decapod_sim::scenario::Scenario;
use decapod_sim::seeds;

struct Args {
    seeds: u64,
    first: u64,
    trace: Option<PathBuf>,
    names: Vec<String>,
}

fn main() -> ExitCode {
    let result = args().and_then(|args| args.names.iter().try_for_each(|name| run(name, &args)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("\n{why}");
            ExitCode::FAILURE
        }
    }
}

fn args() -> Result<Args, String> {
    let mut args = Args { seeds: 1000, first: 0, trace: None, names: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number =
            || words.next().and_then(|text| text.parse().ok()).ok_or(format!("{word} needs a number"));
        match word.as_str() {
            "--seeds" => args.seeds = number()?,
            "--first" => args.first = number()?,
            "--trace" => args.trace = Some(words.next().ok_or("--trace needs a file")?.into()),
            name => args.names.push(name.to_owned()),
        }
    }
    if args.names.is_empty() {
        let dir = std::fs::read_dir(dir()).map_err(|error| error.to_string())?;
        let files = dir.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()));
        args.names = files.collect();
        args.names.sort();
    }
    Ok(args)
}

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn run(name: &str, args: &Args) -> Result<(), String> {
    let path = dir().join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let scenario = Scenario::parse(&text);
    if let Some(file) = &args.trace {
        let (outcome, lines) = scenario.run(args.first, true);
        std::fs::write(file, lines.join("\n")).map_err(|error| format!("{}: {error}", file.display()))?;
        return outcome.failure.map_or(Ok(()), Err);
    }
    let (mut events, mut writes, mut lives) = (0, 0, 0);
    let began = tokio::time::Instant::now();
    for (at, seed) in (args.first..args.first + args.seeds).enumerate() {
        let outcome = seeds::check(&scenario, seed).map_err(|found| format!("{name}: {found}"))?;
        events += outcome.events;
        writes += outcome.writes;
        lives += outcome.lives;
        let (done, elapsed) = (at as u64 + 1, began.elapsed().as_secs());
        let left = elapsed * (args.seeds - done) / done;
        print!("\r{name}: {done} of {} seeds, {elapsed} s, about {left} s left ", args.seeds);
        std::io::stdout().flush().map_err(|error| error.to_string())?;
    }
    let (seeds, elapsed) = (args.seeds, began.elapsed().as_secs());
    println!(
        "\r{name}: {seeds} seeds, each twice with equal traces: {events} events, {writes} writes, {lives} lives of the server, {elapsed} s"
    );
    Ok(())
}
