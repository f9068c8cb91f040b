//! How an application says who it is when it registers.

use std::net::IpAddr;

use seata_protocol::sign;

use crate::Credentials;

/// The version of the signature.
const AUTH_VERSION: &str = "V4";

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
