//! Enters a jail as an instance's process does, with the layers that the test wants, and then tries
//! one thing that a process which was taken over might try: in the thread that runs the vCPU, or in
//! the one that serves the device. Its end says what came of it: status 0
//! if it was done, an errno if it was refused, a signal if it was the last thing that it did.
#![allow(unsafe_code)]

use std::process::exit;
use std::sync::{Arc, Barrier};
use std::thread;

use libc::{c_int, c_long};
use unicell_vmm::jail;
use unicell_vmm::link::{InstanceEnd, Message};

/// No errno: what went wrong is the probe itself.
const BROKEN: i32 = 255;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let act = arguments.next().unwrap_or_default();
    let operand = arguments.next().unwrap_or_default();
    jail::close_inherited().unwrap_or_else(|_| exit(BROKEN));
    let Ok(link) = InstanceEnd::inherited() else {
        exit(BROKEN);
    };
    let (Ok(plan), Ok(())) = (link.plan(), jail::hush()) else {
        exit(BROKEN);
    };
    let mut entered = jail::enter(&plan).unwrap_or_else(|_| exit(BROKEN));
    drop(plan);
    let (ready, operand) = (Arc::new(Barrier::new(2)), operand.parse().unwrap_or(0));
    let io = act.strip_prefix("io-thread:").map(|act| {
        let (guarded, ready, act) = (entered.guarded(), Arc::clone(&ready), act.to_owned());
        thread::spawn(move || {
            guarded.guard_io().unwrap_or_else(|_| exit(BROKEN));
            ready.wait();
            exit(attempt(&act, operand))
        })
    });
    entered.close().unwrap_or_else(|_| exit(BROKEN));
    if link
        .send(&Message::Ready(entered.report().clone()))
        .is_err()
    {
        exit(BROKEN);
    }
    let Some(io) = io else {
        exit(attempt(&act, operand));
    };
    ready.wait();
    // It ends the process.
    let _ = io.join();
}

/// What a call came to, as an exit status.
fn fate(result: c_long) -> c_int {
    if result >= 0 {
        return 0;
    }
    std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(BROKEN)
}

fn attempt(act: &str, operand: c_long) -> c_int {
    let none = 0 as c_long;
    // SAFETY: each call gets numbers, or pointers to constants and locals that outlive it.
    unsafe {
        match act {
            "open" => fate(open(c"/etc/passwd", libc::O_RDONLY)),
            "open-secret" => fate(open(c"/etc/shadow", libc::O_RDONLY)),
            "create" => fate(open(c"/probe", libc::O_CREAT | libc::O_WRONLY)),
            "proc" => fate(open_of_process(operand)),
            "descriptor" => fate(libc::fcntl(operand as c_int, libc::F_GETFD).into()),
            "execute" => {
                let arguments = [c"/bin/sh".as_ptr(), std::ptr::null()];
                fate(libc::execv(c"/bin/sh".as_ptr(), arguments.as_ptr()).into())
            }
            "kill" => fate(libc::kill(operand as c_int, 0).into()),
            "ptrace" => fate(libc::syscall(
                libc::SYS_ptrace,
                libc::PTRACE_SEIZE,
                operand,
                0,
                0,
            )),
            "look-into" => look_into(operand),
            "connect" => connect(operand as u16),
            "bind" => bind(operand as u16),
            "abstract" => connect_by_name(operand),
            "socket" => fate(libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0).into()),
            "mount" => {
                let kind = c"tmpfs".as_ptr();
                fate(libc::mount(kind, c"/".as_ptr(), kind, 0, std::ptr::null()).into())
            }
            "kexec" => fate(libc::syscall(libc::SYS_kexec_load, none, none, none, none)),
            "keyring" => fate(libc::syscall(libc::SYS_keyctl, none, -3 as c_long, none)),
            "namespace" => fate(libc::unshare(libc::CLONE_NEWNET).into()),
            "user-namespace" => fate(libc::unshare(libc::CLONE_NEWUSER).into()),
            "io-uring" => {
                let mut parameters = [0_u64; 15];
                fate(libc::syscall(
                    libc::SYS_io_uring_setup,
                    4,
                    parameters.as_mut_ptr(),
                ))
            }
            "bpf" => {
                // BPF_PROG_LOAD of a BPF_PROG_TYPE_KPROBE of one instruction.
                let mut attributes = [0_u64; 16];
                attributes[0] = 2 | 1 << 32;
                fate(libc::syscall(
                    libc::SYS_bpf,
                    5,
                    attributes.as_mut_ptr(),
                    128,
                ))
            }
            "userfaultfd" => fate(libc::syscall(libc::SYS_userfaultfd, 0)),
            "execute-memory" => {
                let prot = libc::PROT_READ | libc::PROT_EXEC;
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                let mapped = libc::mmap(std::ptr::null_mut(), 4096, prot, flags, -1, 0);
                fate(if mapped == libc::MAP_FAILED { -1 } else { 0 })
            }
            "pass-descriptor" => {
                let message: libc::msghdr = std::mem::zeroed();
                fate(libc::sendmsg(0, &raw const message, 0) as c_long)
            }
            "other-signal" => {
                let (process, thread) = (libc::getpid(), libc::gettid());
                fate(libc::syscall(
                    libc::SYS_tgkill,
                    process,
                    thread,
                    libc::SIGCHLD,
                ))
            }
            "host-name" => fate(libc::sethostname(c"x".as_ptr(), 1).into()),
            "forks" => forks(),
            "descriptors" => repeat(|| fate(libc::dup(0).into())),
            "file" => {
                let file = libc::memfd_create(c"file".as_ptr(), 0);
                fate(libc::write(file, c"x".as_ptr().cast(), 1) as c_long)
            }
            "random" => {
                let mut byte = 0_u8;
                fate(libc::getrandom((&raw mut byte).cast(), 1, 0) as c_long)
            }
            "epoll" => fate(libc::epoll_create1(0).into()),
            "address-space" => address_space(operand as u64),
            "more-address-space" => {
                let bounded = address_space(0);
                if bounded == libc::ENOMEM {
                    raise()
                } else {
                    BROKEN
                }
            }
            "memory" => touch(operand as usize),
            _ => BROKEN,
        }
    }
}

