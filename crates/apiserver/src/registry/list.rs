//! list: a page of objects, all of one revision.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use decapod_api::selector::{FieldSelector, LabelSelector, field};
use decapod_api::{Cause, Object, Revision, Status, codec};
use decapod_client::{List, Options};
use decapod_store::{At, Key, ReadError, Snapshot};

use super::custom::selects_late;
use super::{Registry, Target};

/// What a list or watch selects.
pub(super) struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
}

/// Where a page begins: upstream's token (k8s.io/apiserver/pkg/storage/continue.go), a revision and the key after
/// which the page begins, relative to the collection.
#[derive(serde::Serialize, serde::Deserialize)]
struct Token {
    #[serde(rename = "v")]
    version: String,
    #[serde(rename = "rv")]
    revision: i64,
    start: String,
}

const TOKEN_VERSION: &str = "meta.k8s.io/v1";
/// In a token: go on at whatever revision is current, for those who accept an inconsistent list.
const REVISION_ANY: i64 = -1;

impl Registry {
    /// The objects of the collection, or a page of them.
    pub(super) async fn list(&self, target: &Target, options: &Options) -> Result<List, Status> {
        let selection = Selection::parse(target, options)?;
        check(options)?;
        if let Some(list) = self.list_of_one(target, options, &selection).await? {
            return Ok(list);
        }
        let prefix = target.prefix();
        let (snapshot, start) = match options.continue_token.as_str() {
            "" => (self.store.snapshot(&prefix, at(options)?).await.map_err(read_failed)?, None),
            token => self.resume(&prefix, token, options).await?,
        };
        let mut page = Page {
            items: Vec::new(),
            limit: usize::try_from(options.limit).unwrap_or(usize::MAX),
            last: None,
        };
        let late = selects_late(&target.resource) && !selection.is_everything();
        let more = match &start {
            _ if late => {
                let after = |key: &Key| start.as_deref().is_none_or(|start| &**key > start);
                let (keys, objects): (Vec<&Key>, _) = snapshot
                    .iter()
                    .filter(|(key, _)| after(key))
                    .map(|(key, object)| (key, object.clone()))
                    .unzip();
                let objects = self.all_in_version(target, objects).await?;
                page.fill(keys.into_iter().zip(&objects), &selection)
            }
            None => page.fill(snapshot.iter(), &selection),
            Some(start) => page.fill(snapshot.after(start), &selection),
        };
        let revision = snapshot.revision();
        let (continue_token, remaining) = match (more, &page.last) {
            (Some(rest), Some(last)) => {
                let start = last.strip_prefix(prefix.as_str()).unwrap_or(last);
                let remaining = selection.is_everything().then_some(rest as u64);
                (token(i64::try_from(revision).unwrap_or(i64::MAX), start), remaining)
            }
            _ => (String::new(), None),
        };
        let items = match late {
            true => page.items,
            false => self.all_in_version(target, page.items).await?,
        };
        Ok(List { items, revision, continue_token, remaining })
    }

    /// A list whose selector names one object is a point read.
    async fn list_of_one(
        &self,
        target: &Target,
        options: &Options,
        selection: &Selection,
    ) -> Result<Option<List>, Status> {
        let Some(name) = selection.fields.required("metadata.name") else { return Ok(None) };
        if !options.continue_token.is_empty() || (target.resource.namespaced && target.namespace.is_empty()) {
            return Ok(None);
        }
        match at(options)? {
            At::Exact(_) => return Ok(None),
            At::NotOlder(asked) => self.store.fresh(asked).await.map_err(read_failed)?,
            _ => {}
        }
        let revision = self.store.revision();
        let object = self.store.get(&target.resource.key(&target.namespace, name));
        let late = selects_late(&target.resource);
        let objects = object.into_iter().filter(|object| late || selection.matches(object)).collect();
        let mut items = self.all_in_version(target, objects).await?;
        items.retain(|object| !late || selection.matches(object));
        Ok(Some(List { items, revision, ..List::default() }))
    }

