//! The operations of a group version, derived from the registry's rows: what kube-openapi's builder derives from routes
//! (k8s.io/apiserver/pkg/endpoints/installer.go).

use decapod_api::kinds::{Resource, Subresource, Version};
use decapod_api::meta::{GroupVersion, GroupVersionKind};
use decapod_api::schema::{Field, Schema, Shape};

use super::operation::{Content, ENCODINGS, Operation, Parameter, WRITE, capital, names};

/// A path and what can be done there.
pub struct PathItem {
    /// The path, with its parameters in braces.
    pub path: String,
    /// Each with another method.
    pub operations: Vec<Operation>,
}

/// How watches are written besides.
const STREAMS: [&str; 2] =
    ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];
/// How patches are written.
const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// What operations take in the query.
const LIST: &str = "allowWatchBookmarks? continue fieldSelector labelSelector limit# resourceVersion resourceVersionMatch \
                    sendInitialEvents? shardSelector timeoutSeconds# watch?";
const PATCH: &str = "dryRun fieldManager fieldValidation force?";
const DELETE: &str = "dryRun gracePeriodSeconds# ignoreStoreReadErrorWithClusterBreakingPotential? orphanDependents? propagationPolicy";
const DELETE_MANY: &str = "continue dryRun fieldSelector gracePeriodSeconds# ignoreStoreReadErrorWithClusterBreakingPotential? \
                           labelSelector limit# orphanDependents? propagationPolicy resourceVersion resourceVersionMatch \
                           sendInitialEvents? shardSelector timeoutSeconds#";

/// The paths of all resources among `rows` that have this group version, and of its discovery document.
pub fn of_group_version<'r>(
    gv: &GroupVersion,
    rows: impl IntoIterator<Item = &'r Resource>,
) -> Vec<PathItem> {
    let mut paths = vec![document(&format!("{}/", base(gv)), "getAPIResources", "APIResourceList")];
    for row in rows.into_iter().filter(|row| row.group == gv.group) {
        if let Some(version) = row.version(&gv.version) {
            paths.extend(Site::new(gv, row, version).paths());
        }
    }
    paths
}

/// The path of a discovery document: `get` and what it is called, and a type of meta/v1.
pub fn document(path: &str, name: &str, answer: &'static str) -> PathItem {
    let (id, tag) = names(path, name);
    let operation = Operation {
        method: "get",
        id,
        tag,
        action: None,
        kind: None,
        parameters: vec![],
        body: None,
        answers: vec![(200, Content::Meta(answer))],
        produces: ENCODINGS.to_vec(),
        consumes: ENCODINGS.to_vec(),
    };
    PathItem { path: path.to_owned(), operations: vec![operation] }
}

/// The path of something else that can be read.
pub fn plain(path: &str, id: &str, tag: &str, answer: Content, produces: &'static str) -> PathItem {
    // Version 2 says of `/version` alone what it consumes.
    let consumes = if answer == Content::Version { vec![produces] } else { vec![] };
    let operation = Operation {
        method: "get",
        id: id.to_owned(),
        tag: tag.to_owned(),
        action: None,
        kind: None,
        parameters: vec![],
        body: None,
        answers: vec![(200, answer)],
        produces: vec![produces],
        consumes,
    };
    PathItem { path: path.to_owned(), operations: vec![operation] }
}

/// `/api/v1` or `/apis/<group>/<version>`.
pub fn base(gv: &GroupVersion) -> String {
    let root = if gv.group.is_empty() { "api" } else { "apis" };
    format!("/{root}/{gv}")
}

/// Where a resource is, in one of its versions.
struct Site<'r> {
    base: String,
    row: &'r Resource,
    version: &'r Version,
}

// === impl Site ===

