//! Damage to a JSON text, as careless clients do it: unknown and repeated fields, values of the wrong type, broken syntax.

use crate::node::{Node, quoted};
use crate::random::Random;
use crate::scalar;

/// Damages up to three places of an object, whose kind and version stay.
pub fn tree(root: &mut Node, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let mut depth = random.below(6);
        descend(root, random, &mut depth);
    }
}

/// Breaks the text itself.
pub fn text(text: &str, random: &mut Random) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(2) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes[at] = random.choose(b"{}[]\",:0-.eEtfn\\ \n\x00\x1f\x80\xff'"),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, random.choose(b"{}[]\",:0-.eEtfn\\ \n\x00\x1f\x80\xff'")),
            4 => bytes[at] ^= 1 << random.below(8),
            _ => bytes.extend_from_slice(random.pick(&[" ", "x", "}", "{}", "\n", "null"]).as_bytes()),
        }
        if bytes.is_empty() {
            bytes.push(b'{');
        }
    }
    bytes
}

fn fixed(key: &str) -> bool {
    key == "\"kind\"" || key == "\"apiVersion\""
}

fn descend(node: &mut Node, random: &mut Random, depth: &mut usize) {
    match node {
        Node::Object(members) if *depth > 0 && members.iter().any(|(key, _)| !fixed(key)) => {
            *depth -= 1;
            let at: Vec<usize> = (0..members.len()).filter(|at| !fixed(&members[*at].0)).collect();
            descend(&mut members[random.choose(&at)].1, random, depth);
        }
        Node::List(items) if *depth > 0 && !items.is_empty() => {
            *depth -= 1;
            let at = random.below(items.len());
            descend(&mut items[at], random, depth);
        }
        Node::Object(members) if random.below(3) > 0 => object(members, random),
        // Not the root itself: there its kind would be lost.
        Node::Object(members) if members.iter().any(|(key, _)| fixed(key)) => object(members, random),
        _ => *node = other(random),
    }
}

/// An object with a field that is unknown, twice there, or named a bit differently.
fn object(members: &mut Vec<(String, Node)>, random: &mut Random) {
    let own: Vec<usize> = (0..members.len()).filter(|at| !fixed(&members[*at].0)).collect();
    let Some(at) = (!own.is_empty() && random.below(3) > 0).then(|| random.choose(&own)) else {
        let place = random.below(members.len() + 1);
        let name =
            random.pick(&["foo", "Kind", "name", "spec", "metadata", "a.b", "with \"quotes\"", "é\n", ""]);
        members.insert(place, (quoted(name), other(random)));
        return;
    };
    let (key, value) = members[at].clone();
    match random.below(4) {
        0 => members.push((key, value)),
        1 => members.insert(random.below(members.len() + 1), (key, other(random))),
        2 => {
            let mut letters: Vec<char> = key.chars().collect();
            let at = 1 + random.below(letters.len().saturating_sub(2).max(1));
            if letters[at].is_ascii_alphabetic() {
                letters[at] = char::from(letters[at] as u8 ^ 0x20);
            }
            members.push((letters.into_iter().collect(), value));
        }
        _ => members[at].1 = other(random),
    }
}

/// A value that is mostly of the wrong type.
fn other(random: &mut Random) -> Node {
    match random.below(12) {
        0 => Node::raw("null"),
        1 => Node::raw(random.once_in(2)),
        2 => Node::List(vec![]),
        3 => Node::List(vec![other(random)]),
        4 => Node::Object(vec![]),
        5 => Node::Object(vec![(quoted("x"), Node::raw("1")), (quoted("x"), Node::raw("2"))]),
        6 => Node::raw(random.pick(&["2147483648", "-2147483649", "9223372036854775808", "1.0", "1e2"])),
        7 => Node::raw(random.pick(&[
            "\"\"",
            "\"yesterday\"",
            "\"2026-13-01T00:00:00Z\"",
            "\"2026-01-01T1:00:00Z\"",
            "\"YQ=\"",
            "\"1 Gi\"",
        ])),
        8 => Node::Raw(scalar::quantity_json(random)),
        9 => Node::string(&scalar::time(random)),
        10 => Node::raw(scalar::int64(random)),
        _ => Node::Raw(scalar::string(random)),
    }
}
