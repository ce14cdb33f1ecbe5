//! Every system call that the kernel knows, in one table: number, name, function, arguments.

use linux_raw_sys::general as nr;

use super::argument::{Argument, Kind};
use super::{Address, Answer, Fd, Path};
use super::{
    attribute, descriptor, directory, event, exec, file, futex, identity, inotify, ipc, memory,
    message, mount, mqueue, open, pipe, poll, prctl, process, scheduling, signal, socket, system,
    thread, time, timer, xattr,
};

/// One past the highest number that Linux has given.
pub const NUMBERS: usize = 470;

/// A call that the kernel knows.
pub struct Call {
    /// Its name.
    pub name: &'static str,
    /// How the trace shows its arguments.
    pub arguments: &'static [Kind],
    /// Carries it out.
    pub run: fn(&[u64; 6]) -> Answer,
}

macro_rules! calls {
    ($($number:ident $name:literal $family:ident::$function:ident($($argument:ty),*);)*) => {
        const fn table() -> [Option<Call>; NUMBERS] {
            let mut table = [const { None }; NUMBERS];
            $(
                table[nr::$number as usize] = Some(Call {
                    name: $name,
                    arguments: &[$(<$argument as Argument>::KIND),*],
                    run: |registers| {
                        let mut registers = registers.iter();
                        let mut next = || registers.next().copied().unwrap_or(0);
                        let _ = &mut next;
                        $family::$function($(<$argument>::from_register(next())),*)
                    },
                });
            )*
            table
        }
    };
}

static TABLE: [Option<Call>; NUMBERS] = table();

/// The call with this number.
#[must_use]
pub fn call(number: u64) -> Option<&'static Call> {
    TABLE.get(usize::try_from(number).ok()?)?.as_ref()
}

/// All calls, by number.
pub fn all() -> impl Iterator<Item = &'static Call> {
    TABLE.iter().flatten()
}

