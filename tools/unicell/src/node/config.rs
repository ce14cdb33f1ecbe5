//! What the operator sets in a file. `docs/operations.md` describes it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use unicell_gateway::starts::{self, StartBounds};
use unicell_gateway_api::instance::Limits;
use unicell_gateway_api::network::{Descriptor, Endpoint, NetworkPolicy};
use unicell_service::manifest::parse_memory;

use super::nursery::Settings;
use crate::failure::{Failure, Result};

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    /// Where clients with tokens connect to, besides the operator's socket.
    pub(super) listen: Option<SocketAddr>,
    /// What all instances together may use.
    #[serde(default)]
    capacity: Capacity,
    /// How instances are kept apart from the host.
    #[serde(default)]
    jail: Jail,
    /// How owners are kept apart from each other.
    #[serde(default)]
    isolation: Isolation,
    /// How often instances are started.
    #[serde(default)]
    starts: Starts,
    /// Networks that services may be granted, by a tag.
    #[serde(default)]
    network: std::collections::BTreeMap<String, Network>,
    /// Whether clients may publish slots on ports of the host.
    #[serde(default)]
    pub(super) clients_publish: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Capacity {
    memory: Option<String>,
    cpus: Option<f64>,
    disk: Option<String>,
    evidence: Option<String>,
    store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Jail {
    waiting: Option<usize>,
    first_user: Option<u32>,
    users: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Isolation {
    share_images: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Starts {
    client: Option<Rate>,
    instance: Option<Rate>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Rate {
    burst: u32,
    per_second: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    #[serde(default = "yes")]
    instances: bool,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

fn yes() -> bool {
    true
}

/// Processors that are given out for each that there is: a share bounds an instance and keeps
/// nothing from the others, and most instances wait most of the time.
const SHARES_EACH: u32 = 64;

/// Processes that wait to become instances: about as many as are started in the time that it takes
/// to make one.
const WAITING: usize = 4;
/// Users of instances: the upper end of what distributions leave free (systemd, "Users, Groups, UIDs
/// and GIDs"), above those of `unicell run`.
const FIRST_USER: u32 = 0x7800_0000;
const USERS: u32 = 1 << 16;

impl File {
    /// Reads it; without a path, nothing is set.
    pub(super) fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        // Its errors name line and column, and show the line.
        toml::from_str(&text)
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
    }

    /// What all instances together may use: what is said, else three quarters of the host's memory,
    /// many times its processors, and half of what is free on the disk of the state.
    pub(super) fn capacity(&self, state: &Path) -> Result<Limits> {
        let memory = match size(self.capacity.memory.as_deref(), "capacity.memory")? {
            Some(memory) => memory,
            None => {
                let host = rustix::system::sysinfo();
                host.totalram.saturating_mul(host.mem_unit.into()) / 4 * 3
            }
        };
        let disk = match size(self.capacity.disk.as_deref(), "capacity.disk")? {
            Some(disk) => disk,
            None => free(state)? / 2,
        };
        let cpu_milli = match self.capacity.cpus {
            Some(cpus) if (0.001..=65_536.0).contains(&cpus) => (cpus * 1000.0) as u32,
            Some(cpus) => {
                return Err(Failure::failed(format!(
                    "capacity.cpus: {cpus} is no number of CPUs"
                )));
            }
            None => {
                let processors = std::thread::available_parallelism().map_or(1, usize::from);
                SHARES_EACH * 1000 * u32::try_from(processors.min(1024)).unwrap_or(1024)
            }
        };
        Ok(Limits {
            memory,
            cpu_milli,
            disk,
        })
    }

    /// Bytes of evidence that are kept of instances that have ended: what is said, else a quarter of
    /// what instances may have of the disk.
    pub(super) fn evidence(&self, capacity: &Limits) -> Result<u64> {
        let said = size(self.capacity.evidence.as_deref(), "capacity.evidence")?;
        Ok(said.unwrap_or(capacity.disk / 4))
    }

    /// Bytes that the store may have when a client brings a service in: what is said, else a quarter
    /// of what it has now and is free.
    pub(super) fn store(&self, state: &Path, used: u64) -> Result<u64> {
        match size(self.capacity.store.as_deref(), "capacity.store")? {
            Some(store) => Ok(store),
            None => Ok(free(state)?.saturating_add(used) / 4),
        }
    }

    /// How instances are kept apart from the host.
    pub(super) fn jail(&self) -> Result<Settings> {
        let first = self.jail.first_user.unwrap_or(FIRST_USER);
        let count = self.jail.users.unwrap_or(USERS);
        // The last number is no user (chown(2)), and the first is root.
        match first.checked_add(count) {
            Some(end) if first > 0 && count > 0 => Ok(Settings {
                waiting: self.jail.waiting.unwrap_or(WAITING),
                users: first..end,
            }),
            _ => Err(Failure::failed(format!(
                "jail: {count} users from {first} on are no numbers of users"
            ))),
        }
    }

    /// Whether instances of different owners read the same pages of the host's memory.
    pub(super) fn share_images(&self) -> bool {
        self.isolation.share_images.unwrap_or(true)
    }

    /// How often instances are started: what is said, else what is usual.
    pub(super) fn starts(&self) -> Result<StartBounds> {
        let rate = |said: Option<Rate>, usual, whose| match said {
            None => Ok(usual),
            Some(Rate { burst, per_second }) if burst > 0 && per_second > 0 => Ok(starts::Rate {
                burst,
                each: Duration::from_secs(1) / per_second,
            }),
            Some(_) => Err(Failure::failed(format!(
                "starts.{whose}: burst and per-second are at least 1"
            ))),
        };
        let usual = StartBounds::default();
        Ok(StartBounds {
            client: rate(self.starts.client, usual.client, "client")?,
            instance: rate(self.starts.instance, usual.instance, "instance")?,
            ..usual
        })
    }

    /// The networks.
    pub(super) fn networks(&self) -> Vec<NetworkPolicy> {
        let policy = |(name, network): (&String, &Network)| NetworkPolicy {
            network: Descriptor {
                tags: vec![name.clone()],
                ..Descriptor::default()
            },
            instances: network.instances,
            endpoints: network.endpoints.clone(),
        };
        self.network.iter().map(policy).collect()
    }
}

/// Bytes that are free where the state is.
fn free(state: &Path) -> Result<u64> {
    let found = rustix::fs::statvfs(state)
        .map_err(|error| Failure::failed(format!("{}: {error}", state.display())))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

fn size(text: Option<&str>, what: &str) -> Result<Option<u64>> {
    let size = text.map(parse_memory).transpose();
    size.map_err(|fault| Failure::failed(format!("{what}: {fault}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> std::result::Result<File, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn a_file_says_what_is_not_usual() {
        let file = parse(
            "listen = \"127.0.0.1:7878\"\n\
             [capacity]\nmemory = \"2G\"\ncpus = 1.5\ndisk = \"1G\"\n\
             [isolation]\nshare-images = false\n\
             [starts]\ninstance = { burst = 3, per-second = 2 }\n\
             [network.chat]\n\
             [network.bitcoin-mainnet]\ninstances = false\n\
             endpoints = [{ address = \"192.0.2.7:8333\" }]\n",
        )
        .unwrap();
        let capacity = file.capacity(Path::new("/")).unwrap();
        assert_eq!((capacity.memory, capacity.cpu_milli), (2 << 30, 1500));
        assert_eq!(file.evidence(&capacity).unwrap(), 256 << 20);
        let said = parse("[capacity]\nevidence = \"64M\"").unwrap();
        assert_eq!(said.evidence(&capacity).unwrap(), 64 << 20);
        let said = parse("[capacity]\nstore = \"3G\"").unwrap();
        assert_eq!(said.store(Path::new("/"), 5 << 30).unwrap(), 3 << 30);
        assert!(file.store(Path::new("/"), 4 << 30).unwrap() >= 1 << 30);
        assert!(!file.share_images() && File::default().share_images());
        let (starts, usual) = (file.starts().unwrap(), StartBounds::default());
        let instance = starts::Rate {
            burst: 3,
            each: Duration::from_millis(500),
        };
        assert_eq!(starts.instance, instance);
        assert_eq!(starts.client, usual.client);
        let networks = file.networks();
        assert_eq!(networks[0].network.tags, ["bitcoin-mainnet"]);
        assert!(!networks[0].instances && networks[1].instances);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("lisen = 1", "lisen"),
            ("listen = \"localhost\"", "listen"),
            ("[capacity]\ncpu = 1", "cpu"),
            (
                "[network.a]\nendpoints = [{ address = \"a:1\" }]",
                "address",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        for jail in ["first-user = 0", "users = 0", "first-user = 4294967295"] {
            assert!(parse(&format!("[jail]\n{jail}")).unwrap().jail().is_err());
        }
        let never = "[starts]\nclient = { burst = 1, per-second = 0 }";
        assert!(parse(never).unwrap().starts().is_err());
        let file = parse("[capacity]\nmemory = \"much\"").unwrap();
        assert!(file.capacity(Path::new("/")).is_err());
    }
}
