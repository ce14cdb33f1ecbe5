//! The first program.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use unicell_guest_abi::exit::ExitKind;
use unicell_guest_abi::init::{File, Init};

use super::numbers::{FIRST, new_number};
use super::{Process, Thread, scheduler};
use crate::arch::{Context, Frame, xstate};
use crate::device::platform;
use crate::errno::Errno;
use crate::exec::{self, Failure};
use crate::fs;
use crate::net::outside;
use crate::syscall::system;
use crate::tty;

/// Starts the program that the init block names, as the first process; on a terminal of this size,
/// if on one.
pub(crate) fn first_program(init: &'static [u8], terminal: Option<u32>) -> ! {
    let Some(init) = Init::parse(init) else {
        platform::end(
            ExitKind::Panic,
            0,
            format_args!("the init block is not one"),
        );
    };
    if let Err((kind, text)) = prepare(&init, terminal) {
        platform::end(kind, 0, format_args!("{text}"));
    }
    platform::count(|counters| counters.program_start = platform::tsc());
    scheduler::run_first()
}

/// Makes the first thread the current one, with its program loaded.
fn prepare(init: &Init<'_>, terminal: Option<u32>) -> Result<(), (ExitKind, String)> {
    let out_of_memory = |_| {
        (
            ExitKind::MemoryTooSmall,
            String::from("too little memory to boot"),
        )
    };
    let bad_box = |errno| match errno {
        Errno::ENOMEM => out_of_memory(errno),
        _ => (
            ExitKind::BadBox,
            format!("the box image cannot be read ({errno:?})"),
        ),
    };
    let context = fs::init().map_err(bad_box)?;
    if let Some(overlay) = init.overlay {
        fs::budget::permit(overlay);
    }
    if let Some(name) = init.hostname {
        system::set_host_name(name);
    }
    for file in init.files() {
        fs::furnish::write(&file).map_err(|errno| unfurnished(&file, errno))?;
    }
    outside::init(init.ipv4, init.ipv6).map_err(out_of_memory)?;
    let workdir = |errno| {
        let path = String::from_utf8_lossy(init.workdir);
        (
            ExitKind::NoEntrypoint,
            format!("working directory {path}: {}", reason(errno)),
        )
    };
    context.change_directory(init.workdir).map_err(workdir)?;
    let number = new_number().map_err(out_of_memory)?;
    debug_assert_eq!(number, FIRST);
    if let Some(size) = terminal {
        tty::console::make(size).map_err(out_of_memory)?;
    }
    let files = fs::standard_descriptors().map_err(bad_box)?;
    let process = Process::first(number, files, context);
    let context =
        Context::new(&Frame::start(0, 0), xstate::State::initial(), 0, 0).map_err(out_of_memory)?;
    let thread = Thread::new(number, process.clone(), context, [0; 16]);
    process.threads.lock().push(thread.clone());
    scheduler::set_first(thread.clone());
    tty::console::begin(&process).map_err(out_of_memory)?;
    let arguments: Vec<Vec<u8>> = init.args().map(<[u8]>::to_vec).collect();
    let environment: Vec<Vec<u8>> = init.env().map(<[u8]>::to_vec).collect();
    let program = exec::load(&process, init.entrypoint, arguments, &environment)
        .map_err(|failure| explain(init.entrypoint, &failure))?;
    *thread.name.lock() = program.name;
    thread
        .context()
        .with_frame(|frame| *frame = Frame::start(program.entry, program.stack));
    Ok(())
}

/// A file that should be there and cannot.
fn unfurnished(file: &File<'_>, errno: Errno) -> (ExitKind, String) {
    let kind = match errno {
        Errno::ENOSPC | Errno::ENOMEM => ExitKind::MemoryTooSmall,
        _ => ExitKind::BadBox,
    };
    let path = String::from_utf8_lossy(file.path);
    (kind, format!("{path} cannot be written ({errno:?})"))
}

fn explain(entrypoint: &[u8], failure: &Failure) -> (ExitKind, String) {
    let path = String::from_utf8_lossy(entrypoint);
    match failure {
        Failure::Interpreter(interpreter, errno) => {
            let interpreter = String::from_utf8_lossy(interpreter);
            let text = format!("interpreter {interpreter} of {path}: {}", reason(*errno));
            (ExitKind::NoInterpreter, text)
        }
        Failure::Foreign(machine) => {
            let text = format!("{path} is for another machine (ELF machine {machine}, not x86-64)");
            (ExitKind::ForeignArchitecture, text)
        }
        Failure::NotAProgram(what) => (ExitKind::NotExecutable, format!("{path}: {what}")),
        Failure::Errno(Errno::ENOMEM) => (
            ExitKind::MemoryTooSmall,
            format!("too little memory to start {path}"),
        ),
        Failure::Errno(errno @ (Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP)) => (
            ExitKind::NoEntrypoint,
            format!("{path}: {}", reason(*errno)),
        ),
        Failure::Errno(errno) => (
            ExitKind::NotExecutable,
            format!("{path}: {}", reason(*errno)),
        ),
    }
}

fn reason(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT => "no such file in the box",
        Errno::ENOTDIR => "a part of the path is not a directory",
        Errno::EACCES => "not executable (no x permission, or not a regular file)",
        Errno::ELOOP => "too many symbolic links",
        Errno::EISDIR => "is a directory",
        Errno::E2BIG => "arguments and environment are too long",
        other => other.name(),
    }
}
