//! For services that run on a Unicell node.
//!
//! # For
//!
//! A program inside a guest that wants more than to serve its slots: to start
//! other services, reach them and stop them, to ask for the members of a
//! network, to change its own limits.
//!
//! ```no_run
//! use std::io::Read;
//!
//! # fn main() -> Result<(), unicell_sdk::Error> {
//! let gateway = unicell_sdk::Gateway::open()?;
//! let child = gateway.spawn("sorter")?;
//! let mut answer = String::new();
//! child.connect(7000)?.read_to_string(&mut answer)?;
//! child.stop()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Not for
//!
//! Programs that need none of it: no service has to use this. Nor for other
//! languages: everything here is one HTTP call to `http://gateway/`, with the
//! token of the configuration file in the header `Unicell-Token`.
//!
//! # How it fits
//!
//! Types are those of `unicell-gateway-api`. Calls block; a stream to a child
//! is an ordinary [`TcpStream`]. Works in a static program (musl).
//!
//! # Invariants
//!
//! - The token goes to the gateway and nowhere else, and is not printed.
//! - A child is not stopped when its handle is dropped: it ends with
//!   [`Child::stop`], by itself, or with its parent.

use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
pub use unicell_gateway_api as api;
use unicell_gateway_api::address::GATEWAY;
use unicell_gateway_api::configuration::{Configuration, DEFAULT_PATH};
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::{
    Availability, AvailabilityRequest, Estimate, EstimateRequest, Instance, Limits, Resources,
    Start, Started, Stopped, Transport,
};
use unicell_gateway_api::log::LogEntry;
use unicell_gateway_api::network::Network;
use unicell_gateway_api::token::{Caveat, HEADER, IssuedToken, NarrowToken, Token};
use unicell_gateway_api::{Code, Problem};

/// Most bytes of an answer that are read.
const MAX_ANSWER: u64 = 16 << 20;
/// How long the gateway may take to answer. A start or a stop takes as long as
/// it takes; the node bounds it sooner.
const PATIENCE: Duration = Duration::from_secs(300);

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration file is not there, or makes no sense.
    #[error("the configuration at {path} cannot be read: {source}")]
    Configuration {
        /// Where it was looked for.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The gateway says no.
    #[error("the gateway refuses: {0}")]
    Refused(#[from] Problem),
    /// The gateway was not reached, or its answer makes no sense.
    #[error("the gateway cannot be asked: {0}")]
    Gateway(Box<dyn std::error::Error + Send + Sync>),
    /// A stream.
    #[error("a stream failed: {0}")]
    Stream(#[from] io::Error),
}

impl Error {
    /// The code, if the gateway said no.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(problem) => Some(problem.code),
            _ => None,
        }
    }
}

type Result<T> = std::result::Result<T, Error>;

/// The gateway of the guest that this program runs in.
#[derive(Clone, Debug)]
pub struct Gateway {
    configuration: Configuration,
    agent: ureq::Agent,
}

impl Gateway {
    /// The gateway that the configuration file at its usual place names.
    ///
    /// # Errors
    ///
    /// There is no such file: the program does not run on a node, or its
    /// service wants the file elsewhere.
    pub fn open() -> Result<Self> {
        Self::open_at(DEFAULT_PATH)
    }

    /// The gateway that a configuration file names.
    ///
    /// # Errors
    ///
    /// The file is not there, or makes no sense.
    pub fn open_at(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let read =
            || -> io::Result<Configuration> { Ok(serde_json::from_slice(&std::fs::read(path)?)?) };
        let configuration = read().map_err(|source| Error::Configuration {
            path: path.display().to_string(),
            source,
        })?;
        Ok(Self::new(configuration))
    }