    /// The snapshot and the key after which the page of `token` begins.
    async fn resume(
        &self,
        prefix: &str,
        token: &str,
        options: &Options,
    ) -> Result<(Snapshot, Option<String>), Status> {
        if options.resource_version.as_deref().is_some_and(|rv| !rv.is_empty() && rv != "0") {
            return Err(Status::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let token = parse_token(token)?;
        let start = Some(format!("{prefix}{}", token.start));
        let at = match Revision::try_from(token.revision) {
            Ok(revision) if revision > 0 => At::Exact(revision),
            _ => At::Latest,
        };
        match self.store.snapshot(prefix, at).await {
            Ok(snapshot) => Ok((snapshot, start)),
            Err(ReadError::Compacted { .. }) => Err(token_expired(&token.start)),
            Err(error) => Err(read_failed(error)),
        }
    }
}

/// A page being filled.
struct Page {
    items: Vec<Object>,
    limit: usize,
    /// The key of the last object that was looked at for the page.
    last: Option<String>,
}

impl Page {
    /// Takes selected objects up to the limit; how many came after it, if any.
    fn fill<'a>(
        &mut self,
        mut objects: impl Iterator<Item = (&'a Key, &'a Object)>,
        selection: &Selection,
    ) -> Option<usize> {
        let limit = if self.limit == 0 { usize::MAX } else { self.limit };
        for (key, object) in objects.by_ref() {
            if selection.matches(object) {
                self.items.push(object.clone());
                if self.items.len() == limit {
                    self.last = Some(key.to_string());
                    break;
                }
            }
        }
        Some(objects.count()).filter(|rest| *rest > 0)
    }
}

// === impl Selection ===

impl Selection {
    /// From the query; 400 for selectors that cannot be read or fields that the resource does not select by.
    pub(super) fn parse(target: &Target, options: &Options) -> Result<Selection, Status> {
        let labels = LabelSelector::parse(&options.label_selector)
            .map_err(|error| Status::bad_request(error.to_string()))?;
        let fields = FieldSelector::parse(&options.field_selector)
            .map_err(|error| Status::bad_request(error.to_string()))?;
        let version = target.version();
        fields
            .check(&version.selectable, target.resource.namespaced)
            .map_err(|error| match error {
                // Of custom resources upstream says no more.
                field::Error::Unknown(label) if target.custom().is_some() => {
                    field::Error::NotSupported(label)
                }
                error => error,
            })
            .map_err(|error| Status::bad_request(error.to_string()))?;
        let fields = fields.located(|label| target.resource.strategy.selectable_paths(label));
        Ok(Selection { labels, fields })
    }

    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    pub(super) fn matches(&self, object: &Object) -> bool {
        (self.labels.is_everything() || self.labels.matches(|key| object.label(key)))
            && (self.fields.is_everything() || self.fields.matches(object))
    }
}

/// What is wrong with the options of a list (k8s.io/apimachinery/pkg/apis/meta/internalversion/validation).
fn check(options: &Options) -> Result<(), Status> {
    let (revision, matching) = (options.revision(), options.matching());
    let mut causes = Vec::new();
    let mut forbid = |field: &str, why: &str| causes.push(Cause::forbidden(field, why));
    const MATCH: &str = "resourceVersionMatch";
    if !matching.is_empty() && revision.is_empty() {
        forbid(MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided");
    }
    if !matching.is_empty() && !options.continue_token.is_empty() {
        forbid(MATCH, "resourceVersionMatch is forbidden when continue is provided");
    }
    if matching == "Exact" && revision == "0" {
        forbid(MATCH, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    }
    if options.send_initial_events.is_some() {
        forbid("sendInitialEvents", "sendInitialEvents is forbidden for list");
    }
    if !matches!(matching, "" | "Exact" | "NotOlderThan") {
        causes.push(Cause::not_supported(MATCH, matching, &["Exact", "NotOlderThan", ""]));
    }
    match causes.is_empty() {
        true => Ok(()),
        false => Err(Status::invalid_options("ListOptions", causes)),
    }
}

/// What `resourceVersion` and `resourceVersionMatch` ask for: one parser for get, list and watch, after the table of
/// the Kubernetes API concepts ("Semantics for get and list").
pub(super) fn at(options: &Options) -> Result<At, Status> {
    let revision = match options.revision() {
        "" => return Ok(At::Latest),
        text => parse_revision(text)
            .map_err(|why| Status::bad_request(format!("invalid resource version: {}", why.message)))?,
    };
    Ok(match (options.matching(), revision) {
        (_, 0) => At::Any,
        ("Exact", revision) => At::Exact(revision),
        (_, revision) => At::NotOlder(revision),
    })
}

/// A resourceVersion of a client. Upstream calls one that is none an error of its own, without a reason.
pub(super) fn parse_revision(text: &str) -> Result<Revision, Status> {
    text.parse().map_err(|_| {
        let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
        let cause = Cause::invalid("resourceVersion", &text.into(), &why);
        let message = format!("{}: {}", cause.field, cause.message);
        Status { reason: String::new(), details: None, message, ..Status::internal("") }
    })
}

/// The status of a read that failed.
pub(super) fn read_failed(error: ReadError) -> Status {
    match error {
        ReadError::TooLarge { asked, current } => Status::too_large_resource_version(asked, current),
        ReadError::Compacted { .. } => {
            Status::expired("The resourceVersion for the provided list is too old.")
        }
    }
}

fn token(revision: i64, start: &str) -> String {
    let token = Token { version: TOKEN_VERSION.into(), revision, start: format!("{start}\0") };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
}

fn parse_token(text: &str) -> Result<Token, Status> {
    let invalid = |why: &dyn std::fmt::Display| {
        Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
    };
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|e| invalid(&e))?;
    // Go calls a byte that begins no value by the character of that number.
    let shown: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    codec::json::check(&shown).map_err(|e| invalid(&e))?;
    let mut token: Token = serde_json::from_slice(&bytes).map_err(|e| invalid(&e))?;
    if token.version != TOKEN_VERSION {
        return Err(invalid(&"server does not recognize this encoded version"));
    }
    // The key after which the page begins; upstream writes the first key that can follow it.
    token.start = token.start.trim_end_matches('\0').to_owned();
    if token.start.is_empty()
        || token.start.starts_with('/')
        || token.start.split('/').any(|part| part == "..")
    {
        return Err(invalid(&"start key is not within the collection"));
    }
    Ok(token)
}

/// 410 for a page whose revision is gone, with a token for those who accept the rest at the current revision.
fn token_expired(start: &str) -> Status {
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
         results. Continuing with the provided token results in an inconsistent list - objects that were created, \
         modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    status.metadata.continue_token = token(REVISION_ANY, start);
    status
}
