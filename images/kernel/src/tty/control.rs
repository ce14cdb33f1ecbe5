//! ioctl(2) on terminals, as ioctl_tty(2) has it.

use linux_raw_sys::general as linux;
use linux_raw_sys::ioctl;

use super::pty::{Master, Slave};
use super::termios::{OLD_SIZE, SIZE, SIZE_WITHOUT_SPEEDS, Termios};
use super::{Terminal, Window, devpts, job};
use crate::errno::{Errno, Result};
use crate::fs::OpenFile;
use crate::memory::user;
use crate::signal::{SIGINT, SIGQUIT, SIGTSTP, SIGTTOU};
use crate::task::{self, group};
use alloc::sync::Arc;

/// What a slave is asked for.
pub(super) fn of_slave(slave: &Slave, command: u32, argument: u64) -> Result<u64> {
    if slave.is_lost() {
        let is_group = command == ioctl::TIOCSPGRP;
        return Err(if is_group { Errno::ENOTTY } else { Errno::EIO });
    }
    let terminal = &slave.terminal;
    match command {
        ioctl::TIOCNOTTY => no_terminal(terminal),
        // It has no other side.
        ioctl::TIOCGPTPEER => Err(Errno::EIO),
        ioctl::TIOCSCTTY => take_terminal(terminal, argument),
        ioctl::TIOCGPGRP | ioctl::TIOCGSID if !job::controls(terminal, &task::process()) => {
            Err(Errno::ENOTTY)
        }
        ioctl::TIOCGPGRP => put(argument, terminal.line().foreground.unwrap_or(0)),
        ioctl::FIONREAD => put(argument, terminal.line().readable() as u32),
        ioctl::TCXONC => flow(terminal, argument),
        ioctl::TCFLSH => flush(terminal, argument, Side::Slave),
        _ => of_either(terminal, command, argument),
    }
}

/// What a master is asked for.
pub(super) fn of_master(master: &Master, command: u32, argument: u64) -> Result<u64> {
    let terminal = &master.terminal;
    match command {
        ioctl::TIOCGPTN => put(argument, terminal.number()),
        ioctl::TIOCSPTLCK => {
            let locked = user::read::<u32>(argument)? != 0;
            terminal.line().locked = locked;
            Ok(0)
        }
        ioctl::TIOCGPTLCK => put(argument, terminal.line().locked.into()),
        ioctl::TIOCPKT => {
            let packet = user::read::<u32>(argument)? != 0;
            terminal.line().set_packet(packet);
            Ok(0)
        }
        ioctl::TIOCGPKT => put(argument, terminal.line().is_packet().into()),
        ioctl::TIOCGPTPEER => open_peer(terminal, argument as u32),
        ioctl::TIOCSIG => match argument as u32 {
            signal @ (SIGINT | SIGQUIT | SIGTSTP) => {
                terminal.signal_foreground(signal);
                Ok(0)
            }
            // No key sends it.
            _ => Err(Errno::EINVAL),
        },
        ioctl::TIOCNOTTY => Err(Errno::ENOTTY),
        ioctl::TIOCSCTTY => take_terminal(terminal, argument),
        ioctl::TIOCGPGRP => put(argument, terminal.line().foreground.unwrap_or(0)),
        ioctl::FIONREAD => put(argument, terminal.line().shown_len() as u32),
        ioctl::TCFLSH => flush(terminal, argument, Side::Master),
        _ => of_either(terminal, command, argument),
    }
}

