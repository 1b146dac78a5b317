//! Which links a page behind a proxy has into itself, and where they lead instead (upstream's `rewriteURL`).

/// What a proxy shows: a server, under a path of ours.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// The path under which the server's root is seen, such as `/api/v1/namespaces/a/pods/b/proxy`.
    pub prefix: String,
    /// The name and port by which the client asked us.
    pub asked: String,
    /// The server's own address and port, and whatever else it is known by.
    pub backend: Vec<String>,
}

/// Why a text is no link; the words are Go's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It has a control character.
    #[error("parse {0:?}: net/url: invalid control character in URL")]
    Control(String),
    /// It begins with a colon.
    #[error("parse {0:?}: missing protocol scheme")]
    Scheme(String),
    /// It would be read with a scheme if it were written so.
    #[error("parse {0:?}: first path segment in URL cannot contain colon")]
    Colon(String),
    /// A percent sign without two digits.
    #[error("parse {0:?}: invalid URL escape {1:?}")]
    Escape(String, String),
}

/// A link, taken apart.
struct Link<'a> {
    /// Scheme and authority.
    origin: &'a str,
    scheme: &'a str,
    /// Name and port.
    host: &'a str,
    path: &'a str,
    /// Query and fragment.
    tail: &'a str,
}

// === impl Site ===

impl Site {
    /// Where a link leads instead, `None` if it stays as it is.
    pub fn link(&self, text: &str) -> Result<Option<String>, LinkError> {
        let link = Link::parse(text)?;
        let is_elsewhere = match link.host {
            "" => !link.scheme.is_empty(),
            host => host != self.asked && !self.backend.iter().any(|own| own == host),
        };
        if is_elsewhere || !link.path.starts_with('/') {
            return Ok(None);
        }
        let origin = if link.host == self.asked { link.origin } else { "" };
        let path = if self.is_under(link.path) { escaped(link.path) } else { self.of_path(link.path) };
        let whole = format!("{origin}{path}{}", link.tail);
        Ok((whole != text).then_some(whole))
    }

    /// The same for a redirect, whose path is escaped in any case.
    pub fn location(&self, text: &str) -> Result<String, LinkError> {
        if let Some(changed) = self.link(text)? {
            return Ok(changed);
        }
        let link = Link::parse(text)?;
        Ok(format!("{}{}{}", link.origin, escaped(link.path), link.tail))
    }

    /// Our path to the server's `path`: without dots and double slashes, as Go's `path.Join` has it, and never out of
    /// the prefix.
    pub fn of_path(&self, path: &str) -> String {
        let mut segments: Vec<&str> = Vec::new();
        for segment in path.split('/') {
            match segment {
                "" | "." => {}
                ".." => drop(segments.pop()),
                name => segments.push(name),
            }
        }
        let mut whole = self.prefix.clone();
        for segment in segments {
            whole.push('/');
            whole.push_str(&escaped(segment));
        }
        if path.ends_with('/') {
            whole.push('/');
        }
        whole
    }

    fn is_under(&self, path: &str) -> bool {
        let plain = |text: &str| crate::http::query::percent_decode(text, false);
        let (path, prefix) = (plain(path), plain(&self.prefix));
        path.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

// === impl Link ===

impl<'a> Link<'a> {
    /// As Go's net/url does, as far as it matters here.
    fn parse(text: &'a str) -> Result<Link<'a>, LinkError> {
        if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err(LinkError::Control(text.to_owned()));
        }
        let end = text.find(['?', '#']).unwrap_or(text.len());
        let (head, tail) = text.split_at(end);
        let scheme = scheme(head).ok_or_else(|| LinkError::Scheme(text.to_owned()))?;
        let after = if scheme.is_empty() { head } else { &head[scheme.len() + 1..] };
        if !after.starts_with('/') {
            let first = after.split('/').next().unwrap_or_default();
            if scheme.is_empty() && first.contains(':') {
                return Err(LinkError::Colon(text.to_owned()));
            }
            if !scheme.is_empty() {
                return Ok(Link { origin: head, scheme, host: "", path: "", tail });
            }
        }
        let has_host = after.starts_with("//") && (!scheme.is_empty() || !after.starts_with("///"));
        let authority = if has_host { after[2..].split('/').next().unwrap_or_default() } else { "" };
        let path = if has_host { &after[2 + authority.len()..] } else { after };
        if let Some(wrong) = wrong_escape(path) {
            return Err(LinkError::Escape(text.to_owned(), wrong));
        }
        let host = authority.rsplit('@').next().unwrap_or_default();
        Ok(Link { origin: &head[..head.len() - path.len()], scheme, host, path, tail })
    }
}

/// What stands before the first colon, if it is a scheme; `None` if nothing does.
fn scheme(head: &str) -> Option<&str> {
    for (at, byte) in head.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return None,
            b':' => return Some(&head[..at]),
            _ => return Some(""),
        }
    }
    Some("")
}

fn wrong_escape(path: &str) -> Option<String> {
    let bytes = path.as_bytes();
    let is_wrong = |at: &usize| {
        let digits = bytes.get(at + 1..at + 3).unwrap_or_default();
        digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit)
    };
    let at = (0..bytes.len()).filter(|at| bytes[*at] == b'%').find(is_wrong)?;
    Some(String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 3)]).into_owned())
}

/// A path with whatever may not stand in one in percent encoding; what is so already stays.
fn escaped(path: &str) -> String {
    let stays = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:@/%".contains(&byte);
    let mut whole = String::with_capacity(path.len());
    for byte in path.bytes() {
        match stays(byte) {
            true => whole.push(char::from(byte)),
            false => whole.push_str(&format!("%{byte:02X}")),
        }
    }
    whole
}
