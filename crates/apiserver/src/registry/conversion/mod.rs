//! Conversion webhooks: others turn custom objects from one version into another
//! (k8s.io/apiextensions-apiserver/pkg/apiserver/conversion).
//!
//! All that is to be converted at once goes in as few calls as there can be.

mod review;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use decapod_api::meta::GroupVersionKind;
use decapod_api::{Status, Value};

use super::Registry;
use crate::admission::webhook::Peer;

/// How long a webhook may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How much is sent in one call: what comes back may be larger, and is read up to the limit of any webhook's answer.
const SENT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The webhooks of definitions, with their connections, by the definitions' names.
#[derive(Default)]
pub(crate) struct Converters(Mutex<BTreeMap<String, (Value, Arc<Converter>)>>);

/// A webhook that converts.
struct Converter {
    peer: Peer,
    /// The version of reviews that it wants; none, if it wants only unknown ones.
    review: Option<&'static str>,
}

/// An object that is to be converted.
pub(super) struct Item {
    /// What it is now.
    pub from: GroupVersionKind,
    /// The object, without its type.
    pub draft: Value,
}

// === impl Converters ===

impl Converters {
    /// The webhook of the definition `name`, as `webhook` says, a `WebhookConversion`.
    fn of(&self, name: &str, webhook: &Value) -> Arc<Converter> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((written, converter)) = known.get(name)
            && written == webhook
        {
            return converter.clone();
        }
        let converter = Arc::new(Converter::new(webhook));
        known.insert(name.to_owned(), (webhook.clone(), converter.clone()));
        converter
    }

    /// Forgets the webhook of a definition that has gone.
    pub(super) fn forget(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

// === impl Converter ===

impl Converter {
    fn new(webhook: &Value) -> Converter {
        let versions = webhook.list_at(&["conversionReviewVersions"]).iter();
        let mut known = versions.filter_map(|version| match version.as_str() {
            Some("v1") => Some("v1"),
            Some("v1beta1") => Some("v1beta1"),
            _ => None,
        });
        let review = known.next();
        Converter { peer: Peer::new(webhook.get("clientConfig").unwrap_or(&Value::Null)), review }
    }
}

impl Registry {
    /// Has the webhook of the definition `name` turn objects into the kind `to`; they come back in the same order.
    pub(super) async fn ask_conversion(
        &self,
        name: &str,
        webhook: &Value,
        items: Vec<Item>,
        to: &GroupVersionKind,
    ) -> Result<Vec<Value>, Status> {
        let converter = self.converters.of(name, webhook);
        let mut converted = Vec::with_capacity(items.len());
        let mut sent: Vec<Bytes> = Vec::new();
        for item in &items {
            let body = review::sent(&item.draft, &item.from).map_err(failed)?;
            let bytes: usize = sent.iter().map(Bytes::len).sum();
            if !sent.is_empty() && bytes + body.len() > SENT_BYTES_MAX {
                let originals = &items[converted.len()..];
                let some = self.call(&converter, originals, std::mem::take(&mut sent), to).await?;
                converted.extend(some);
            }
            sent.push(body);
        }
        if !sent.is_empty() {
            converted.extend(self.call(&converter, &items[converted.len()..], sent, to).await?);
        }
        Ok(converted)
    }

    /// One call, about the first of `originals`.
    async fn call(
        &self,
        converter: &Converter,
        originals: &[Item],
        sent: Vec<Bytes>,
        to: &GroupVersionKind,
    ) -> Result<Vec<Value>, Status> {
        let Some(version) = converter.review else {
            return Err(failed("no supported conversion review versions"));
        };
        let from = originals.first().map(|item| &item.from).unwrap_or(to);
        let from = format!("conversion webhook for {}, Kind={}", from.api_version(), from.kind);
        let uid = self.env.uuid();
        let request = review::request(version, &uid, &to.api_version(), &sent);
        let answer = converter.peer.post(&self.env, &self.dialer, self, TIMEOUT, request).await;
        let objects = answer
            .and_then(|body| review::answer(version, &uid, &body))
            .map_err(|why| failed(format!("{from} failed: {why}")))?;
        if objects.len() != sent.len() {
            let (got, expected) = (objects.len(), sent.len());
            return Err(failed(format!("{from} returned {got} objects, expected {expected}")));
        }
        let settled = originals.iter().zip(objects).enumerate().map(|(at, (item, object))| {
            review::settled(&item.draft, object, to).map_err(|fault| {
                failed(match (sent.len(), fault) {
                    (1, fault) => format!("{from} returned {}", fault.of_one()),
                    (_, fault) => format!("{from} returned {}", fault.of_many(at)),
                })
            })
        });
        settled.collect()
    }
}

/// The status of a conversion that failed: upstream gives it no reason.
pub(super) fn failed(why: impl Into<String>) -> Status {
    Status { reason: String::new(), details: None, message: why.into(), ..Status::internal("") }
}
