//! Where an object is kept: upstream's own key paths, such as `/registry/pods/default/web`.

use std::borrow::Borrow;
use std::sync::Arc;

/// The key of one object. Cloning shares it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// Resources that upstream keeps below another one's path (k8s.io/kubernetes/pkg/registry/core/rest): a second
/// path segment belongs to their prefix. So it does where the first segment is a group, which has a dot in it.
const NESTED: [&str; 1] = ["services"];

/// The prefix of the resource that `key` belongs to, with its last slash: `/registry/pods/`,
/// `/registry/services/specs/`, `/registry/example.com/widgets/`. A prefix of keys has the same one, as long as it
/// reaches past it.
pub fn resource_of(key: &str) -> &str {
    let end_of = |from: usize| key.get(from..).and_then(|rest| rest.find('/')).map(|at| from + at + 1);
    let Some(root) = end_of(1) else { return "/" };
    let Some(first) = end_of(root) else { return &key[..root] };
    let segment = &key[root..first - 1];
    if NESTED.contains(&segment) || segment.contains('.') {
        return &key[..end_of(first).unwrap_or(first)];
    }
    &key[..first]
}

// === impl Key ===

impl Key {
    /// The key written `path`.
    pub fn new(path: &str) -> Key {
        Key(path.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The prefix of its resource, see [`resource_of`].
    pub fn resource(&self) -> &str {
        resource_of(&self.0)
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Key {
    fn from(path: &str) -> Key {
        Key::new(path)
    }
}

impl From<String> for Key {
    fn from(path: String) -> Key {
        Key(path.into())
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        std::fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_resource() {
        for (key, resource) in [
            ("/registry/pods/default/web", "/registry/pods/"),
            ("/registry/pods/", "/registry/pods/"),
            ("/registry/minions/node-1", "/registry/minions/"),
            ("/registry/services/specs/default/web", "/registry/services/specs/"),
            ("/registry/services/endpoints/default/web", "/registry/services/endpoints/"),
            ("/registry/example.com/widgets/default/a", "/registry/example.com/widgets/"),
            (
                "/registry/apiregistration.k8s.io/apiservices/v1.apps",
                "/registry/apiregistration.k8s.io/apiservices/",
            ),
            ("/registry/clusterroles/system:node", "/registry/clusterroles/"),
            ("/registry/health", "/registry/"),
            ("odd", "/"),
            ("", "/"),
        ] {
            assert_eq!(resource_of(key), resource, "{key}");
        }
    }
}
