//! Options of sockets: those of SOL_SOCKET, and all others that only have to be remembered.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use linux_raw_sys::net;

use crate::errno::{Errno, Result};
use crate::sync::Mutex;
use crate::time::SECOND;

/// Bytes that a program can ask for as a buffer (`net.core.wmem_max`, `rmem_max`).
const BUFFER_MAX: u32 = 212_992;
/// The least that a buffer is (SOCK_MIN_SNDBUF, SOCK_MIN_RCVBUF).
const SEND_MIN: i32 = 4608;
const RECEIVE_MIN: i32 = 2304;
/// Microseconds in a second.
const MICROS: i64 = 1_000_000;

/// What values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// On or off.
    Flag,
    /// From one number to another, else EINVAL.
    Range(i32, i32),
    /// Any number.
    Any,
    /// It is only told, never set.
    Fixed,
}

/// An option that only has to be remembered.
pub struct Known {
    /// SOL_*, IPPROTO_*.
    pub level: u32,
    /// Its number.
    pub name: u32,
    /// What it is before it is set.
    pub default: i32,
    /// What it can be set to.
    pub rule: Rule,
}

/// Shortens tables of options.
pub(super) const fn known(level: u32, name: u32, default: i32, rule: Rule) -> Known {
    Known {
        level,
        name,
        default,
        rule,
    }
}

/// Those of every socket.
const SOCKET: &[Known] = &[
    known(net::SOL_SOCKET, net::SO_DEBUG, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_REUSEADDR, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_DONTROUTE, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_BROADCAST, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_KEEPALIVE, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_OOBINLINE, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_NO_CHECK, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_PRIORITY, 0, Rule::Any),
    known(net::SOL_SOCKET, net::SO_REUSEPORT, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_PASSCRED, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_PASSSEC, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_SNDLOWAT, 1, Rule::Fixed),
    known(net::SOL_SOCKET, net::SO_TIMESTAMP_OLD, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_TIMESTAMPNS_OLD, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_TIMESTAMP_NEW, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_TIMESTAMPNS_NEW, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_MARK, 0, Rule::Any),
    known(net::SOL_SOCKET, net::SO_RXQ_OVFL, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_WIFI_STATUS, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_PEEK_OFF, -1, Rule::Range(-1, -1)),
    known(net::SOL_SOCKET, net::SO_NOFCS, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_LOCK_FILTER, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_SELECT_ERR_QUEUE, 0, Rule::Flag),
    known(net::SOL_SOCKET, net::SO_BUSY_POLL, 0, Rule::Any),
    known(net::SOL_SOCKET, net::SO_MAX_PACING_RATE, -1, Rule::Any),
    known(net::SOL_SOCKET, net::SO_INCOMING_CPU, 0, Rule::Any),
    known(net::SOL_SOCKET, net::SO_ZEROCOPY, 0, Rule::Flag),
];

/// What was set.
#[derive(Clone)]
struct Values {
    numbers: BTreeMap<(u32, u32), i32>,
    /// Seconds that closing may take.
    linger: Option<u32>,
    /// Nanoseconds to wait for something to receive, and for room to send.
    patience: [Option<u64>; 2],
    /// Groups that it is in.
    groups: Vec<Vec<u8>>,
}

/// What a socket is and how it is set.
pub struct Settings {
    /// AF_*.
    pub family: u32,
    /// SOCK_*.
    pub kind: u32,
    /// IPPROTO_*.
    pub protocol: u32,
    /// Options beyond those of every socket.
    known: &'static [&'static [Known]],
    /// Bytes of the buffers before they are set.
    buffers: (i32, i32),
    values: Mutex<Values>,
}

/// The whole number that an option is set to.
///
/// # Errors
///
/// EINVAL if there are too few bytes.
pub(super) fn number(value: &[u8]) -> Result<i32> {
    let bytes = value.first_chunk().ok_or(Errno::EINVAL)?;
    Ok(i32::from_ne_bytes(*bytes))
}

/// A whole number, as a program gets it.
#[must_use]
pub(super) fn told(number: i32) -> Vec<u8> {
    number.to_ne_bytes().to_vec()
}

fn pair<const SIZE: usize>(value: &[u8]) -> Result<(&[u8], &[u8])> {
    let value = value.get(..SIZE).ok_or(Errno::EINVAL)?;
    Ok(value.split_at(SIZE / 2))
}

/// A `struct timeval` as nanoseconds; none for no limit.
fn patience(value: &[u8]) -> Result<Option<u64>> {
    let (seconds, micros) = pair::<16>(value)?;
    let read = |bytes: &[u8]| bytes.first_chunk().map_or(0, |b| i64::from_ne_bytes(*b));
    let (seconds, micros) = (read(seconds), read(micros));
    if !(0..MICROS).contains(&micros) {
        return Err(Errno::EDOM);
    }
    match (seconds, micros) {
        (0, 0) => Ok(None),
        // As in Linux: a time in the past is not waited for at all.
        (..0, _) => Ok(Some(0)),
        _ => Ok(Some(
            (seconds as u64)
                .saturating_mul(SECOND)
                .saturating_add(micros as u64 * 1000),
        )),
    }
}

