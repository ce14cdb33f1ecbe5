//! The instance's console: the terminal of whoever has started it.
//!
//! It is a pseudo terminal whose master is the device: what comes on the stream of standard input
//! is typed, and what is shown goes to the channel of standard output. The terminal on the host is
//! in raw mode, so that everything is done here, once.

use alloc::sync::Arc;

use unicell_guest_abi::message::channel;

use super::pty::Slave;
use super::{Terminal, Window, devpts, job};
use crate::device::console;
use crate::device::stdin::Incoming;
use crate::errno::{Errno, Result};
use crate::fs::{File, Location};
use crate::io::Sink;
use crate::sync::Mutex;
use crate::task::{self, Process};

/// Bytes that are typed or shown at once.
const PART: usize = 2048;

struct Console {
    terminal: Arc<Terminal>,
    /// What is typed; none before the first program is about to run, and after the end.
    typed: Option<Arc<Incoming>>,
}

static CONSOLE: Mutex<Option<Console>> = Mutex::new(None);

/// Makes the console, of the size that the boot page names.
///
/// # Errors
///
/// None, unless there are terminals already.
pub fn make(size: u32) -> Result<()> {
    let terminal = devpts::add_for(0)?;
    terminal.line().window = window(size);
    *CONSOLE.lock() = Some(Console {
        terminal,
        typed: None,
    });
    Ok(())
}

fn window(size: u32) -> Window {
    Window {
        rows: (size >> 16) as u16,
        columns: size as u16,
        ..Window::default()
    }
}

/// The console, if the instance has one.
pub fn terminal() -> Option<Arc<Terminal>> {
    let console = CONSOLE.lock();
    console.as_ref().map(|console| console.terminal.clone())
}

/// What the first program has open: the console and where it lies, if there is one.
///
/// # Errors
///
/// EIO if the box image is damaged.
pub fn open() -> Result<Option<(Arc<dyn File>, Location)>> {
    let Some(terminal) = terminal() else {
        return Ok(None);
    };
    let location = devpts::location(terminal.number())?;
    Ok(Some((Slave::open(terminal), location)))
}

/// Opens `/dev/console`, which never becomes a controlling terminal by that.
///
/// # Errors
///
/// ENXIO if there is none.
pub fn open_device() -> Result<Arc<dyn File>> {
    Ok(Slave::open(terminal().ok_or(Errno::ENXIO)?))
}

/// The first program's session gets the console, and typing begins.
///
/// # Errors
///
/// What the gateway answers, ENOMEM.
pub fn begin(process: &Process) -> Result<()> {
    let Some(terminal) = terminal() else {
        return Ok(());
    };
    job::acquire(&terminal, process);
    let typed = Incoming::stdin(true)?;
    if let Some(console) = CONSOLE.lock().as_mut() {
        console.typed = Some(typed);
    }
    Ok(())
}

/// Takes what the device has brought, and gives it what could not be given before. Called with
/// nothing locked, after each look at the device.
pub fn poll() {
    let (terminal, typed) = match &*CONSOLE.lock() {
        Some(console) => (console.terminal.clone(), console.typed.clone()),
        None => return,
    };
    if let Some(typed) = typed {
        take_typed(&terminal, &typed);
    }
    show(&terminal);
}

fn take_typed(terminal: &Terminal, typed: &Incoming) {
    if let Some(size) = typed.take_window() {
        terminal.resize(window(size));
    }
    let mut part = [0; PART];
    loop {
        let room = terminal.line().typing_room().min(PART);
        let mut sink = Sink::kernel(&mut part[..room]);
        match typed.read(&mut sink) {
            Ok(len) if len > 0 => {
                terminal.change(|line| line.type_in(&part[..len]));
            }
            // Nobody will type any more, or not now.
            Ok(_) | Err(Errno::EAGAIN) => return,
            Err(_) => {
                if let Some(console) = CONSOLE.lock().as_mut() {
                    console.typed = None;
                }
                terminal.hang_up();
                return;
            }
        }
    }
}

/// Gives the device what a terminal shows, as much as it takes, if the terminal is the console.
/// Who waits for room is woken if there is some now.
pub(super) fn show(terminal: &Terminal) {
    let is_console = match &*CONSOLE.lock() {
        Some(console) => core::ptr::eq(&raw const *console.terminal, terminal),
        None => false,
    };
    if !is_console {
        return;
    }
    let mut part = [0; PART];
    loop {
        let len = terminal.line().peek_shown(&mut part);
        if len == 0 {
            return;
        }
        match console::write(channel::STDOUT, &part[..len]) {
            Ok(written) => terminal.line().drop_shown(written),
            Err(Errno::EAGAIN) => return,
            // Nobody looks any more; who types is told by the stream.
            Err(_) => terminal.line().drop_shown(len),
        }
        terminal.slave.wake_all();
    }
}

/// Gives the device everything that is shown, before the end.
pub fn drain() {
    while let Some(terminal) = terminal().filter(|terminal| terminal.line().shown_len() > 0) {
        if console::has_room() {
            show(&terminal);
        } else {
            task::wait_for_device();
        }
    }
}
