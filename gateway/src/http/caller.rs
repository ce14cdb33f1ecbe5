//! Who makes a request, by the door it came through and the token it shows.

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use unicell_gateway_api::address::GATEWAY;
use unicell_gateway_api::token::{HEADER, Token};
use unicell_gateway_api::{Code, Problem};

use super::Door;
use super::failure::Failure;
use crate::node::{Caller, Gateway};

/// The caller of a request.
pub(super) struct Shown(pub(super) Caller);

impl FromRequestParts<Gateway> for Shown {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        let door = parts.extensions.get::<Door>().copied();
        let door =
            door.ok_or_else(|| Failure(Problem::new(Code::Internal, "the request has no door")))?;
        Ok(Self(caller(&parts.headers, gateway, door)?))
    }
}

fn caller(headers: &HeaderMap, gateway: &Gateway, door: Door) -> Result<Caller, Problem> {
    let forbidden = |detail: &str| Err(Problem::new(Code::Forbidden, detail));
    // Only a browser sends it, for a page; no page is to speak for anybody here.
    if headers.contains_key(ORIGIN) {
        return forbidden("requests of web pages (with an Origin header) are refused");
    }
    let host = one(headers, &HOST)?;
    match door {
        Door::Operator => match bearer(headers)? {
            Some(token) => gateway.authenticate(&token, None),
            None => Ok(Caller::operator()),
        },
        Door::Client => {
            if !host.is_some_and(is_loopback) {
                return forbidden(
                    "the Host header must be an address of the loopback, or localhost",
                );
            }
            let missing = "a token is needed, as `Authorization: Bearer`";
            let token =
                bearer(headers)?.ok_or_else(|| Problem::new(Code::Unauthenticated, missing))?;
            gateway.authenticate(&token, None)
        }
        Door::Guest(id) => {
            if host != Some(GATEWAY) {
                return forbidden("the Host header must be exactly `gateway`");
            }
            let token = one(headers, &HeaderName::from_static(HEADER))?;
            let missing = "a token is needed, in the header Unicell-Token";
            let token = token.ok_or_else(|| Problem::new(Code::Unauthenticated, missing))?;
            gateway.authenticate(&Token::new(token), Some(id))
        }
    }
}

/// The token that a request shows, whatever it is worth.
pub(super) fn shown(headers: &HeaderMap, door: Door) -> Option<Token> {
    match door {
        Door::Operator | Door::Client => bearer(headers).ok()?,
        Door::Guest(_) => {
            let token = one(headers, &HeaderName::from_static(HEADER)).ok()?;
            token.map(Token::new)
        }
    }
}

/// A header that may come once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let bad = |detail: &str| Problem::new(Code::BadRequest, format!("header {name}: {detail}"));
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| bad("it is not text")),
        (Some(_), Some(_)) => Err(bad("it is there twice")),
    }
}

fn bearer(headers: &HeaderMap) -> Result<Option<Token>, Problem> {
    let Some(value) = one(headers, &AUTHORIZATION)? else {
        return Ok(None);
    };
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(Some(Token::new(token.trim())))
        }
        _ => Err(Problem::new(
            Code::Unauthenticated,
            "the Authorization header is not `Bearer` and a token",
        )),
    }
}

/// Whether a Host header names the loopback: a name of a stranger that resolves
/// to it (DNS rebinding) does not.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_is_the_loopback() {
        for good in [
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost",
            "localhost:1",
            "[::1]",
            "[::1]:80",
            "127.1.2.3:9",
        ] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "",
            ":80",
            "evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "localhost.",
            "127.0.0.1:x",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }
}