fn told_patience(ns: Option<u64>) -> Vec<u8> {
    let ns = ns.unwrap_or(0);
    [ns / SECOND, ns % SECOND / 1000]
        .iter()
        .flat_map(|part| part.to_ne_bytes())
        .collect()
}

impl Settings {
    /// Nothing is set yet. `buffers` are the bytes that may be on their way from it, and to it.
    #[must_use]
    pub fn new(
        (family, kind, protocol): (u32, u32, u32),
        known: &'static [&'static [Known]],
        buffers: (i32, i32),
    ) -> Self {
        let values = Values {
            numbers: BTreeMap::new(),
            linger: None,
            patience: [None; 2],
            groups: Vec::new(),
        };
        Self {
            family,
            kind,
            protocol,
            known,
            buffers,
            values: Mutex::new(values),
        }
    }

    /// A copy, as an accepted connection gets it.
    #[must_use]
    pub fn inherited(&self) -> Self {
        Self {
            values: Mutex::new(self.values.lock().clone()),
            ..Self::new(
                (self.family, self.kind, self.protocol),
                self.known,
                self.buffers,
            )
        }
    }

    fn find(&self, level: u32, name: u32) -> Option<&'static Known> {
        let tables = core::iter::once(&SOCKET).chain(self.known);
        tables
            .flat_map(|table| table.iter())
            .find(|known| (known.level, known.name) == (level, name))
    }

    /// The number that an option has.
    #[must_use]
    pub fn number(&self, level: u32, name: u32) -> i32 {
        let set = self.values.lock().numbers.get(&(level, name)).copied();
        set.unwrap_or_else(|| self.find(level, name).map_or(0, |known| known.default))
    }

    /// Whether an option of SOL_SOCKET is on.
    #[must_use]
    pub fn has(&self, name: u32) -> bool {
        self.number(net::SOL_SOCKET, name) != 0
    }

    /// Sets the number of an option, whatever it is.
    pub fn put(&self, level: u32, name: u32, value: i32) {
        self.values.lock().numbers.insert((level, name), value);
    }

    /// Runs `with` on the multicast groups that it is in.
    pub fn with_groups<R>(&self, with: impl FnOnce(&mut Vec<Vec<u8>>) -> R) -> R {
        with(&mut self.values.lock().groups)
    }

    fn buffer(&self, name: u32, default: i32) -> i32 {
        let values = self.values.lock();
        let set = values.numbers.get(&(net::SOL_SOCKET, name));
        set.copied().unwrap_or(default)
    }

    /// Bytes that it may have sent without anybody having read them (SO_SNDBUF).
    #[must_use]
    pub fn send_buffer(&self) -> usize {
        self.buffer(net::SO_SNDBUF, self.buffers.0) as usize
    }

    /// Bytes that it may have received without reading them (SO_RCVBUF).
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        self.buffer(net::SO_RCVBUF, self.buffers.1) as usize
    }

    /// Whether closing throws away what was not sent, telling the peer so (SO_LINGER of 0 s).
    #[must_use]
    pub fn closes_hard(&self) -> bool {
        self.values.lock().linger == Some(0)
    }

    /// How long to wait for something to receive (or, if `sends`, for room to send), in ns; none
    /// for as long as it takes.
    #[must_use]
    pub fn patience(&self, sends: bool) -> Option<u64> {
        self.values.lock().patience[usize::from(sends)]
    }

    /// The value of an option.
    ///
    /// # Errors
    ///
    /// ENOPROTOOPT.
    pub fn get(&self, level: u32, name: u32) -> Result<Vec<u8>> {
        if level == net::SOL_SOCKET
            && let Some(value) = self.get_special(name)
        {
            return Ok(value);
        }
        self.find(level, name).ok_or(Errno::ENOPROTOOPT)?;
        Ok(told(self.number(level, name)))
    }

    fn get_special(&self, name: u32) -> Option<Vec<u8>> {
        Some(match name {
            net::SO_TYPE => told(self.kind as i32),
            net::SO_DOMAIN => told(self.family as i32),
            net::SO_PROTOCOL => told(self.protocol as i32),
            net::SO_SNDBUF => told(self.send_buffer() as i32),
            net::SO_RCVBUF => told(self.receive_buffer() as i32),
            net::SO_RCVLOWAT => told(self.buffer(name, 1)),
            net::SO_LINGER => {
                let linger = self.values.lock().linger;
                let parts = [linger.is_some() as i32, linger.unwrap_or(0) as i32];
                parts.iter().flat_map(|part| part.to_ne_bytes()).collect()
            }
            net::SO_RCVTIMEO_OLD | net::SO_RCVTIMEO_NEW => told_patience(self.patience(false)),
            net::SO_SNDTIMEO_OLD | net::SO_SNDTIMEO_NEW => told_patience(self.patience(true)),
            net::SO_BINDTODEVICE => Vec::new(),
            _ => return None,
        })
    }

    /// Sets an option.
    ///
    /// # Errors
    ///
    /// ENOPROTOOPT, EINVAL, EDOM, ENODEV.
    pub fn set(&self, level: u32, name: u32, value: &[u8]) -> Result<()> {
        if level == net::SOL_SOCKET && self.set_special(name, value)? {
            return Ok(());
        }
        let known = self.find(level, name).ok_or(Errno::ENOPROTOOPT)?;
        let mut number = number(value)?;
        match known.rule {
            Rule::Flag => number = i32::from(number != 0),
            Rule::Range(least, most) if !(least..=most).contains(&number) => {
                return Err(Errno::EINVAL);
            }
            Rule::Range(..) | Rule::Any => {}
            Rule::Fixed => return Err(Errno::ENOPROTOOPT),
        }
        self.put(level, name, number);
        Ok(())
    }

    fn set_special(&self, name: u32, value: &[u8]) -> Result<bool> {
        match name {
            net::SO_TYPE
            | net::SO_DOMAIN
            | net::SO_PROTOCOL
            | net::SO_ERROR
            | net::SO_ACCEPTCONN => return Err(Errno::ENOPROTOOPT),
            net::SO_SNDBUF | net::SO_SNDBUFFORCE => {
                let wanted = (number(value)? as u32).min(BUFFER_MAX) as i32;
                self.put(net::SOL_SOCKET, net::SO_SNDBUF, (wanted * 2).max(SEND_MIN));
            }
            net::SO_RCVBUF | net::SO_RCVBUFFORCE => {
                let wanted = (number(value)? as u32).min(BUFFER_MAX) as i32;
                let size = (wanted * 2).max(RECEIVE_MIN);
                self.put(net::SOL_SOCKET, net::SO_RCVBUF, size);
            }
            net::SO_RCVLOWAT => {
                let least = match number(value)? {
                    ..0 => i32::MAX,
                    0 => 1,
                    least => least,
                };
                self.put(net::SOL_SOCKET, name, least);
            }
            net::SO_LINGER => {
                let (on, seconds) = pair::<8>(value)?;
                let on = number(on)? != 0;
                let seconds = number(seconds)? as u32;
                self.values.lock().linger = on.then_some(seconds);
            }
            net::SO_RCVTIMEO_OLD | net::SO_RCVTIMEO_NEW => {
                self.values.lock().patience[0] = patience(value)?;
            }
            net::SO_SNDTIMEO_OLD | net::SO_SNDTIMEO_NEW => {
                self.values.lock().patience[1] = patience(value)?;
            }
            net::SO_BINDTODEVICE => {
                let name = value.split(|byte| *byte == 0).next();
                if !matches!(name, None | Some(b"" | b"lo")) {
                    return Err(Errno::ENODEV);
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::new((net::AF_UNIX, net::SOCK_STREAM, 0), &[], (212_992, 212_992))
    }

    #[test]
    fn buffers_are_doubled_and_bounded() {
        let settings = settings();
        let set = |name, size| settings.set(net::SOL_SOCKET, name, &told(size));
        assert_eq!(set(net::SO_SNDBUF, 10_000), Ok(()));
        assert_eq!(settings.send_buffer(), 20_000);
        assert_eq!(set(net::SO_RCVBUF, 0), Ok(()));
        assert_eq!(settings.receive_buffer(), 2304);
        assert_eq!(set(net::SO_SNDBUF, -1), Ok(()));
        assert_eq!(settings.send_buffer(), 425_984);
    }

    #[test]
    fn times_out_of_range_are_refused() {
        let timeval =
            |seconds: i64, micros: i64| [seconds.to_ne_bytes(), micros.to_ne_bytes()].concat();
        let settings = settings();
        let set = |value: &[u8]| settings.set(net::SOL_SOCKET, net::SO_RCVTIMEO_OLD, value);
        assert_eq!(set(&timeval(1, 500_000)), Ok(()));
        assert_eq!(settings.patience(false), Some(1_500_000_000));
        assert_eq!(set(&timeval(0, MICROS)), Err(Errno::EDOM));
        assert_eq!(set(&timeval(0, 0)[..15]), Err(Errno::EINVAL));
        assert_eq!(set(&timeval(0, 0)), Ok(()));
        assert_eq!(settings.patience(false), None);
    }
}
