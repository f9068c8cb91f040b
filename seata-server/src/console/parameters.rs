//! What stands behind the question mark of our own paths.

use std::{error::Error, fmt};

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use serde::de::{self, DeserializeOwned, value::MapDeserializer};

use super::reply::Refusal;

/// Parameters by name, all of them texts; what is left blank is an empty one. `T` denies unknown fields: a slip in
/// the name of a filter would show everything.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| Refusal::bad_request(error.body_text()))?;
        // The token may stand there too.
        let pairs = pairs.into_iter().filter(|(name, _)| name != "access_token");
        match T::deserialize(MapDeserializer::<_, Slip>::new(pairs)) {
            Ok(parameters) => Ok(Self(parameters)),
            Err(Slip(text)) => Err(Refusal::bad_request(text)),
        }
    }
}

/// `None` when it was left blank.
pub(super) fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// What is wrong with parameters.
#[derive(Debug)]
struct Slip(String);

impl de::Error for Slip {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self(match seata_config::nearest(field, expected.iter().copied()) {
            Some(nearest) => format!("parameter {field:?} is unknown; did you mean {nearest}?"),
            None => format!("parameter {field:?} is unknown, expected {}", expected.join(", ")),
        })
    }

    fn missing_field(field: &'static str) -> Self {
        Self(format!("parameter {field} is missing"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self(format!("parameter {field} stands there twice"))
    }
}

impl fmt::Display for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Slip {}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        resource: String,
        #[serde(default)]
        limit: String,
    }

    async fn read(query: &str) -> Result<(String, String), String> {
        let request = Request::get(format!("/v1/locks?{query}")).body(()).expect("a request");
        let (mut parts, ()) = request.into_parts();
        match Parameters::<Sample>::from_request_parts(&mut parts, &()).await {
            Ok(Parameters(Sample { resource, limit })) => Ok((resource, limit)),
            Err(refusal) => Err(refusal.text().to_owned()),
        }
    }

    #[tokio::test]
    async fn parameters_are_read_by_name_and_slips_are_told() {
        let found = |resource: &str, limit: &str| Ok((resource.to_owned(), limit.to_owned()));
        assert_eq!(read("resource=a%3Ab&limit=5").await, found("a:b", "5"));
        assert_eq!(read("limit=&resource=a&access_token=x").await, found("a", ""));
        for (query, text) in [
            ("", "parameter resource is missing"),
            ("resource=a&limt=5", r#"parameter "limt" is unknown; did you mean limit?"#),
            ("resource=a&colour=5", r#"parameter "colour" is unknown, expected resource, limit"#),
            ("resource=a&limit=1&limit=2", "parameter limit stands there twice"),
        ] {
            assert_eq!(read(query).await, Err(text.to_owned()), "{query}");
        }
    }
}
