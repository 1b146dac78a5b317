//! Values of options.

use std::time::Duration;

use ipnet::Ipv4Net;

/// `10.43.0.0/16`.
pub fn cidr(text: &str) -> Result<Ipv4Net, String> {
    let net: Ipv4Net =
        text.parse().map_err(|_| format!("{text:?} is no IPv4 network such as 10.43.0.0/16"))?;
    if !(8..=28).contains(&net.prefix_len()) {
        return Err(format!("{text:?}: the prefix has to be between /8 and /28"));
    }
    if net.addr() != net.network() {
        return Err(format!("{text:?}: the address has bits set outside the prefix"));
    }
    Ok(net)
}

/// The name of a cluster: it becomes part of many names.
pub fn name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = (1..=32).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-');
    match good {
        true => Ok(text.to_owned()),
        false => {
            Err(format!("{text:?}: a name has at most 32 of a-z, 0-9 and -, which is neither first nor last"))
        }
    }
}

/// A control group, such as `/kubepods`.
pub fn cgroup(text: &str) -> Result<String, String> {
    let good = text.len() > 1 && text.starts_with('/') && !text.ends_with('/') && !text.contains("..");
    if good { Ok(text.to_owned()) } else { Err(format!("{text:?} is no control group such as /kubepods")) }
}

/// `90s`, `15m`, `24h`; 0 for none.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time such as 90s, 15m or 24h");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_or_refused() {
        assert!(cidr("10.43.0.0/16").is_ok());
        for text in ["10.43.0.0", "10.43.0.1/16", "10.43.0.0/4", "x"] {
            assert!(cidr(text).is_err(), "{text}");
        }
        assert!(name("a-1").is_ok());
        for text in ["", "A", "-a", "a-", "a/b", &"a".repeat(33)] {
            assert!(name(text).is_err(), "{text}");
        }
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        for text in ["", "m", "15", "-1s", "1y"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
