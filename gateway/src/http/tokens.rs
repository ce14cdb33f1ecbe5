//! Tokens.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use unicell_gateway_api::Problem;
use unicell_gateway_api::token::{CreateToken, IssuedToken, NarrowToken, RevokeToken};

use super::body::Body;
use super::caller::Shown;
use super::failure::Failure;
use crate::node::Gateway;

/// Makes a token for a client. For the operator.
#[utoipa::path(post, path = "/v1/tokens", operation_id = "create-token", tag = "tokens", request_body = CreateToken,
    responses((status = 201, body = IssuedToken), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn create(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Body(request): Body<CreateToken>,
) -> Result<(StatusCode, Json<IssuedToken>), Failure> {
    Ok((
        StatusCode::CREATED,
        Json(gateway.create_token(&caller, request)?),
    ))
}

/// Narrows a token.
#[utoipa::path(post, path = "/v1/tokens/narrow", operation_id = "narrow-token", tag = "tokens", request_body = NarrowToken,
    responses((status = 201, body = IssuedToken), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn narrow(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Body(request): Body<NarrowToken>,
) -> Result<(StatusCode, Json<IssuedToken>), Failure> {
    Ok((
        StatusCode::CREATED,
        Json(gateway.narrow_token(&caller, request)?),
    ))
}

/// Revokes a token, and all that were narrowed from it.
#[utoipa::path(post, path = "/v1/tokens/revoke", operation_id = "revoke-token", tag = "tokens", request_body = RevokeToken,
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn revoke(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Body(request): Body<RevokeToken>,
) -> Result<StatusCode, Failure> {
    gateway.revoke_token(&caller, request).await?;
    Ok(StatusCode::NO_CONTENT)
}
