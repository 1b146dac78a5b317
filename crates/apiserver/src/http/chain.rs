//! The request chain: every request passes these layers, in this order.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use decapod_api::Status;
use decapod_api::kinds::Storage;
use decapod_client::{PatchType, Reply, Request, Verb};
use futures::FutureExt;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::negotiate::{self, Accepted, Form};
use super::query::{self, Query};
use super::route::{ResourceRoute, Route};
use super::{Response, pretty, respond, watch};
use crate::aggregation;
use crate::authn::{self, Credentials};
use crate::authz::{Question, What};
use crate::connect;
use crate::identity::User;
use crate::impersonate;
use crate::paths;
use crate::registry::{Context, Media};
use crate::server::Server;
use crate::table;

/// Largest body of a request (upstream's `MaxRequestBodyBytes`).
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// How long a request may take that is no watch and no connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a watch lasts when the client does not say, at least; at most twice that.
const WATCH_TIMEOUT_MIN_SECONDS: u64 = 1800;

/// Group, resource, and what clients are told of them (upstream's `APILifecycleDeprecated`).
const DEPRECATED: [(&str, &str, &str); 2] = [
    ("", "endpoints", "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
    ("", "componentstatuses", "v1 ComponentStatus is deprecated in v1.19+"),
];

/// Passes a request through the chain.
pub async fn serve(
    server: Arc<Server>,
    certificate: Option<Arc<User>>,
    request: http::Request<Incoming>,
) -> Response {
    let (parts, body) = request.into_parts();
    let accepted = Accepted::parse(&parts.headers);
    let media = accepted.as_ref().map_or(Media::Json, |accepted| accepted.media);
    server.metrics.requests.inc();
    let pretty = pretty::wanted(&parts.headers, &Query::parse(parts.uri.query().unwrap_or_default()));

    // A panic ends this request and no other.
    let answer =
        AssertUnwindSafe(layers(&server, certificate.as_deref(), parts, body, accepted)).catch_unwind();
    let mut response = match answer.await {
        Ok(Ok(response)) => response,
        Ok(Err(status)) if pretty => pretty::indented(respond::status(&status, media)).await,
        Ok(Err(status)) => respond::status(&status, media),
        Err(_) => {
            server.metrics.panics.inc();
            respond::status(&Status::internal("the request panicked"), media)
        }
    };
    let headers = response.headers_mut();
    headers.entry("cache-control").or_insert(HeaderValue::from_static("no-cache, private"));
    if let Ok(id) = HeaderValue::from_str(&server.env().uuid()) {
        headers.insert("audit-id", id);
    }
    response
}

async fn layers(
    server: &Arc<Server>,
    certificate: Option<&User>,
    parts: Parts,
    body: Incoming,
    accepted: Result<Accepted, Status>,
) -> Result<Response, Status> {
    // Authentication: who asks.
    let header = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let credentials = Credentials { certificate, authorization: header(AUTHORIZATION) };
    let user = authn::authenticate(&credentials, &server.tokens, &*server.registry, server.env().now())
        .ok_or_else(Status::unauthorized)?;

    // Impersonation: as whom, with an authorization of its own.
    let user = impersonate::apply(server, user, &parts.headers)?;

    // What is asked.
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let named =
        decapod_api::selector::FieldSelector::parse(query.get("fieldSelector").unwrap_or_default()).ok();
    let named = named.as_ref().and_then(|selector| selector.required("metadata.name"));
    let route = Route::parse(&parts.method, parts.uri.path(), query.flag("watch"), named);

    // Authorization: may they.
    authorize(server, &user, &route, &parts)?;

    // Aggregation: what another server serves is its business from here on.
    let known = server.aggregator.known();
    if let Some((registered, remote)) = known.serving(parts.uri.path()) {
        let request = http::Request::from_parts(parts, body);
        return aggregation::serve(server, registered, remote, &user, request, time_for(&route)).await;
    }

    let pretty = pretty::wanted(&parts.headers, &query);
    match route {
        Route::Path(path) => {
            let response = paths::answer(server, &user, &parts, &path)?;
            Ok(if pretty { pretty::indented(response).await } else { response })
        }
        Route::Resource(route) if connect::is_connection(&route) => {
            connect::serve(server, &user, route, &query, http::Request::from_parts(parts, body)).await
        }
        Route::Resource(route) => {
            let watches = route.verb == Some(Verb::Watch);
            let media = accepted.as_ref().map_or(Media::Json, |accepted| accepted.media);
            let user_agent = header(USER_AGENT).unwrap_or_default().to_owned();
            let context = Context::new(user, user_agent);
            let accepted = accepted?;
            // Whoever is slow to send holds a request as long as one that is slow to be answered.
            let deadline = tokio::time::timeout(REQUEST_TIMEOUT, async {
                let body = read(body).await?;
                resource(server, &context, route, &query, &parts.headers, body, accepted).await
            });
            // Warnings come with refusals too.
            let mut response = match deadline.await {
                Ok(Ok(response)) => response,
                Ok(Err(status)) => respond::status(&status, media),
                Err(_) => {
                    let why = "request did not complete within the allotted timeout";
                    respond::status(&Status::timeout(why), media)
                }
            };
            respond::warn(&mut response, context.take_warnings());
            Ok(if pretty && !watches { pretty::indented(response).await } else { response })
        }
    }
}

/// How long a request may take; none for those that last as long as their clients want (upstream's
/// `BasicLongRunningRequestCheck`).
fn time_for(route: &Route) -> Option<Duration> {
    let lasts = match route {
        Route::Path(_) => false,
        Route::Resource(route) => {
            let subresource = route.subresource.as_str();
            route.verb == Some(Verb::Watch)
                || matches!(subresource, "attach" | "exec" | "proxy" | "log" | "portforward")
        }
    };
    (!lasts).then_some(REQUEST_TIMEOUT)
}

fn authorize(server: &Server, user: &User, route: &Route, parts: &Parts) -> Result<(), Status> {
    let method = parts.method.as_str().to_ascii_lowercase();
    let route = match route {
        Route::Path(path) => {
            return server.authorize(&Question { user, what: What::Path { verb: &method, path } });
        }
        Route::Resource(route) => route,
    };
    let ask = |verb: &str| {
        let what = What::Resource {
            verb,
            group: &route.resource.group,
            resource: &route.resource.resource,
            subresource: &route.subresource,
            namespace: &route.namespace,
            name: &route.name,
        };
        server.authorize(&Question { user, what })
    };
    let verb = route.verb.map(Verb::as_str).unwrap_or(&method);
    ask(verb)?;
    connect::verb(route).filter(|more| *more != verb).map_or(Ok(()), ask)
}

/// The whole body, up to the limit.
async fn read(body: Incoming) -> Result<Bytes, Status> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Status::too_large(BODY_BYTES_MAX)),
        Err(error) => Err(Status::bad_request(format!("reading the request's body: {error}"))),
    }
}