    /// The gateway that a configuration names.
    #[must_use]
    pub fn new(configuration: Configuration) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .build();
        Self {
            configuration,
            agent: agent.into(),
        }
    }

    /// What this instance was told at its start.
    #[must_use]
    pub const fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// Starts a dependency by its alias, as its specification says.
    ///
    /// # Errors
    ///
    /// The gateway refuses, or the child did not come to run.
    pub fn spawn(&self, alias: &str) -> Result<Child> {
        self.start(&Start {
            service: alias.to_owned(),
            ..Start::default()
        })
    }

    /// Starts a service as a child, and waits until its program runs.
    ///
    /// # Errors
    ///
    /// The gateway refuses, or the child did not come to run.
    pub fn start(&self, start: &Start) -> Result<Child> {
        Ok(Child {
            gateway: self.clone(),
            started: self.post("instances", start)?,
        })
    }

    /// This instance's children; those that ended lately too.
    ///
    /// # Errors
    ///
    /// The gateway was not reached.
    pub fn children(&self) -> Result<Vec<Instance>> {
        self.get("instances")
    }

    /// An instance that this one may see: itself or a child.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn instance(&self, id: InstanceId) -> Result<Instance> {
        self.get(&format!("instances/{id}"))
    }

    /// Stops a child, its descendants first.
    ///
    /// # Errors
    ///
    /// It is no child of this instance.
    pub fn stop(&self, id: InstanceId) -> Result<Stopped> {
        answer(
            self.agent
                .delete(self.url(&format!("instances/{id}")))
                .header("host", GATEWAY)
                .header(HEADER, self.configuration.token.reveal())
                .call(),
        )
    }

    /// Changes limits of a child, or of this instance.
    ///
    /// # Errors
    ///
    /// There is not so much to be had, or the service does not declare so much.
    pub fn resources(&self, id: InstanceId, resources: &Resources) -> Result<Limits> {
        let request = self
            .agent
            .patch(self.url(&format!("instances/{id}/resources")));
        self.send(request, resources)
    }

    /// What starting a service would cost.
    ///
    /// # Errors
    ///
    /// There is no such service.
    pub fn estimate(&self, request: &EstimateRequest) -> Result<Estimate> {
        self.post("estimate", request)
    }

    /// Whether a service could start now.
    ///
    /// # Errors
    ///
    /// There is no such service.
    pub fn availability(&self, request: &AvailabilityRequest) -> Result<Availability> {
        self.post("availability", request)
    }

    /// The members of a network that this instance may reach. None is an
    /// answer, with a note.
    ///
    /// # Errors
    ///
    /// The gateway was not reached.
    pub fn network(&self, name: &str) -> Result<Network> {
        self.get(&format!("networks/{}", escape(name)))
    }

    /// A token that can less than another one.
    ///
    /// # Errors
    ///
    /// It is no token, or there are too many caveats.
    pub fn narrow(&self, token: &Token, caveats: Vec<Caveat>) -> Result<Token> {
        let token = Some(token.clone());
        let issued: IssuedToken = self.post("tokens/narrow", &NarrowToken { token, caveats })?;
        Ok(issued.token)
    }

    fn url(&self, path: &str) -> String {
        format!("{}v1/{path}", self.configuration.gateway.url)
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        answer(self.request(path).call())
    }

    fn request(&self, path: &str) -> ureq::RequestBuilder<ureq::typestate::WithoutBody> {
        let request = self.agent.get(self.url(path)).header("host", GATEWAY);
        request.header(HEADER, self.configuration.token.reveal())
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.send(self.agent.post(self.url(path)), body)
    }

    fn send<T: DeserializeOwned>(
        &self,
        request: ureq::RequestBuilder<ureq::typestate::WithBody>,
        body: &impl Serialize,
    ) -> Result<T> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Gateway(error.into()))?;
        let request = request
            .header("host", GATEWAY)
            .header("content-type", "application/json")
            .header(HEADER, self.configuration.token.reveal());
        answer(request.send(&body[..]))
    }
}

