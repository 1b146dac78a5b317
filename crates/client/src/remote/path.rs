//! A request as an HTTP method, path and query (k8s.io/client-go/rest/request.go).

use std::fmt::Write as _;

use http::Method;

use crate::request::{Request, Verb};

/// The method that `verb` travels under.
pub(super) fn method(verb: Verb) -> Method {
    match verb {
        Verb::Get | Verb::List | Verb::Watch => Method::GET,
        Verb::Create => Method::POST,
        Verb::Update => Method::PUT,
        Verb::Patch => Method::PATCH,
        Verb::Delete | Verb::DeleteCollection => Method::DELETE,
    }
}

/// The media type of the request's body.
pub(super) fn content_type(request: &Request) -> &'static str {
    match request.verb {
        Verb::Patch => request.patch_type.media_type(),
        _ => "application/json",
    }
}

/// Such as `/apis/apps/v1/namespaces/default/deployments/web/status?dryRun=All`.
pub(super) fn path_and_query(request: &Request) -> String {
    let resource = &request.resource;
    let mut path = if resource.group.is_empty() {
        format!("/api/{}", resource.version)
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    let namespace = (!request.namespace.is_empty()).then_some(["namespaces", &request.namespace]);
    let rest = [&*resource.resource, &request.name, &request.subresource];
    for segment in namespace.iter().flatten().copied().chain(rest) {
        if !segment.is_empty() {
            path.push('/');
            encode(&mut path, segment);
        }
    }
    let mut separator = '?';
    for (key, value) in query(request) {
        path.push(separator);
        path.push_str(key);
        path.push('=');
        encode(&mut path, &value);
        separator = '&';
    }
    path
}

fn query(request: &Request) -> Vec<(&'static str, String)> {
    let options = &request.options;
    let mut query = Vec::new();
    let mut add = |key, value: String| {
        if !value.is_empty() {
            query.push((key, value));
        }
    };
    let truth = |yes: bool| if yes { "true".to_owned() } else { String::new() };
    add("watch", truth(request.verb == Verb::Watch));
    add("labelSelector", options.label_selector.clone());
    add("fieldSelector", options.field_selector.clone());
    add("resourceVersion", options.resource_version.clone().unwrap_or_default());
    add("resourceVersionMatch", options.resource_version_match.clone().unwrap_or_default());
    add("limit", if options.limit == 0 { String::new() } else { options.limit.to_string() });
    add("continue", options.continue_token.clone());
    add("timeoutSeconds", options.timeout_seconds.map(|seconds| seconds.to_string()).unwrap_or_default());
    add("allowWatchBookmarks", truth(options.allow_watch_bookmarks));
    add("sendInitialEvents", options.send_initial_events.map(|yes| yes.to_string()).unwrap_or_default());
    // A delete carries it in its body as well; servers take either.
    add("dryRun", if options.dry_run { "All".to_owned() } else { String::new() });
    add("fieldManager", options.field_manager.clone());
    add("force", truth(options.force));
    add("fieldValidation", options.field_validation.clone());
    query
}

/// Appends `text` with all but RFC 3986's unreserved characters in per cent.
fn encode(path: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            write!(path, "%{byte:02X}").expect("a String takes all that is written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Options;
    use decapod_api::meta::GroupVersionResource;

    #[test]
    fn paths_are_as_client_go_writes_them() {
        let request = |group: &'static str, resource: &'static str, verb| {
            Request::new(verb, GroupVersionResource::new(group, "v1", resource))
        };
        let mut status = request("apps", "deployments", Verb::Patch);
        (status.namespace, status.name, status.subresource) = ("a".into(), "web".into(), "status".into());
        assert_eq!(path_and_query(&status), "/apis/apps/v1/namespaces/a/deployments/web/status");

        let mut role = request("rbac.authorization.k8s.io", "clusterroles", Verb::Get);
        role.name = "system:node".into();
        assert_eq!(path_and_query(&role), "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode");

        let mut watch = request("", "pods", Verb::Watch);
        watch.options = Options {
            field_selector: "spec.nodeName=a b".into(),
            resource_version: Some("7".into()),
            allow_watch_bookmarks: true,
            ..Options::default()
        };
        assert_eq!(
            path_and_query(&watch),
            "/api/v1/pods?watch=true&fieldSelector=spec.nodeName%3Da%20b&resourceVersion=7&allowWatchBookmarks=true"
        );
    }
}
