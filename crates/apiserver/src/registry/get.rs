//! get: one object.

use decapod_api::{Object, Status};
use decapod_client::Options;
use decapod_store::At;

use super::{Registry, Target, list};

impl Registry {
    /// The object of `target`. Every read is as fresh as the last acknowledged write, so the resourceVersion asked for
    /// can only be one that has not been reached yet.
    pub(super) async fn get(&self, target: &Target, options: &Options) -> Result<Object, Status> {
        if let At::NotOlder(asked) = list::at(options)? {
            self.store.fresh(asked).await.map_err(list::read_failed)?;
        }
        let object = self.store.get(&target.key()).ok_or_else(|| target.not_found())?;
        self.in_version(target, object).await
    }
}