calls! {
    // Memory.
    __NR_mmap "mmap" memory::mmap(Address, usize, u32, u32, Fd, u64);
    __NR_munmap "munmap" memory::munmap(Address, usize);
    __NR_mprotect "mprotect" memory::mprotect(Address, usize, u32);
    __NR_mremap "mremap" memory::mremap(Address, usize, usize, u32, Address);
    __NR_brk "brk" memory::brk(Address);
    __NR_madvise "madvise" memory::madvise(Address, usize, u32);
    __NR_msync "msync" memory::msync(Address, usize, u32);
    __NR_mincore "mincore" memory::mincore(Address, usize, Address);
    __NR_mlock "mlock" memory::mlock(Address, usize);
    __NR_munlock "munlock" memory::munlock(Address, usize);
    __NR_mlock2 "mlock2" memory::mlock2(Address, usize, u32);
    __NR_mlockall "mlockall" memory::mlockall(u32);
    __NR_munlockall "munlockall" memory::munlockall();
    __NR_membarrier "membarrier" memory::membarrier(u32, u32);

    // System V IPC.
    __NR_semget "semget" ipc::semget(i32, i32, u32);
    __NR_semop "semop" ipc::semop(i32, Address, usize);
    __NR_semtimedop "semtimedop" ipc::semtimedop(i32, Address, usize, Address);
    __NR_semctl "semctl" ipc::semctl(i32, i32, u32, Address);
    __NR_msgget "msgget" ipc::msgget(i32, u32);
    __NR_msgsnd "msgsnd" ipc::msgsnd(i32, Address, usize, u32);
    __NR_msgrcv "msgrcv" ipc::msgrcv(i32, Address, usize, i64, u32);
    __NR_msgctl "msgctl" ipc::msgctl(i32, u32, Address);
    __NR_mq_open "mq_open" mqueue::mq_open(Path, u32, u32, Address);
    __NR_mq_unlink "mq_unlink" mqueue::mq_unlink(Path);
    __NR_mq_timedsend "mq_timedsend" mqueue::mq_timedsend(Fd, Address, usize, u32, Address);
    __NR_mq_timedreceive "mq_timedreceive" mqueue::mq_timedreceive(Fd, Address, usize, Address, Address);
    __NR_mq_notify "mq_notify" mqueue::mq_notify(Fd, Address);
    __NR_mq_getsetattr "mq_getsetattr" mqueue::mq_getsetattr(Fd, Address, Address);
    __NR_shmget "shmget" ipc::shmget(i32, usize, u32);
    __NR_shmat "shmat" ipc::shmat(i32, Address, u32);
    __NR_shmdt "shmdt" ipc::shmdt(Address);
    __NR_shmctl "shmctl" ipc::shmctl(i32, u32, Address);

    // Threads and processes.
    __NR_clone "clone" thread::clone(u64, Address, Address, Address, u64);
    __NR_clone3 "clone3" thread::clone3(Address, usize);
    __NR_fork "fork" thread::fork();
    __NR_vfork "vfork" thread::vfork();
    __NR_exit "exit" thread::exit(u32);
    __NR_exit_group "exit_group" thread::exit_group(u32);
    __NR_gettid "gettid" thread::gettid();
    __NR_set_tid_address "set_tid_address" thread::set_tid_address(Address);
    __NR_sched_yield "sched_yield" thread::sched_yield();
    __NR_sched_getaffinity "sched_getaffinity" scheduling::sched_getaffinity(i32, usize, Address);
    __NR_sched_setaffinity "sched_setaffinity" scheduling::sched_setaffinity(i32, usize, Address);
    __NR_sched_getscheduler "sched_getscheduler" scheduling::sched_getscheduler(i32);
    __NR_sched_setscheduler "sched_setscheduler" scheduling::sched_setscheduler(i32, i32, Address);
    __NR_sched_setparam "sched_setparam" scheduling::sched_setparam(i32, Address);
    __NR_sched_setattr "sched_setattr" scheduling::sched_setattr(i32, Address, u32);
    __NR_sched_getattr "sched_getattr" scheduling::sched_getattr(i32, Address, usize, u32);
    __NR_sched_rr_get_interval "sched_rr_get_interval" scheduling::sched_rr_get_interval(i32, Address);
    __NR_sched_getparam "sched_getparam" scheduling::sched_getparam(i32, Address);
    __NR_sched_get_priority_max "sched_get_priority_max" scheduling::sched_get_priority_max(u32);
    __NR_sched_get_priority_min "sched_get_priority_min" scheduling::sched_get_priority_min(u32);
    __NR_getpriority "getpriority" scheduling::getpriority(u32, i32);
    __NR_setpriority "setpriority" scheduling::setpriority(u32, i32, i32);
    __NR_getcpu "getcpu" thread::getcpu(Address, Address, Address);
    __NR_arch_prctl "arch_prctl" thread::arch_prctl(u32, Address);
    __NR_futex "futex" futex::futex(Address, u32, u32, Address, Address, u32);
    __NR_set_robust_list "set_robust_list" futex::set_robust_list(Address, usize);
    __NR_get_robust_list "get_robust_list" futex::get_robust_list(i32, Address, Address);
    __NR_execve "execve" exec::execve(Path, Address, Address);
    __NR_execveat "execveat" exec::execveat(Fd, Path, Address, Address, u32);
    __NR_wait4 "wait4" process::wait4(i32, Address, u32, Address);
    __NR_waitid "waitid" process::waitid(u32, i32, Address, u32, Address);
    __NR_getpid "getpid" process::getpid();
    __NR_getppid "getppid" process::getppid();
    __NR_getpgid "getpgid" process::getpgid(i32);
    __NR_getpgrp "getpgrp" process::getpgrp();
    __NR_setpgid "setpgid" process::setpgid(i32, i32);
    __NR_getsid "getsid" process::getsid(i32);
    __NR_setsid "setsid" process::setsid();
    __NR_vhangup "vhangup" process::vhangup();
    __NR_getrusage "getrusage" process::getrusage(i32, Address);
    __NR_getrlimit "getrlimit" process::getrlimit(u32, Address);
    __NR_setrlimit "setrlimit" process::setrlimit(u32, Address);
    __NR_prlimit64 "prlimit64" process::prlimit64(i32, u32, Address, Address);

    // Users and groups.
    __NR_getuid "getuid" identity::getuid();
    __NR_geteuid "geteuid" identity::geteuid();
    __NR_getgid "getgid" identity::getgid();
    __NR_getegid "getegid" identity::getegid();
    __NR_setuid "setuid" identity::setuid(u32);
    __NR_setgid "setgid" identity::setgid(u32);
    __NR_setreuid "setreuid" identity::setreuid(u32, u32);
    __NR_setregid "setregid" identity::setregid(u32, u32);
    __NR_setresuid "setresuid" identity::setresuid(u32, u32, u32);
    __NR_setresgid "setresgid" identity::setresgid(u32, u32, u32);
    __NR_getresuid "getresuid" identity::getresuid(Address, Address, Address);
    __NR_getresgid "getresgid" identity::getresgid(Address, Address, Address);
    __NR_setfsuid "setfsuid" identity::setfsuid(u32);
    __NR_setfsgid "setfsgid" identity::setfsgid(u32);
    __NR_getgroups "getgroups" identity::getgroups(i32, Address);
    __NR_setgroups "setgroups" identity::setgroups(usize, Address);
    __NR_capget "capget" identity::capget(Address, Address);
    __NR_capset "capset" identity::capset(Address, Address);

    // Signals.
    __NR_rt_sigaction "rt_sigaction" signal::rt_sigaction(u32, Address, Address, usize);
    __NR_rt_sigprocmask "rt_sigprocmask" signal::rt_sigprocmask(u32, Address, Address, usize);
    __NR_rt_sigpending "rt_sigpending" signal::rt_sigpending(Address, usize);
    __NR_rt_sigreturn "rt_sigreturn" signal::rt_sigreturn();
    __NR_rt_sigsuspend "rt_sigsuspend" signal::rt_sigsuspend(Address, usize);
    __NR_rt_sigtimedwait "rt_sigtimedwait" signal::rt_sigtimedwait(Address, Address, Address, usize);
    __NR_rt_sigqueueinfo "rt_sigqueueinfo" signal::rt_sigqueueinfo(i32, u32, Address);
    __NR_rt_tgsigqueueinfo "rt_tgsigqueueinfo" signal::rt_tgsigqueueinfo(i32, i32, u32, Address);
    __NR_sigaltstack "sigaltstack" signal::sigaltstack(Address, Address);
    __NR_pause "pause" signal::pause();
    __NR_kill "kill" signal::kill(i32, u32);
    __NR_tkill "tkill" signal::tkill(i32, u32);
    __NR_tgkill "tgkill" signal::tgkill(i32, i32, u32);

    // Time.
    __NR_clock_gettime "clock_gettime" time::clock_gettime(i32, Address);
    __NR_clock_getres "clock_getres" time::clock_getres(i32, Address);
    __NR_clock_settime "clock_settime" time::clock_settime(i32, Address);
    __NR_gettimeofday "gettimeofday" time::gettimeofday(Address, Address);
    __NR_time "time" time::time(Address);
    __NR_nanosleep "nanosleep" time::nanosleep(Address, Address);
    __NR_clock_nanosleep "clock_nanosleep" time::clock_nanosleep(i32, u32, Address, Address);
    __NR_times "times" time::times(Address);
    __NR_alarm "alarm" timer::alarm(u32);
    __NR_setitimer "setitimer" timer::setitimer(u32, Address, Address);
    __NR_getitimer "getitimer" timer::getitimer(u32, Address);
    __NR_timer_create "timer_create" timer::timer_create(i32, Address, Address);
    __NR_timer_settime "timer_settime" timer::timer_settime(u32, u32, Address, Address);
    __NR_timer_gettime "timer_gettime" timer::timer_gettime(u32, Address);
    __NR_timer_getoverrun "timer_getoverrun" timer::timer_getoverrun(u32);
    __NR_timer_delete "timer_delete" timer::timer_delete(u32);

    // The system.
    __NR_uname "uname" system::uname(Address);
    __NR_sethostname "sethostname" system::sethostname(Address, usize);
    __NR_sysinfo "sysinfo" system::sysinfo(Address);
    __NR_getrandom "getrandom" system::getrandom(Address, usize, u32);
    __NR_prctl "prctl" prctl::prctl(u32, u64, u64, u64, u64);
    __NR_syslog "syslog" system::syslog(u32, Address, i32);
    __NR_personality "personality" prctl::personality(u32);

    // Files.
    __NR_read "read" file::read(Fd, Address, usize);
    __NR_write "write" file::write(Fd, Address, usize);
    __NR_readv "readv" file::readv(Fd, Address, usize);
    __NR_writev "writev" file::writev(Fd, Address, usize);
    __NR_pread64 "pread64" file::pread64(Fd, Address, usize, i64);
    __NR_pwrite64 "pwrite64" file::pwrite64(Fd, Address, usize, i64);
    __NR_preadv "preadv" file::preadv(Fd, Address, usize, i64);
    __NR_pwritev "pwritev" file::pwritev(Fd, Address, usize, i64);
    __NR_preadv2 "preadv2" file::preadv2(Fd, Address, usize, i64, u64, u32);
    __NR_pwritev2 "pwritev2" file::pwritev2(Fd, Address, usize, i64, u64, u32);
    __NR_lseek "lseek" file::lseek(Fd, i64, u32);
    __NR_ftruncate "ftruncate" file::ftruncate(Fd, i64);
    __NR_fallocate "fallocate" file::fallocate(Fd, u32, i64, i64);
    __NR_fsync "fsync" file::fsync(Fd);
    __NR_fdatasync "fdatasync" file::fsync(Fd);
    __NR_syncfs "syncfs" file::syncfs(Fd);
    __NR_sync "sync" file::sync();
    __NR_sync_file_range "sync_file_range" file::sync_file_range(Fd, i64, i64, u32);
    __NR_readahead "readahead" file::readahead(Fd, i64, usize);
    __NR_fadvise64 "fadvise64" file::fadvise64(Fd, i64, i64, u32);
    __NR_open "open" open::open(Path, u32, u32);
    __NR_openat "openat" open::openat(Fd, Path, u32, u32);
    __NR_openat2 "openat2" open::openat2(Fd, Path, Address, usize);
    __NR_creat "creat" open::creat(Path, u32);
    __NR_memfd_create "memfd_create" open::memfd_create(Path, u32);
    __NR_close "close" descriptor::close(Fd);
    __NR_close_range "close_range" descriptor::close_range(u32, u32, u32);
    __NR_dup "dup" descriptor::dup(Fd);
    __NR_dup2 "dup2" descriptor::dup2(Fd, Fd);
    __NR_dup3 "dup3" descriptor::dup3(Fd, Fd, u32);
    __NR_fcntl "fcntl" descriptor::fcntl(Fd, u32, u64);
    __NR_flock "flock" descriptor::flock(Fd, u32);
    __NR_ioctl "ioctl" descriptor::ioctl(Fd, u32, u64);
    __NR_pipe "pipe" pipe::pipe(Address);
    __NR_pipe2 "pipe2" pipe::pipe2(Address, u32);
    __NR_sendfile "sendfile" pipe::sendfile(Fd, Fd, Address, usize);
    __NR_copy_file_range "copy_file_range" pipe::copy_file_range(Fd, Address, Fd, Address, usize, u32);
    __NR_splice "splice" pipe::splice(Fd, Address, Fd, Address, usize, u32);
    __NR_tee "tee" pipe::tee(Fd, Fd, usize, u32);
    __NR_vmsplice "vmsplice" pipe::vmsplice(Fd, Address, usize, u32);

    // Directories.
    __NR_getdents "getdents" directory::getdents(Fd, Address, u32);
    __NR_getdents64 "getdents64" directory::getdents64(Fd, Address, u32);
    __NR_mkdir "mkdir" directory::mkdir(Path, u32);
    __NR_mkdirat "mkdirat" directory::mkdirat(Fd, Path, u32);
    __NR_mknod "mknod" directory::mknod(Path, u32, u64);
    __NR_mknodat "mknodat" directory::mknodat(Fd, Path, u32, u64);
    __NR_symlink "symlink" directory::symlink(Path, Path);
    __NR_symlinkat "symlinkat" directory::symlinkat(Path, Fd, Path);
    __NR_link "link" directory::link(Path, Path);
    __NR_linkat "linkat" directory::linkat(Fd, Path, Fd, Path, u32);
    __NR_unlink "unlink" directory::unlink(Path);
    __NR_unlinkat "unlinkat" directory::unlinkat(Fd, Path, u32);
    __NR_rmdir "rmdir" directory::rmdir(Path);
    __NR_rename "rename" directory::rename(Path, Path);
    __NR_renameat "renameat" directory::renameat(Fd, Path, Fd, Path);
    __NR_renameat2 "renameat2" directory::renameat2(Fd, Path, Fd, Path, u32);
    __NR_readlink "readlink" directory::readlink(Path, Address, i32);
    __NR_readlinkat "readlinkat" directory::readlinkat(Fd, Path, Address, i32);
    __NR_chdir "chdir" directory::chdir(Path);
    __NR_fchdir "fchdir" directory::fchdir(Fd);
    __NR_chroot "chroot" directory::chroot(Path);
    __NR_getcwd "getcwd" directory::getcwd(Address, usize);
    __NR_umask "umask" directory::umask(u32);
    __NR_mount "mount" mount::mount(Address, Path, Address, u64, Address);
    __NR_umount2 "umount2" mount::umount2(Path, u32);
    __NR_pivot_root "pivot_root" mount::pivot_root(Path, Path);
    __NR_name_to_handle_at "name_to_handle_at" mount::name_to_handle_at(Fd, Path, Address, Address, u32);
    __NR_open_by_handle_at "open_by_handle_at" mount::open_by_handle_at(Fd, Address, u32);

    // Attributes.
    __NR_stat "stat" attribute::stat(Path, Address);
    __NR_lstat "lstat" attribute::lstat(Path, Address);
    __NR_fstat "fstat" attribute::fstat(Fd, Address);
    __NR_newfstatat "newfstatat" attribute::newfstatat(Fd, Path, Address, u32);
    __NR_statx "statx" attribute::statx(Fd, Path, u32, u32, Address);
    __NR_access "access" attribute::access(Path, u32);
    __NR_faccessat "faccessat" attribute::faccessat(Fd, Path, u32);
    __NR_faccessat2 "faccessat2" attribute::faccessat2(Fd, Path, u32, u32);
    __NR_chmod "chmod" attribute::chmod(Path, u32);
    __NR_fchmod "fchmod" attribute::fchmod(Fd, u32);
    __NR_fchmodat "fchmodat" attribute::fchmodat(Fd, Path, u32);
    __NR_fchmodat2 "fchmodat2" attribute::fchmodat2(Fd, Path, u32, u32);
    __NR_chown "chown" attribute::chown(Path, u32, u32);
    __NR_lchown "lchown" attribute::lchown(Path, u32, u32);
    __NR_fchown "fchown" attribute::fchown(Fd, u32, u32);
    __NR_fchownat "fchownat" attribute::fchownat(Fd, Path, u32, u32, u32);
    __NR_utimensat "utimensat" attribute::utimensat(Fd, Path, Address, u32);
    __NR_futimesat "futimesat" attribute::futimesat(Fd, Path, Address);
    __NR_utimes "utimes" attribute::utimes(Path, Address);
    __NR_utime "utime" attribute::utime(Path, Address);
    __NR_truncate "truncate" attribute::truncate(Path, i64);
    __NR_statfs "statfs" attribute::statfs(Path, Address);
    __NR_fstatfs "fstatfs" attribute::fstatfs(Fd, Address);
    __NR_setxattr "setxattr" xattr::setxattr(Path, Path, Address, usize, u32);
    __NR_lsetxattr "lsetxattr" xattr::lsetxattr(Path, Path, Address, usize, u32);
    __NR_fsetxattr "fsetxattr" xattr::fsetxattr(Fd, Path, Address, usize, u32);
    __NR_getxattr "getxattr" xattr::getxattr(Path, Path, Address, usize);
    __NR_lgetxattr "lgetxattr" xattr::lgetxattr(Path, Path, Address, usize);
    __NR_fgetxattr "fgetxattr" xattr::fgetxattr(Fd, Path, Address, usize);
    __NR_listxattr "listxattr" xattr::listxattr(Path, Address, usize);
    __NR_llistxattr "llistxattr" xattr::llistxattr(Path, Address, usize);
    __NR_flistxattr "flistxattr" xattr::flistxattr(Fd, Address, usize);
    __NR_removexattr "removexattr" xattr::removexattr(Path, Path);
    __NR_lremovexattr "lremovexattr" xattr::lremovexattr(Path, Path);
    __NR_fremovexattr "fremovexattr" xattr::fremovexattr(Fd, Path);

    // Waiting for files, and files to be waited for.
    __NR_poll "poll" poll::poll(Address, u32, i32);
    __NR_ppoll "ppoll" poll::ppoll(Address, u32, Address, Address, usize);
    __NR_select "select" poll::select(i32, Address, Address, Address, Address);
    __NR_pselect6 "pselect6" poll::pselect6(i32, Address, Address, Address, Address, Address);
    __NR_epoll_create "epoll_create" poll::epoll_create(i32);
    __NR_epoll_create1 "epoll_create1" poll::epoll_create1(u32);
    __NR_epoll_ctl "epoll_ctl" poll::epoll_ctl(Fd, u32, Fd, Address);
    __NR_epoll_wait "epoll_wait" poll::epoll_wait(Fd, Address, i32, i32);
    __NR_epoll_pwait "epoll_pwait" poll::epoll_pwait(Fd, Address, i32, i32, Address, usize);
    __NR_epoll_pwait2 "epoll_pwait2" poll::epoll_pwait2(Fd, Address, i32, Address, Address, usize);
    __NR_eventfd "eventfd" event::eventfd(u32);
    __NR_eventfd2 "eventfd2" event::eventfd2(u32, u32);
    __NR_timerfd_create "timerfd_create" event::timerfd_create(u32, u32);
    __NR_timerfd_settime "timerfd_settime" event::timerfd_settime(Fd, u32, Address, Address);
    __NR_timerfd_gettime "timerfd_gettime" event::timerfd_gettime(Fd, Address);
    __NR_signalfd "signalfd" event::signalfd(i32, Address, usize);
    __NR_signalfd4 "signalfd4" event::signalfd4(i32, Address, usize, u32);
    __NR_inotify_init "inotify_init" inotify::inotify_init();
    __NR_inotify_init1 "inotify_init1" inotify::inotify_init1(u32);
    __NR_inotify_add_watch "inotify_add_watch" inotify::inotify_add_watch(Fd, Path, u32);
    __NR_inotify_rm_watch "inotify_rm_watch" inotify::inotify_rm_watch(Fd, i32);
    __NR_pidfd_open "pidfd_open" event::pidfd_open(i32, u32);
    __NR_pidfd_getfd "pidfd_getfd" event::pidfd_getfd(Fd, i32, u32);
    __NR_pidfd_send_signal "pidfd_send_signal" signal::pidfd_send_signal(Fd, u32, Address, u32);

    // Sockets.
    __NR_socket "socket" socket::socket(u32, u32, u32);
    __NR_socketpair "socketpair" socket::socketpair(u32, u32, u32, Address);
    __NR_bind "bind" socket::bind(Fd, Address, i32);
    __NR_listen "listen" socket::listen(Fd, u32);
    __NR_accept "accept" socket::accept(Fd, Address, Address);
    __NR_accept4 "accept4" socket::accept4(Fd, Address, Address, u32);
    __NR_connect "connect" socket::connect(Fd, Address, i32);
    __NR_getsockname "getsockname" socket::getsockname(Fd, Address, Address);
    __NR_getpeername "getpeername" socket::getpeername(Fd, Address, Address);
    __NR_getsockopt "getsockopt" socket::getsockopt(Fd, u32, u32, Address, Address);
    __NR_setsockopt "setsockopt" socket::setsockopt(Fd, u32, u32, Address, i32);
    __NR_shutdown "shutdown" socket::shutdown(Fd, u32);
    __NR_sendto "sendto" message::sendto(Fd, Address, usize, u32, Address, i32);
    __NR_recvfrom "recvfrom" message::recvfrom(Fd, Address, usize, u32, Address, Address);
    __NR_sendmsg "sendmsg" message::sendmsg(Fd, Address, u32);
    __NR_recvmsg "recvmsg" message::recvmsg(Fd, Address, u32);
    __NR_sendmmsg "sendmmsg" message::sendmmsg(Fd, Address, u32, u32);
    __NR_recvmmsg "recvmmsg" message::recvmmsg(Fd, Address, u32, u32, Address);
}
