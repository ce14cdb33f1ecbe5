//! Calls of a node's HTTP API: over its Unix socket, or over loopback TCP with a token.

use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio_util::io::ReaderStream;
use unicell_gateway_api::Problem;
use unicell_gateway_api::problem::Code;
use unicell_gateway_api::token::Token;

use crate::failure::{Failure, Result};
use crate::place;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// The version of the API, before every path.
const VERSION: &str = "/v1";
/// The longest answer that is read whole, and the longest line of a stream, in bytes.
const ANSWER_MAX: usize = 64 << 20;
/// Bytes of a file that are sent or written at a time.
const CHUNK: usize = 256 << 10;

/// Where a node is.
#[derive(Clone, Debug)]
enum Address {
    Socket(PathBuf),
    Tcp(String),
}

/// Which node the user means.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Which {
    /// The node: the path of its socket, or http://HOST:PORT
    #[arg(
        long,
        value_name = "NODE",
        env = "UNICELL_NODE",
        global = true,
        help_heading = "Node"
    )]
    node: Option<String>,
    /// A file with a token, for a node that is reached by TCP
    #[arg(
        long,
        value_name = "FILE",
        env = "UNICELL_TOKEN_FILE",
        global = true,
        help_heading = "Node"
    )]
    token_file: Option<PathBuf>,
}

/// A client of one node.
pub(crate) struct Client {
    runtime: Runtime,
    address: Address,
    token: Option<Token>,
}

impl Client {
    /// A client of the node that is meant. Nothing is connected yet.
    pub(crate) fn new(which: &Which) -> Result<Self> {
        let address = match which.node.as_deref() {
            None => Address::Socket(place::socket().map_err(Failure::failed)?),
            Some(text) => match text.strip_prefix("http://") {
                Some(authority) => Address::Tcp(authority.trim_end_matches('/').to_owned()),
                None => Address::Socket(text.into()),
            },
        };
        let token = which.token_file.as_deref().map(read_token).transpose()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::internal)?;
        Ok(Self {
            runtime,
            address,
            token,
        })
    }

    /// A call with an answer in JSON.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(Method::GET, path, empty(), None)
    }

    /// A call with a body and an answer in JSON.
    pub(crate) fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        let json = serde_json::to_vec(body).map_err(Failure::internal)?;
        self.call(method, path, full(json), Some("application/json"))
    }

    /// A call without a body.
    pub(crate) fn ask<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T> {
        self.call(method, path, empty(), None)
    }

    /// Sends a file with a service; `sent` is told how many bytes have gone. What is wrong with the
    /// service is told under the file's `name`.
    pub(crate) fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        name: &Path,
        file: std::fs::File,
        mut sent: impl FnMut(u64) + Send + 'static,
    ) -> Result<T> {
        let mut gone = 0;
        let chunks = ReaderStream::with_capacity(tokio::fs::File::from_std(file), CHUNK);
        let frames = chunks.map_ok(move |chunk| {
            gone += chunk.len() as u64;
            sent(gone);
            Frame::data(chunk)
        });
        let body = StreamBody::new(frames).boxed_unsync();
        let kind = Some("application/octet-stream");
        self.runtime.block_on(async {
            let answer = self.answer(Method::POST, path, body, kind).await?;
            let answer = accepted(answer, |problem| match problem.code {
                Code::BadService => {
                    Failure::failed(format!("{}: {}", name.display(), problem.detail))
                }
                _ => refused(problem),
            });
            decoded(answer.await?).await
        })
    }

    /// Hands the answer's bytes on as they come.
    pub(crate) fn download(
        &self,
        path: &str,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.runtime.block_on(async {
            let mut body = self
                .exchange(Method::GET, path, empty(), None)
                .await?
                .into_body();
            while let Some(frame) = body.frame().await {
                if let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() {
                    each(&data)?;
                }
            }
            Ok(())
        })
    }

    /// Hands each line of a stream of JSON values on as it comes.
    pub(crate) fn lines<T: DeserializeOwned>(
        &self,
        path: &str,
        mut each: impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        let mut rest = Vec::new();
        self.download(path, |bytes| {
            rest.extend_from_slice(bytes);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                if !line.trim_ascii().is_empty() {
                    each(decode(&line)?)?;
                }
            }
            match rest.len() {
                0..ANSWER_MAX => Ok(()),
                _ => Err(Failure::failed("the node sends a line without an end")),
            }
        })
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Body,
        kind: Option<&str>,
    ) -> Result<T> {
        self.runtime
            .block_on(async { decoded(self.exchange(method, path, body, kind).await?).await })
    }

    /// An answer that is no refusal.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Body,
        kind: Option<&str>,
    ) -> Result<Response<Incoming>> {
        accepted(self.answer(method, path, body, kind).await?, refused).await
    }

    async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Body,
        kind: Option<&str>,
    ) -> Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{VERSION}{path}"));
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.reveal()));
        }
        let host = match &self.address {
            Address::Socket(_) => "localhost",
            Address::Tcp(authority) => authority,
        };
        let request = request.header(HOST, host).body(body);
        let request = request.map_err(Failure::internal)?;
        match &self.address {
            Address::Socket(path) => {
                let stream = UnixStream::connect(path).await;
                let stream = stream.map_err(|error| absent(path.display(), &error))?;
                exchange(stream, request).await
            }
            Address::Tcp(authority) => {
                let stream = TcpStream::connect(authority).await;
                exchange(stream.map_err(|error| absent(authority, &error))?, request).await
            }
        }
    }
}

/// An answer, if it is no refusal.
async fn accepted(
    answer: Response<Incoming>,
    refused: impl FnOnce(&Problem) -> Failure,
) -> Result<Response<Incoming>> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    let bytes = whole(answer).await?;
    Err(match serde_json::from_slice::<Problem>(&bytes) {
        Ok(problem) => refused(&problem),
        Err(_) => Failure::failed(format!("the node answers {status}")),
    })
}

/// One request on a connection of its own.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Body>,
) -> Result<Response<Incoming>> {
    let (mut sender, connection): (SendRequest<Body>, _) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    tokio::spawn(connection);
    sender
        .send_request(request)
        .await
        .map_err(|error| broken(&error))
}

async fn whole(answer: Response<Incoming>) -> Result<Bytes> {
    let limited = http_body_util::Limited::new(answer.into_body(), ANSWER_MAX);
    let collected = limited.collect().await;
    Ok(collected
        .map_err(|error| Failure::failed(format!("the node's answer breaks off: {error}")))?
        .to_bytes())
}

/// What an answer says.
async fn decoded<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T> {
    let empty = answer.status() == StatusCode::NO_CONTENT;
    let bytes = whole(answer).await?;
    decode(if empty { b"null" } else { &bytes })
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| Failure::failed(format!("the node's answer makes no sense: {error}")))
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn full(bytes: Vec<u8>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn broken(error: &hyper::Error) -> Failure {
    Failure::failed(format!("the connection to the node broke: {error}"))
}

fn absent(what: impl std::fmt::Display, error: &std::io::Error) -> Failure {
    Failure::failed(format!("no node answers at {what}: {error}"))
        .hint("start one with `unicell node`, or say where it is with --node")
}

fn refused(problem: &Problem) -> Failure {
    Failure::failed(&problem.detail)
}

/// The token in a file.
pub(super) fn read_token(path: &Path) -> Result<Token> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    Ok(Token::new(text.trim()))
}
