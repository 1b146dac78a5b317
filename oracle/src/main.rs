//! `decapod-oracle SUBJECT [--seed N] [--count N] [--case N] [--failures N]`: holds the api crate against upstream's Go code.

use std::path::Path;
use std::process::ExitCode;

use decapod_oracle::codec::Codec;
use decapod_oracle::managed::Applies;
use decapod_oracle::patch::Patches;
use decapod_oracle::quantity::Quantities;
use decapod_oracle::run::{Plan, Subject, run};
use decapod_oracle::samples;
use decapod_oracle::security::Fixtures;
use decapod_oracle::selector::Selectors;

const USAGE: &str = "usage: decapod-oracle SUBJECT [--seed N] [--count N] [--case N] [--failures N]

Subjects: codec, managed, patch, pod-security, quantity, selector, samples.
  --seed N      what all chance comes from (1)
  --count N     how many cases (20000)
  --case N      only this case
  --failures N  after how many differences to stop (5)

DECAPOD_ORACLE is the Go program, which `conformance/upstream/build.sh oracle` builds and prints;
DECAPOD_API_TESTDATA the folder of upstream's samples, which `cargo xtask testdata` prints;
DECAPOD_POD_SECURITY_TESTDATA test/testdata of the Go module k8s.io/pod-security-admission.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("decapod-oracle: {why}");
            ExitCode::from(2)
        }
    }
}

/// Whether both sides agree.
fn dispatch(arguments: &[String]) -> Result<bool, String> {
    let (subject, options) = arguments.split_first().ok_or(USAGE)?;
    let plan = plan(options)?;
    match subject.as_str() {
        "codec" => compare(&Codec::new(), &plan),
        "managed" => compare(&Applies::new(), &plan),
        "patch" => compare(&Patches::new(), &plan),
        "pod-security" => {
            let folder = std::env::var_os("DECAPOD_POD_SECURITY_TESTDATA").ok_or(
                "DECAPOD_POD_SECURITY_TESTDATA is not set: it is test/testdata of the Go module k8s.io/pod-security-admission",
            )?;
            let fixtures = Fixtures::read(Path::new(&folder))?;
            let report = fixtures.check();
            report.problems.iter().for_each(|problem| println!("pod-security: {problem}"));
            let (count, failing, wrong) = (report.fixtures, report.failing, report.problems.len());
            println!("pod-security: {count} fixtures, {failing} of them failing, {wrong} judged otherwise");
            Ok(compare(&fixtures, &plan)? && report.problems.is_empty())
        }
        "quantity" => compare(&Quantities, &plan),
        "selector" => compare(&Selectors, &plan),
        "samples" => {
            let folder = std::env::var_os("DECAPOD_API_TESTDATA").ok_or(
                "DECAPOD_API_TESTDATA is not set: it is the folder of upstream's samples, which `cargo xtask testdata` prints",
            )?;
            let report = samples::check(Path::new(&folder));
            report.problems.iter().for_each(|problem| println!("samples: {problem}"));
            println!("samples: {} read, {} of served kinds", report.samples, report.served);
            Ok(report.problems.is_empty() && report.served > 0)
        }
        _ => Err(USAGE.to_owned()),
    }
}

fn plan(options: &[String]) -> Result<Plan, String> {
    let mut plan = Plan { seed: 1, cases: 0..20_000, failures_max: 5 };
    for pair in options.chunks(2) {
        let [name, value] = pair else { return Err(USAGE.to_owned()) };
        let number: u64 = value.parse().map_err(|_| format!("{name} wants a number, not {value:?}"))?;
        match name.as_str() {
            "--seed" => plan.seed = number,
            "--count" => plan.cases = 0..number,
            "--case" => plan.cases = number..number + 1,
            "--failures" => plan.failures_max = number.max(1) as usize,
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(plan)
}

fn compare<S: Subject>(subject: &S, plan: &Plan) -> Result<bool, String> {
    let failures = run(subject, plan).map_err(|error| error.to_string())?;
    let (name, seed) = (subject.name(), plan.seed);
    for failure in &failures {
        println!("{name}: case {} of seed {seed} differs: {}", failure.case, failure.difference);
        println!("  smallest: {}", failure.input);
        println!("  again:    decapod-oracle {name} --seed {seed} --case {}", failure.case);
    }
    let count = plan.cases.end - plan.cases.start;
    println!("{name}: {count} cases of seed {seed}, {} differences; {}", failures.len(), subject.summary());
    Ok(failures.is_empty())
}
