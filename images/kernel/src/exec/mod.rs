//! Loading programs: ELF, its interpreter, `#!` scripts, the first stack.

mod elf;
mod image;
mod script;
mod stack;
mod vdso;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::errno::Errno;
use crate::fs::{self, Program};
use crate::memory::page_ceil;
use crate::mm::{Layout, Space};
use crate::task::Process;
use elf::Elf;

/// Scripts whose interpreter is a script, at most, as in Linux.
const SCRIPTS_MAX: usize = 5;
/// Bytes at the start of a file that decide what it is.
const HEAD: usize = 4096;

/// CPUID leaf 1, EDX.
static FEATURES: AtomicU32 = AtomicU32::new(0);

/// Takes what a program's auxiliary vector says of the processor. Called once.
pub fn init(features: u32) {
    FEATURES.store(features, Ordering::Relaxed);
}

/// Why a program could not be loaded.
#[derive(Debug)]
pub enum Failure {
    /// As execve(2).
    Errno(Errno),
    /// Neither ELF nor a script, or a broken one.
    NotAProgram(&'static str),
    /// ELF for another machine.
    Foreign(u16),
    /// The interpreter that the program names.
    Interpreter(Vec<u8>, Errno),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl Failure {
    /// What execve(2) fails with.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self {
            Self::Errno(errno) | Self::Interpreter(_, errno) => *errno,
            Self::NotAProgram(_) | Self::Foreign(_) => Errno::ENOEXEC,
        }
    }
}

/// A program ready to run in its process.
pub struct Loaded {
    /// Where it begins.
    pub entry: u64,
    /// The stack pointer that it begins with.
    pub stack: u64,
    /// The thread's name: the last part of the path.
    pub name: [u8; 16],
}

/// What has been found out before anything of the process is changed.
pub struct Found {
    program: Arc<Program>,
    elf: Elf,
    interpreter: Option<(Arc<Program>, Elf)>,
    arguments: Vec<Vec<u8>>,
    path: Vec<u8>,
}

fn head(program: &Program) -> Result<Vec<u8>, Errno> {
    let len = (program.size() as usize).min(HEAD);
    let mut bytes = alloc::vec![0; len];
    let read = program.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Looks for a program and everything that it needs.
///
/// # Errors
///
/// Why it cannot be run.
pub fn find(
    process: &Process,
    path: &[u8],
    follow: bool,
    mut arguments: Vec<Vec<u8>>,
) -> Result<Found, Failure> {
    let context = process.context();
    let mut program = fs::open_executable(&context, path, follow)?;
    let mut bytes = head(&program)?;
    let mut script = path.to_vec();
    let mut depth = 0;
    while let Some((interpreter, argument)) = script::parse(&bytes)? {
        depth += 1;
        if depth > SCRIPTS_MAX {
            return Err(Errno::ELOOP.into());
        }
        let given = arguments.split_off(arguments.len().min(1));
        arguments = [interpreter.clone()]
            .into_iter()
            .chain(argument)
            .chain([script])
            .collect();
        arguments.extend(given);
        program = fs::open_executable(&context, &interpreter, true)
            .map_err(|errno| Failure::Interpreter(interpreter.clone(), errno))?;
        bytes = head(&program)?;
        script = interpreter;
    }
    let elf = Elf::parse(&bytes, &program)?;
    let interpreter = match &elf.interpreter {
        None => None,
        Some(path) => {
            let missing = |errno| Failure::Interpreter(path.clone(), errno);
            let interpreter = fs::open_executable(&context, path, true).map_err(missing)?;
            let bytes = head(&interpreter).map_err(missing)?;
            let elf = Elf::parse(&bytes, &interpreter).map_err(|_| missing(Errno::ELIBBAD))?;
            Some((interpreter, elf))
        }
    };
    Ok(Found {
        program,
        elf,
        interpreter,
        arguments,
        path: path.to_vec(),
    })
}

impl Found {
    /// Makes the process who it is with this program, which may lend it its owner's user or group.
    pub fn lend(&self, process: &Process) {
        let (mut user, mut group) = self.program.lent();
        if process.settings.lock().no_new_privileges {
            (user, group) = (None, None);
        }
        let mut who = process.credentials();
        let lends = who.lends(user, group);
        who.over_exec(user, group);
        process.set_credentials(who);
        process.settings.lock().dumpable = !lends;
    }

    /// Loads the program into an empty space, which is the one that is seen.
    ///
    /// # Errors
    ///
    /// Why it does not fit; the space is of no use then.
    pub fn load(self, process: &Process, environment: &[Vec<u8>]) -> Result<Loaded, Failure> {
        let space = process.space();
        let main = image::map(&space, &self.program, &self.elf, image::Base::Program)?;
        let (entry, interpreter_base) = match &self.interpreter {
            Some((program, elf)) => {
                let image = image::map(&space, program, elf, image::Base::Interpreter)?;
                program.permit_writing();
                (image.entry, image.base)
            }
            None => (main.entry, 0),
        };
        let stack_limit = process.limits.lock().stack();
        let auxiliary = stack::Auxiliary {
            main: &main,
            elf: &self.elf,
            interpreter_base,
            vdso: vdso::map(&space)?,
        };
        let credentials = process.credentials();
        let top = stack::build(
            &space,
            stack_limit,
            &self.arguments,
            environment,
            &self.path,
            &auxiliary,
            &credentials,
        )?;
        space.set_layout(Layout {
            code: main.code,
            data: main.data,
            brk_start: page_ceil(main.end).ok_or(Errno::ENOMEM)?,
            stack_start: top.pointer,
            arguments: top.arguments,
            environment: top.environment,
            auxiliary: top.auxiliary,
        });
        *process.executable.lock() = Arc::from(self.program.path());
        Ok(Loaded {
            entry,
            stack: top.pointer,
            name: name(&self.path),
        })
    }
}

/// Loads the first program of a process that has run nothing yet.
///
/// # Errors
///
/// Why it cannot be run.
pub fn load(
    process: &Process,
    path: &[u8],
    arguments: Vec<Vec<u8>>,
    environment: &[Vec<u8>],
) -> Result<Loaded, Failure> {
    find(process, path, true, arguments)?.load(process, environment)
}

/// An empty space in place of the process's own.
///
/// # Errors
///
/// ENOMEM.
pub fn fresh_space(process: &Process) -> Result<(), Errno> {
    let space = Arc::new(Space::new()?);
    space.activate();
    process.set_space(space);
    Ok(())
}

fn name(path: &[u8]) -> [u8; 16] {
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let mut name = [0; 16];
    let len = last.len().min(15);
    name[..len].copy_from_slice(&last[..len]);
    name
}
