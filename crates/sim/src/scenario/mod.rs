//! A cluster told what to do in lines of text.
//!
//! ```text
//! nodes 50                              simulated nodes n1, n2, …; once
//! apply                                 creates or changes the objects in the indented YAML that follows
//! patch deployments web {"spec": …}     a merge patch
//! delete deployments web
//! tick 5s                               time passes
//! wait 60s 20 pods app=web ready        time passes until it holds, at most so much
//! expect >=15 pods app=web ready        it holds now
//! always <=25 pods app=web              it holds at every change of a pod from now on; of ReplicaSets, too
//! kill server | cut power | start server
//! kill server after each write | let server live
//! kill node n3 | start node n3
//! show all                              deployments, replicasets, pods, nodes or all
//! > deployment web: …                   what is shown; `DECAPOD_SIM_REWRITE=1` writes it anew
//! ```
//! What a condition may say stands at [`Condition::parse`]. Lines that begin with `#` are for people. Whatever is in
//! the default namespace is all that scenarios name.

mod apply;
mod show;

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::monitor::Condition;

/// A scenario that has been read.
#[derive(Clone, Debug)]
pub struct Scenario {
    lines: Vec<Line>,
}

/// What a run of a scenario came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The scenario with what was shown in this run.
    pub text: String,
    /// What was not as it should be, and on which line.
    pub failure: Option<String>,
    /// A number that two runs of a seed have in common.
    pub trace: u64,
    /// How much happened.
    pub events: u64,
    /// How many writes succeeded.
    pub writes: u64,
    /// How many lives the API server had.
    pub lives: u64,
}

/// A line with what belongs to it.
#[derive(Clone, Debug)]
struct Line {
    number: usize,
    text: String,
    /// The indented lines below it.
    block: Vec<String>,
    /// What it is to show.
    expected: Vec<String>,
}

/// How often it is looked whether what is waited for has come.
const LOOK_EVERY: Duration = Duration::from_millis(100);

// === impl Scenario ===

impl Scenario {
    /// Reads a scenario.
    pub fn parse(text: &str) -> Scenario {
        let mut lines: Vec<Line> = Vec::new();
        for (at, text) in text.lines().enumerate() {
            let above = lines.last_mut();
            match (above, text) {
                (Some(above), text) if text.starts_with("> ") => above.expected.push(text[2..].to_owned()),
                (Some(above), text) if text.starts_with("  ") => above.block.push(text.to_owned()),
                (_, text) => lines.push(Line {
                    number: at + 1,
                    text: text.to_owned(),
                    block: Vec::new(),
                    expected: Vec::new(),
                }),
            }
        }
        Scenario { lines }
    }

    /// The same without the lines that begin with `prefix`.
    pub fn without(mut self, prefix: &str) -> Scenario {
        self.lines.retain(|line| !line.text.starts_with(prefix));
        self
    }

    /// Runs it from `seed` on a thread of its own time; with the lines of its trace if `keep`.
    pub fn run(&self, seed: u64, keep: bool) -> (Outcome, Vec<String>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime of one thread without IO needs nothing of the machine");
        runtime.block_on(self.play(seed, keep))
    }

    async fn play(&self, seed: u64, keep: bool) -> (Outcome, Vec<String>) {
        let mut outcome =
            Outcome { text: String::new(), failure: None, trace: 0, events: 0, writes: 0, lives: 0 };
        let mut cluster = match Cluster::start(seed, keep).await {
            Ok(cluster) => cluster,
            Err(error) => return (Outcome { failure: Some(error.to_string()), ..outcome }, Vec::new()),
        };
        let mut has_ended = false;
        for line in &self.lines {
            if has_ended {
                outcome.text += &line.with(&line.expected);
                continue;
            }
            let done = line.run(&mut cluster).await;
            outcome.text += &line.with(done.as_deref().unwrap_or(&line.expected));
            let failure = match (cluster.failure(), done) {
                (Some(failure), _) => Some(failure),
                (None, Err(why)) => Some(why),
                (None, Ok(shown)) if shown != line.expected => {
                    Some(format!("expected\n{}\ngot\n{}", line.expected.join("\n"), shown.join("\n")))
                }
                (None, Ok(_)) => None,
            };
            if let Some(why) = failure {
                let why = format!("line {}, {}: {why}", line.number, line.text);
                outcome.failure.get_or_insert(why);
                // What is shown may be wrong everywhere, and is written anew all at once.
                has_ended = !line.text.starts_with("show");
            }
        }
        (outcome.writes, outcome.lives) = cluster.writes_and_lives();
        if outcome.failure.is_some()
            && let Ok(state) = show::show(&cluster, "all").await
            && let Some(failure) = &mut outcome.failure
        {
            failure.push_str("\nthe cluster at the end:\n");
            failure.push_str(&state.join("\n"));
        }
        let (trace, events) = cluster.sum();
        (outcome.trace, outcome.events) = (trace ^ cluster.disk_trace(), events);
        let lines = cluster.stop().await;
        (outcome, lines)
    }
}

