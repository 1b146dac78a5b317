//! What a path and method mean (k8s.io/apiserver/pkg/endpoints/request, `RequestInfoFactory`). There is no table of
//! routes: a path is taken apart, and the registry knows the resource or does not.

use decapod_api::meta::GroupVersionResource;
use decapod_client::Verb;
use http::Method;

use super::query::percent_decode;

/// A request line, understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Route {
    /// A resource.
    Resource(ResourceRoute),
    /// Anything else: health, discovery, OpenAPI.
    Path(String),
}

/// A resource request.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceRoute {
    /// What is asked; `None` for methods that mean nothing here.
    pub verb: Option<Verb>,
    /// Of which resource.
    pub resource: GroupVersionResource,
    /// In which namespace.
    pub namespace: String,
    /// Of which object.
    pub name: String,
    /// Which part of it.
    pub subresource: String,
    /// What follows the subresource, for proxies, with its leading slash.
    pub rest: String,
}

/// Subresources of a namespace; anything else after its name is a resource in it.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

impl Route {
    /// Takes a request line apart; an encoded slash is one, and what stands between two is empty, as it is to servers in
    /// Go behind us. `watch` and `field_selector` are from the query.
    pub fn parse(method: &Method, path: &str, watch: bool, named: Option<&str>) -> Route {
        let path = &percent_decode(path, false);
        let other = || Route::Path(path.to_owned());
        let mut parts = path.trim_matches('/').split('/').map(str::to_owned);
        let (group, version) = match (parts.next().as_deref(), parts.next(), path.as_str()) {
            (Some("api"), Some(version), _) if !version.is_empty() => (String::new(), version),
            (Some("apis"), Some(group), _) if !group.is_empty() => match parts.next() {
                Some(version) => (group, version),
                None => return other(),
            },
            _ => return other(),
        };
        let mut rest: Vec<String> = parts.collect();
        if rest.is_empty() {
            return other();
        }
        // The old form of a watch: /api/v1/watch/...
        let prefixed_watch = rest[0] == "watch" && rest.len() > 1;
        if prefixed_watch {
            rest.remove(0);
        }
        let mut namespace = String::new();
        let in_namespace =
            rest[0] == "namespaces" && rest.len() > 2 && !NAMESPACE_SUBRESOURCES.contains(&rest[2].as_str());
        if in_namespace {
            namespace = rest[1].clone();
            rest.drain(..2);
        } else if rest[0] == "namespaces" && rest.len() > 1 {
            namespace = rest[1].clone();
        }
        let mut rest = rest.into_iter();
        let resource = rest.next().unwrap_or_default();
        let name = rest.next().unwrap_or_default();
        let subresource = rest.next().unwrap_or_default();
        let tail: Vec<String> = rest.collect();
        let trailing = if path.ends_with('/') && !tail.is_empty() { "/" } else { "" };
        let rest = if tail.is_empty() { String::new() } else { format!("/{}{trailing}", tail.join("/")) };
        let mut route = ResourceRoute {
            verb: verb(method, &name, watch || prefixed_watch),
            resource: GroupVersionResource::new(group, version, resource),
            namespace,
            name,
            subresource,
            rest,
        };
        // A list or watch that selects one name is authorized as a request for that object.
        if route.name.is_empty()
            && matches!(route.verb, Some(Verb::List | Verb::Watch | Verb::DeleteCollection))
        {
            route.name = named.unwrap_or_default().to_owned();
        }
        Route::Resource(route)
    }
}

fn verb(method: &Method, name: &str, watch: bool) -> Option<Verb> {
    Some(match (method.as_str(), name.is_empty()) {
        ("GET" | "HEAD", _) if watch => Verb::Watch,
        ("GET" | "HEAD", true) => Verb::List,
        ("GET" | "HEAD", false) => Verb::Get,
        ("POST", _) => Verb::Create,
        ("PUT", _) => Verb::Update,
        ("PATCH", _) => Verb::Patch,
        ("DELETE", true) => Verb::DeleteCollection,
        ("DELETE", false) => Verb::Delete,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(method: &str, path: &str) -> String {
        let method = Method::from_bytes(method.as_bytes()).expect("method");
        match Route::parse(&method, path, false, None) {
            Route::Path(path) => path,
            Route::Resource(r) => format!(
                "{} {}/{}/{} ns={} name={} sub={} rest={}",
                r.verb.map_or("?", Verb::as_str),
                r.resource.group,
                r.resource.version,
                r.resource.resource,
                r.namespace,
                r.name,
                r.subresource,
                r.rest
            ),
        }
    }

    #[test]
    fn paths_mean_what_upstream_takes_them_for() {
        let table = [
            ("GET", "/api/v1/pods", "list /v1/pods ns= name= sub= rest="),
            ("GET", "/api/v1/namespaces/a/pods/b/log", "get /v1/pods ns=a name=b sub=log rest="),
            ("GET", "/api/v1/namespaces", "list /v1/namespaces ns= name= sub= rest="),
            ("GET", "/api/v1/namespaces/a", "get /v1/namespaces ns=a name=a sub= rest="),
            ("PUT", "/api/v1/namespaces/a/finalize", "update /v1/namespaces ns=a name=a sub=finalize rest="),
            (
                "DELETE",
                "/apis/apps/v1/namespaces/a/deployments",
                "deletecollection apps/v1/deployments ns=a name= sub= rest=",
            ),
            ("GET", "/api/v1/watch/namespaces/a/pods", "watch /v1/pods ns=a name= sub= rest="),
            (
                "POST",
                "/api/v1/namespaces/a/pods/b/proxy/x/y",
                "create /v1/pods ns=a name=b sub=proxy rest=/x/y",
            ),
            (
                "GET",
                "/api/v1/namespaces/a/pods/b/proxy//x//y/",
                "get /v1/pods ns=a name=b sub=proxy rest=//x//y/",
            ),
            ("GET", "/api/v1/namespaces/a/pods%2Fb%2flog", "get /v1/pods ns=a name=b sub=log rest="),
            ("GET", "/%61pi/v1/nodes/a%3Ab", "get /v1/nodes ns= name=a:b sub= rest="),
            ("GET", "/api/v1/namespaces/a/pods//log", "list /v1/pods ns=a name= sub=log rest="),
            ("GET", "/api/v1/namespaces//pods/b", "get /v1/pods ns= name=b sub= rest="),
            ("GET", "/apis//v1/pods", "/apis//v1/pods"),
            ("GET", "/apis/apps/v1", "/apis/apps/v1"),
            ("GET", "/healthz", "/healthz"),
            ("GET", "/api/v1//pods", "get /v1/ ns= name=pods sub= rest="),
        ];
        for (method, path, expected) in table {
            assert_eq!(show(method, path), expected, "{method} {path}");
        }
    }
}
