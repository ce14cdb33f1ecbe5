//! `run-in-tree TREE WORKDIR PROGRAM [ARGUMENT]...`, started in a mount, a
//! network and a UTS namespace of its own: becomes the program, natively, with the tree
//! as its root. Writes go to an overlay in memory and loopback is the only
//! network, as in a micro-VM.

use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::mount::{MountFlags, mount, mount_bind_recursive};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(tree), Some(workdir), Some(program)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        eprintln!("usage: run-in-tree TREE WORKDIR PROGRAM [ARGUMENT]...");
        return ExitCode::from(125);
    };
    let entered = bring_loopback_up()
        .and_then(|()| enter(Path::new(&tree), Path::new(&workdir)))
        .and_then(|()| forget_inheritance())
        .and_then(|()| leave_the_clock());
    let error = match entered {
        Ok(()) => Command::new(&program)
            .args(arguments.collect::<Vec<OsString>>())
            .exec(),
        Err(error) => error,
    };
    eprintln!("run-in-tree: {}: {error}", program.display());
    ExitCode::from(125)
}

/// Undoes what whoever started the tests has handed down: open descriptors and ignored signals. A
/// box begins with three descriptors and with every signal as it is by default.
#[allow(unsafe_code)]
fn forget_inheritance() -> std::io::Result<()> {
    for signal in 1..=libc::SIGSYS {
        // SAFETY: the default action runs no code of ours; SIGKILL and SIGSTOP refuse.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: nothing is closed now; after the exec nobody here uses a descriptor.
    match unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// The clock is the machine's, and no namespace has one of its own: it cannot be set, as in a
/// micro-VM.
#[allow(unsafe_code)]
fn leave_the_clock() -> std::io::Result<()> {
    /// Of linux/capability.h.
    const CAP_SYS_TIME: libc::c_ulong = 25;
    // SAFETY: a plain call; who may do it is the kernel's to say.
    match unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_TIME) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// In a new network namespace loopback is there, and down.
#[allow(unsafe_code)]
fn bring_loopback_up() -> std::io::Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: all zeroes is a value of this plain C struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is a whole `ifreq` that outlives the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Makes the tree this process's root.
fn enter(tree: &Path, workdir: &Path) -> std::io::Result<()> {
    let none = MountFlags::empty();
    // Every mount here is seen by this namespace alone.
    let scratch = Path::new("/mnt");
    std::fs::create_dir_all(scratch)?;
    mount("tmpfs", scratch, "tmpfs", none, None)?;
    for name in ["upper", "work", "root"] {
        std::fs::create_dir(scratch.join(name))?;
    }
    let options = format!(
        "lowerdir={},upperdir=/mnt/upper,workdir=/mnt/work\0",
        tree.display()
    );
    let options =
        std::ffi::CStr::from_bytes_with_nul(options.as_bytes()).map_err(std::io::Error::other)?;
    let root = scratch.join("root");
    mount("overlay", &root, "overlay", none, options)?;
    for name in ["proc", "dev", "tmp"] {
        std::fs::create_dir_all(root.join(name))?;
    }
    mount("proc", root.join("proc"), "proc", none, None)?;
    mount_bind_recursive("/dev", root.join("dev"))?;
    std::os::unix::fs::chroot(&root)?;
    std::env::set_current_dir(workdir)
}
