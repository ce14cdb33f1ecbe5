//! Services that the node keeps.

use std::io;
use std::time::Duration;

use axum::Json;
use axum::body::{Body as Raw, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_util::io::{ReaderStream, StreamReader, SyncIoBridge};
use unicell_gateway_api::id::ServiceId;
use unicell_gateway_api::service::{Collected, Imported, Service, Tag};
use unicell_gateway_api::{Code, Problem};

use super::body::{Body, Path, Query};
use super::caller::Shown;
use super::failure::Failure;
use crate::node::Gateway;

/// Bytes between the store and a connection.
const BUFFER: usize = 64 << 10;

/// All services.
#[utoipa::path(get, path = "/v1/services", operation_id = "services", tag = "services",
    responses((status = 200, body = Vec<Service>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
) -> Result<Json<Vec<Service>>, Failure> {
    Ok(Json(gateway.services(&caller).await?))
}

/// What is known beforehand of a service that is brought in.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Expected {
    /// The id that it must have, or it is refused.
    #[param(value_type = Option<String>)]
    id: Option<ServiceId>,
}

/// Brings a service in, in any encoding that the node speaks. It is hashed here.
#[utoipa::path(post, path = "/v1/services", operation_id = "import", tag = "services", params(Expected),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = Imported), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn import(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Query(Expected { id }): Query<Expected>,
    request: Request,
) -> Result<(StatusCode, Json<Imported>), Failure> {
    let body = in_time(request.into_body(), gateway.config().api.answer);
    let reader = SyncIoBridge::new(StreamReader::new(Box::pin(body)));
    let imported = gateway.import(&caller, reader, id).await?;
    Ok((StatusCode::CREATED, Json(imported)))
}

/// A body of which each part comes within a time.
fn in_time(body: Raw, bound: Duration) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold(Some(body.into_data_stream()), move |parts| async move {
        let mut parts = parts?;
        match tokio::time::timeout(bound, parts.next()).await {
            Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(parts))),
            Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), None)),
            Ok(None) => None,
            Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
        }
    })
}

/// One service, by id, or by tag or alias.
#[utoipa::path(get, path = "/v1/services/{service}", operation_id = "service", tag = "services", params(("service" = String, Path)),
    responses((status = 200, body = Service), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Path(service): Path<String>,
) -> Result<Json<Service>, Failure> {
    Ok(Json(gateway.service(&caller, &service).await?))
}

/// Removes a service and its tags, if no instance of it runs. For the operator.
#[utoipa::path(delete, path = "/v1/services/{service}", operation_id = "remove", tag = "services", params(("service" = String, Path)),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Path(service): Path<String>,
) -> Result<StatusCode, Failure> {
    gateway.remove(&caller, &service).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// In which encoding.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Encoding {
    /// By name; `proto3` is the canonical one.
    #[serde(default = "canonical")]
    encoding: String,
}

fn canonical() -> String {
    "proto3".to_owned()
}

/// A service, whole.
#[utoipa::path(get, path = "/v1/services/{service}/export", operation_id = "export", tag = "services",
    params(("service" = String, Path), Encoding),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn export(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Path(service): Path<String>,
    Query(Encoding { encoding }): Query<Encoding>,
) -> Result<Response, Failure> {
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let writer = SyncIoBridge::new(theirs);
    let exporting =
        tokio::spawn(async move { gateway.export(&caller, &service, encoding, writer).await });
    // Until the first byte an error can be told.
    let mut reader = BufReader::with_capacity(BUFFER, ours);
    let failed = || {
        Failure(Problem::new(
            Code::Internal,
            "the node failed; its log says more",
        ))
    };
    if reader.fill_buf().await.map_err(|_| failed())?.is_empty() {
        exporting.await.map_err(|_| failed())??;
        return Err(failed());
    }
    // Later the connection breaks, so that nobody takes half a service for a whole one.
    let end = stream::once(async move {
        match exporting.await {
            Ok(Ok(())) => Ok(Bytes::new()),
            Ok(Err(problem)) => Err(io::Error::other(problem)),
            Err(error) => Err(io::Error::other(error)),
        }
    });
    let body = Raw::from_stream(ReaderStream::with_capacity(reader, BUFFER).chain(end));
    Ok(([(CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// Names a service; the tag is taken from whatever had it. For the operator.
#[utoipa::path(put, path = "/v1/tags/{tag}", operation_id = "tag", tag = "services", params(("tag" = String, Path)), request_body = Tag,
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn tag(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Path(tag): Path<String>,
    Body(Tag { service }): Body<Tag>,
) -> Result<StatusCode, Failure> {
    gateway.tag(&caller, tag, &service).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a name away. For the operator.
#[utoipa::path(delete, path = "/v1/tags/{tag}", operation_id = "untag", tag = "services", params(("tag" = String, Path)),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn untag(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Path(tag): Path<String>,
) -> Result<StatusCode, Failure> {
    gateway.untag(&caller, tag).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes what nothing refers to. For the operator.
#[utoipa::path(post, path = "/v1/collect", operation_id = "collect", tag = "services",
    responses((status = 200, body = Collected), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn collect(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
) -> Result<Json<Collected>, Failure> {
    Ok(Json(gateway.collect(&caller).await?))
}
