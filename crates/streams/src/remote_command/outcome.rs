//! How a command ended, as the error stream says it: from v4 on a `Status` in JSON, before it a text or nothing.

use decapod_api::Status;
use decapod_api::status::{Cause, Details};

use super::Version;

/// How a command ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With exit code 0.
    Success,
    /// With another exit code.
    Exit(i32),
    /// Not by itself, or it never ran.
    Failed(Box<Status>),
}

/// An error stream that does not say how the command ended, in client-go's words.
#[derive(Debug, thiserror::Error)]
pub enum OutcomeError {
    /// The connection ended first.
    #[error("error reading from error stream: {0}")]
    Read(#[from] std::io::Error),
    /// It is no JSON of a Status.
    #[error("error stream protocol error: {0}")]
    Malformed(String),
}

/// The reason of a status that tells an exit code, and the type of the cause that is the code.
const NON_ZERO_EXIT_CODE: &str = "NonZeroExitCode";
const EXIT_CODE: &str = "ExitCode";

// === impl Outcome ===

impl Outcome {
    /// A failure of ours, in upstream's words: `Internal error occurred: why`.
    pub fn internal(why: impl std::fmt::Display) -> Outcome {
        let mut status = Status::internal(why);
        // Upstream's kubelet gives no details here.
        status.details = None;
        Outcome::from(status)
    }

    /// What the error stream says of it.
    pub(super) fn encode(&self, version: Version) -> Vec<u8> {
        let status = match self {
            Outcome::Success if version < Version::V4 => return Vec::new(),
            Outcome::Success => return br#"{"metadata":{},"status":"Success"}"#.to_vec(),
            Outcome::Exit(code) => exit_status(*code),
            Outcome::Failed(status) => (**status).clone(),
        };
        if version < Version::V4 {
            return status.message.into_bytes();
        }
        serde_json::to_vec(&status).unwrap_or_default()
    }

    /// What an error stream has said, whole.
    pub(super) fn decode(version: Version, message: &[u8]) -> Result<Outcome, OutcomeError> {
        if message.is_empty() {
            return Ok(Outcome::Success);
        }
        if version < Version::V4 {
            let text = String::from_utf8_lossy(message);
            let message = format!("error executing remote command: {text}");
            let status = Status { status: "Failure".into(), message, code: 500, ..Status::default() };
            return Ok(status.into());
        }
        let malformed = |why: String| OutcomeError::Malformed(why);
        let status: Status = serde_json::from_slice(message)
            .map_err(|error| malformed(format!("{error} in {:?}", String::from_utf8_lossy(message))))?;
        match (status.status.as_str(), status.reason.as_str()) {
            ("Success", _) => Ok(Outcome::Success),
            ("Failure", NON_ZERO_EXIT_CODE) => {
                let details = status.details.ok_or_else(|| malformed("details must be set".into()))?;
                let cause = details.causes.iter().find(|cause| cause.reason == EXIT_CODE);
                let code = &cause.ok_or_else(|| malformed(format!("no {EXIT_CODE} cause given")))?.message;
                code.parse()
                    .map(Outcome::Exit)
                    .map_err(|_| malformed(format!("invalid exit code value {code:?}")))
            }
            ("Failure", _) => Ok(status.into()),
            _ => Err(malformed("unknown error".into())),
        }
    }
}

impl From<Status> for Outcome {
    fn from(status: Status) -> Outcome {
        Outcome::Failed(Box::new(status))
    }
}

fn exit_status(code: i32) -> Status {
    let cause = Cause { reason: EXIT_CODE.into(), message: code.to_string(), ..Cause::default() };
    Status {
        status: "Failure".into(),
        reason: NON_ZERO_EXIT_CODE.into(),
        message: format!("command terminated with non-zero exit code: exit status {code}"),
        details: Some(Details { causes: vec![cause], ..Details::default() }),
        ..Status::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_says_what_it_can() {
        let failed = Outcome::internal("error executing command in container: gone");
        let text = "Internal error occurred: error executing command in container: gone";
        let table = [
            (Outcome::Success, "", r#"{"metadata":{},"status":"Success"}"#.to_owned()),
            (
                Outcome::Exit(7),
                "command terminated with non-zero exit code: exit status 7",
                concat!(
                    r#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: exit status 7","#,
                    r#""reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#
                )
                .to_owned(),
            ),
            (
                failed,
                text,
                format!(r#"{{"metadata":{{}},"status":"Failure","message":"{text}","reason":"InternalError","code":500}}"#),
            ),
        ];
        for (outcome, v1, v4) in table {
            assert_eq!(String::from_utf8(outcome.encode(Version::V3)).unwrap(), v1);
            assert_eq!(String::from_utf8(outcome.encode(Version::V4)).unwrap(), v4);
            assert_eq!(Outcome::decode(Version::V5, v4.as_bytes()).unwrap(), outcome);
        }
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for message in [
            "x",
            r#"{"status":"Maybe"}"#,
            r#"{"status":"Failure","reason":"NonZeroExitCode"}"#,
            r#"{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"x"}]}}"#,
        ] {
            assert!(Outcome::decode(Version::V4, message.as_bytes()).is_err(), "{message}");
        }
    }
}
