//! Tokens: JWTs signed with HS256, as Java's console gives out.
//!
//! Only tokens that were made here are ever accepted, so there is one algorithm and one header, and nothing
//! of a token is parsed before its signature is checked. The libraries for JWT bring RSA or a calendar along.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Makes and checks tokens.
pub(super) struct Tokens {
    key: Hmac<Sha256>,
    validity: Duration,
}

/// Java's claims: the user, no roles, until when.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    auth: String,
    /// Seconds since the epoch.
    exp: u64,
}

const HEADER: &str = r#"{"alg":"HS256"}"#;

impl Tokens {
    pub(super) fn new(secret: &[u8], validity: Duration) -> Self {
        let key = Hmac::new_from_slice(secret).expect("a key may have any length");
        Self { key, validity }
    }

    /// A token for `user`, valid from `now` on.
    pub(super) fn issue(&self, user: &str, now: SystemTime) -> String {
        let exp = seconds(now).saturating_add(self.validity.as_secs());
        let claims = Claims { sub: user.to_owned(), auth: String::new(), exp };
        let claims = serde_json::to_vec(&claims).expect("texts and a number become JSON");
        let signed = format!("{}.{}", BASE64.encode(HEADER), BASE64.encode(claims));
        let signature = self.key.clone().chain_update(&signed).finalize().into_bytes();
        format!("{signed}.{}", BASE64.encode(signature))
    }

    /// The user of a token that was made here and has not expired.
    pub(super) fn check(&self, token: &str, now: SystemTime) -> Option<String> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = BASE64.decode(signature).ok()?;
        self.key.clone().chain_update(signed).verify_slice(&signature).ok()?;
        let (_, claims) = signed.split_once('.')?;
        let claims: Claims = serde_json::from_slice(&BASE64.decode(claims).ok()?).ok()?;
        (seconds(now) < claims.exp).then_some(claims.sub)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

    #[test]
    fn a_token_holds_until_it_expires() {
        let tokens = Tokens::new(SECRET, Duration::from_secs(60));
        let now = SystemTime::now();
        let token = tokens.issue("seata", now);
        assert_eq!(tokens.check(&token, now).as_deref(), Some("seata"));
        assert_eq!(tokens.check(&token, now + Duration::from_secs(58)).as_deref(), Some("seata"));
        assert_eq!(tokens.check(&token, now + Duration::from_secs(60)), None);
    }

    #[test]
    fn a_token_of_another_secret_or_without_a_signature_is_refused() {
        let now = SystemTime::now();
        let tokens = Tokens::new(SECRET, Duration::from_secs(60));
        let foreign = Tokens::new(b"quite another secret", Duration::from_secs(60)).issue("seata", now);
        assert_eq!(tokens.check(&foreign, now), None);
        let claims = BASE64.encode(r#"{"sub":"seata","auth":"","exp":99999999999}"#);
        let unsigned = format!("{}.{claims}.", BASE64.encode(r#"{"alg":"none"}"#));
        for text in [unsigned.as_str(), "", ".", "..", "a.b.c"] {
            assert_eq!(tokens.check(text, now), None, "{text:?}");
        }
    }

    #[test]
    fn each_changed_byte_is_noticed() {
        let now = SystemTime::now();
        let tokens = Tokens::new(SECRET, Duration::from_secs(60));
        let token = tokens.issue("seata", now);
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(tokens.check(&changed, now), None, "byte {at}");
        }
    }
}
