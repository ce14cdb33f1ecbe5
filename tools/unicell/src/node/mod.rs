//! `unicell node`: the gateway, the store and the runner put together, as a daemon.
//!
//! It lives until SIGTERM or SIGINT, which stop every instance first. What a node that was killed
//! has left on the host is removed at the next start, and told as an event for each instance.

mod config;
mod evidence;
mod examine;
mod launch;
mod metering;
mod nursery;
mod remains;
mod runner;
mod services;

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;
use unicell_gateway::Gateway;
use unicell_gateway::config::Config;
use unicell_gateway::http;
use unicell_gateway::record::Record;
use unicell_store::Store;

use crate::cache::Cache;
use crate::failure::{Failure, Result};
use crate::instance::Executable;
use crate::place;
use config::File;
use evidence::Archive;
use nursery::Nursery;
use runner::Vmm;
use services::Kept;

#[derive(clap::Args)]
#[command(after_help = "\
The operator's commands find the node by its socket. Clients connect by TCP, with a token:

Examples:
  unicell node
  unicell node --listen 127.0.0.1:7878 --config /etc/unicell/node.toml
  RUST_LOG=debug unicell node --state /tmp/state --socket /tmp/node.sock")]
pub(crate) struct Arguments {
    /// Where everything is kept that outlives the node
    #[arg(long, value_name = "DIRECTORY")]
    state: Option<PathBuf>,
    /// The operator's socket
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Serve clients with tokens at this address of loopback too
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// A file of settings (see docs/operations.md)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Look at the databases of the state, and do nothing else
    #[arg(long, hide = true, requires = "state")]
    examine: bool,
}

/// Runs a node until it is told to end.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let (true, Some(state)) = (arguments.examine, &arguments.state) {
        return Ok(examine::look(state));
    }
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .init();
    let file = File::read(arguments.config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::internal)?;
    runtime.block_on(live(arguments, &file))?;
    Ok(ExitCode::SUCCESS)
}

async fn live(arguments: &Arguments, file: &File) -> Result<()> {
    raise_descriptor_limit();
    let state = or_else(&arguments.state, place::state)?;
    let socket = or_else(&arguments.socket, place::socket)?;
    // From here on a signal is no sudden death.
    let mut end = End::new().map_err(Failure::internal)?;
    own_directory(&state)?;
    let executable = Executable::open(Cache::open().as_ref()).map_err(Failure::internal)?;
    let nursery = Nursery::new(executable, file.jail()?);
    let gateway = gateway(&state, file, Arc::clone(&nursery))?;
    nursery.open().await.map_err(Failure::internal)?;
    let door = operators_door(&socket).await?;
    let listen = arguments.listen.or(file.listen);
    let clients = match listen {
        Some(address) => Some(clients_door(address).await?),
        None => None,
    };
    info!(socket = %socket.display(), state = %state.display(), "the node is there");
    if let Some(address) = clients.as_ref().and_then(|door| door.local_addr().ok()) {
        info!(%address, "clients are served");
    }
    let doors = CancellationToken::new();
    tokio::spawn(http::listen_unix(gateway.clone(), door, doors.clone()));
    if let Some(clients) = clients {
        tokio::spawn(http::listen_tcp(gateway.clone(), clients, doors.clone()));
    }
    tell_manager(NotifyState::Ready);
    end.comes().await;
    info!("the node ends: every instance is stopped first");
    tell_manager(NotifyState::Stopping);
    gateway.shut_down().await;
    nursery.close().await;
    doors.cancel();
    // It is ours, and whoever comes finds nobody.
    let _ = std::fs::remove_file(&socket);
    Ok(())
}

fn or_else(said: &Option<PathBuf>, usual: fn() -> io::Result<PathBuf>) -> Result<PathBuf> {
    match said {
        Some(path) => Ok(path.clone()),
        None => usual().map_err(Failure::failed),
    }
}

/// Streams are descriptors: as many as this process may have.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // With fewer there are fewer streams.
    let _ = setrlimit(Resource::Nofile, most);
}

/// Tells whoever manages services here, if there is one (sd_notify(3)).
fn tell_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "the manager of services does not hear of this node");
    }
}

/// Makes a directory that only its owner sees.
fn own_directory(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

fn gateway(state: &Path, file: &File, nursery: Arc<Nursery>) -> Result<Gateway> {
    examine::examine(state)?;
    let (record, last) = Record::open_examined(&examine::record(state))
        .map_err(|error| examine::explain_record(&error, state))?;
    for remnant in &last.remnants {
        remains::remove(&remnant.traces);
    }
    let store = Store::open_examined(&examine::store(state))
        .map_err(|error| examine::explain_store(&error))?;
    let capacity = file.capacity(state)?;
    let evidence = file.evidence(&capacity)?;
    let mut config = Config::new(capacity);
    config.networks = file.networks();
    config.clients_publish = file.clients_publish;
    config.starts = file.starts()?;
    let used = store.usage().map_err(Failure::failed)?.bytes();
    config.store = file.store(state, used)?;
    config.architecture = host_level().to_owned();
    let runner = Arc::new(Vmm {
        nursery,
        archive: Archive::new(state, evidence),
    });
    Ok(Gateway::new(
        config,
        runner,
        Arc::new(Kept {
            store,
            share_images: file.share_images(),
        }),
        record,
        last,
    ))
}

/// The instruction set level of this host, as the psABI defines them.
fn host_level() -> &'static str {
    macro_rules! has {
        ($($feature:tt),*) => { $(std::is_x86_feature_detected!($feature))&&* };
    }
    let v2 = has!("cmpxchg16b", "popcnt", "sse3", "sse4.1", "sse4.2", "ssse3");
    let v3 = v2
        && has!(
            "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe"
        );
    let v4 = v3 && has!("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl");
    match (v4, v3, v2) {
        (true, _, _) => "x86-64-v4",
        (_, true, _) => "x86-64-v3",
        (_, _, true) => "x86-64-v2",
        _ => "x86-64-v1",
    }
}

/// The socket of the operator: who can open it is the operator.
async fn operators_door(path: &Path) -> Result<UnixListener> {
    let failed = |error: io::Error| Failure::failed(format!("{}: {error}", path.display()));
    if UnixStream::connect(path).await.is_ok() {
        return Err(
            Failure::failed(format!("a node answers at {} already", path.display()))
                .hint("name another socket with --socket"),
        );
    }
    if let Some(parent) = path.parent() {
        own_directory(parent)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let door = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(door)
}

/// Where clients connect. Tokens go over it in the clear, so it is on loopback.
async fn clients_door(address: SocketAddr) -> Result<TcpListener> {
    if !address.ip().is_loopback() {
        return Err(Failure::failed(format!("{address} is not on loopback"))
            .hint("tokens would cross the network in the clear: put a TLS proxy before the node"));
    }
    TcpListener::bind(address)
        .await
        .map_err(|error| Failure::failed(format!("{address}: {error}")))
}

/// What ends a node.
struct End {
    terminate: Signal,
    interrupt: Signal,
}

impl End {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn comes(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
