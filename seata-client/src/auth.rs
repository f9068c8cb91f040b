//! How an application says who it is when it registers.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::Credentials;

/// The version of the signature.
const AUTH_VERSION: &str = "V4";

const MILLIS_A_DAY: u64 = 86_400_000;

/// What a TM's registration carries beside its names: lines of `key=value`, in Java's order.
/// `timestamp` is in milliseconds since 1970.
pub(crate) fn extra_data(
    group: &str,
    ip: IpAddr,
    timestamp: u64,
    credentials: Option<&Credentials>,
) -> String {
    let source = format!("{group},{ip},{timestamp}");
    // Java writes the word for an access key that is not set.
    let access_key = credentials.map_or("null", |credentials| &credentials.access_key);
    let digest = match credentials.map(|credentials| credentials.secret_key.trim()) {
        None | Some("") => source,
        Some(_) => sign(&source, timestamp, &credentials.expect("it was matched above").secret_key),
    };
    format!(
        "ak={access_key}\ndigest={digest}\ntimestamp={timestamp}\nauthVersion={AUTH_VERSION}\n\
         vgroup={group}\nip={ip}\n"
    )
}

/// HMAC-SHA256 of the text, under a key that is derived from the secret and the day.
fn sign(source: &str, timestamp: u64, secret: &str) -> String {
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
    fn a_signature_is_the_one_that_java_makes() {
        assert_eq!(
            sign("grp,10.0.0.9,1700000000000", 1_700_000_000_000, "secret"),
            "mIuJ2vE6aQA4oWzFoBx20FzUXnWgB/Ed7PTAFvP5kfQ="
        );
    }

    #[test]
    fn lines_stand_in_java_s_order() {
        let ip = "10.0.0.9".parse().unwrap();
        assert_eq!(
            extra_data("grp", ip, 1_700_000_000_000, None),
            "ak=null\ndigest=grp,10.0.0.9,1700000000000\ntimestamp=1700000000000\nauthVersion=V4\n\
             vgroup=grp\nip=10.0.0.9\n"
        );
        let credentials = Credentials::new("key", "secret");
        assert_eq!(
            extra_data("grp", ip, 1_700_000_000_000, Some(&credentials)),
            "ak=key\ndigest=mIuJ2vE6aQA4oWzFoBx20FzUXnWgB/Ed7PTAFvP5kfQ=\ntimestamp=1700000000000\n\
             authVersion=V4\nvgroup=grp\nip=10.0.0.9\n"
        );
        let blank = Credentials::new("key", " ");
        assert!(extra_data("grp", ip, 1, Some(&blank)).contains("ak=key\ndigest=grp,10.0.0.9,1\n"));
    }

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
