//! One operation: what it is called, what it takes and what it answers.

use decapod_api::meta::GroupVersionKind;

/// One operation.
pub struct Operation {
    /// The HTTP method in lower case.
    pub method: &'static str,
    /// The name of the operation, unlike any other.
    pub id: String,
    /// The group version, as tags write it.
    pub tag: String,
    /// What is done; none for documents.
    pub action: Option<&'static str>,
    /// The kind that it is about.
    pub kind: Option<GroupVersionKind>,
    /// In the order of their names.
    pub parameters: Vec<Parameter>,
    /// What the client sends.
    pub body: Option<Content>,
    /// What it gets, by status code.
    pub answers: Vec<(u16, Content)>,
    /// The encodings of the answers.
    pub produces: Vec<&'static str>,
    /// The encodings of the body.
    pub consumes: Vec<&'static str>,
}

/// What a body holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// An object of a kind.
    Kind(GroupVersionKind),
    /// A type of meta/v1.
    Meta(&'static str),
    /// Any text.
    Text,
    /// What `/version` says.
    Version,
}

/// A parameter of a path or query.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// `path` or `query`.
    pub place: &'static str,
    /// Its type in JSON.
    pub kind: &'static str,
}

/// How objects are written, in the order in which upstream lists them.
pub const ENCODINGS: [&str; 3] =
    ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
/// What writes take in the query.
pub const WRITE: &str = "dryRun fieldManager fieldValidation";
// === impl Operation ===

impl Operation {
    /// An operation on objects. `query` holds its parameters; a `?` after a name makes it a flag, a `#` a number.
    pub fn new(
        method: &'static str,
        action: &'static str,
        path: &str,
        name: &str,
        kind: &GroupVersionKind,
        query: &str,
    ) -> Operation {
        let in_path =
            path.split('{').skip(1).filter_map(|part| part.split('}').next()).map(|name| (name, "path"));
        let in_query = query.split_whitespace().chain(["pretty"]).map(|name| (name, "query"));
        let parameter = |(name, place): (&str, &'static str)| {
            let kind = match name.chars().last() {
                Some('?') => "boolean",
                Some('#') => "integer",
                _ => "string",
            };
            Parameter { name: name.trim_end_matches(['?', '#']).to_owned(), place, kind }
        };
        let mut parameters: Vec<Parameter> = in_path.chain(in_query).map(parameter).collect();
        parameters.sort_by(|a, b| a.name.cmp(&b.name));
        let (id, tag) = names(path, name);
        Operation {
            method,
            id,
            tag,
            action: Some(action),
            kind: Some(kind.clone()),
            parameters,
            body: None,
            answers: vec![],
            produces: ENCODINGS.to_vec(),
            consumes: vec!["*/*"],
        }
    }

    /// The creation of an object of a kind.
    pub fn create(path: &str, name: &str, kind: &GroupVersionKind) -> Operation {
        let object = Content::Kind(kind.clone());
        let create = Operation::new("post", "post", path, name, kind, WRITE);
        Operation { body: Some(object.clone()), ..create.answering(&[200, 201, 202], object) }
    }

    /// The same with these answers.
    pub fn answering(self, codes: &[u16], content: Content) -> Operation {
        Operation { answers: codes.iter().map(|code| (*code, content.clone())).collect(), ..self }
    }
}

/// The id of an operation and its tag: the group version goes right after the verb
/// (k8s.io/apiserver/pkg/endpoints/openapi, `GetOperationIDAndTags`).
pub fn names(path: &str, name: &str) -> (String, String) {
    let verb = name.find(char::is_uppercase).unwrap_or(name.len());
    let (verb, rest) = name.split_at(verb);
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version) = match parts.as_slice() {
        ["api", version, ..] => ("core", *version),
        ["api"] => ("core", ""),
        ["apis", group, version, ..] => (*group, *version),
        ["apis", group] => (*group, ""),
        parts => return (name.to_owned(), parts.first().copied().unwrap_or_default().to_owned()),
    };
    let group = group.strip_suffix(".k8s.io").unwrap_or(group);
    let group: String = group.split(['.', '-']).map(capital).collect();
    let tag = match version {
        "" => small(&group),
        version => format!("{}_{version}", small(&group)),
    };
    (format!("{verb}{group}{}{rest}", capital(version)), tag)
}

/// With a capital at the beginning.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}

fn small(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_ascii_lowercase().to_string() + chars.as_str())
}
