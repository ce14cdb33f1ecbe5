//! Answers that go on: one JSON value a line (`application/x-ndjson`).

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use unicell_gateway_api::Problem;
use unicell_gateway_api::event::Event;
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::log::LogEntry;

use super::body::{Path, Query};
use super::caller::Shown;
use super::failure::Failure;
use super::line::Line;
use crate::node::Gateway;

/// Whether to go on after what there is.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Follow {
    /// Go on with what comes.
    #[serde(default)]
    follow: bool,
}

/// What an instance printed; with `follow`, what it prints until its end. One entry a line.
#[utoipa::path(get, path = "/v1/instances/{id}/logs", operation_id = "logs", tag = "instances",
    params(("id" = InstanceId, Path), Follow),
    responses((status = 200, body = LogEntry, content_type = "application/x-ndjson"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn logs(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Extension(line): Extension<Line>,
    Path(id): Path<InstanceId>,
    Query(Follow { follow }): Query<Follow>,
) -> Result<Response, Failure> {
    Ok(lines(line, gateway.logs(&caller, id, follow)?))
}

/// What happened lately; with `follow`, what happens from now on. One event a line.
#[utoipa::path(get, path = "/v1/events", operation_id = "events", tag = "node", params(Follow),
    responses((status = 200, body = Event, content_type = "application/x-ndjson"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn events(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Extension(line): Extension<Line>,
    Query(Follow { follow }): Query<Follow>,
) -> Result<Response, Failure> {
    Ok(lines(line, gateway.events(&caller, follow)?))
}

/// What there is to tell, until its end or the caller's.
fn lines<T: Serialize>(line: Line, values: impl Stream<Item = T> + Send + 'static) -> Response {
    let values = values.take_until(line.hung_up());
    let lines = values.map(|value| {
        let mut line = serde_json::to_vec(&value)?;
        line.push(b'\n');
        Ok::<_, serde_json::Error>(Bytes::from(line))
    });
    let headers = [
        (CONTENT_TYPE, "application/x-ndjson"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, Body::from_stream(lines)).into_response()
}
