//! Links, redirects, pages in pieces and packed.

use std::convert::Infallible;
use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use futures::stream;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;

use super::html::Links;
use super::site::Site;
use crate::http::Response;

fn site() -> Site {
    Site {
        prefix: "/api/v1/namespaces/a/pods/b:80/proxy".into(),
        asked: "localhost:8001".into(),
        backend: vec!["10.0.0.7:80".into(), "10.0.0.7".into()],
    }
}

/// `^` stands for the prefix.
fn under(text: &str) -> String {
    text.replace('^', &site().prefix)
}

fn page(html: &str, pieces: usize) -> String {
    let mut links = Links::new(Vec::new(), site());
    for piece in html.as_bytes().chunks(pieces) {
        links.write_all(piece).unwrap();
    }
    String::from_utf8(links.finish().unwrap()).unwrap()
}

#[test]
fn links_into_the_site_go_through_the_proxy() {
    let table = [
        ("/x", "^/x"),
        ("/", "^/"),
        ("/x/", "^/x/"),
        ("/x?a=/b#/c", "^/x?a=/b#/c"),
        ("/a//b/./c/../d", "^/a/b/d"),
        ("/../../x", "^/x"),
        ("x", "x"),
        ("../x", "../x"),
        ("?a", "?a"),
        ("#a", "#a"),
        ("", ""),
        ("^/x", "^/x"),
        ("/api/v1/namespaces/a/pods/b%3A80/proxy/x", "/api/v1/namespaces/a/pods/b%3A80/proxy/x"),
        ("^x", "^^x"),
        ("http://10.0.0.7:80/x", "^/x"),
        ("https://10.0.0.7/x", "^/x"),
        ("//10.0.0.7/x", "^/x"),
        ("http://10.0.0.7:81/x", "http://10.0.0.7:81/x"),
        ("http://10.0.0.7:80", "http://10.0.0.7:80"),
        ("http://10.0.0.7:80^/x", "^/x"),
        ("http://localhost:8001/x/", "http://localhost:8001^/x/"),
        ("http://localhost:8001^/x/", "http://localhost:8001^/x/"),
        ("http://example.com/x", "http://example.com/x"),
        ("//example.com/x", "//example.com/x"),
        ("mailto:a@example.com", "mailto:a@example.com"),
        ("javascript:/x/.test(y)", "javascript:/x/.test(y)"),
        ("data:text/html,/x", "data:text/html,/x"),
        ("/a b<c>", "^/a%20b%3Cc%3E"),
        ("/%00<script>alert(1)</script>/", "^/%00%3Cscript%3Ealert(1)%3C/script%3E/"),
        ("http://example.com/%00<b>/", "http://example.com/%00%3Cb%3E/"),
    ];
    for (from, to) in table {
        assert_eq!(site().location(&under(from)), Ok(under(to)), "{from}");
    }
}

#[test]
fn what_is_no_link_is_refused_in_gos_words() {
    let table = [
        ("/%zz", "parse \"/%zz\": invalid URL escape \"%zz\""),
        ("/%4", "parse \"/%4\": invalid URL escape \"%4\""),
        ("a:80", ""),
        ("10.0.0.7:80/x", "parse \"10.0.0.7:80/x\": first path segment in URL cannot contain colon"),
        (":x", "parse \":x\": missing protocol scheme"),
        ("/a\nb", "parse \"/a\\nb\": net/url: invalid control character in URL"),
    ];
    for (from, why) in table {
        let said = site().location(from).map(|_| String::new()).unwrap_or_else(|error| error.to_string());
        assert_eq!(said, why, "{from}");
    }
}

#[test]
fn the_backend_hears_what_was_asked_for() {
    for (path, uri) in [("/", "^/"), ("/a/b", "^/a/b"), ("/a//b/", "^/a/b/"), ("/%3Cb%3E", "^/%3Cb%3E")] {
        let mut headers = HeaderMap::new();
        super::announce(&site(), path, &mut headers);
        assert_eq!(headers["x-forwarded-uri"], under(uri), "{path}");
    }
}

