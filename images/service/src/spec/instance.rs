//! A running service as others see it, and the file that tells a service of
//! its surroundings.

use super::{Amount, Api, Bytes, Map, Sysresources};
use crate::wire::message;

message! {
    /// A running service.
    #[derive(PartialEq, Eq)]
    pub struct Instance {
        /// How it is spoken to.
        1 api: Option<Api>,
        /// Where its slots are reached.
        2 addresses: Vec<SlotAddresses>,
    }
}

message! {
    /// Where one slot is reached.
    #[derive(PartialEq, Eq)]
    pub struct SlotAddresses {
        /// The slot's port in the guest.
        1 internal_port: u16,
        /// Addresses, any of which will do.
        2 uri: Vec<Uri>,
    }
}

message! {
    /// An address.
    #[derive(PartialEq, Eq)]
    pub struct Uri {
        /// An IPv4 or IPv6 address, or a name.
        1 ip: String,
        /// A port there.
        2 port: u16,
    }
}

message! {
    /// What who starts a service says.
    #[derive(PartialEq, Eq)]
    pub struct Configuration {
        /// Variables, beside those of the specification.
        1 environment: Map<Bytes>,
        /// The slots that are wanted; none: all.
        2 slots: Vec<u16>,
        /// Credit to begin with.
        3 initial_credit: Option<Amount>,
    }
}

message! {
    /// The configuration file, as the guest finds it.
    #[derive(PartialEq, Eq)]
    pub struct ConfigurationFile {
        /// The node.
        1 gateway: Option<Instance>,
        /// What who started the service said.
        2 configuration: Option<Configuration>,
        /// Members of the networks that it may reach.
        3 network_resolution: Vec<NetworkResolution>,
        /// What it has been given.
        4 initial_resources: Option<Sysresources>,
    }
}

message! {
    /// Members of a network.
    #[derive(PartialEq, Eq)]
    pub struct NetworkResolution {
        /// The network's tags.
        1 tags: Vec<String>,
        /// Its members.
        2 peers: Vec<Instance>,
    }
}

impl ConfigurationFile {
    /// Where the file lies if a service does not say.
    pub const DEFAULT_PATH: &str = "/__config__";
}