impl<'r> Site<'r> {
    fn new(gv: &GroupVersion, row: &'r Resource, version: &'r Version) -> Site<'r> {
        Site { base: base(gv), row, version }
    }

    /// The path of the collection, in its namespace if it has one.
    fn collection(&self, between: &str) -> String {
        let namespace = if self.row.namespaced { "/namespaces/{namespace}" } else { "" };
        format!("{}{between}{namespace}/{}", self.base, self.row.plural)
    }

    /// The kind as operations call it.
    fn name(&self) -> String {
        format!("{}{}", if self.row.namespaced { "Namespaced" } else { "" }, self.row.kind)
    }

    fn paths(&self) -> Vec<PathItem> {
        let mut paths = vec![self.all_namespaces(), self.objects(), self.object()];
        if self.row.has_verb("watch") && self.row.custom.is_none() {
            paths.extend(self.watches());
        }
        for sub in &self.version.subresources {
            paths.extend(self.subresource(sub));
        }
        paths.retain(|path| !path.operations.is_empty());
        if self.row.custom.is_some() {
            paths.iter_mut().flat_map(|path| &mut path.operations).for_each(restrict);
        }
        paths
    }

    fn objects(&self) -> PathItem {
        let (path, name) = (self.collection(""), self.name());
        let kind = &self.version.kind;
        let mut operations = Vec::new();
        if self.row.has_verb("list") {
            operations.push(self.list(&path, &format!("list{name}")));
        }
        if self.row.has_verb("create") {
            operations.push(Operation::create(&path, &format!("create{name}"), kind));
        }
        if self.row.has_verb("deletecollection") {
            operations.push(Operation {
                body: Some(Content::Meta("DeleteOptions")),
                ..Operation::new(
                    "delete",
                    "deletecollection",
                    &path,
                    &format!("deleteCollection{name}"),
                    kind,
                    DELETE_MANY,
                )
                .answering(&[200], Content::Meta("Status"))
            });
        }
        PathItem { path, operations }
    }

    fn all_namespaces(&self) -> PathItem {
        let path = format!("{}/{}", self.base, self.row.plural);
        let listed = self.row.namespaced && self.row.has_verb("list");
        let list = || self.list(&path, &format!("list{}ForAllNamespaces", self.row.kind));
        PathItem { operations: if listed { vec![list()] } else { vec![] }, path }
    }

    fn list(&self, path: &str, name: &str) -> Operation {
        let kind = &self.version.kind;
        let list = GroupVersionKind { kind: format!("{}List", kind.kind).into(), ..kind.clone() };
        let mut operation =
            Operation::new("get", "list", path, name, kind, LIST).answering(&[200], Content::Kind(list));
        operation.produces.extend(STREAMS);
        operation
    }

    fn object(&self) -> PathItem {
        let (path, name) = (format!("{}/{{name}}", self.collection("")), self.name());
        let kind = &self.version.kind;
        let mut operations = replaceable(&path, &name, kind, &|verb| self.row.has_verb(verb));
        if self.row.has_verb("delete") {
            // Namespaces are answered with while they end, which upstream's documents do not say.
            let answer = match self.row.strategy.returns_deleted() && self.row.kind != "Namespace" {
                true => Content::Kind(kind.clone()),
                false => Content::Meta("Status"),
            };
            operations.push(Operation {
                body: Some(Content::Meta("DeleteOptions")),
                ..Operation::new("delete", "delete", &path, &format!("delete{name}"), kind, DELETE)
                    .answering(&[200, 202], answer)
            });
        }
        PathItem { path, operations }
    }

    /// The old form of watches.
    fn watches(&self) -> Vec<PathItem> {
        let watch = |path: String, action: &'static str, name: String| {
            let mut operation = Operation::new("get", action, &path, &name, &self.version.kind, LIST)
                .answering(&[200], Content::Meta("WatchEvent"));
            operation.produces.extend(STREAMS);
            PathItem { operations: vec![operation], path }
        };
        let (collection, name) = (self.collection("/watch"), self.name());
        let mut paths = vec![
            watch(format!("{collection}/{{name}}"), "watch", format!("watch{name}")),
            watch(collection, "watchlist", format!("watch{name}List")),
        ];
        if self.row.namespaced {
            let path = format!("{}/watch/{}", self.base, self.row.plural);
            paths.push(watch(path, "watchlist", format!("watch{}ListForAllNamespaces", self.row.kind)));
        }
        paths
    }

    fn subresource(&self, sub: &Subresource) -> Vec<PathItem> {
        let path = format!("{}/{{name}}/{}", self.collection(""), sub.name);
        let name = format!("{}{}", self.name(), capital(&sub.name));
        let has = |verb: &str| sub.verbs.iter().any(|v| v == verb);
        // A subresource that carries options opens a connection.
        if sub.kind.kind.ends_with("Options") {
            let tails: &[_] = if has("update") { &[("", ""), ("/{path}", "WithPath")] } else { &[("", "")] };
            let connect = |(tail, with): &(&str, &str)| {
                connection(format!("{path}{tail}"), &format!("{name}{with}"), sub)
            };
            return tails.iter().map(connect).collect();
        }
        let mut operations = replaceable(&path, &name, &sub.kind, &has);
        if has("create") {
            operations.push(Operation::create(&path, &format!("create{name}"), &sub.kind));
        }
        // Options that only the query carries make the answer a text: logs.
        let options = format!("{}{}Options", self.row.kind, capital(&sub.name));
        let options = options_of(&GroupVersionKind { kind: options.into(), ..self.version.kind.clone() });
        for operation in operations.iter_mut().filter(|_| !options.is_empty()) {
            operation.parameters.extend(options.iter().cloned());
            operation.parameters.sort_by(|a, b| a.name.cmp(&b.name));
            operation.parameters.dedup();
            operation.answers = vec![(200, Content::Text)];
            operation.produces.insert(0, "text/plain");
        }
        vec![PathItem { path, operations }]
    }
}

