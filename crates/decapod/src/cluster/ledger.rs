//! What was changed about the machine, kept in the folder of the cluster that changed it.

use decapod_network::Ledger;

use super::{Error, Paths};

/// What is written down; nothing where nothing was changed.
pub fn read(paths: &Paths) -> Result<Ledger, Error> {
    match std::fs::read(paths.ledger()) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(paths, error.into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Ledger::default()),
        Err(error) => Err(failed(paths, error)),
    }
}

/// Writes down, beside what is, what will be changed.
pub fn add(paths: &Paths, later: Ledger) -> Result<(), Error> {
    let mut ledger = read(paths)?;
    ledger.merge(later);
    let text = serde_json::to_vec_pretty(&ledger).map_err(|error| failed(paths, error.into()))?;
    std::fs::write(paths.ledger(), text).map_err(|error| failed(paths, error))
}

fn failed(paths: &Paths, source: std::io::Error) -> Error {
    Error::File { path: paths.ledger(), source }
}
