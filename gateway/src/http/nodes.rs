//! The node itself.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use unicell_gateway_api::Problem;
use unicell_gateway_api::node::Node;

use super::caller::Shown;
use super::failure::Failure;
use crate::node::Gateway;

/// What the node says of itself.
#[utoipa::path(get, path = "/v1/node", operation_id = "node", tag = "node",
    responses((status = 200, body = Node), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn node(State(gateway): State<Gateway>, _: Shown) -> Result<Json<Node>, Failure> {
    Ok(Json(gateway.node()))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "node",
    responses((status = 200, content_type = "application/json", description = "OpenAPI 3.1"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn openapi(_: Shown) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], super::document())
}
