//! Impersonation: acting as somebody else, with the right to
//! (k8s.io/apiserver/pkg/endpoints/filters/impersonation.go).

use decapod_api::Status;
use http::HeaderMap;

use crate::authz::{Question, What};
use crate::identity::{AUTHENTICATED, UNAUTHENTICATED, User};
use crate::server::Server;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

/// The user that a request acts as: `user`, unless its headers name another, whom `user` has to be allowed to be.
pub fn apply(server: &Server, user: User, headers: &HeaderMap) -> Result<User, Status> {
    let text = |value: &http::HeaderValue| {
        value.to_str().map(str::to_owned).map_err(|_| Status::bad_request("impersonation headers are ASCII"))
    };
    let all = |name: &str| headers.get_all(name).iter().map(text).collect::<Result<Vec<_>, _>>();
    let names = all(USER)?;
    let (groups, uids) = (all(GROUP)?, all(UID)?);
    let has_extra = headers.keys().any(|name| name.as_str().starts_with(EXTRA));
    let Some(name) = names.first().filter(|name| !name.is_empty()) else {
        if groups.is_empty() && uids.is_empty() && !has_extra {
            return Ok(user);
        }
        return Err(Status::bad_request(
            "requested impersonation of groups, UID or extra without impersonating a user",
        ));
    };
    if names.len() > 1 || uids.len() > 1 {
        return Err(Status::bad_request("impersonation headers name one user and one UID"));
    }
    let ask = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
        let what = What::Resource { verb: "impersonate", group, resource, subresource, namespace, name };
        server.authorize(&Question { user: &user, what })
    };
    const AUTHENTICATION: &str = "authentication.k8s.io";
    let mut other = match name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, account)) => {
            ask("", "serviceaccounts", "", namespace, account)?;
            let mut other = User::service_account(namespace, account);
            if !groups.is_empty() {
                other.groups.clear();
            }
            other
        }
        None => {
            ask("", "users", "", "", name)?;
            match name == "system:anonymous" {
                true => User::anonymous(),
                false => User { name: name.clone(), ..User::default() },
            }
        }
    };
    for group in groups {
        ask("", "groups", "", "", &group)?;
        other.groups.push(group);
    }
    if !other.in_group(AUTHENTICATED) && !other.in_group(UNAUTHENTICATED) {
        other.groups.push(AUTHENTICATED.into());
    }
    for uid in uids {
        ask(AUTHENTICATION, "uids", "", "", &uid)?;
        other.uid = uid;
    }
    for (header, value) in headers {
        if let Some(key) = header.as_str().strip_prefix(EXTRA) {
            let key = crate::http::query::percent_decode(key, false);
            let value = text(value)?;
            ask(AUTHENTICATION, "userextras", &key, "", &value)?;
            other.extra.entry(key).or_default().push(value);
        }
    }
    Ok(other)
}
