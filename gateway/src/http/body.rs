//! Bodies of requests, bounded and typed; parameters of paths and queries.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use unicell_gateway_api::{Code, Problem};

use super::failure::Failure;
use crate::node::Gateway;

/// A body of JSON.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Gateway> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, gateway: &Gateway) -> Result<Self, Failure> {
        let kind = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
        if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
            return Err(Failure::bad(
                "header content-type: application/json is wanted",
            ));
        }
        let bound = gateway.config().api.body;
        let bytes = axum::body::to_bytes(request.into_body(), bound)
            .await
            .map_err(|error| {
                if std::error::Error::source(&error)
                    .is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>)
                {
                    Failure(Problem::new(
                        Code::TooLarge,
                        format!("the body is larger than {bound} bytes"),
                    ))
                } else {
                    Failure::bad("the body did not come whole")
                }
            })?;
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::bad(format!("the body: {error}")))?;
        Ok(Self(value))
    }
}

/// Parameters of the path.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Gateway> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        let path = axum::extract::Path::from_request_parts(parts, gateway).await;
        path.map(|axum::extract::Path(value)| Self(value))
            .map_err(|rejection: PathRejection| {
                Failure::bad(format!("the path: {}", rejection.body_text()))
            })
    }
}

/// Parameters of the query.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Gateway> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Failure> {
        let query = axum::extract::Query::from_request_parts(parts, gateway).await;
        query
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|rejection: QueryRejection| {
                Failure::bad(format!("the query: {}", rejection.body_text()))
            })
    }
}