fn of_either(terminal: &Arc<Terminal>, command: u32, argument: u64) -> Result<u64> {
    match command {
        ioctl::TCGETS | ioctl::TCGETS2 | ioctl::TCGETA => settings(terminal, command, argument),
        ioctl::TCSETS | ioctl::TCSETSW | ioctl::TCSETSF => {
            set(terminal, command == ioctl::TCSETSF, |now| {
                // The speeds are those that the flags name, or stay.
                let mut bytes = now.to_bytes();
                user::copy_in(argument, &mut bytes[..SIZE_WITHOUT_SPEEDS])?;
                Ok(Termios::from_bytes(&bytes))
            })
        }
        ioctl::TCSETS2 | ioctl::TCSETSW2 | ioctl::TCSETSF2 => {
            set(terminal, command == ioctl::TCSETSF2, |_| {
                let mut bytes = [0; SIZE];
                user::copy_in(argument, &mut bytes)?;
                Ok(Termios::from_bytes(&bytes))
            })
        }
        ioctl::TCSETA | ioctl::TCSETAW | ioctl::TCSETAF => {
            set(terminal, command == ioctl::TCSETAF, |now| {
                let mut bytes = [0; OLD_SIZE];
                user::copy_in(argument, &mut bytes)?;
                Ok(now.with_old_bytes(&bytes))
            })
        }
        ioctl::TIOCGWINSZ | ioctl::TIOCSWINSZ => window(terminal, command, argument),
        ioctl::TIOCSPGRP => set_foreground(terminal, argument),
        ioctl::TIOCGSID => {
            let session = terminal.line().session;
            put(argument, session.ok_or(Errno::ENOTTY)?)
        }
        ioctl::TIOCEXCL | ioctl::TIOCNXCL => {
            terminal.line().exclusive = command == ioctl::TIOCEXCL;
            Ok(0)
        }
        ioctl::TIOCGEXCL => put(argument, terminal.line().exclusive.into()),
        // Output is on its way as soon as it is written; there is no wire to break.
        ioctl::TIOCOUTQ => put(argument, 0),
        ioctl::TCSBRK | ioctl::TCSBRKP | ioctl::TIOCSBRK | ioctl::TIOCCBRK => {
            job::check(terminal, SIGTTOU)?;
            Ok(0)
        }
        // Typing for somebody else: no (as with dev.tty.legacy_tiocsti off).
        ioctl::TIOCSTI => Err(Errno::EIO),
        // There is one line discipline, number 0.
        ioctl::TIOCGETD => put(argument, 0),
        ioctl::TIOCSETD => match user::read::<u32>(argument)? {
            0 => Ok(0),
            _ => Err(Errno::EINVAL),
        },
        ioctl::TIOCVHANGUP => {
            if !task::process().credentials().can(linux::CAP_SYS_ADMIN) {
                return Err(Errno::EPERM);
            }
            terminal.hang_up();
            Ok(0)
        }
        ioctl::TIOCGDEV => put(argument, devpts::device(terminal.number()).encode() as u32),
        _ => Err(Errno::ENOTTY),
    }
}

fn put(address: u64, value: u32) -> Result<u64> {
    user::write(address, &value)?;
    Ok(0)
}

fn settings(terminal: &Terminal, command: u32, address: u64) -> Result<u64> {
    let termios = *terminal.line().termios();
    match command {
        ioctl::TCGETS => user::copy_out(address, &termios.to_bytes()[..SIZE_WITHOUT_SPEEDS])?,
        ioctl::TCGETS2 => user::copy_out(address, &termios.to_bytes())?,
        _ => user::copy_out(address, &termios.to_old_bytes())?,
    }
    Ok(0)
}

fn set(
    terminal: &Terminal,
    flush: bool,
    make: impl FnOnce(&Termios) -> Result<Termios>,
) -> Result<u64> {
    job::check(terminal, SIGTTOU)?;
    let now = *terminal.line().termios();
    let termios = make(&now)?;
    terminal.change(|line| {
        if flush {
            line.flush_input();
        }
        line.set_termios(termios);
    });
    Ok(0)
}

