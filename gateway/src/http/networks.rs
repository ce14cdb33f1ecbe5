//! Networks.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use unicell_gateway_api::Problem;
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::network::{Network, NetworkPolicy, NetworkState};

use super::body::{Body, Path};
use super::caller::Shown;
use super::failure::Failure;
use crate::node::Gateway;

/// All networks that the operator allows. For the operator.
#[utoipa::path(get, path = "/v1/networks", operation_id = "networks", tag = "networks",
    responses((status = 200, body = Vec<NetworkPolicy>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
) -> Result<Json<Vec<NetworkPolicy>>, Failure> {
    Ok(Json(gateway.policies(&caller)?))
}

/// Allows a network, or changes the one with the same first tag. For the operator.
#[utoipa::path(put, path = "/v1/networks", operation_id = "allow", tag = "networks", request_body = NetworkPolicy,
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn allow(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Body(policy): Body<NetworkPolicy>,
) -> Result<StatusCode, Failure> {
    gateway.allow(&caller, policy).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The members of a network that the caller may reach.
#[utoipa::path(get, path = "/v1/networks/{name}", operation_id = "network", tag = "networks", params(("name" = String, Path)),
    responses((status = 200, body = Network), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn members(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Path(name): Path<String>,
) -> Result<Json<Network>, Failure> {
    Ok(Json(gateway.network(&caller, &name)?))
}

/// Allows a network no more: streams to its members break. For the operator.
#[utoipa::path(delete, path = "/v1/networks/{name}", operation_id = "disallow", tag = "networks", params(("name" = String, Path)),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn disallow(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Path(name): Path<String>,
) -> Result<StatusCode, Failure> {
    gateway.disallow(&caller, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What became of the networks that an instance declares.
#[utoipa::path(get, path = "/v1/instances/{id}/networks", operation_id = "instance-networks", tag = "networks",
    params(("id" = InstanceId, Path)),
    responses((status = 200, body = Vec<NetworkState>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn of_instance(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Path(id): Path<InstanceId>,
) -> Result<Json<Vec<NetworkState>>, Failure> {
    Ok(Json(gateway.networks_of(&caller, id)?))
}

/// Grants a network again to a running instance. For the operator.
#[utoipa::path(put, path = "/v1/instances/{id}/networks/{name}", operation_id = "grant", tag = "networks",
    params(("id" = InstanceId, Path), ("name" = String, Path)),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn grant(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Path((id, name)): Path<(InstanceId, String)>,
) -> Result<StatusCode, Failure> {
    gateway.grant(&caller, id, &name, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Withdraws a network from a running instance and its descendants: streams break. For the operator.
#[utoipa::path(delete, path = "/v1/instances/{id}/networks/{name}", operation_id = "withdraw", tag = "networks",
    params(("id" = InstanceId, Path), ("name" = String, Path)),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn withdraw(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Path((id, name)): Path<(InstanceId, String)>,
) -> Result<StatusCode, Failure> {
    gateway.grant(&caller, id, &name, false).await?;
    Ok(StatusCode::NO_CONTENT)
}