/// Custom resources have no protobuf, and no strategic merge patches.
fn restrict(operation: &mut Operation) {
    const TEXTS: [&str; 2] = ["application/json", "application/yaml"];
    operation.produces.retain(|media| TEXTS.contains(media));
    match operation.method {
        "patch" => operation.consumes.retain(|media| !media.contains("strategic")),
        _ => operation.consumes = TEXTS.to_vec(),
    }
}

/// Reading, replacing and patching one object.
fn replaceable(
    path: &str,
    name: &str,
    kind: &GroupVersionKind,
    has: &dyn Fn(&str) -> bool,
) -> Vec<Operation> {
    let object = Content::Kind(kind.clone());
    let mut operations = Vec::new();
    if has("get") {
        let read = Operation::new("get", "get", path, &format!("read{name}"), kind, "");
        operations.push(read.answering(&[200], object.clone()));
    }
    if has("update") {
        let replace = Operation::new("put", "put", path, &format!("replace{name}"), kind, WRITE);
        operations
            .push(Operation { body: Some(object.clone()), ..replace.answering(&[200, 201], object.clone()) });
    }
    if has("patch") {
        let patch = Operation::new("patch", "patch", path, &format!("patch{name}"), kind, PATCH);
        let (body, consumes) = (Some(Content::Meta("Patch")), PATCHES.to_vec());
        operations.push(Operation { body, consumes, ..patch.answering(&[200, 201], object) });
    }
    operations
}

/// A subresource that opens connections.
fn connection(path: String, name: &str, sub: &Subresource) -> PathItem {
    let has = |verb: &str| sub.verbs.iter().any(|v| v == verb);
    // Where all verbs are passed on, so are the methods that have none.
    let methods = [
        ("delete", has("delete")),
        ("get", has("get")),
        ("head", has("update")),
        ("options", has("update")),
        ("patch", has("patch")),
        ("post", has("create")),
        ("put", has("update")),
    ];
    let open = |method: &'static str| {
        let id = format!("connect{}{name}", capital(method));
        let mut operation =
            Operation::new(method, "connect", &path, &id, &sub.kind, "").answering(&[200], Content::Text);
        operation.parameters.retain(|parameter| parameter.name != "pretty");
        operation.parameters.extend(options_of(&sub.kind));
        operation.parameters.sort_by(|a, b| (&a.name, a.place).cmp(&(&b.name, b.place)));
        operation.produces = vec!["*/*"];
        operation
    };
    let operations =
        methods.into_iter().filter(|(_, served)| *served).map(|(method, _)| open(method)).collect();
    PathItem { path, operations }
}

