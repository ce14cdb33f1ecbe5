//! Errors as answers.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use unicell_gateway_api::problem::MEDIA_TYPE;
use unicell_gateway_api::{Code, Problem};

/// A problem, as an answer.
#[derive(Debug)]
pub(super) struct Failure(pub(super) Problem);

/// Goes with an answer that is an error, for whoever tells of it.
#[derive(Clone, Debug)]
pub(super) struct Refused(pub(super) Code, pub(super) String);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl Failure {
    pub(super) fn bad(detail: impl std::fmt::Display) -> Self {
        Self(Problem::new(Code::BadRequest, detail))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        // Codes have statuses that exist.
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after_ms = self.0.retry_after_ms;
        let refused = Refused(self.0.code, self.0.detail.clone());
        let mut response = (status, Json(self.0)).into_response();
        response.extensions_mut().insert(refused);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(after) = retry_after_ms {
            let seconds = HeaderValue::from(after.div_ceil(1000));
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

/// What no route answers.
pub(super) async fn no_such_path(uri: Uri) -> Failure {
    Failure(Problem::new(
        Code::NotFound,
        format!("there is no path {:?}", uri.path()),
    ))
}

/// What a route does not do.
pub(super) async fn no_such_method(method: Method, uri: Uri) -> Failure {
    let detail = format!("{:?} has no method {method}", uri.path());
    Failure(Problem::new(Code::MethodNotAllowed, detail))
}
