//! MutatingAdmissionWebhook and ValidatingAdmissionWebhook: others are asked about writes, as the cluster's
//! configurations say (k8s.io/apiserver/pkg/admission/plugin/webhook).
//!
//! They are never asked about those configurations themselves, so that nobody locks everybody out.

mod call;
mod conditions;
mod configuration;
mod matching;
mod peer;
mod review;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use decapod_api::{Status, Value};
use futures::future::join_all;

use self::call::{Failure, Verdict};
use self::configuration::{Hook, Source};
use super::{Attributes, Plugin, Waiting};
use crate::registry::Lookup;
pub use call::Caller;
pub use conditions::faults;
pub use peer::{Peer, unexpected};

/// When webhooks are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// While the object may still change: one after the other.
    Mutating,
    /// When it is settled: all at once.
    Validating,
}

/// One of the two plugins.
pub struct Webhooks {
    phase: Phase,
    source: Source,
    caller: Arc<Caller>,
}

/// What mutating webhooks have seen, from one round to the next (upstream's `webhookReinvokeContext`).
#[derive(Default)]
pub struct Reinvocation {
    /// Those that want to look again if others change the object after them.
    asked: BTreeSet<String>,
    /// Those after which it was changed.
    due: BTreeSet<String>,
    /// The object as the last of them left it.
    last: Value,
}

// === impl Webhooks ===

impl Webhooks {
    /// The plugin of `phase`.
    pub fn new(phase: Phase, caller: Arc<Caller>) -> Webhooks {
        Webhooks { phase, source: Source::new(phase), caller }
    }

    async fn mutate(
        &self,
        hooks: &[Arc<Hook>],
        attributes: &mut Attributes<'_>,
        lookup: &dyn Lookup,
    ) -> Result<(), Status> {
        if attributes.rounds.second && attributes.rounds.webhooks.last != attributes.object {
            attributes.rounds.webhooks.changed();
        }
        for hook in hooks {
            let Some(invocation) = matching::invocation(hook, attributes, lookup)? else { continue };
            // Who was not asked in the first round is not asked in the second.
            if attributes.rounds.second && !attributes.rounds.webhooks.due.contains(&hook.uid) {
                continue;
            }
            let outcome = self.caller.mutate(&invocation, attributes, lookup).await;
            if matches!(outcome, Ok(Verdict::Changed)) {
                attributes.rounds.webhooks.changed();
                attributes.rounds.wanted = true;
            }
            if hook.looks_again {
                attributes.rounds.webhooks.asked.insert(hook.uid.clone());
            }
            if let Err(failure) = outcome {
                settle(hook, failure)?;
            }
        }
        attributes.rounds.webhooks.last = attributes.object.clone();
        Ok(())
    }

    async fn validate(
        &self,
        hooks: &[Arc<Hook>],
        attributes: &Attributes<'_>,
        lookup: &dyn Lookup,
    ) -> Result<(), Status> {
        let mut invocations = Vec::new();
        for hook in hooks {
            invocations.extend(matching::invocation(hook, attributes, lookup)?);
        }
        let asked = invocations.iter().map(|invocation| async {
            let outcome = self.caller.validate(invocation, attributes, lookup).await;
            outcome.or_else(|failure| settle(&invocation.hook, failure))
        });
        join_all(asked).await.into_iter().collect()
    }
}

/// What becomes of the request after a webhook has not said yes.
fn settle(hook: &Hook, failure: Failure) -> Result<(), Status> {
    match failure {
        Failure::Calling(why) => {
            let why = format!("failed calling webhook {:?}: {why}", hook.name);
            match hook.fails_open {
                true => {
                    tracing::warn!(webhook = hook.name, "failed, and is ignored");
                    Ok(())
                }
                false => Err(Status::internal(why)),
            }
        }
        Failure::Refused(status) => Err(*status),
    }
}

impl Plugin for Webhooks {
    fn name(&self) -> &'static str {
        match self.phase {
            Phase::Mutating => "MutatingAdmissionWebhook",
            Phase::Validating => "ValidatingAdmissionWebhook",
        }
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        !matching::is_exempt(attributes)
    }

    fn ask_mutating<'a>(&'a self, attributes: &'a mut Attributes<'_>, lookup: &'a dyn Lookup) -> Waiting<'a> {
        if self.phase != Phase::Mutating {
            return None;
        }
        let hooks = self.source.hooks(lookup)?;
        Some(Box::pin(async move { self.mutate(&hooks, attributes, lookup).await }))
    }

    fn ask_validating<'a>(&'a self, attributes: &'a Attributes<'_>, lookup: &'a dyn Lookup) -> Waiting<'a> {
        if self.phase != Phase::Validating {
            return None;
        }
        let hooks = self.source.hooks(lookup)?;
        Some(Box::pin(async move { self.validate(&hooks, attributes, lookup).await }))
    }
}

// === impl Reinvocation ===

impl Reinvocation {
    /// Notes that the object has changed after those that were asked.
    fn changed(&mut self) {
        self.due.append(&mut self.asked);
    }
}
