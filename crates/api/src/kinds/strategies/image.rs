//! The names of images (github.com/distribution/reference, `ParseNormalizedNamed`).

/// The tag of an image: `latest` when it names neither tag nor digest, empty when it is no image name or has only a
/// digest (upstream's `parsers.ParseImageName`).
pub fn tag(image: &str) -> &str {
    match parse(image) {
        Some((Some(tag), _)) => tag,
        Some((None, false)) => "latest",
        _ => "",
    }
}

/// The tag, and whether there is a digest; `None` for what is no image name.
fn parse(image: &str) -> Option<(Option<&str>, bool)> {
    let (named, digest) = match image.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (image, None),
    };
    let last = named.rfind('/').map_or(0, |slash| slash + 1);
    let (repository, tag) = match named[last..].rfind(':') {
        Some(colon) => (&named[..last + colon], Some(&named[last + colon + 1..])),
        None => (named, None),
    };
    let hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let good = is_repository(repository)
        && !hex(repository, 64)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(|digest| digest.split_once(':').is_some_and(|(_, sum)| sum.len() >= 32));
    good.then_some((tag, digest.is_some()))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = tag.as_bytes();
    bytes.len() <= 128
        && bytes.first().is_some_and(|&b| word(b))
        && bytes.iter().all(|&b| word(b) || b == b'.' || b == b'-')
}

/// A registry's host, if the first segment looks like one, and segments of lower case.
fn is_repository(repository: &str) -> bool {
    let path = match repository.split_once('/') {
        Some((host, path))
            if host.contains(['.', ':']) || host == "localhost" || host != host.to_lowercase() =>
        {
            path
        }
        _ => repository,
    };
    path.split('/').all(|segment| {
        let bytes = segment.as_bytes();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        bytes.first().is_some_and(|&b| plain(b))
            && bytes.last().is_some_and(|&b| plain(b))
            && bytes.iter().all(|&b| plain(b) || matches!(b, b'.' | b'_' | b'-'))
    })
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn tags() {
        for (image, want) in [
            ("busybox", "latest"),
            ("busybox:1.36", "1.36"),
            ("registry.k8s.io/pause", "latest"),
            ("localhost:5000/a/b", "latest"),
            ("localhost:5000/a/b:v1", "v1"),
            ("a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", ""),
            ("a:latest@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "latest"),
            ("", ""),
            ("BusyBox", ""),
            ("Example/busybox", "latest"),
            ("a b", ""),
        ] {
            assert_eq!(tag(image), want, "{image}");
        }
    }
}
