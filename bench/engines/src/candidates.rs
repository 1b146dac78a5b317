//! The store as it is, and what could stand in its place.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use decapod_api::Encoded;
use decapod_store::{At, Config, Expect, Stats, Store, Txn};
use decapod_sys::Env;
use redb::ReadableDatabase;

use crate::engine::{Backend, Engine, Result};

/// The store as it is.
pub struct Embedded(Store);

/// A log-structured merge tree with a journal.
pub struct Fjall {
    database: fjall::Database,
    objects: fjall::Keyspace,
}

/// A copy-on-write B-tree in one file.
pub struct Redb(redb::Database);

const TABLE: redb::TableDefinition<&str, &[u8]> = redb::TableDefinition::new("objects");

// === impl Embedded ===

impl Engine for Embedded {
    async fn open(dir: &Path, env: &Env) -> Result<Self> {
        Ok(Embedded(Store::open(Config::dir(dir), env).await?))
    }

    async fn put(&self, key: &str, body: Encoded) -> Result<()> {
        self.0.commit(Txn::put(key, body, Expect::Any)).await?;
        Ok(())
    }

    async fn len(&self) -> Result<usize> {
        Ok(self.0.snapshot("/registry/pods/", At::Latest).await?.len())
    }

    async fn close(self) -> Result<()> {
        let Stats { appends, kept_bytes, cleaned_segments, log_bytes, live_bytes, .. } = self.0.stats();
        eprintln!(
            "  {appends} appends, {kept_bytes} bytes copied by cleaning {cleaned_segments} segments; log {log_bytes} bytes \
             for {live_bytes} live"
        );
        Ok(self.0.close().await?)
    }
}

// === impl Fjall ===

impl Backend for Fjall {
    fn open(dir: &Path) -> Result<Self> {
        let database = fjall::Database::builder(dir).open()?;
        let objects = database.keyspace("objects", fjall::KeyspaceCreateOptions::default)?;
        Ok(Fjall { database, objects })
    }

    fn write(&mut self, puts: &[(Arc<str>, Bytes)]) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(fjall::PersistMode::SyncData));
        for (key, body) in puts {
            batch.insert(&self.objects, key.as_bytes(), body.as_ref());
        }
        Ok(batch.commit()?)
    }

    fn read_all(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        for item in self.objects.iter() {
            let (key, body) = item.into_inner()?;
            each(&key, &body);
        }
        Ok(())
    }
}

// === impl Redb ===

impl Backend for Redb {
    fn open(dir: &Path) -> Result<Self> {
        // The objects are in memory already: a small cache is enough.
        let mut builder = redb::Builder::new();
        builder.set_cache_size(32 << 20);
        Ok(Redb(builder.create(dir.join("redb"))?))
    }

    fn write(&mut self, puts: &[(Arc<str>, Bytes)]) -> Result<()> {
        let write = self.0.begin_write()?;
        {
            let mut table = write.open_table(TABLE)?;
            for (key, body) in puts {
                table.insert(&**key, &**body)?;
            }
        }
        Ok(write.commit()?)
    }

    fn read_all(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let read = self.0.begin_read()?;
        let table = match read.open_table(TABLE) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
            table => table?,
        };
        for item in redb::ReadableTable::iter(&table)? {
            let (key, body) = item?;
            each(key.value().as_bytes(), body.value());
        }
        Ok(())
    }
}