#[test]
fn pages_are_the_same_but_for_their_links() {
    let table = [
        (r#"<a href="/rewriteme">test</a>"#, r#"<a href="^/rewriteme">test</a>"#),
        (
            r#"<pre><a href="k.log">k</a><a href="/g.log/">g</a>"#,
            r#"<pre><a href="k.log">k</a><a href="^/g.log/">g</a>"#,
        ),
        ("<A\n HREF = '/x' >", "<A\n HREF = '^/x' >"),
        ("<a href=/x>y</a>", "<a href=^/x>y</a>"),
        ("<a href=/x/ title=/y>", "<a href=^/x/ title=/y>"),
        ("<a href=/x id=1 href2=/x/>", "<a href=^/x id=1 href2=/x/>"),
        (
            "<img src='/a.png' longdesc=\"/b\" alt=\"/c\"/>",
            "<img src='^/a.png' longdesc=\"^/b\" alt=\"/c\"/>",
        ),
        ("<img disabled src=/a.png/>", "<img disabled src=^/a.png/>"),
        (
            "<form action=\"/post\"><button formaction=/p2>",
            "<form action=\"^/post\"><button formaction=^/p2>",
        ),
        ("<b href=/x>", "<b href=/x>"),
        ("</a href=/x>", "</a href=/x>"),
        ("<a href=>/x", "<a href=>/x"),
        ("<a =href=/x href=/y>", "<a =href=/x href=^/y>"),
        ("<a/href=/x>", "<a/href=^/x>"),
        ("<a href/=/x>", "<a href/=/x>"),
        ("a < b <a href=/x>", "a < b <a href=^/x>"),
        ("<<a href=/x>", "<<a href=^/x>"),
        ("<!-- <a href=/x> --><a href=/x>", "<!-- <a href=/x> --><a href=^/x>"),
        ("<!--><a href=/x>--><a href=/x>", "<!--><a href=^/x>--><a href=^/x>"),
        ("<!-- a --!><a href=/x>", "<!-- a --!><a href=^/x>"),
        ("<!-- > -> <a href=/x>", "<!-- > -> <a href=/x>"),
        ("<!DOCTYPE html><?x <a href=/x><a href=/x>", "<!DOCTYPE html><?x <a href=/x><a href=^/x>"),
        ("</><a href=/x></ x><a href=/x>", "</><a href=^/x></ x><a href=^/x>"),
        ("<title><a href=/x></title ><a href=/x>", "<title><a href=/x></title ><a href=^/x>"),
        ("<textarea><a href=/x></TEXTAREA><a href=/x>", "<textarea><a href=/x></TEXTAREA><a href=^/x>"),
        ("<style></styles><a href=/x></style><a href=/x>", "<style></styles><a href=/x></style><a href=^/x>"),
        ("<plaintext></plaintext><a href=/x>", "<plaintext></plaintext><a href=/x>"),
        (
            "<script src=/s.js>'<a href=/x>'</script><a href=/x>",
            "<script src=^/s.js>'<a href=/x>'</script><a href=^/x>",
        ),
        ("<script>a</b></script/><a href=/x>", "<script>a</b></script/><a href=^/x>"),
        ("<script><!-- </script><a href=/x>", "<script><!-- </script><a href=^/x>"),
        (
            "<script><!-- <script></script><a href=/x></script><a href=/x>",
            "<script><!-- <script></script><a href=/x></script><a href=^/x>",
        ),
        ("<script><!-- <script> --></script><a href=/x>", "<script><!-- <script> --></script><a href=^/x>"),
        (r#"<a href="/x?a=1&amp;b=&copy;">"#, r#"<a href="^/x?a=1&amp;b=&copy;">"#),
        (r#"<a href="&#x2F;x&#47;y">"#, r#"<a href="^/x/y">"#),
        (r#"<a href="/x?q=&quot;&#39;&lt;">"#, r#"<a href="^/x?q=&#34;&#39;&lt;">"#),
        (r#"<a href="https&#58;//example.com/x">"#, r#"<a href="https&#58;//example.com/x">"#),
        (r#"<a href="/%zz">"#, r#"<a href="/%zz">"#),
        ("<a href=\"/x", "<a href=\"/x"),
        ("<a href", "<a href"),
    ];
    for (from, to) in table {
        for pieces in [1, 2, 3, 1000] {
            assert_eq!(page(from, pieces), under(to), "{from} in pieces of {pieces}");
        }
    }
}

#[test]
fn a_value_that_is_too_long_stays_as_it_is() {
    let long = format!("<a href=\"/{}\"><a href=\"/y\">", "x".repeat(9000));
    assert_eq!(page(&long, 100), long.replace("\"/y", &under("\"^/y")));
}

/// A backend's answer, in frames of `pieces` bytes.
fn answer(headers: &[(http::HeaderName, &str)], body: &[u8], pieces: usize) -> Response {
    let frames: Vec<_> =
        body.chunks(pieces).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
    let mut answer = http::Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync());
    for (name, value) in headers {
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    answer
}

fn packed(encoding: &str, page: &str) -> Vec<u8> {
    let level = Compression::default();
    let write = |mut out: Box<dyn FnMut(&[u8]) -> Vec<u8>>| out(page.as_bytes());
    match encoding {
        "gzip" => write(Box::new(move |bytes| {
            // Two members, as concatenated files have.
            let (one, two) = bytes.split_at(bytes.len() / 2);
            let mut whole = Vec::new();
            for part in [one, two] {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(part).unwrap();
                whole.extend(encoder.finish().unwrap());
            }
            whole
        })),
        "deflate" => write(Box::new(move |bytes| {
            let mut encoder = DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        })),
        "zlib" => write(Box::new(move |bytes| {
            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        })),
        _ => page.as_bytes().to_vec(),
    }
}

fn unpacked(encoding: &str, bytes: &[u8]) -> String {
    let mut text = String::new();
    match encoding {
        "gzip" => MultiGzDecoder::new(bytes).read_to_string(&mut text),
        "deflate" => DeflateDecoder::new(bytes).read_to_string(&mut text),
        "zlib" => ZlibDecoder::new(bytes).read_to_string(&mut text),
        _ => (&mut &*bytes).read_to_string(&mut text),
    }
    .unwrap();
    text
}

#[tokio::test]
async fn packed_pages_are_packed_again() {
    let line = |link: &str| format!("<p><a href=\"{link}\">some words about it</a></p>\n");
    let (from, to) = (line("/x").repeat(5000), line(&under("^/x")).repeat(5000));
    for encoding in ["", "gzip", "deflate", "zlib"] {
        for pieces in [7, 1000, 100_000] {
            let named = if encoding == "zlib" { "deflate" } else { encoding };
            let mut headers = vec![(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_LENGTH, "5")];
            if !named.is_empty() {
                headers.push((CONTENT_ENCODING, named));
            }
            let from = answer(&headers, &packed(encoding, &from), pieces);
            let rewritten = super::rewrite(site(), &Method::GET, from).unwrap();
            assert!(!rewritten.headers().contains_key(CONTENT_LENGTH));
            let body = rewritten.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(unpacked(encoding, &body), to, "{encoding} in pieces of {pieces}");
        }
    }
}

#[tokio::test]
async fn a_packed_page_that_breaks_off_breaks_off() {
    let mut bytes = packed("gzip", "<a href=/x>");
    bytes.truncate(bytes.len() - 9);
    let from = answer(&[(CONTENT_TYPE, "text/html"), (CONTENT_ENCODING, "gzip")], &bytes, 1000);
    let rewritten = super::rewrite(site(), &Method::GET, from).unwrap();
    assert!(rewritten.into_body().collect().await.is_err());
}

#[tokio::test]
async fn a_part_of_a_page_is_seen_before_the_rest_comes() {
    for encoding in ["", "gzip", "deflate", "zlib"] {
        let html = packed(encoding, "<a href=/x>one</a>");
        let first = stream::iter([Ok(Frame::data(Bytes::from(html)))]);
        let never = futures::StreamExt::chain(first, stream::pending());
        let mut from = http::Response::new(StreamBody::new(never).boxed_unsync());
        let named = if encoding == "zlib" { "deflate" } else { encoding };
        from.headers_mut().insert(CONTENT_TYPE, "text/html".parse().unwrap());
        from.headers_mut().insert(CONTENT_ENCODING, named.parse().unwrap());
        let mut body = super::rewrite(site(), &Method::GET, from).unwrap().into_body();
        assert!(body.frame().await.unwrap().unwrap().is_data(), "{encoding}");
    }
}

#[tokio::test]
async fn what_is_no_page_passes() {
    let html = "<a href=\"/x\">";
    let passes = [
        (Method::GET, vec![(CONTENT_TYPE, "text/plain"), (CONTENT_LENGTH, "13")]),
        (Method::GET, vec![(CONTENT_TYPE, "text/html"), (CONTENT_ENCODING, "br")]),
        (Method::GET, vec![]),
        (Method::HEAD, vec![(CONTENT_TYPE, "text/html")]),
        (Method::GET, vec![(CONTENT_TYPE, "text/html"), (LOCATION, "/y")]),
    ];
    for (method, headers) in passes {
        let rewritten = super::rewrite(site(), &method, answer(&headers, html.as_bytes(), 100)).unwrap();
        for (name, value) in headers {
            let wanted = if name == LOCATION { under("^/y") } else { value.to_owned() };
            assert_eq!(rewritten.headers()[&name], wanted, "{name}");
        }
        assert_eq!(rewritten.into_body().collect().await.unwrap().to_bytes(), html);
    }
}

#[test]
fn what_a_backend_allows_other_sites_stays_there() {
    let body = Full::new(Bytes::new()).map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut from = http::Response::new(body);
    for name in ["access-control-allow-origin", "access-control-allow-credentials", "x-own"] {
        from.headers_mut().insert(name, "*".parse().unwrap());
    }
    let rewritten = super::rewrite(site(), &Method::GET, from).unwrap();
    assert_eq!(rewritten.headers().keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["x-own"]);
}

#[test]
fn a_redirect_to_what_is_no_link_fails() {
    let from = answer(&[(LOCATION, "/%zz")], b"", 1);
    let status = super::rewrite(site(), &Method::GET, from).err().unwrap();
    assert_eq!(status.code, 500);
    let wanted = "error trying to parse Location header: parse \"/%zz\": invalid URL escape \"%zz\"";
    assert!(status.message.contains(wanted), "{}", status.message);
}
