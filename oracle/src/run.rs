//! Runs the cases of a subject over all processors, and makes a failing one small.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::pipe::{Oracle, Parts, PipeError};
use crate::random::Random;

/// Something that both sides do, to be compared.
pub trait Subject: Sync {
    /// What a case is made of.
    type Input: Send;

    /// What it is called on the command line.
    fn name(&self) -> &'static str;

    /// The input of the case with this number.
    fn generate(&self, case: u64, random: &mut Random) -> Self::Input;

    /// What to ask the Go program about it.
    fn questions(&self, input: &Self::Input) -> Vec<Parts>;

    /// What differs between its answers and what our code makes of the input, if anything.
    fn difference(&self, input: &Self::Input, answers: &[Parts]) -> Option<String>;

    /// Inputs that are a bit smaller than this one.
    fn smaller(&self, input: &Self::Input) -> Vec<Self::Input>;

    /// The input as a person reads it.
    fn show(&self, input: &Self::Input) -> String;

    /// What to print beside the number of cases at the end.
    fn summary(&self) -> String {
        String::new()
    }
}

/// Which cases to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What all chance comes from.
    pub seed: u64,
    /// The numbers of the cases.
    pub cases: std::ops::Range<u64>,
    /// After how many failing cases to stop.
    pub failures_max: usize,
}

/// A case whose two sides differ.
#[derive(Debug)]
pub struct Failure {
    /// Its number.
    pub case: u64,
    /// The smallest input found that differs too.
    pub input: String,
    /// What differs.
    pub difference: String,
}

/// Questions of this many cases go over the pipe together.
const BATCH: u64 = 64;
/// How many steps of making smaller are tried.
const STEPS_MAX: usize = 300;
/// How often a long run says how far it is.
const PROGRESS_PARTS: u64 = 20;
/// Runs shorter than this say nothing.
const PROGRESS_CASES_MIN: u64 = 100_000;

/// Runs `plan` and returns the cases that failed.
pub fn run<S: Subject>(subject: &S, plan: &Plan) -> Result<Vec<Failure>, PipeError> {
    let next = AtomicU64::new(plan.cases.start);
    let done = AtomicBool::new(false);
    let failed: Mutex<BTreeSet<u64>> = Mutex::default();
    let workers = thread::available_parallelism().map_or(2, usize::from) + 1;
    let work = || -> Result<(), PipeError> {
        let mut oracle = Oracle::start()?;
        while !done.load(Ordering::Relaxed) {
            let start = next.fetch_add(BATCH, Ordering::Relaxed);
            if start >= plan.cases.end {
                break;
            }
            progress(subject, plan, start);
            let cases = start..(start + BATCH).min(plan.cases.end);
            let found = differing(subject, plan.seed, cases, &mut oracle)?;
            let mut failed = failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            failed.extend(found);
            if failed.len() >= plan.failures_max {
                done.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut ended = handles.into_iter().map(|handle| handle.join());
        ended.try_for_each(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let failed = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut oracle = Oracle::start()?;
    failed
        .into_iter()
        .take(plan.failures_max)
        .map(|case| minimal(subject, plan.seed, case, &mut oracle))
        .collect()
}

fn progress<S: Subject>(subject: &S, plan: &Plan, at: u64) {
    let count = plan.cases.end - plan.cases.start;
    let (part, past) = (count / PROGRESS_PARTS, at - plan.cases.start);
    if count >= PROGRESS_CASES_MIN && past % part < BATCH && past >= part {
        eprintln!("{}: {past} of {count}", subject.name());
    }
}

/// The cases of a batch that differ.
fn differing<S: Subject>(
    subject: &S,
    seed: u64,
    cases: std::ops::Range<u64>,
    oracle: &mut Oracle,
) -> Result<Vec<u64>, PipeError> {
    let inputs: Vec<S::Input> =
        cases.clone().map(|case| subject.generate(case, &mut Random::of(seed, case))).collect();
    let differences = compare(subject, &inputs, oracle)?;
    Ok(cases.zip(differences).filter(|(_, difference)| difference.is_some()).map(|(case, _)| case).collect())
}

/// What differs in each of `inputs`.
fn compare<S: Subject>(
    subject: &S,
    inputs: &[S::Input],
    oracle: &mut Oracle,
) -> Result<Vec<Option<String>>, PipeError> {
    let questions: Vec<Vec<Parts>> = inputs.iter().map(|input| subject.questions(input)).collect();
    let mut answers = oracle.ask(&questions.concat())?.into_iter();
    let each = inputs.iter().zip(&questions).map(|(input, questions)| {
        let answers: Vec<Parts> = answers.by_ref().take(questions.len()).collect();
        subject.difference(input, &answers)
    });
    Ok(each.collect())
}

/// The first of `inputs` that differs, and how.
fn first_differing<S: Subject>(
    subject: &S,
    inputs: Vec<S::Input>,
    oracle: &mut Oracle,
) -> Result<Option<(S::Input, String)>, PipeError> {
    let mut inputs = inputs.into_iter();
    loop {
        let some: Vec<S::Input> = inputs.by_ref().take(BATCH as usize).collect();
        if some.is_empty() {
            return Ok(None);
        }
        let differences = compare(subject, &some, oracle)?;
        let found =
            some.into_iter().zip(differences).find_map(|(input, difference)| Some((input, difference?)));
        if found.is_some() {
            return Ok(found);
        }
    }
}

/// The smallest input that differs and comes of this case by leaving things out.
fn minimal<S: Subject>(subject: &S, seed: u64, case: u64, oracle: &mut Oracle) -> Result<Failure, PipeError> {
    let mut input = subject.generate(case, &mut Random::of(seed, case));
    let first = compare(subject, std::slice::from_ref(&input), oracle)?.pop().flatten();
    let mut difference = first.unwrap_or_else(|| "it does not differ when it is run again".to_owned());
    for _ in 0..STEPS_MAX {
        match first_differing(subject, subject.smaller(&input), oracle)? {
            Some(smaller) => (input, difference) = smaller,
            None => break,
        }
    }
    Ok(Failure { case, input: subject.show(&input), difference })
}
