//! Access keys: who may register for a transaction service group.
//!
//! The protocol lets only starters of transactions sign. Resource managers cannot, so a connection that
//! registered as nothing else must not begin or end transactions where keys are set.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seata_protocol::sign;

use crate::settings::AccessKey;

/// How far the clock of a client may be from ours; older signatures may have been overheard.
const MAX_SKEW: Duration = Duration::from_secs(300);

/// Whether a TM of this group may register with these lines of `key=value`.
///
/// # Errors
/// Why not.
pub(super) fn check(
    keys: &[AccessKey],
    group: &str,
    extra_data: &str,
    now: SystemTime,
) -> Result<(), String> {
    let of_group = || keys.iter().filter(|key| key.group.as_deref() == Some(group)).peekable();
    let has_own = of_group().peek().is_some();
    let mut candidates = keys
        .iter()
        .filter(|key| if has_own { key.group.as_deref() == Some(group) } else { key.group.is_none() })
        .peekable();
    if candidates.peek().is_none() {
        return if keys.is_empty() {
            Ok(())
        } else {
            Err(format!("no access key is set for group {group:?}: set one for it, or one without a group"))
        };
    }
    let value = |name: &str| {
        extra_data
            .lines()
            .find_map(|line| line.split_once('=').filter(|(key, _)| *key == name))
            .map(|(_, v)| v)
    };
    let access_key = value("ak").unwrap_or("null");
    let Some(key) = candidates.find(|key| key.key == access_key) else {
        return Err(format!("access key {access_key:?} is none of group {group:?}"));
    };
    let text = value("timestamp").unwrap_or_default();
    let timestamp: u64 =
        text.parse().map_err(|_| format!("the timestamp {text:?} of the signature is no number"))?;
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(timestamp)).unwrap_or(UNIX_EPOCH);
    let skew = at.duration_since(now).or_else(|_| now.duration_since(at)).unwrap_or(Duration::MAX);
    if skew > MAX_SKEW {
        return Err(format!(
            "the signature is {skew:?} away from this server's time, at most {MAX_SKEW:?} are allowed: set the clocks"
        ));
    }
    // Java signs for the loopback when it does not know its address, and leaves the line out.
    let source = format!("{group},{},{timestamp}", value("ip").unwrap_or("127.0.0.1"));
    let expected = sign(&source, timestamp, &key.secret);
    if is_equal(expected.as_bytes(), value("digest").unwrap_or_default().as_bytes()) {
        Ok(())
    } else {
        Err(format!("the signature is not that of access key {access_key:?}: its secret is another one"))
    }
}

/// Takes as long for a wrong text as for the right one.
fn is_equal(expected: &[u8], found: &[u8]) -> bool {
    expected.len() == found.len()
        && expected.iter().zip(found).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 1_700_000_000_000;

    fn signed(group: &str, key: &str, secret: &str) -> String {
        let digest = sign(&format!("{group},10.0.0.9,{AT}"), AT, secret);
        format!("ak={key}\ndigest={digest}\ntimestamp={AT}\nauthVersion=V4\nvgroup={group}\nip=10.0.0.9\n")
    }

    fn key(group: Option<&str>, key: &str, secret: &str) -> AccessKey {
        AccessKey { group: group.map(str::to_owned), key: key.to_owned(), secret: secret.to_owned() }
    }

    #[test]
    fn whoever_knows_the_secret_is_welcome_for_a_while() {
        let keys = [key(Some("orders"), "own", "one"), key(None, "any", "two")];
        let now = UNIX_EPOCH + Duration::from_millis(AT);
        for (group, data, is_welcome) in [
            ("orders", signed("orders", "own", "one"), true),
            ("stock", signed("stock", "any", "two"), true),
            ("orders", signed("orders", "any", "two"), false),
            ("orders", signed("orders", "own", "two"), false),
            ("orders", signed("stock", "own", "one"), false),
            ("orders", String::new(), false),
        ] {
            assert_eq!(check(&keys, group, &data, now).is_ok(), is_welcome, "{group} {data}");
        }
        let data = signed("orders", "own", "one");
        assert!(check(&keys, "orders", &data, now + MAX_SKEW).is_ok());
        assert!(check(&keys, "orders", &data, now + MAX_SKEW + Duration::from_secs(1)).is_err());
        assert!(check(&keys, "orders", &data, now - MAX_SKEW - Duration::from_secs(1)).is_err());
        assert!(check(&keys[..1], "stock", &signed("stock", "any", "two"), now).is_err());
        assert!(check(&[], "stock", "", now).is_ok());
    }
}
