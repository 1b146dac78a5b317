//! Figures, a line each: side, row, metric, unit, value.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::args::Place;

/// Where figures go.
pub struct Results {
    side: String,
    path: PathBuf,
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Whose.
    pub side: String,
    /// Of what.
    pub row: String,
    /// Which.
    pub metric: String,
    /// In what.
    pub unit: String,
    /// How much.
    pub value: f64,
}

// === impl Results ===

impl Results {
    /// Figures of `place`'s side into its file.
    pub fn new(place: &Place) -> Results {
        Results { side: place.side.clone(), path: place.results.clone() }
    }

    /// Adds a figure.
    pub fn add(&self, row: &str, metric: &str, unit: &str, value: f64) -> Result<(), Error> {
        let failed = |source| Error::File { path: self.path.display().to_string(), source };
        let line = format!("{}\t{row}\t{metric}\t{unit}\t{value}\n", self.side);
        let mut file =
            std::fs::OpenOptions::new().create(true).append(true).open(&self.path).map_err(failed)?;
        file.write_all(line.as_bytes()).map_err(failed)?;
        eprintln!("  {:<9} {row:<32} {metric:<22} {:>12} {unit}", self.side, short(value));
        Ok(())
    }
}

/// All figures of a file, in its order.
pub fn read(path: &Path) -> Result<Vec<Figure>, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::File { path: path.display().to_string(), source })?;
    let figure = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [side, row, metric, unit, value] = fields.as_slice() else { return None };
        Some(Figure {
            side: (*side).to_owned(),
            row: (*row).to_owned(),
            metric: (*metric).to_owned(),
            unit: (*unit).to_owned(),
            value: value.parse().ok()?,
        })
    };
    Ok(text.lines().filter_map(figure).collect())
}

/// A number with as many digits as matter.
pub fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => {
            let digits = format!("{value:.0}");
            let (sign, digits) = digits.strip_prefix('-').map_or(("", &*digits), |rest| ("-", rest));
            let groups: Vec<&str> = digits
                .as_bytes()
                .rchunks(3)
                .rev()
                .map(|group| std::str::from_utf8(group).unwrap_or_default())
                .collect();
            format!("{sign}{}", groups.join(","))
        }
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_have_the_digits_that_matter() {
        let cases =
            [(1234567.8, "1,234,568"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (0.0123, "0.012")];
        for (value, text) in cases {
            assert_eq!(super::short(value), text);
        }
    }
}
