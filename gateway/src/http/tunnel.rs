//! A stream to a slot, through the connection of the request.

use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::Transport;
use unicell_gateway_api::{Code, Problem};

use super::body::Path;
use super::caller::Shown;
use super::failure::Failure;
use crate::node::{Gateway, Tunnel};
use crate::relay::Counted;

/// What the connection becomes.
const PROTOCOL: &str = "unicell-stream";

/// A stream to a TCP slot: the connection becomes it (`Upgrade: unicell-stream`).
#[utoipa::path(get, path = "/v1/instances/{id}/slots/{port}", operation_id = "connect", tag = "instances",
    params(("id" = InstanceId, Path), ("port" = u16, Path),
        ("connection" = String, Header, example = "upgrade"), ("upgrade" = String, Header, example = "unicell-stream")),
    responses((status = 101, description = "From here on the connection is the stream."),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn connect(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
    Path((id, port)): Path<(InstanceId, u16)>,
    headers: HeaderMap,
    mut request: Request,
) -> Result<Response, Failure> {
    let upgrade = headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    if !upgrade.is_some_and(|value| value.eq_ignore_ascii_case(PROTOCOL)) {
        return Err(Failure::bad(format!(
            "header upgrade: {PROTOCOL} is wanted"
        )));
    }
    let upgrading = request.extensions_mut().remove::<OnUpgrade>();
    let upgrading =
        upgrading.ok_or_else(|| Failure::bad("header connection: upgrade is wanted"))?;
    let Tunnel { stream, relayed } = gateway.connect(&caller, id, port, Transport::Tcp).await?;
    let failed = |_| {
        Failure(Problem::new(
            Code::Internal,
            "the node failed; its log says more",
        ))
    };
    let stream = UnixStream::from_std(stream.into()).map_err(failed)?;
    let mut stream = Counted::new(stream, relayed);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrading.await else {
            return;
        };
        // Either side failing is the end of both.
        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(upgraded), &mut stream).await;
    });
    let headers = [
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (UPGRADE, HeaderValue::from_static(PROTOCOL)),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}
