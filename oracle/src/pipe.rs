//! The pipe to the Go program, `conformance/oracle`, whose `main.go` describes what goes over it.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A question or an answer: texts or bytes, the first of a question being its name.
pub type Parts = Vec<Vec<u8>>;

/// A Go program that answers.
pub struct Oracle {
    child: Child,
    questions: Option<ChildStdin>,
    answers: ChildStdout,
}

/// What the pipe needs.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// The environment does not say where the program is.
    #[error(
        "DECAPOD_ORACLE is not set: it is the path of the Go program, which `conformance/upstream/build.sh oracle` builds and prints"
    )]
    Unset,
    /// The program does not start.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Its path.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The program ended, or says what makes no sense.
    #[error("the Go program broke off: {0}")]
    Broken(#[from] io::Error),
}

/// The parts of a question.
pub fn question(name: &str, arguments: &[&[u8]]) -> Parts {
    let rest = arguments.iter().map(|argument| argument.to_vec());
    std::iter::once(name.as_bytes().to_vec()).chain(rest).collect()
}

// === impl Oracle ===

impl Oracle {
    /// Starts the program that the environment names.
    pub fn start() -> Result<Oracle, PipeError> {
        let program = std::env::var("DECAPOD_ORACLE").map_err(|_| PipeError::Unset)?;
        let mut command = Command::new(&program);
        // As many of them run as there are processors; each takes its turn with its asker.
        command.env("GOMAXPROCS", "1").env("GOGC", "400").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|source| PipeError::Start { program, source })?;
        let (questions, answers) = (child.stdin.take(), child.stdout.take());
        let answers = answers.ok_or_else(|| io::Error::other("no output"))?;
        Ok(Oracle { child, questions, answers })
    }

    /// Asks all of `questions` at once; the answers have the same order.
    pub fn ask(&mut self, questions: &[Parts]) -> Result<Vec<Parts>, PipeError> {
        let batch: Vec<Vec<u8>> = questions.iter().map(|parts| encoded(parts)).collect();
        let batch = encoded(&batch);
        let input = self.questions.as_mut().ok_or_else(|| io::Error::other("closed"))?;
        input.write_all(&(batch.len() as u32).to_le_bytes())?;
        input.write_all(&batch)?;
        input.flush()?;
        let mut length = [0; 4];
        self.answers.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_le_bytes(length) as usize];
        self.answers.read_exact(&mut frame)?;
        let answers: Option<Vec<Parts>> =
            decoded(&frame).and_then(|list| list.iter().map(|answer| decoded(answer)).collect());
        match answers {
            Some(answers) if answers.len() == questions.len() => Ok(answers),
            _ => Err(io::Error::other("an answer is no list").into()),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // The program ends when its input does.
        drop(self.questions.take());
        self.child.wait().ok();
    }
}

fn encoded(list: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + list.iter().map(|item| item.len() + 4).sum::<usize>());
    out.extend_from_slice(&(list.len() as u32).to_le_bytes());
    for item in list {
        out.extend_from_slice(&(item.len() as u32).to_le_bytes());
        out.extend_from_slice(item);
    }
    out
}

fn decoded(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let number = |bytes: &[u8]| -> Option<usize> {
        Some(u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize)
    };
    let (count, mut rest) = (number(bytes)?, bytes.get(4..)?);
    let mut list = Vec::new();
    for _ in 0..count {
        let length = number(rest)?;
        list.push(rest.get(4..4 + length)?.to_vec());
        rest = &rest[4 + length..];
    }
    Some(list)
}