// === impl Line ===

impl Line {
    /// The line, what belongs to it, and what it shows.
    fn with(&self, shown: &[String]) -> String {
        let shown = shown.iter().map(|line| format!("> {line}"));
        let all = std::iter::once(self.text.clone()).chain(self.block.iter().cloned()).chain(shown);
        all.map(|line| line + "\n").collect()
    }

    /// The block without its indentation.
    fn yaml(&self) -> String {
        self.block.iter().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect()
    }

    /// Does what it says; what it shows.
    async fn run(&self, cluster: &mut Cluster) -> Result<Vec<String>, String> {
        let words: Vec<&str> = self.text.split_whitespace().collect();
        let rest = |skip: usize| words.get(skip..).unwrap_or_default().join(" ");
        match words.as_slice() {
            [] => {}
            [first, ..] if first.starts_with('#') => {}
            ["nodes", count] => {
                cluster.add_nodes(count.parse().map_err(|_| format!("{count:?} is no count"))?).await;
            }
            ["apply"] => apply::apply(cluster, &self.yaml()).await?,
            ["patch", plural, name, ..] => apply::patch(cluster, plural, name, &rest(3)).await?,
            ["delete", plural, name] => apply::delete(cluster, plural, name).await?,
            ["tick", time] => tick(cluster, duration(time)?).await,
            ["wait", time, ..] => {
                wait(cluster, duration(time)?, &Condition::parse(&rest(2))?).await?;
            }
            ["expect", ..] => check(cluster, &Condition::parse(&rest(1))?).await?,
            ["always", ..] => cluster.always(Condition::parse(&rest(1))?)?,
            ["kill", "server"] => cluster.kill_server(false).await,
            ["cut", "power"] => cluster.kill_server(true).await,
            ["start", "server"] => cluster.start_server().await.map_err(|error| error.to_string())?,
            ["kill", "server", "after", "each", "write"] => cluster.kill_after_each_write(true),
            ["let", "server", "live"] => cluster.kill_after_each_write(false),
            ["kill", "node", name] => turn(cluster, name, false)?,
            ["start", "node", name] => turn(cluster, name, true)?,
            ["show", what] => return show::show(cluster, what).await,
            _ => return Err("nobody knows what this means".to_owned()),
        }
        Ok(Vec::new())
    }
}

/// Lets time pass, until something is wrong.
async fn tick(cluster: &Cluster, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until && cluster.failure().is_none() {
        tokio::time::sleep_until(until.min(Instant::now() + Duration::from_secs(1))).await;
    }
}

async fn wait(cluster: &Cluster, most: Duration, condition: &Condition) -> Result<(), String> {
    let until = Instant::now() + most;
    loop {
        match check(cluster, condition).await {
            Err(why) if Instant::now() >= until => return Err(why),
            Err(_) if cluster.failure().is_none() => tokio::time::sleep(LOOK_EVERY).await,
            _ => return Ok(()),
        }
    }
}

async fn check(cluster: &Cluster, condition: &Condition) -> Result<(), String> {
    let resource = apply::resource(&condition.resource)?;
    let objects = cluster.objects(resource.preferred()).await.ok_or("the server is down")?;
    condition.check(objects.iter())
}

fn turn(cluster: &Cluster, name: &str, on: bool) -> Result<(), String> {
    let nodes = cluster.nodes().ok_or("there are no nodes")?;
    let is_there = if on { nodes.turn_on(name) } else { nodes.turn_off(name) };
    if is_there { Ok(()) } else { Err(format!("there is no node {name}")) }
}

/// `5s`, `250ms` or `10m`.
fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000)];
    let read = |(unit, ms): (&str, u64)| Some(ms * text.strip_suffix(unit)?.parse::<u64>().ok()?);
    let ms = units.into_iter().find_map(read);
    ms.map(Duration::from_millis).ok_or_else(|| format!("{text:?} is no time such as 5s"))
}
