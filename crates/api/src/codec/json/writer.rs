//! JSON texts as Go's encoder writes them.

use crate::codec::scan;
use crate::value::Value;

/// Writes any value: maps sorted by key, absent fields as they are.
pub fn write_any(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(int) => out.extend_from_slice(itoa::Buffer::new().format(*int).as_bytes()),
        Value::Float(float) => write_float(*float, out),
        Value::String(text) => write_text(text, out),
        Value::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_any(item, out);
            }
            out.push(b']');
        }
        Value::Map(map) => {
            out.push(b'{');
            for (at, (key, value)) in map.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_text(key, out);
                out.push(b':');
                write_any(value, out);
            }
            out.push(b'}');
        }
    }
}

/// Writes a text in quotes. Go's encoder also escapes what HTML could take for markup.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    // 0xe2 begins U+2028 and U+2029, the only ones past ASCII.
    while let Some(at) = scan::find(rest, [b'"', b'\\', b'<', b'>', b'&', 0xe2]) {
        out.extend_from_slice(&rest[..at]);
        let taken = escape(&rest[at..], out);
        rest = &rest[at + taken..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Writes the escape for the byte that `rest` begins with, and says how many bytes it stands for.
fn escape(rest: &[u8], out: &mut Vec<u8>) -> usize {
    match rest[0] {
        byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0x08 => out.extend_from_slice(b"\\b"),
        0x0c => out.extend_from_slice(b"\\f"),
        0xe2 => match rest.get(1..3) {
            Some([0x80, last @ (0xa8 | 0xa9)]) => {
                out.extend_from_slice(if *last == 0xa8 { b"\\u2028" } else { b"\\u2029" });
                return 3;
            }
            _ => out.push(0xe2),
        },
        byte => {
            let hex = |n: u8| b"0123456789abcdef"[n as usize];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    1
}

/// The shortest text that reads back as `float`; exponents only for the very large and the very small.
pub(super) fn write_float(float: f64, out: &mut Vec<u8>) {
    let size = float.abs();
    if !float.is_finite() {
        // JSON has no such number, and no decoder lets one in.
        out.extend_from_slice(b"null");
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{float:e}");
        let text = if size >= 1e21 { text.replace('e', "e+") } else { text };
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend_from_slice(format!("{float}").as_bytes());
    }
}
