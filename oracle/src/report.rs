//! What a person is shown of a difference.

/// How much is shown before and after the first difference.
const BEFORE: usize = 120;
const AFTER: usize = 240;

/// The two texts from a bit before their first difference to a bit after it.
pub fn excerpts(ours: &str, theirs: &str) -> (String, String) {
    let same = ours.chars().zip(theirs.chars()).take_while(|(a, b)| a == b).count();
    let excerpt = |text: &str| -> String {
        let start = same.saturating_sub(BEFORE);
        let length = text.chars().count();
        let middle: String = text.chars().skip(start).take(BEFORE + AFTER).collect();
        let (before, after) =
            (if start > 0 { "…" } else { "" }, if length > start + BEFORE + AFTER { "…" } else { "" });
        format!("{before}{middle}{after}")
    };
    (excerpt(ours), excerpt(theirs))
}

/// How the parts of two answers differ, if they do.
pub fn unequal_parts(ours: &[String], theirs: &[Vec<u8>]) -> Option<String> {
    let theirs: Vec<String> = theirs.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    (ours != theirs).then(|| {
        let (ours, theirs) = excerpts(&ours.join(" | "), &theirs.join(" | "));
        format!("\n  ours:     {ours}\n  theirs:   {theirs}")
    })
}
