//! What instances did, proven.

use axum::body::Body as Raw;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio_util::io::ReaderStream;
use unicell_gateway_api::Problem;
use unicell_gateway_api::id::InstanceId;

use super::body::{Path, Query};
use super::caller::Shown;
use super::failure::Failure;
use crate::node::Gateway;

/// Whom a receipt is for.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Nonce {
    /// What the caller gives to know it by; it is signed too. At most 128 bytes.
    nonce: Option<String>,
}

/// What an instance was run with and what came of it, signed by the node. For one that was started
/// at D1 or D2 and has ended.
#[utoipa::path(get, path = "/v1/instances/{id}/receipt", operation_id = "receipt", tag = "instances",
    params(("id" = InstanceId, Path), Nonce),
    responses((status = 200, body = Object, content_type = "application/json"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn receipt(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Path(id): Path<InstanceId>,
    Query(Nonce { nonce }): Query<Nonce>,
) -> Result<Response, Failure> {
    let receipt = gateway.receipt(&caller, id, nonce).await?;
    Ok(([(CONTENT_TYPE, "application/json")], receipt).into_response())
}

/// The transcript that an instance's receipt names: what it was started with, and all that came to
/// it from outside.
#[utoipa::path(get, path = "/v1/instances/{id}/transcript", operation_id = "transcript", tag = "instances",
    params(("id" = InstanceId, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn transcript(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Path(id): Path<InstanceId>,
) -> Result<Response, Failure> {
    let file = gateway.transcript(&caller, id).await?;
    let bytes = ReaderStream::new(tokio::fs::File::from_std(file));
    let headers = [(CONTENT_TYPE, "application/octet-stream")];
    Ok((headers, Raw::from_stream(bytes)).into_response())
}
