//! Who has which port.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicU32, Ordering};
use linux_raw_sys::general as linux;

use linux_raw_sys::net;

use crate::errno::{Errno, Result};
use crate::net::Protocol;
use crate::net::settings::Settings;
use crate::sync::Mutex;
use crate::task;

/// Ports that are given to who asks for none (`net.ipv4.ip_local_port_range`).
const AUTOMATIC: core::ops::RangeInclusive<u16> = 32_768..=60_999;
/// Ports below are the superuser's.
const PRIVILEGED_END: u16 = 1024;

/// A claim to a port.
struct Claim<E> {
    address: IpAddr,
    /// Whether IPv4 is not meant by the unspecified address of IPv6.
    v6_only: bool,
    uid: u32,
    listens: bool,
    holder: Weak<E>,
}

impl<E: Protocol> Claim<E> {
    /// Whether the holder has an option on now: it may have been set since the port was claimed.
    fn has(&self, option: u32) -> bool {
        let holder = self.holder.upgrade();
        holder.is_some_and(|holder| holder.settings().has(option))
    }

    /// Whether what is sent to `address` may be meant for the holder.
    fn covers(&self, address: IpAddr) -> bool {
        self.address == address
            || self.address.is_unspecified()
                && (self.address.is_ipv4() == address.is_ipv4()
                    || self.address.is_ipv6() && !self.v6_only)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.covers(other.address) || other.covers(self.address)
    }

    fn conflicts(&self, other: &Self) -> bool {
        let both = |option| self.has(option) && other.has(option);
        self.overlaps(other)
            && !(!self.listens && !other.listens && both(net::SO_REUSEADDR))
            && !(self.uid == other.uid && both(net::SO_REUSEPORT))
    }
}

/// The ports of one protocol.
pub(super) struct Ports<E> {
    claims: Mutex<BTreeMap<u16, Vec<Claim<E>>>>,
    next: AtomicU32,
}

impl<E: Protocol> Ports<E> {
    pub(super) const fn new() -> Self {
        Self {
            claims: Mutex::new(BTreeMap::new()),
            next: AtomicU32::new(0),
        }
    }

    fn claim_of(holder: &Weak<E>, settings: &Settings, address: IpAddr) -> Claim<E> {
        Claim {
            address,
            v6_only: settings.number(net::SOL_IPV6, net::IPV6_V6ONLY) != 0,
            uid: task::process().credentials().fsuid,
            listens: false,
            holder: holder.clone(),
        }
    }

    /// Gives a port to a holder: that of `address`, or if that is 0 one that is free.
    ///
    /// # Errors
    ///
    /// EADDRINUSE if another has it, or all are taken; EACCES if it is the superuser's.
    pub(super) fn claim(
        &self,
        holder: &Weak<E>,
        settings: &Settings,
        address: SocketAddr,
    ) -> Result<u16> {
        let claim = Self::claim_of(holder, settings, address.ip());
        if address.port() == 0 {
            return self.claim_any(claim);
        }
        if address.port() < PRIVILEGED_END
            && !task::process()
                .credentials()
                .can(linux::CAP_NET_BIND_SERVICE)
        {
            return Err(Errno::EACCES);
        }
        let mut claims = self.claims.lock();
        let others = claims.entry(address.port()).or_default();
        if others.iter().any(|other| claim.conflicts(other)) {
            return Err(Errno::EADDRINUSE);
        }
        others.push(claim);
        Ok(address.port())
    }

    fn claim_any(&self, claim: Claim<E>) -> Result<u16> {
        let count = u32::from(AUTOMATIC.end() - AUTOMATIC.start()) + 1;
        if self.next.load(Ordering::Relaxed) == 0 {
            let mut random = [0; 4];
            crate::random::fill(&mut random);
            let start = u32::from_ne_bytes(random) % count;
            self.next.store(start, Ordering::Relaxed);
        }
        let mut claims = self.claims.lock();
        for _ in 0..count {
            let step = self.next.fetch_add(1, Ordering::Relaxed) % count;
            let port = AUTOMATIC.start() + step as u16;
            let others = claims.entry(port).or_default();
            if !others.iter().any(|other| claim.overlaps(other)) {
                others.push(claim);
                return Ok(port);
            }
        }
        Err(Errno::EADDRINUSE)
    }

    /// Shares a port with the listener that has accepted the holder's connection.
    pub(super) fn share(&self, holder: &Weak<E>, settings: &Settings, address: SocketAddr) {
        let claim = Self::claim_of(holder, settings, address.ip());
        self.claims
            .lock()
            .entry(address.port())
            .or_default()
            .push(claim);
    }

    /// Runs `with` on the claims to a port: the holder's, and all others.
    fn with<R>(
        &self,
        holder: &Weak<E>,
        port: u16,
        with: impl FnOnce(&mut Claim<E>, &[Claim<E>]) -> R,
    ) -> Option<R> {
        let mut claims = self.claims.lock();
        let claims = claims.get_mut(&port)?;
        let at = claims
            .iter()
            .position(|claim| claim.holder.ptr_eq(holder))?;
        let mut own = claims.remove(at);
        let result = with(&mut own, claims);
        claims.insert(at, own);
        Some(result)
    }

    /// The holder listens from now on.
    ///
    /// # Errors
    ///
    /// EADDRINUSE if another does, too, and they do not share the port.
    pub(super) fn listen(&self, holder: &Weak<E>, port: u16) -> Result<()> {
        let listens = |own: &mut Claim<E>, others: &[Claim<E>]| {
            own.listens = true;
            if others
                .iter()
                .any(|other| other.listens && own.conflicts(other))
            {
                own.listens = false;
                return Err(Errno::EADDRINUSE);
            }
            Ok(())
        };
        self.with(holder, port, listens).unwrap_or(Ok(()))
    }

    /// The holder has another address now: that from which it has connected.
    pub(super) fn move_to(&self, holder: &Weak<E>, address: SocketAddr) {
        self.with(holder, address.port(), |own, _| own.address = address.ip());
    }

    /// The holder gives the port back.
    pub(super) fn release(&self, holder: &Weak<E>, port: u16) {
        let mut claims = self.claims.lock();
        if let Some(of_port) = claims.get_mut(&port) {
            of_port.retain(|claim| !claim.holder.ptr_eq(holder));
            if of_port.is_empty() {
                claims.remove(&port);
            }
        }
    }

    /// The holder for whom something sent to `address` is: the one with the highest score, and
    /// among equals one that has the very address, and then the one that came last.
    pub(super) fn find(
        &self,
        address: SocketAddr,
        score: impl Fn(&E) -> Option<u32>,
    ) -> Option<Arc<E>> {
        let candidates: Vec<(bool, Arc<E>)> = {
            let claims = self.claims.lock();
            claims
                .get(&address.port())?
                .iter()
                .filter(|claim| claim.covers(address.ip()))
                .filter_map(|claim| {
                    Some((!claim.address.is_unspecified(), claim.holder.upgrade()?))
                })
                .collect()
        };
        candidates
            .into_iter()
            .filter_map(|(exact, holder)| Some(((score(&holder)?, exact), holder)))
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, holder)| holder)
    }
}
