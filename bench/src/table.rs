//! The figures of both sides together: smallest, median and largest of each, and the ratio of the medians.

use crate::Error;
use crate::args;
use crate::results::{self, Figure, short};

/// Our side's name; every other side is a peer.
const OURS: &str = "decapod";

/// What stands in one line.
#[derive(Debug, PartialEq)]
struct Line {
    row: String,
    metric: String,
    unit: String,
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

/// Prints the table of the figures in `args`' files.
pub fn run(args: &args::Table) -> Result<(), Error> {
    let mut figures = Vec::new();
    for file in &args.files {
        figures.extend(results::read(file)?);
    }
    let lines = lines(&figures);
    if args.markdown {
        println!("| row | figure | unit | Decapod | upstream | ratio |\n|---|---|---|---|---|---|");
    } else {
        println!(
            "{:<32} {:<22} {:>8}   {:^29}   {:^29}   ratio",
            "row", "figure", "unit", "decapod min/median/max", "upstream min/median/max"
        );
    }
    let mut last = "";
    for line in &lines {
        let (ours, theirs) = (spread(&line.ours), spread(&line.theirs));
        let ratio = ratio(line).map_or_else(String::new, |ratio| format!("{}×", short(ratio)));
        let Line { row, metric, unit, .. } = line;
        if args.markdown {
            println!("| {row} | {metric} | {unit} | {ours} | {theirs} | {ratio} |");
        } else {
            let shown = if row == last { "" } else { row };
            println!("{shown:<32} {metric:<22} {unit:>8}   {ours:^29}   {theirs:^29}   {ratio:>7}");
        }
        last = row;
    }
    Ok(())
}

/// A line for each row and metric, in the order in which they came first.
fn lines(figures: &[Figure]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for Figure { side, row, metric, unit, value } in figures {
        let at = lines.iter().position(|line| line.row == *row && line.metric == *metric);
        let at = at.unwrap_or_else(|| {
            let line = Line {
                row: row.clone(),
                metric: metric.clone(),
                unit: unit.clone(),
                ours: vec![],
                theirs: vec![],
            };
            // Beside the other metrics of its row.
            let end = lines.iter().rposition(|line| line.row == *row).map_or(lines.len(), |last| last + 1);
            lines.insert(end, line);
            end
        });
        if side == OURS { lines[at].ours.push(*value) } else { lines[at].theirs.push(*value) }
    }
    lines
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

fn median(values: &[f64]) -> Option<f64> {
    let values = sorted(values);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some((low + high) / 2.0)
}

fn spread(values: &[f64]) -> String {
    match (sorted(values).as_slice(), median(values)) {
        ([], _) | (_, None) => "–".to_owned(),
        ([only], _) => short(*only),
        ([first, .., last], Some(median)) => {
            format!("{} / {} / {}", short(*first), short(median), short(*last))
        }
    }
}

/// How many times better ours is: more of what is counted by the second, less of everything else.
fn ratio(line: &Line) -> Option<f64> {
    let (ours, theirs) = (median(&line.ours)?, median(&line.theirs)?);
    let more_is_better = line.unit.ends_with("/s");
    let (good, base) = if more_is_better { (ours, theirs) } else { (theirs, ours) };
    (base > 0.0).then(|| good / base)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(side: &str, row: &str, unit: &str, value: f64) -> Figure {
        Figure { side: side.into(), row: row.into(), metric: "m".into(), unit: unit.into(), value }
    }

    #[test]
    fn sides_meet_in_lines_and_ratios_say_how_much_better_ours_is() {
        let figures = [
            figure(OURS, "get", "1/s", 10.0),
            figure("upstream", "get", "1/s", 4.0),
            figure("upstream", "get", "1/s", 6.0),
            figure(OURS, "cost", "us", 10.0),
            figure("upstream", "cost", "us", 50.0),
            figure(OURS, "alone", "us", 1.0),
        ];
        let lines = lines(&figures);
        let shown: Vec<_> =
            lines.iter().map(|line| (&*line.row, spread(&line.theirs), ratio(line))).collect();
        assert_eq!(shown[0], ("get", "4.00 / 5.00 / 6.00".into(), Some(2.0)));
        assert_eq!(shown[1], ("cost", "50.0".into(), Some(5.0)));
        assert_eq!(shown[2], ("alone", "–".into(), None));
    }
}
