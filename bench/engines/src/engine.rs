//! What is measured: an [`Engine`], which a client writes to and which holds all objects in memory. A [`Backend`] is an
//! embedded engine; [`Grouped`] makes an [`Engine`] of it, with the group commit and the memory that the store has.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use decapod_api::Encoded;
use decapod_sys::Env;
use tokio::sync::{mpsc, oneshot};

/// Any error, since all that is done about it is to print it.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What a candidate must do: a put is back when it is durable, and what is there is in memory.
pub trait Engine: Sized + Send + Sync + 'static {
    /// Opens what is in `dir`, or makes it.
    fn open(dir: &Path, env: &Env) -> impl Future<Output = Result<Self>> + Send;
    /// Writes an object.
    fn put(&self, key: &str, body: Encoded) -> impl Future<Output = Result<()>> + Send;
    /// How many objects there are.
    fn len(&self) -> impl Future<Output = Result<usize>> + Send;
    /// Ends.
    fn close(self) -> impl Future<Output = Result<()>> + Send;
}

/// An embedded engine, used by one thread.
pub trait Backend: Sized + Send + 'static {
    /// Opens what is in `dir`, or makes it.
    fn open(dir: &Path) -> Result<Self>;
    /// Writes all of these durably.
    fn write(&mut self, puts: &[(Arc<str>, Bytes)]) -> Result<()>;
    /// Hands out every key and value.
    fn read_all(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()>;
}

/// One thread that writes all that waits at once.
pub struct Grouped<B> {
    memory: Arc<Mutex<BTreeMap<Arc<str>, Bytes>>>,
    queue: mpsc::UnboundedSender<Waiting>,
    writer: tokio::task::JoinHandle<()>,
    backend: std::marker::PhantomData<fn() -> B>,
}

struct Waiting {
    key: Arc<str>,
    body: Bytes,
    done: oneshot::Sender<Result<()>>,
}

/// As many bytes go into one write, about.
const WRITE_BYTES_MAX: usize = 4 << 20;

impl<B: Backend> Engine for Grouped<B> {
    async fn open(dir: &Path, env: &Env) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut backend = B::open(dir)?;
        let mut objects = BTreeMap::new();
        backend.read_all(&mut |key, body| {
            objects.insert(String::from_utf8_lossy(key).into(), Bytes::copy_from_slice(body));
        })?;
        let memory = Arc::new(Mutex::new(objects));
        let (queue, mut waiting) = mpsc::unbounded_channel::<Waiting>();
        let (shown, handle) = (memory.clone(), env.clone());
        let writer = env.spawn("writer", async move {
            while let Some(first) = waiting.recv().await {
                let mut batch = vec![first];
                let mut bytes = 0;
                while bytes < WRITE_BYTES_MAX
                    && let Ok(next) = waiting.try_recv()
                {
                    bytes += next.body.len();
                    batch.push(next);
                }
                let shown = shown.clone();
                let written = handle.spawn_blocking(move || {
                    write(&mut backend, batch, &shown);
                    backend
                });
                let Some(again) = written.await else { break };
                backend = again;
            }
        });
        Ok(Grouped { memory, queue, writer, backend: std::marker::PhantomData })
    }

    async fn put(&self, key: &str, body: Encoded) -> Result<()> {
        let (done, answer) = oneshot::channel();
        // Every write of the store has a revision of its own in the body; so has this.
        let body = body.at(body.bytes.len() as u64);
        self.queue.send(Waiting { key: key.into(), body, done }).map_err(|_| "the writer has ended")?;
        answer.await?
    }

    async fn len(&self) -> Result<usize> {
        Ok(self.memory.lock().unwrap_or_else(PoisonError::into_inner).len())
    }

    async fn close(self) -> Result<()> {
        drop(self.queue);
        Ok(self.writer.await?)
    }
}

fn write<B: Backend>(backend: &mut B, batch: Vec<Waiting>, memory: &Mutex<BTreeMap<Arc<str>, Bytes>>) {
    let puts: Vec<_> = batch.iter().map(|put| (put.key.clone(), put.body.clone())).collect();
    let failed = backend.write(&puts).err().map(|error| error.to_string());
    memory.lock().unwrap_or_else(PoisonError::into_inner).extend(puts);
    for put in batch {
        let answer = failed.clone().map_or(Ok(()), |error| Err(error.into()));
        // Who has stopped waiting needs no answer.
        drop(put.done.send(answer));
    }
}
