//! Every error of the API: a problem document (RFC 9457) with a stable code.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The media type of a [`Problem`].
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong, as programs tell errors apart. Codes do not change their
/// meaning; new ones may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub enum Code {
    /// The request makes no sense: its detail names the field.
    BadRequest,
    /// There is no token, or it is no token of this node.
    Unauthenticated,
    /// The token is from this node, but is expired, revoked, or its instance is gone.
    TokenInvalid,
    /// The caller may not do this.
    Forbidden,
    /// There is no such instance, service, network or path, as far as this caller may know.
    NotFound,
    /// The path has no such method.
    MethodNotAllowed,
    /// The state of things forbids it: the instance has ended, the tag is taken.
    Conflict,
    /// The body is larger than the limit.
    TooLarge,
    /// Not within the time that a request is given.
    TimedOut,
    /// The caller has as many instances, streams or requests as it may have.
    LimitReached,
    /// The caller does this too often. `retry_after_ms` says when it may again.
    TooOften,
    /// Memory, CPU or disk that was asked for is not free, or not the caller's to give.
    NoResources,
    /// The service cannot run here: architecture, expected gateway, or encoding. The detail has both lists.
    Unsupported,
    /// What was sent as a service is damaged, or hashes to another id.
    BadService,
    /// The instance did not come to run.
    StartFailed,
    /// The node is shutting down.
    ShuttingDown,
    /// The node itself failed. Its log says more.
    Internal,
}

impl Code {
    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::BadService => 400,
            Self::Unauthenticated | Self::TokenInvalid => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TimedOut => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Unsupported => 422,
            Self::LimitReached | Self::TooOften => 429,
            Self::NoResources | Self::ShuttingDown => 503,
            Self::StartFailed => 502,
            Self::Internal => 500,
        }
    }

    /// What it means, in a few words: the `title` of a problem.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "the request makes no sense",
            Self::Unauthenticated => "a token is needed",
            Self::TokenInvalid => "the token is not valid any more",
            Self::Forbidden => "not permitted",
            Self::NotFound => "there is no such thing",
            Self::MethodNotAllowed => "the path has no such method",
            Self::Conflict => "not in this state",
            Self::TooLarge => "the body is too large",
            Self::TimedOut => "the time is over",
            Self::LimitReached => "a limit is reached",
            Self::TooOften => "too often",
            Self::NoResources => "not enough resources",
            Self::Unsupported => "not supported here",
            Self::BadService => "not a sound service",
            Self::StartFailed => "the instance did not start",
            Self::ShuttingDown => "the node is shutting down",
            Self::Internal => "the node failed",
        }
    }
}

/// An error, as it is answered (`application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[error("{detail}")]
pub struct Problem {
    /// `about:blank#` and the code (RFC 9457 wants a URI).
    #[serde(rename = "type")]
    pub kind: String,
    /// What went wrong, for programs.
    pub code: Code,
    /// What the code means.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// One sentence that names what was wrong, and where.
    pub detail: String,
    /// After how many milliseconds there is a point in asking again, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Problem {
    /// An error with this code, and one sentence that names what was wrong.
    pub fn new(code: Code, detail: impl fmt::Display) -> Self {
        let name = serde_name(code);
        Self {
            kind: format!("about:blank#{name}"),
            code,
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.to_string(),
            retry_after_ms: None,
        }
    }

    /// This, saying after how long there is a point in asking again.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        // Rounded up: a little early is too early.
        let ms = after.as_nanos().div_ceil(1_000_000).try_into();
        Self {
            retry_after_ms: Some(ms.unwrap_or(u64::MAX)),
            ..self
        }
    }
}

/// The code as JSON spells it: its name in kebab case.
fn serde_name(code: Code) -> String {
    let mut name = String::new();
    for character in format!("{code:?}").chars() {
        if character.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(character.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_code_alike_everywhere() {
        let problem = Problem::new(Code::NoResources, "memory: 2 GiB asked, 1 GiB free");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["code"], "no-resources");
        assert_eq!(json["type"], "about:blank#no-resources");
        assert_eq!(json["status"], 503);
        assert_eq!(problem.to_string(), "memory: 2 GiB asked, 1 GiB free");
    }
}
