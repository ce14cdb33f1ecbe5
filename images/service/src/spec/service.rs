//! The service: BOX, API, NET, and what it may start.

use super::descriptor;
use super::{Bytes, Descriptor, Filesystem, Hash, Map};
use crate::tree::Source;
use crate::wire::message;

message! {
    /// A service: all that its id is the hash of.
    pub struct Service {
        /// What it is, for people.
        1 prose: String,
        /// BOX: its files, and how they are started.
        2 container: Option<Container>,
        /// API: how it is spoken to.
        3 api: Option<Api>,
        /// NET: the networks that it asks for. None: it is isolated.
        4 network: Vec<Network>,
        /// What it may start: scenarios that do not add up.
        5 descendants: Vec<Scenario>,
    }
}

message! {
    /// BOX.
    pub struct Container {
        /// The instruction set that it needs: see [`super::Level`].
        1 architecture: Option<Descriptor>,
        /// All files, from the root.
        2 filesystem: Filesystem,
        /// What is started.
        3 init: Option<Init>,
        /// What it needs to run.
        4 resources: Option<Resources>,
        /// Where it wants its configuration file, and in which format.
        5 config: Option<ConfigDeclaration>,
        /// Protocols that the node has to speak.
        6 expected_gateway: Vec<Descriptor>,
        /// Variables that a configuration may set, and what they may be.
        7 environment: Map<Descriptor>,
    }
}

message! {
    /// What is started. Arguments, fixed environment, working directory and
    /// dependencies are attributes: see [`crate::manifest::Manifest::of`].
    #[derive(PartialEq, Eq)]
    pub struct Init {
        /// The program's path, name by name from the root.
        1 entry_path: Vec<String>,
        /// What else there is to say.
        2 xattrs: Map<Bytes>,
    }
}

message! {
    /// What a service needs, and what it may come to use.
    #[derive(PartialEq, Eq)]
    pub struct Resources {
        /// When it starts.
        1 at_init: Option<Sysresources>,
        /// At any time.
        2 at_most: Option<Sysresources>,
    }
}

message! {
    /// Amounts of a machine.
    #[derive(PartialEq, Eq)]
    pub struct Sysresources {
        /// Relative weight of block I/O, 10 to 1000.
        1 blkio_weight: Option<u64>,
        /// Microseconds over which `cpu_quota` is counted.
        2 cpu_period: Option<u64>,
        /// Microseconds of CPU time in each period.
        3 cpu_quota: Option<u64>,
        /// Bytes of memory.
        4 mem_limit: Option<u64>,
        /// Bytes of files written.
        5 disk_space: Option<u64>,
    }
}

message! {
    /// The configuration file that a service wants.
    #[derive(PartialEq, Eq)]
    pub struct ConfigDeclaration {
        /// Its path, name by name from the root.
        1 path: Vec<String>,
        /// Its format: tag `proto3` or `json`.
        2 format: Option<Descriptor>,
    }
}

message! {
    /// API.
    #[derive(PartialEq, Eq)]
    pub struct Api {
        /// Where it is spoken to.
        1 slots: Vec<Slot>,
        /// How it is paid.
        2 payment_contracts: Vec<ContractRate>,
    }
}

message! {
    /// A port that a service listens on.
    #[derive(PartialEq, Eq)]
    pub struct Slot {
        /// The port in the guest.
        1 port: u16,
        /// Tag `tcp` or `udp`.
        2 transport: Option<Descriptor>,
        /// What is spoken, from the outermost protocol inwards; `formal` holds
        /// methods and the cost function.
        3 protocol_stack: Vec<Descriptor>,
        /// Price of a call by method.
        4 price_per_call: Map<Amount>,
    }
}

message! {
    /// A contract, and what one unit of it is worth.
    #[derive(PartialEq, Eq)]
    pub struct ContractRate {
        /// The contract.
        1 contract: Option<Contract>,
        /// Monetary units for one unit of it.
        2 mu_per_unit: Option<Amount>,
    }
}

message! {
    /// A contract on a ledger: to pay by, or a proof of reputation.
    #[derive(PartialEq, Eq)]
    pub struct Contract {
        /// The ledger.
        1 ledger: Option<Descriptor>,
        /// What the ledger needs to know.
        2 xattrs: Map<Bytes>,
    }
}

message! {
    /// An amount of monetary units.
    #[derive(PartialEq, Eq)]
    pub struct Amount {
        /// A whole number in decimal, of any length.
        1 n: String,
    }
}

message! {
    /// NET: a network that a service asks for.
    #[derive(PartialEq, Eq)]
    pub struct Network {
        /// Names that people agreed on.
        1 tags: Vec<String>,
        /// For people.
        2 prose: String,
        /// An exact definition.
        3 formal: Bytes,
        /// What its members speak.
        4 protocol_stack: Vec<Descriptor>,
    }
}

impl Network {
    /// Whether both are the same network, as descriptors match: formal
    /// definitions decide where both have one, else one common tag.
    pub fn matches(&self, other: &Self) -> bool {
        descriptor::matches((&self.tags, &self.formal), (&other.tags, &other.formal))
    }

    /// Whether this network is called `tag`.
    pub fn is_called(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }
}

message! {
    /// Descendants that may run at the same time.
    pub struct Scenario {
        /// Groups of equal descendants.
        1 workloads: Vec<Workload>,
    }
}

message! {
    /// A group of equal descendants.
    pub struct Workload {
        /// How many.
        1 count: u32,
        /// What each of them needs.
        2 resources: Option<Sysresources>,
        /// Which service, where that is known.
        3 dependency: Option<Dependency>,
    }
}

message! {
    /// A service that another one needs.
    pub struct Dependency {
        /// Its hashes.
        1 hash: Vec<Hash>,
        /// Its specification, or what is known of it.
        2 service: Option<Box<Service>>,
        /// Whether `service` is all of it.
        3 is_completed: bool,
        /// Whether it lies among the files of the service that needs it.
        4 on_filesystem: bool,
    }
}

impl Service {
    /// The slots of its API.
    pub fn slots(&self) -> &[Slot] {
        self.api.as_ref().map_or(&[], |api| &api.slots)
    }

    /// Calls `each` with the contents of every file: its own, and those of the
    /// services that its dependencies spell out.
    pub fn visit_contents<E>(
        &mut self,
        each: &mut dyn FnMut(&mut Source) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(container) = &mut self.container {
            container.filesystem.visit_contents(each)?;
        }
        let workloads = self.descendants.iter_mut().flat_map(|s| &mut s.workloads);
        let dependencies = workloads.filter_map(|workload| workload.dependency.as_mut());
        dependencies
            .filter_map(|dependency| dependency.service.as_mut())
            .try_for_each(|service| service.visit_contents(each))
    }

    /// Its files.
    pub fn filesystem(&self) -> Option<&Filesystem> {
        self.container
            .as_ref()
            .map(|container| &container.filesystem)
    }
}