/// The fields of a kind of options as parameters of a query.
fn options_of(kind: &GroupVersionKind) -> Vec<Parameter> {
    let Some(ty) = Schema::builtin().type_of(kind) else { return vec![] };
    let own = ty.ty.fields.iter().filter(|field| !matches!(field.name.as_str(), "kind" | "apiVersion"));
    let parameter = |field: &Field| {
        let kind = json_type(&field.shape)?;
        Some(Parameter { name: field.name.to_string(), place: "query", kind })
    };
    own.filter_map(parameter).collect()
}

/// The type of a parameter; upstream documents only simple ones, and lists of them as one.
fn json_type(shape: &Shape) -> Option<&'static str> {
    match shape {
        Shape::Bool => Some("boolean"),
        Shape::Int32 | Shape::Int64 => Some("integer"),
        Shape::String => Some("string"),
        Shape::List(of) => json_type(of),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use decapod_api::kinds::BUILT_IN;

    use super::*;

    fn ids(group: &str, version: &str) -> Vec<String> {
        let gv = GroupVersion { group: group.to_owned().into(), version: version.to_owned().into() };
        let paths = of_group_version(&gv, BUILT_IN.iter().map(AsRef::as_ref));
        let show = |path: &PathItem| -> Vec<String> {
            path.operations.iter().map(|op| format!("{} {} {}", op.method, path.path, op.id)).collect()
        };
        paths.iter().flat_map(show).collect()
    }

    #[test]
    fn operations_are_called_what_upstream_calls_them() {
        let core = ids("", "v1");
        let rbac = ids("rbac.authorization.k8s.io", "v1");
        for expected in [
            "get /api/v1/ getCoreV1APIResources",
            "get /api/v1/pods listCoreV1PodForAllNamespaces",
            "delete /api/v1/namespaces/{namespace}/pods deleteCoreV1CollectionNamespacedPod",
            "get /api/v1/watch/namespaces/{namespace}/pods watchCoreV1NamespacedPodList",
            "put /api/v1/namespaces/{name}/finalize replaceCoreV1NamespaceFinalize",
            "post /api/v1/namespaces/{namespace}/pods/{name}/exec connectCoreV1PostNamespacedPodExec",
            "options /api/v1/nodes/{name}/proxy/{path} connectCoreV1OptionsNodeProxyWithPath",
            "get /api/v1/namespaces/{namespace}/pods/{name}/log readCoreV1NamespacedPodLog",
            "post /api/v1/namespaces/{namespace}/bindings createCoreV1NamespacedBinding",
        ] {
            assert!(core.iter().any(|id| id == expected), "{expected}");
        }
        let expected = "patch /apis/rbac.authorization.k8s.io/v1/clusterroles/{name} patchRbacAuthorizationV1ClusterRole";
        assert!(rbac.iter().any(|id| id == expected), "{rbac:?}");
    }

    #[test]
    fn logs_take_their_options_in_the_query_and_answer_a_text() {
        let gv = GroupVersion::parse("v1");
        let paths = of_group_version(&gv, BUILT_IN.iter().map(AsRef::as_ref));
        let log = paths.iter().find(|path| path.path.ends_with("/log")).expect("logs");
        let names: Vec<&str> = log.operations[0].parameters.iter().map(|p| p.name.as_str()).collect();
        assert!(names.contains(&"sinceSeconds") && names.contains(&"pretty"), "{names:?}");
        assert_eq!(log.operations[0].answers, [(200, Content::Text)]);
    }
}
