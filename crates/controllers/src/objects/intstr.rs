//! Counts that may be given in per cent (k8s.io/apimachinery/pkg/util/intstr).

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// `value` of `total`: itself, or so many per cent, rounded up or down. What is neither is 0.
pub fn scaled(value: Option<&IntOrString>, total: i32, round_up: bool) -> i32 {
    match value {
        None => 0,
        Some(IntOrString::Int(count)) => *count,
        Some(IntOrString::String(text)) => {
            let percent: i64 =
                text.strip_suffix('%').and_then(|number| number.parse().ok()).unwrap_or_default();
            let hundredths = percent * i64::from(total);
            let count = if round_up { (hundredths + 99).div_euclid(100) } else { hundredths.div_euclid(100) };
            i32::try_from(count).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_percentages() {
        let percent = |text: &str| IntOrString::String(text.into());
        assert_eq!(scaled(Some(&IntOrString::Int(3)), 10, true), 3);
        assert_eq!(scaled(Some(&percent("25%")), 10, true), 3);
        assert_eq!(scaled(Some(&percent("25%")), 10, false), 2);
        assert_eq!(scaled(Some(&percent("100%")), 7, false), 7);
        assert_eq!(scaled(Some(&percent("x")), 7, true), 0);
        assert_eq!(scaled(None, 7, true), 0);
    }
}