/// The verb, if there is such a request, its options can be read and its answer can be in the encoding that is wanted.
fn checked_verb(
    route: &ResourceRoute,
    query: &Query,
    headers: &HeaderMap,
    wanted: Media,
) -> Result<Verb, Status> {
    let verb = route
        .verb
        .ok_or_else(|| Status::method_not_allowed(&route.resource.group_resource(), "the method"))?;
    if !route.rest.is_empty() {
        return Err(Status::no_such_path());
    }
    if verb == Verb::Watch && wanted == Media::Yaml {
        return Err(Status::not_acceptable(negotiate::STREAMED));
    }
    if verb == Verb::Create && !route.name.is_empty() && route.subresource.is_empty() {
        return Err(Status::no_such_method());
    }
    match verb {
        Verb::Create => query::check_write(query, "CreateOptions")?,
        Verb::Update => query::check_write(query, "UpdateOptions")?,
        Verb::Patch => query::check_patch(query, patch_type(headers)?)?,
        Verb::Delete | Verb::DeleteCollection => query::check_write(query, "DeleteOptions")?,
        Verb::Get | Verb::List | Verb::Watch => {}
    }
    Ok(verb)
}

/// A resource request: to the registry, and its answer into the form asked for.
async fn resource(
    server: &Server,
    context: &Context,
    route: ResourceRoute,
    query: &Query,
    headers: &HeaderMap,
    body: Bytes,
    accepted: Accepted,
) -> Result<Response, Status> {
    let verb = checked_verb(&route, query, headers, accepted.media)?;
    let media = if body.is_empty() { Media::Json } else { negotiate::content(headers)? };
    let collection = matches!(verb, Verb::List | Verb::Watch | Verb::DeleteCollection);
    let request = Request {
        verb,
        name: if collection { String::new() } else { route.name },
        namespace: route.namespace,
        subresource: route.subresource,
        options: query.options()?,
        body,
        patch_type: if verb == Verb::Patch { patch_type(headers)? } else { PatchType::default() },
        resource: route.resource,
    };
    let target = server.registry.kinds().resolve(&request)?;
    if let Some((_, _, warning)) = DEPRECATED
        .iter()
        .find(|(group, plural, _)| target.resource.group == *group && target.resource.plural == *plural)
    {
        context.warn((*warning).to_owned());
    }
    let kind = match target.version().subresource(&target.subresource) {
        Some(subresource) => subresource.kind.clone(),
        None => target.kind().clone(),
    };
    let is_review = verb == Verb::Create && target.resource.storage == Storage::Virtual;
    let accepted =
        if is_review && accepted.form != Form::Object { Accepted::plain(headers)? } else { accepted };
    let timeout = request.options.timeout_seconds;
    let mut table = table::Request::from_query(query, server.env().now());
    if let Some(custom) = target.custom() {
        custom.deprecation.iter().for_each(|text| context.warn(text.as_str()));
        // The columns are of the objects themselves.
        table.custom = target.subresource.as_str().ne("scale").then(|| custom.clone());
    }
    let list_kind = target.resource.list_kind();
    let request = with_query_options(request, query);
    match server.registry.handle(context, request, media).await? {
        Reply::Object(object) => {
            let created = verb == Verb::Create || context.has_created();
            let code = if created { StatusCode::CREATED } else { StatusCode::OK };
            respond::object(code, &object, &kind, &accepted, &table, &server.kept)
        }
        Reply::List(list) => respond::list(list, &kind, &list_kind, &accepted, &table, &server.kept),
        Reply::Status(status) => Ok(respond::status(&status, accepted.media)),
        Reply::Watch(events) => {
            let spread = server.env().random_below(WATCH_TIMEOUT_MIN_SECONDS);
            let seconds =
                timeout.filter(|seconds| *seconds > 0).unwrap_or(WATCH_TIMEOUT_MIN_SECONDS + spread);
            Ok(watch::response(server, events, kind, accepted, table, Duration::from_secs(seconds)))
        }
    }
}

