//! `service.toml` as it stands there, and what each key becomes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::bounds;
use super::file::File;
use crate::spec::{
    Amount, Api, ConfigDeclaration, Container, Contract, ContractRate, Dependency, Descriptor,
    Interface, Level, Map, Method, Network, Resources, Scenario, Service, ServiceId, Slot,
    Sysresources, Workload, names,
};

/// What is wrong with a value, where it begins, and which it is.
pub(super) struct Misplaced {
    pub(super) key: &'static str,
    pub(super) at: usize,
    pub(super) what: String,
}

type Result<T> = std::result::Result<T, Misplaced>;

/// The file, with the place of every value that is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    #[serde(default)]
    prose: String,
    entrypoint: Option<Spanned<String>>,
    args: Option<Spanned<Vec<String>>>,
    env: Option<Spanned<BTreeMap<String, String>>>,
    workdir: Option<Spanned<String>>,
    memory: Option<Spanned<String>>,
    architecture: Option<Spanned<String>>,
    config: Option<Config>,
    #[serde(default)]
    variables: BTreeMap<String, Described>,
    #[serde(default)]
    expected_gateway: Vec<Described>,
    resources: Option<WrittenResources>,
    #[serde(default)]
    slots: Vec<Spanned<WrittenSlot>>,
    #[serde(default)]
    networks: Vec<Spanned<WrittenNetwork>>,
    #[serde(default)]
    dependencies: BTreeMap<String, Spanned<WrittenDependency>>,
    #[serde(default)]
    payments: Vec<Payment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    path: Option<Spanned<String>>,
    format: Option<Described>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenResources {
    at_init: Option<Amounts>,
    at_most: Option<Amounts>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Amounts {
    memory: Option<Spanned<String>>,
    disk: Option<Spanned<String>>,
    cpu_quota: Option<u64>,
    cpu_period: Option<u64>,
    blkio_weight: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSlot {
    port: Spanned<u16>,
    transport: Option<Spanned<String>>,
    #[serde(default)]
    protocols: Vec<Described>,
    #[serde(default)]
    prices: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    methods: BTreeMap<String, Method>,
    cost: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenNetwork {
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    prose: String,
    #[serde(default)]
    formal: Formal,
    #[serde(default)]
    protocols: Vec<Described>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDependency {
    id: Spanned<String>,
    /// How many may run at the same time.
    count: Option<u32>,
    memory: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payment {
    ledger: Described,
    #[serde(default)]
    xattrs: BTreeMap<String, Formal>,
    mu_per_unit: Spanned<String>,
}

/// Text, or a table with bytes as base64.
#[derive(Default)]
struct Formal(Vec<u8>);

/// A tag alone, or a table of a descriptor's fields.
struct Described(Descriptor);

/// Takes a string, or a table, each in its own way.
struct Either<T> {
    expected: &'static str,
    text: fn(&str) -> T,
    table: fn(Table) -> std::result::Result<T, String>,
}

/// The fields of either table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    base64: Option<String>,
    tags: Option<Vec<String>>,
    prose: Option<String>,
    formal: Option<Formal>,
}

impl<'de, T> Visitor<'de> for Either<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<T, E> {
        Ok((self.text)(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<T, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(map))?;
        (self.table)(table).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Formal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        from.deserialize_any(Either {
            expected: "a string, or a table with the key `base64`",
            text: |text| Self(text.as_bytes().to_vec()),
            table: |table| match table {
                Table {
                    base64: Some(text),
                    tags: None,
                    prose: None,
                    formal: None,
                } => STANDARD
                    .decode(text)
                    .map(Self)
                    .map_err(|error| error.to_string()),
                _ => Err("the table must have the key `base64` and no other".to_owned()),
            },
        })
    }
}

impl<'de> Deserialize<'de> for Described {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        from.deserialize_any(Either {
            expected: "a tag, or a table of `tags`, `prose` and `formal`",
            text: |tag| Self(Descriptor::tag(tag)),
            table: |table| {
                if table.base64.is_some() {
                    return Err("`base64` belongs into `formal`".to_owned());
                }
                Ok(Self(Descriptor {
                    tags: table.tags.unwrap_or_default(),
                    prose: table.prose.unwrap_or_default(),
                    formal: table.formal.unwrap_or_default().0.into(),
                }))
            },
        })
    }
}

fn described(list: Vec<Described>) -> Vec<Descriptor> {
    list.into_iter().map(|item| item.0).collect()
}

/// Checks a value where it stands.
fn check<T, V, E: ToString>(
    key: &'static str,
    value: Option<&Spanned<T>>,
    check: impl FnOnce(&T) -> std::result::Result<V, E>,
) -> Result<Option<V>> {
    let Some(value) = value else { return Ok(None) };
    let result = check(value.get_ref()).map(Some);
    result.map_err(|fault| misplaced(key, value, &fault))
}

fn misplaced<T>(key: &'static str, value: &Spanned<T>, what: &impl ToString) -> Misplaced {
    Misplaced {
        key,
        at: value.span().start,
        what: what.to_string(),
    }
}

fn size(key: &'static str, text: Option<&Spanned<String>>) -> Result<Option<u64>> {
    check(key, text, |text| bounds::parse_memory(text))
}

fn amount(key: &'static str, text: &Spanned<String>) -> Result<Amount> {
    let n = text.get_ref();
    let plain = !n.is_empty() && n.len() <= 78 && n.bytes().all(|byte| byte.is_ascii_digit());
    if plain && (n == "0" || !n.starts_with('0')) {
        Ok(Amount { n: n.clone() })
    } else {
        let what = format!("`{n}` is not an amount: write a whole number in decimal digits");
        Err(misplaced(key, text, &what))
    }
}

impl Written {
    pub(super) fn checked(self) -> Result<File> {
        check("entrypoint", self.entrypoint.as_ref(), |path| {
            bounds::path(path, false)
        })?;
        check("args", self.args.as_ref(), |args| bounds::args(args))?;
        check("env", self.env.as_ref(), bounds::env)?;
        check("workdir", self.workdir.as_ref(), |path| {
            bounds::path(path, true)
        })?;
        let mut container = Container {
            resources: self.resources.map(WrittenResources::checked).transpose()?,
            config: self.config.map(Config::checked).transpose()?,
            expected_gateway: described(self.expected_gateway),
            environment: self
                .variables
                .into_iter()
                .map(|(name, format)| (name, format.0))
                .collect(),
            ..Container::default()
        };
        let level = check("architecture", self.architecture.as_ref(), |text| {
            text.parse::<Level>()
        })?;
        container.architecture = level.map(Into::into);
        let descendants = dependencies(self.dependencies, &mut container)?;
        Ok(File {
            entrypoint: self.entrypoint.map(Spanned::into_inner),
            args: self.args.map(Spanned::into_inner).unwrap_or_default(),
            env: self.env.map(Spanned::into_inner).unwrap_or_default(),
            workdir: self.workdir.map(Spanned::into_inner),
            memory: size("memory", self.memory.as_ref())?,
            service: Service {
                prose: self.prose,
                container: Some(container),
                api: api(self.slots, self.payments)?,
                network: networks(self.networks)?,
                descendants,
            },
        })
    }
}

impl Config {
    fn checked(self) -> Result<ConfigDeclaration> {
        check("config.path", self.path.as_ref(), |path| {
            bounds::path(path, false)
        })?;
        Ok(ConfigDeclaration {
            path: self
                .path
                .map(|path| names(path.get_ref()))
                .unwrap_or_default(),
            format: self.format.map(|format| format.0),
        })
    }
}

impl WrittenResources {
    fn checked(self) -> Result<Resources> {
        Ok(Resources {
            at_init: self.at_init.map(Amounts::checked).transpose()?,
            at_most: self.at_most.map(Amounts::checked).transpose()?,
        })
    }
}

impl Amounts {
    fn checked(self) -> Result<Sysresources> {
        Ok(Sysresources {
            blkio_weight: self.blkio_weight,
            cpu_period: self.cpu_period,
            cpu_quota: self.cpu_quota,
            mem_limit: size("memory", self.memory.as_ref())?,
            disk_space: size("disk", self.disk.as_ref())?,
        })
    }
}

fn api(slots: Vec<Spanned<WrittenSlot>>, payments: Vec<Payment>) -> Result<Option<Api>> {
    let mut seen = BTreeSet::new();
    let mut api = Api::default();
    for slot in slots {
        let at = slot.span().start;
        let slot = slot.into_inner().checked()?;
        let transport = slot
            .transport
            .as_ref()
            .map(|transport| transport.tags.clone());
        if !seen.insert((slot.port, transport)) {
            return Err(Misplaced {
                key: "slots",
                at,
                what: format!("there are two slots for port {}", slot.port),
            });
        }
        api.slots.push(slot);
    }
    for payment in payments {
        let xattrs = payment.xattrs.into_iter();
        api.payment_contracts.push(ContractRate {
            contract: Some(Contract {
                ledger: Some(payment.ledger.0),
                xattrs: xattrs.map(|(name, value)| (name, value.0.into())).collect(),
            }),
            mu_per_unit: Some(amount("mu_per_unit", &payment.mu_per_unit)?),
        });
    }
    let empty = api.slots.is_empty() && api.payment_contracts.is_empty();
    Ok((!empty).then_some(api))
}

impl WrittenSlot {
    fn checked(self) -> Result<Slot> {
        if *self.port.get_ref() == 0 {
            return Err(misplaced("port", &self.port, &"0 is not a port"));
        }
        check("transport", self.transport.as_ref(), |name| {
            match name.as_str() {
                "tcp" | "udp" => Ok(()),
                other => Err(format!("`{other}` is not `tcp` or `udp`")),
            }
        })?;
        let transport = self.transport.map(Spanned::into_inner);
        let interface = Interface {
            methods: self.methods,
            cost: self.cost,
        };
        let mut protocol_stack = described(self.protocols);
        if interface != Interface::default() {
            protocol_stack.push(interface.to_protocol());
        }
        let prices = self.prices.iter();
        let prices = prices.map(|(method, price)| Ok((method.clone(), amount("prices", price)?)));
        Ok(Slot {
            port: *self.port.get_ref(),
            transport: Some(Descriptor::tag(transport.as_deref().unwrap_or("tcp"))),
            protocol_stack,
            price_per_call: prices.collect::<Result<Map<Amount>>>()?,
        })
    }
}

fn networks(list: Vec<Spanned<WrittenNetwork>>) -> Result<Vec<Network>> {
    let network = |network: Spanned<WrittenNetwork>| {
        let found = network.get_ref();
        if found.tags.is_empty() && found.formal.0.is_empty() {
            let what = "a network needs `tags` or `formal`: nothing else could name it";
            return Err(misplaced("networks", &network, &what));
        }
        let network = network.into_inner();
        Ok(Network {
            tags: network.tags,
            prose: network.prose,
            formal: network.formal.0.into(),
            protocol_stack: described(network.protocols),
        })
    };
    list.into_iter().map(network).collect()
}

/// Names the dependencies in the box, and says what running them together
/// would take, if the file says how many.
fn dependencies(
    list: BTreeMap<String, Spanned<WrittenDependency>>,
    container: &mut Container,
) -> Result<Vec<Scenario>> {
    let mut workloads = Vec::new();
    for (alias, dependency) in list {
        let found = dependency.get_ref();
        let parsed = check("id", Some(&found.id), |id| id.parse::<ServiceId>())?;
        let Some(id) = parsed else { continue };
        container
            .init
            .get_or_insert_default()
            .add_dependency(&alias, id)
            .map_err(|fault| misplaced("dependencies", &dependency, &fault))?;
        let memory = size("memory", found.memory.as_ref())?;
        if let Some(count) = found.count {
            workloads.push(Workload {
                count,
                resources: memory.map(|memory| Sysresources {
                    mem_limit: Some(memory),
                    ..Sysresources::default()
                }),
                dependency: Some(Dependency {
                    hash: vec![id.into()],
                    ..Dependency::default()
                }),
            });
        }
    }
    let none = workloads.is_empty();
    Ok(if none {
        Vec::new()
    } else {
        vec![Scenario { workloads }]
    })
}
