//! Instances.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use unicell_gateway_api::Problem;
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::{
    Availability, AvailabilityRequest, Estimate, EstimateRequest, Instance, Limits, Resources,
    Start, Started, Stopped,
};

use super::body::{Body, Path};
use super::caller::Shown;
use super::failure::Failure;
use crate::node::Gateway;

type Answer<T> = Result<Json<T>, Failure>;

/// Those that the caller has started, and that lately ended. The operator sees all.
#[utoipa::path(get, path = "/v1/instances", operation_id = "instances", tag = "instances",
    responses((status = 200, body = Vec<Instance>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
) -> Answer<Vec<Instance>> {
    Ok(Json(gateway.instances(&caller).await?))
}

/// Starts an instance, which belongs to the caller. Answered when its program runs.
#[utoipa::path(post, path = "/v1/instances", operation_id = "start", tag = "instances", request_body = Start,
    responses((status = 201, body = Started), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn start(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Body(request): Body<Start>,
) -> Result<(StatusCode, Json<Started>), Failure> {
    Ok((
        StatusCode::CREATED,
        Json(gateway.start(&caller, request).await?),
    ))
}

/// One instance.
#[utoipa::path(get, path = "/v1/instances/{id}", operation_id = "instance", tag = "instances", params(("id" = InstanceId, Path)),
    responses((status = 200, body = Instance), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Path(id): Path<InstanceId>,
) -> Answer<Instance> {
    Ok(Json(gateway.instance(&caller, id).await?))
}

/// Stops an instance, its descendants first. Answered when nothing of them is left.
#[utoipa::path(delete, path = "/v1/instances/{id}", operation_id = "stop", tag = "instances", params(("id" = InstanceId, Path)),
    responses((status = 200, body = Stopped), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn stop(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Path(id): Path<InstanceId>,
) -> Answer<Stopped> {
    Ok(Json(gateway.stop(&caller, id).await?))
}

/// Changes limits of a running instance, within what its service declares.
#[utoipa::path(patch, path = "/v1/instances/{id}/resources", operation_id = "resources", tag = "instances",
    params(("id" = InstanceId, Path)), request_body = Resources,
    responses((status = 200, body = Limits), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn resources(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Path(id): Path<InstanceId>,
    Body(asked): Body<Resources>,
) -> Answer<Limits> {
    Ok(Json(gateway.resources(&caller, id, asked).await?))
}

/// What starting and keeping an instance would cost here, from what was measured.
#[utoipa::path(post, path = "/v1/estimate", operation_id = "estimate", tag = "instances", request_body = EstimateRequest,
    responses((status = 200, body = Estimate), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn estimate(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Body(request): Body<EstimateRequest>,
) -> Answer<Estimate> {
    Ok(Json(gateway.estimate(&caller, request).await?))
}

/// Whether an instance could start now, and if not why.
#[utoipa::path(post, path = "/v1/availability", operation_id = "availability", tag = "instances", request_body = AvailabilityRequest,
    responses((status = 200, body = Availability), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn availability(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Body(request): Body<AvailabilityRequest>,
) -> Answer<Availability> {
    Ok(Json(gateway.availability(&caller, request).await?))
}