/// Until it is refused, or far beyond any bound.
fn repeat(mut once: impl FnMut() -> c_int) -> c_int {
    (0..100_000)
        .map(|_| once())
        .find(|fate| *fate != 0)
        .unwrap_or(0)
}

unsafe fn open(path: &std::ffi::CStr, flags: c_int) -> c_long {
    // SAFETY: the path is a string.
    unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o600).into() }
}

fn open_of_process(pid: c_long) -> c_long {
    let path = std::ffi::CString::new(format!("/proc/{pid}/environ")).unwrap_or_default();
    // SAFETY: as above.
    unsafe { open(&path, libc::O_RDONLY) }
}

/// Reads a word at the beginning of another process' stack area: the address need not be there, a
/// refusal comes first.
fn look_into(pid: c_long) -> c_int {
    let mut word = [0_u8; 8];
    let ours = libc::iovec {
        iov_base: word.as_mut_ptr().cast(),
        iov_len: word.len(),
    };
    let theirs = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(0x40_0000),
        iov_len: word.len(),
    };
    let (one, flags) = (1 as libc::c_ulong, 0 as libc::c_ulong);
    // SAFETY: ours is a local; theirs is not of this process.
    let read = unsafe {
        libc::process_vm_readv(
            pid as c_int,
            &raw const ours,
            one,
            &raw const theirs,
            one,
            flags,
        )
    };
    fate(read as c_long)
}

fn connect(port: u16) -> c_int {
    match std::net::TcpStream::connect(("127.0.0.1", port)) {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(BROKEN),
    }
}

fn bind(port: u16) -> c_int {
    match std::net::TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(BROKEN),
    }
}

/// Connects to the abstract socket of a process of the test.
fn connect_by_name(pid: c_long) -> c_int {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream};
    let connected = SocketAddr::from_abstract_name(format!("unicell-jail-test-{pid}"))
        .and_then(|address| UnixStream::connect_addr(&address));
    match connected {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(BROKEN),
    }
}

/// Maps a GiB, in the bounds of a process with a guest of so much RAM.
fn address_space(ram: u64) -> c_int {
    if jail::bound_memory(ram, 0).is_err() {
        return BROKEN;
    }
    let (prot, flags) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, which nobody uses.
    let mapped = unsafe { libc::mmap(std::ptr::null_mut(), 1 << 30, prot, flags, -1, 0) };
    fate(if mapped == libc::MAP_FAILED { -1 } else { 0 })
}

/// Raises the bound on the address space.
fn raise() -> c_int {
    let all = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: reads a local.
    fate(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const all) }.into())
}

/// Children that stay.
fn forks() -> c_int {
    repeat(|| {
        // SAFETY: the child does nothing but wait for the end of its namespace or group.
        match unsafe { libc::fork() } {
            0 => loop {
                // SAFETY: waits.
                unsafe { libc::pause() };
            },
            child => fate(child.into()),
        }
    })
}

/// Writes to so many bytes of memory.
fn touch(bytes: usize) -> c_int {
    let mut memory = vec![0_u8; bytes];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    std::hint::black_box(&memory);
    0
}
