//! The user's terminal as the program's: raw while the program runs, as it was afterwards.
//!
//! Afterwards is on every way out: the guard's end, a panic, a signal that ends or stops `unicell`.
//! Only SIGKILL leaves the terminal raw.

use std::io::{stdin, stdout};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;
use unicell_vmm::Window;
use unicell_vmm::link::NodeEnd;

use crate::failure::{Failure, Result};

/// How the terminal was before it was made raw.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// A terminal that a program is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// Whether the user types on it, or only looks at it.
    pub(crate) typed_on: bool,
}

impl Terminal {
    /// The terminal that `--interactive` and `--tty` ask for, if they do.
    ///
    /// # Errors
    ///
    /// There is none to type on.
    pub(crate) fn wanted(interactive: bool, tty: bool) -> Result<Option<Self>> {
        if tty && interactive && !isatty(stdin()) {
            return Err(Failure::failed("standard input is no terminal")
                .hint("leave out -t to give the program what comes on standard input, as it is"));
        }
        Ok(tty.then_some(Self {
            typed_on: interactive,
        }))
    }

    /// Its size now; zeros where nobody knows.
    pub(crate) fn window(self) -> Window {
        let size = tcgetwinsize(stdin()).or_else(|_| tcgetwinsize(stdout()));
        size.map_or(Window::default(), |size| Window {
            rows: size.ws_row,
            columns: size.ws_col,
        })
    }

    /// Gives what is typed to the instance, keys that send signals too, and tells it of each
    /// change of size, until the guard's end.
    ///
    /// # Errors
    ///
    /// The host refuses.
    pub(crate) fn enter(self, node: Arc<NodeEnd>) -> Result<Guard> {
        if self.typed_on {
            let before = tcgetattr(stdin()).map_err(Failure::internal)?;
            *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
            restore_at_panic();
        }
        // From here on whatever fails drops the guard.
        let mut guard = Guard { signals: None };
        let mut signals = vec![SIGWINCH];
        if self.typed_on {
            signals.extend([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGCONT]);
        }
        let mut signals = Signals::new(signals).map_err(Failure::internal)?;
        guard.signals = Some(signals.handle());
        std::thread::Builder::new()
            .name("terminal".into())
            .spawn(move || {
                for signal in signals.forever() {
                    self.take_signal(signal, &node);
                }
            })
            .map_err(Failure::internal)?;
        make_raw();
        Ok(guard)
    }

    fn take_signal(self, signal: i32, node: &NodeEnd) {
        match signal {
            SIGWINCH => {}
            // Whoever has stopped us may have used the terminal meanwhile.
            SIGCONT => make_raw(),
            _ => {
                restore();
                // It stops us, or ends us and the instance with us.
                let _ = emulate_default_handler(signal);
                return;
            }
        }
        // An instance that is gone needs no size.
        let _ = node.resize(self.window());
    }
}

/// While it lives the terminal is the program's.
pub(crate) struct Guard {
    signals: Option<Handle>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(signals) = &self.signals {
            signals.close();
        }
        restore();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn make_raw() {
    set(|termios| {
        let mut raw = termios.clone();
        raw.make_raw();
        raw
    });
}

/// Makes the terminal what it was.
fn restore() {
    set(Termios::clone);
}

/// Sets the terminal to what follows from how it was, if it is ours. What it does not take cannot
/// be helped.
fn set(make: impl FnOnce(&Termios) -> Termios) {
    // Not waited for: a panic may have come while it was held.
    if let Ok(before) = BEFORE.try_lock()
        && let Some(before) = &*before
    {
        // At once: output may be held back by the user.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &make(before));
    }
}

/// A panic ends the process before any guard is dropped, and its words should be readable.
fn restore_at_panic() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        restore();
        others(info);
    }));
}
