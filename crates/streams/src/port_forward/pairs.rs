//! Which data stream belongs to which error stream: those with the same request id.

use std::collections::BTreeMap;

use tokio::time::Instant;

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Data,
    Error,
}

/// Streams `S` that wait for their other half.
pub(super) struct Pairs<S> {
    waiting: BTreeMap<String, Half<S>>,
}

struct Half<S> {
    kind: Kind,
    stream: S,
    port: u16,
    deadline: Instant,
}

/// A pair: the port is the data stream's, as upstream reads it.
#[derive(Debug, PartialEq)]
pub(super) struct Pair<S> {
    pub port: u16,
    pub data: S,
    pub error: S,
}

/// Why a stream is refused, in upstream's words.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("{0:?} header is required")]
    Missing(&'static str),
    #[error("unable to parse {0:?} as a port")]
    NotAPort(String),
    #[error("port {0:?} must be > 0")]
    PortZero(String),
    #[error("invalid stream type {0:?}")]
    Kind(String),
}

/// The port and the kind that a stream's headers tell (upstream's httpStreamReceived).
pub(super) fn parse(port: &str, kind: &str) -> Result<(u16, Kind), HeaderError> {
    if port.is_empty() {
        return Err(HeaderError::Missing("port"));
    }
    let number = match port.parse() {
        Ok(0) => return Err(HeaderError::PortZero(port.to_owned())),
        Ok(number) => number,
        Err(_) => return Err(HeaderError::NotAPort(port.to_owned())),
    };
    match kind {
        "" => Err(HeaderError::Missing("streamType")),
        "data" => Ok((number, Kind::Data)),
        "error" => Ok((number, Kind::Error)),
        other => Err(HeaderError::Kind(other.to_owned())),
    }
}

/// The request that a stream belongs to. Clients from before there was a header open the error stream first and the
/// data stream next, so that their ids differ by 2.
pub(super) fn request(header: &str, kind: Kind, id: u32) -> String {
    match (header, kind) {
        ("", Kind::Error) => id.to_string(),
        ("", Kind::Data) => id.saturating_sub(2).to_string(),
        (header, _) => header.to_owned(),
    }
}

// === impl Pairs ===

impl<S> Pairs<S> {
    /// None wait.
    pub fn new() -> Pairs<S> {
        Pairs { waiting: BTreeMap::new() }
    }

    /// Adds a stream; the pair, if it was the other half. Gives the stream back when there is one of its kind already.
    pub fn add(
        &mut self,
        request: String,
        kind: Kind,
        port: u16,
        stream: S,
        deadline: Instant,
    ) -> Result<Option<Pair<S>>, S> {
        match self.waiting.remove(&request) {
            None => {
                self.waiting.insert(request, Half { kind, stream, port, deadline });
                Ok(None)
            }
            Some(half) if half.kind == kind => {
                self.waiting.insert(request, half);
                Err(stream)
            }
            Some(half) => Ok(Some(match kind {
                Kind::Data => Pair { port, data: stream, error: half.stream },
                Kind::Error => Pair { port: half.port, data: half.stream, error: stream },
            })),
        }
    }

    /// When the first one has waited too long.
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.values().map(|half| half.deadline).min()
    }

    /// Takes one out that has waited too long: its request, and the stream.
    pub fn expired(&mut self, now: Instant) -> Option<(String, Kind, S)> {
        let request = self.waiting.iter().find(|(_, half)| half.deadline <= now)?.0.clone();
        let half = self.waiting.remove(&request)?;
        Some((request, half.kind, half.stream))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn headers() {
        let table = [
            ("80", "data", Ok((80, Kind::Data))),
            ("80", "error", Ok((80, Kind::Error))),
            ("", "data", Err("\"port\" header is required")),
            ("0", "data", Err("port \"0\" must be > 0")),
            ("http", "data", Err("unable to parse \"http\" as a port")),
            ("65536", "data", Err("unable to parse \"65536\" as a port")),
            ("80", "", Err("\"streamType\" header is required")),
            ("80", "stdin", Err("invalid stream type \"stdin\"")),
        ];
        for (port, kind, expected) in table {
            let got = parse(port, kind).map_err(|error| error.to_string());
            assert_eq!(got, expected.map_err(str::to_owned));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn halves_meet_in_any_order() {
        let (now, mut pairs) = (Instant::now(), Pairs::new());
        let soon = now + Duration::from_secs(30);
        assert_eq!(pairs.add("0".into(), Kind::Error, 80, 'a', soon), Ok(None));
        assert_eq!(pairs.add("1".into(), Kind::Data, 81, 'b', soon), Ok(None));
        assert_eq!(pairs.add("1".into(), Kind::Data, 81, 'c', soon), Err('c'));
        assert_eq!(
            pairs.add("1".into(), Kind::Error, 9, 'd', soon),
            Ok(Some(Pair { port: 81, data: 'b', error: 'd' }))
        );
        assert_eq!(pairs.expired(now), None);
        assert_eq!(pairs.deadline(), Some(soon));
        assert_eq!(pairs.expired(soon), Some(("0".into(), Kind::Error, 'a')));
        assert_eq!(pairs.deadline(), None);
    }

    #[test]
    fn old_clients_are_paired_by_their_streams_ids() {
        assert_eq!(request("", Kind::Error, 5), request("", Kind::Data, 7));
        assert_eq!(request("x", Kind::Error, 5), "x");
    }
}
