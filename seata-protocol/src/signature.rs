//! How an application proves that it knows the secret of its access key.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const MILLIS_A_DAY: u64 = 86_400_000;

/// The signature of a text, as a TM's registration carries it: HMAC-SHA256 under a key that is derived from the
/// secret and the day. `timestamp` is in milliseconds since 1970.
///
/// ```
/// use seata_protocol::sign;
///
/// let timestamp = 1_700_000_000_000;
/// let signature = sign(&format!("grp,10.0.0.9,{timestamp}"), timestamp, "secret");
/// assert_eq!(signature, "mIuJ2vE6aQA4oWzFoBx20FzUXnWgB/Ed7PTAFvP5kfQ=");
/// ```
pub fn sign(source: &str, timestamp: u64, secret: &str) -> String {
    let key = format!("aliyun_v4{secret}");
    let day = day(timestamp);
    let steps = [day.as_str(), "cn-beijing", "seata", "aliyun_v4_request", source];
    BASE64.encode(steps.into_iter().fold(key.into_bytes(), |key, text| hmac(&key, text)))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The day of a time in UTC, as `yyyyMMdd`.
fn day(timestamp: u64) -> String {
    // In years that begin on the first of March the leap day is the last one. 719 468 days lie between
    // the first of March of year 0 and 1970; 146 097 days are 400 years.
    let days = timestamp / MILLIS_A_DAY + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_the_calendar_s() {
        for (seconds, expected) in [
            (0, "19700101"),
            (951_782_399, "20000228"),
            (951_782_400, "20000229"),
            (951_868_800, "20000301"),
            (1_700_000_000, "20231114"),
            (1_735_689_599, "20241231"),
            (1_735_689_600, "20250101"),
            (4_107_542_400, "21000301"),
            (4_107_542_399, "21000228"),
        ] {
            assert_eq!(day(seconds * 1000), expected, "{seconds}");
        }
    }
}