fn window(terminal: &Terminal, command: u32, address: u64) -> Result<u64> {
    if command == ioctl::TIOCGWINSZ {
        let now = terminal.line().window;
        user::write(address, &[now.rows, now.columns, now.width, now.height])?;
    } else {
        let [rows, columns, width, height] = user::read(address)?;
        terminal.resize(Window {
            rows,
            columns,
            width,
            height,
        });
    }
    Ok(0)
}

/// TCXONC.
fn flow(terminal: &Terminal, argument: u64) -> Result<u64> {
    job::check(terminal, SIGTTOU)?;
    let which = match argument as u32 {
        linux::TCOOFF | linux::TCOON => {
            terminal.change(|line| line.hold(argument as u32 == linux::TCOOFF));
            return Ok(0);
        }
        linux::TCIOFF => linux::VSTOP,
        linux::TCION => linux::VSTART,
        _ => return Err(Errno::EINVAL),
    };
    // The other side is asked to stop or to go on.
    terminal.change(|line| line.show_flow_control(which));
    Ok(0)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Slave,
    Master,
}

/// TCFLSH.
fn flush(terminal: &Terminal, argument: u64, side: Side) -> Result<u64> {
    if side == Side::Slave {
        job::check(terminal, SIGTTOU)?;
    }
    let (input, output) = match argument as u32 {
        linux::TCIFLUSH => (true, false),
        linux::TCOFLUSH => (false, true),
        linux::TCIOFLUSH => (true, true),
        _ => return Err(Errno::EINVAL),
    };
    terminal.change(|line| match side {
        Side::Slave => {
            if input {
                line.flush_input();
            }
            if output {
                line.flush_output();
            }
        }
        // What comes in here is what the slave shows.
        Side::Master if input => line.flush_shown(),
        Side::Master => {}
    });
    Ok(0)
}

fn no_terminal(terminal: &Terminal) -> Result<u64> {
    let process = task::process();
    if !job::controls(terminal, &process) {
        return Err(Errno::ENOTTY);
    }
    job::give_up(&process, false);
    *process.terminal.lock() = None;
    Ok(0)
}

fn take_terminal(terminal: &Arc<Terminal>, steal: u64) -> Result<u64> {
    let process = task::process();
    let session = terminal.line().session;
    if process.leads_session() && session == Some(process.session()) {
        return Ok(0);
    }
    if !process.leads_session() || process.terminal.lock().is_some() {
        return Err(Errno::EPERM);
    }
    if let Some(session) = session {
        if steal != 1 || !process.credentials().can(linux::CAP_SYS_ADMIN) {
            return Err(Errno::EPERM);
        }
        job::forget(session);
    }
    job::acquire(terminal, &process);
    Ok(0)
}

fn set_foreground(terminal: &Terminal, address: u64) -> Result<u64> {
    job::check(terminal, SIGTTOU).map_err(|errno| match errno {
        Errno::EIO => Errno::ENOTTY,
        errno => errno,
    })?;
    let group: i32 = user::read(address)?;
    let group = u32::try_from(group).map_err(|_| Errno::EINVAL)?;
    let process = task::process();
    let ours = terminal.line().session == Some(process.session());
    if !ours || !job::controls(terminal, &process) {
        return Err(Errno::ENOTTY);
    }
    match group::session(group) {
        None => return Err(Errno::ESRCH),
        Some(session) if session != process.session() => return Err(Errno::EPERM),
        Some(_) => {}
    }
    terminal.line().foreground = Some(group);
    Ok(0)
}

/// TIOCGPTPEER: the slave, without a path.
fn open_peer(terminal: &Arc<Terminal>, flags: u32) -> Result<u64> {
    let location = devpts::location(terminal.number())?;
    let slave = Slave::open_named(terminal, flags)?;
    let file = OpenFile::new(slave, flags, Some(location));
    let process = task::process();
    let limit = process.limits.lock().descriptors();
    let close_on_exec = flags & linux::O_CLOEXEC != 0;
    let fd = process.files().install(file, close_on_exec, limit)?;
    Ok(fd.into())
}