/// Deletes may bring their options in the query; they become the body that the registry reads.
fn with_query_options(mut request: Request, query: &Query) -> Request {
    if !matches!(request.verb, Verb::Delete | Verb::DeleteCollection) || !request.body.is_empty() {
        return request;
    }
    let mut options = serde_json::Map::new();
    if let Some(seconds) = query.get("gracePeriodSeconds").and_then(|text| text.parse::<i64>().ok()) {
        options.insert("gracePeriodSeconds".into(), seconds.into());
    }
    if let Some(policy) = query.get("propagationPolicy") {
        options.insert("propagationPolicy".into(), policy.into());
    }
    if query.get("orphanDependents").is_some() {
        options.insert("orphanDependents".into(), query.flag("orphanDependents").into());
    }
    if !options.is_empty() {
        request.body = serde_json::Value::Object(options).to_string().into();
    }
    request
}

/// The form of a patch, from its media type.
fn patch_type(headers: &HeaderMap) -> Result<PatchType, Status> {
    const FORMS: [PatchType; 4] = [PatchType::Json, PatchType::Merge, PatchType::Strategic, PatchType::Apply];
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wanted = value.split(';').next().unwrap_or_default().trim();
    FORMS.into_iter().find(|form| form.media_type() == wanted).ok_or_else(Status::unsupported_patch)
}
