//! Durations as people read them (k8s.io/apimachinery/pkg/util/duration, `HumanDuration`).

use jiff::Timestamp;

/// The time from `then` to `now`; `<unknown>` if `then` is no time.
pub fn since(then: &str, now: Timestamp) -> String {
    then.parse::<Timestamp>().map_or_else(|_| "<unknown>".to_owned(), |then| between(then, now))
}

/// The time from one time to another.
pub fn between(from: Timestamp, to: Timestamp) -> String {
    human((to - from).get_seconds())
}

/// Two or three significant digits of a number of seconds. Clocks may differ by a second.
pub fn human(seconds: i64) -> String {
    const YEAR_HOURS: i64 = 24 * 365;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let pair = |first: i64, unit: char, second: i64, small: char| match second {
        0 => format!("{first}{unit}"),
        _ => format!("{first}{unit}{second}{small}"),
    };
    match () {
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 120 => format!("{}s", seconds.max(0)),
        () if minutes < 10 => pair(minutes, 'm', seconds % 60, 's'),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, 'h', minutes % 60, 'm'),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 24 * 8 => pair(hours / 24, 'd', hours % 24, 'h'),
        () if hours < YEAR_HOURS * 2 => format!("{}d", hours / 24),
        () if hours < YEAR_HOURS * 8 => pair(hours / YEAR_HOURS, 'y', hours / 24 % 365, 'd'),
        () => format!("{}y", hours / YEAR_HOURS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_upstream_writes_them() {
        const HOUR: i64 = 3600;
        const DAY: i64 = 24 * HOUR;
        let table = [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (599, "9m59s"),
            (600, "10m"),
            (3 * HOUR - 1, "179m"),
            (3 * HOUR, "3h"),
            (3 * HOUR + 60, "3h1m"),
            (8 * HOUR - 1, "7h59m"),
            (8 * HOUR, "8h"),
            (2 * DAY - 1, "47h"),
            (2 * DAY, "2d"),
            (2 * DAY + HOUR, "2d1h"),
            (8 * DAY - 1, "7d23h"),
            (8 * DAY, "8d"),
            (730 * DAY - 1, "729d"),
            (730 * DAY, "2y"),
            (731 * DAY, "2y1d"),
            (8 * 365 * DAY, "8y"),
        ];
        for (seconds, expected) in table {
            assert_eq!(human(seconds), expected, "{seconds}");
        }
        let now = "2026-01-01T00:01:05Z".parse().expect("a time");
        assert_eq!(since("2026-01-01T00:00:00.5Z", now), "64s");
        assert_eq!(since("", now), "<unknown>");
    }
}