type Response = ureq::http::Response<ureq::Body>;
type Answer = std::result::Result<Response, ureq::Error>;

fn failed(error: ureq::Error) -> Error {
    Error::Gateway(error.into())
}

fn answer<T: DeserializeOwned>(answer: Answer) -> Result<T> {
    let body = whole(&mut succeeded(answer)?)?;
    serde_json::from_slice(&body).map_err(|error| Error::Gateway(error.into()))
}

fn whole(answer: &mut Response) -> Result<Vec<u8>> {
    let body = answer.body_mut().with_config().limit(MAX_ANSWER);
    body.read_to_vec().map_err(failed)
}

/// An answer that is not the gateway's no.
fn succeeded(answer: Answer) -> Result<Response> {
    let mut answer = answer.map_err(failed)?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let body = whole(&mut answer)?;
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => Err(Error::Refused(problem)),
        Err(_) => Err(Error::Gateway(
            format!("it answers {}", answer.status()).into(),
        )),
    }
}

/// A segment of a path (RFC 3986, 2.3).
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(byte.into());
        } else {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}

/// A child of this instance.
#[derive(Clone, Debug)]
pub struct Child {
    gateway: Gateway,
    started: Started,
}

impl Child {
    /// What the gateway said of it.
    #[must_use]
    pub const fn started(&self) -> &Started {
        &self.started
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> InstanceId {
        self.started.id
    }

    /// Where one of its TCP slots is.
    ///
    /// # Errors
    ///
    /// It has no such slot.
    pub fn address(&self, slot: u16) -> Result<SocketAddr> {
        let is_it =
            |at: &&api::instance::SlotAddress| at.port == slot && at.transport == Transport::Tcp;
        let at = self
            .started
            .slots
            .iter()
            .find(is_it)
            .and_then(|at| at.addresses.first());
        at.copied().ok_or_else(|| {
            let reason = format!("{} has no TCP slot {slot}", self.started.name);
            Error::Stream(io::Error::new(io::ErrorKind::AddrNotAvailable, reason))
        })
    }

    /// A stream to one of its slots. Until its program listens there, this is
    /// refused.
    ///
    /// # Errors
    ///
    /// It has no such slot, does not listen there yet, or has ended.
    pub fn connect(&self, slot: u16) -> Result<TcpStream> {
        Ok(TcpStream::connect(self.address(slot)?)?)
    }

    /// How it is now.
    ///
    /// # Errors
    ///
    /// The gateway was not reached.
    pub fn look(&self) -> Result<Instance> {
        self.gateway.instance(self.id())
    }

    /// What it printed and what it prints, until it ends. A program that says
    /// when it can be reached can be waited for so.
    ///
    /// # Errors
    ///
    /// The gateway was not reached.
    pub fn logs(&self) -> Result<impl Iterator<Item = Result<LogEntry>> + use<>> {
        let path = format!("instances/{}/logs?follow=true", self.id());
        // It goes on for as long as the child does.
        let request = self.gateway.request(&path).config().timeout_global(None);
        let answer = succeeded(request.build().call())?;
        let lines = BufReader::new(answer.into_body().into_reader()).lines();
        Ok(lines
            .map(|line| serde_json::from_str(&line?).map_err(|error| Error::Gateway(error.into()))))
    }

    /// Stops it, its descendants first.
    ///
    /// # Errors
    ///
    /// The gateway was not reached.
    pub fn stop(self) -> Result<Stopped> {
        self.gateway.stop(self.id())
    }

    /// All that its parent may do with it, as a token that can be passed on.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.started.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment() {
        assert_eq!(escape("bitcoin-mainnet"), "bitcoin-mainnet");
        assert_eq!(escape("a/b?c ä"), "a%2Fb%3Fc%20%C3%A4");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Gateway::open_at("/nowhere/config").unwrap_err();
        assert!(error.to_string().contains("/nowhere/config"), "{error}");
    }
}
