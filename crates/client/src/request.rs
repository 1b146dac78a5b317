//! A request to the Kubernetes API and its answer, as values: the same whether they travel over TLS or are handed to
//! the API server in this process.

use bytes::Bytes;
use decapod_api::meta::GroupVersionResource;
use decapod_api::{Object, Revision, Status};
use futures::stream::BoxStream;

/// What is asked of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// One object.
    Get,
    /// All objects of a namespace or of the cluster.
    List,
    /// Changes from a revision on.
    Watch,
    /// A new object.
    Create,
    /// A whole object in place of another.
    Update,
    /// A change to an object.
    Patch,
    /// The end of an object.
    Delete,
    /// The end of all objects that a list would show.
    DeleteCollection,
}

/// How a patch's body is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PatchType {
    /// RFC 6902, a list of operations.
    Json,
    /// RFC 7386.
    #[default]
    Merge,
    /// Upstream's strategic merge, with merge keys.
    Strategic,
    /// Server-side apply.
    Apply,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked.
    pub verb: Verb,
    /// Of which resource.
    pub resource: GroupVersionResource,
    /// In which namespace; empty for cluster-scoped resources and for all namespaces.
    pub namespace: String,
    /// Of which object; empty for collections and creates.
    pub name: String,
    /// Such as `status`; empty for the object itself.
    pub subresource: String,
    /// The query parameters.
    pub options: Options,
    /// JSON: the object, the patch or the `DeleteOptions`; empty when there is none.
    pub body: Bytes,
    /// How a patch's body is to be read.
    pub patch_type: PatchType,
}

/// The query parameters that any verb takes; each verb reads its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Such as `app=web,tier!=db`.
    pub label_selector: String,
    /// Such as `spec.nodeName=a`.
    pub field_selector: String,
    /// Unset, `0` or a revision; what it means depends on the verb.
    pub resource_version: Option<String>,
    /// `Exact` or `NotOlderThan`.
    pub resource_version_match: Option<String>,
    /// How many items a page of a list may have; 0 for all.
    pub limit: u64,
    /// Where the next page of a list begins, as the last page said.
    pub continue_token: String,
    /// When the server ends a watch.
    pub timeout_seconds: Option<u64>,
    /// Whether a watch wants to hear of progress.
    pub allow_watch_bookmarks: bool,
    /// Whether a watch begins with what is there.
    pub send_initial_events: Option<bool>,
    /// Whether nothing is to be kept.
    pub dry_run: bool,
    /// Who owns the fields that are set.
    pub field_manager: String,
    /// Whether an apply takes fields from other managers.
    pub force: bool,
    /// `Ignore`, `Warn` or `Strict`; empty for the server's default.
    pub field_validation: String,
}

/// The answer.
pub enum Reply {
    /// The object, as it is now.
    Object(Object),
    /// A page of a list.
    List(List),
    /// What `delete` and some subresources answer with.
    Status(Status),
    /// Changes, until the server ends the watch.
    Watch(Watch),
}

/// A page of a list.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// In order of namespace and name.
    pub items: Vec<Object>,
    /// The revision at which it was read.
    pub revision: Revision,
    /// Where the next page begins; empty after the last.
    pub continue_token: String,
    /// How many items come after this page, when that is known.
    pub remaining: Option<u64>,
}

/// Changes in order of their revisions.
pub type Watch = BoxStream<'static, WatchEvent>;

/// One change, or word of progress.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is the last of its watch")]
pub enum WatchEvent {
    /// It is new, or newly selected.
    Added(Object),
    /// It has changed.
    Modified(Object),
    /// It is gone, or no longer selected.
    Deleted(Object),
    /// All changes up to this revision have been sent.
    Bookmark {
        /// Up to here.
        revision: Revision,
        /// Whether what was there at the start has been sent.
        initial_events_end: bool,
    },
    /// The watch has failed and ends.
    Error(Status),
}

// === impl Request ===

impl Request {
    /// `verb` on `resource`, everything else at its default.
    pub fn new(verb: Verb, resource: GroupVersionResource) -> Request {
        Request {
            verb,
            resource,
            namespace: String::new(),
            name: String::new(),
            subresource: String::new(),
            options: Options::default(),
            body: Bytes::new(),
            patch_type: PatchType::default(),
        }
    }
}

// === impl Verb ===

impl Verb {
    /// As RBAC rules name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
        }
    }

    /// Whether it changes nothing.
    pub fn is_read(self) -> bool {
        matches!(self, Verb::Get | Verb::List | Verb::Watch)
    }
}

// === impl PatchType ===

impl PatchType {
    /// The media type that says so.
    pub fn media_type(self) -> &'static str {
        match self {
            PatchType::Json => "application/json-patch+json",
            PatchType::Merge => "application/merge-patch+json",
            PatchType::Strategic => "application/strategic-merge-patch+json",
            PatchType::Apply => "application/apply-patch+yaml",
        }
    }
}

// === impl Options ===

impl Options {
    /// The resourceVersion asked for; empty if none is.
    pub fn revision(&self) -> &str {
        self.resource_version.as_deref().unwrap_or_default()
    }

    /// How it is to be matched; empty if nothing is said.
    pub fn matching(&self) -> &str {
        self.resource_version_match.as_deref().unwrap_or_default()
    }
}
