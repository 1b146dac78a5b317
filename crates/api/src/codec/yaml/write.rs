//! YAML in block style. Texts that any reader of YAML 1.1 or 1.2 could take for something else are quoted: upstream's
//! takes `n` for false.

use crate::codec::json::write_any;
use crate::value::Value;

/// Words that are no texts in one YAML or another, in lower case.
const WORDS: [&str; 12] =
    ["y", "n", "yes", "no", "on", "off", "true", "false", "null", ".nan", ".inf", "nan"];

/// Writes a value that begins a line, at this depth, and ends it.
pub(super) fn block(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Map(map) if !map.is_empty() => {
            for (at, (key, value)) in map.iter().enumerate() {
                if at > 0 {
                    indent(depth, out);
                }
                text(key, out);
                out.push(':');
                match value {
                    Value::Map(map) if !map.is_empty() => {
                        out.push('\n');
                        indent(depth + 1, out);
                        block(value, depth + 1, out);
                    }
                    // Lists stand below their key, not further in.
                    Value::List(list) if !list.is_empty() => {
                        out.push('\n');
                        indent(depth, out);
                        block(value, depth, out);
                    }
                    _ => {
                        out.push(' ');
                        block(value, depth, out);
                    }
                }
            }
        }
        Value::List(list) if !list.is_empty() => {
            for (at, item) in list.iter().enumerate() {
                if at > 0 {
                    indent(depth, out);
                }
                out.push_str("- ");
                block(item, depth + 1, out);
            }
        }
        Value::String(string) => {
            text(string, out);
            out.push('\n');
        }
        scalar => {
            let mut json = Vec::new();
            write_any(scalar, &mut json);
            out.push_str(&String::from_utf8_lossy(&json));
            out.push('\n');
        }
    }
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn text(text: &str, out: &mut String) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            // What is no printable character of YAML, and what some readers take for the end of a line.
            '\0'..' '
            | '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// Whether it is a text to every reader without quotes.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let begins = match bytes {
        [first, ..] if first.is_ascii_alphabetic() || *first == b'/' || *first == b'_' => true,
        // A number with a unit is none: `10Mi`. Exponents, other bases and times are.
        [b'1'..=b'9', ..] => {
            let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
            unit.len() > 1 && unit.bytes().all(|b| b.is_ascii_alphabetic() && !b"eEpPxXoObB".contains(&b))
        }
        _ => false,
    };
    let safe = |b: &u8| b.is_ascii_alphanumeric() || b"._-/".contains(b);
    begins && bytes.iter().all(safe) && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}
