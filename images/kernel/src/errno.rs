//! Error numbers, as Linux has them.

use linux_raw_sys::errno as raw;

/// What a system call fails with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(u16);

/// The result of everything that a program can ask for.
pub type Result<T, E = Errno> = core::result::Result<T, E>;

macro_rules! errnos {
    ($($name:ident)*) => {
        #[allow(missing_docs, reason = "the names are Linux's")]
        impl Errno {
            $(pub const $name: Self = Self(raw::$name as u16);)*

            /// The number's name, such as `ENOENT`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    Self::RESTART => "ERESTARTSYS",
                    Self::RESTART_ALWAYS => "ERESTARTNOINTR",
                    Self::RESTART_UNHANDLED => "ERESTARTNOHAND",
                    _ => "E?",
                }
            }
        }
    };
}

errnos! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT
    ENOTBLK EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG
    ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ENOMSG EIDRM
    ELOOP ENODATA ETIME EPROTO EBADMSG EOVERFLOW EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE
    ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE
    EADDRNOTAVAIL ENETDOWN ENETUNREACH ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS
    ETIMEDOUT ELIBBAD ECONNREFUSED EHOSTUNREACH EALREADY EINPROGRESS ECANCELED EOWNERDEAD ENOTRECOVERABLE
}

impl Errno {
    /// Interrupted by a signal, to be restarted if the signal's action says so. Never seen by a
    /// program: it becomes EINTR or the call is made again.
    pub const RESTART: Self = Self(512);
    /// Interrupted by a signal, to be made again whatever the signal's action says.
    pub const RESTART_ALWAYS: Self = Self(513);
    /// Interrupted by a signal, to be made again only if no handler runs.
    pub const RESTART_UNHANDLED: Self = Self(514);

    /// The error with this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Whether the call may have to be made again.
    #[must_use]
    pub const fn restarts(self) -> bool {
        matches!(self.0, 512..=514)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl core::fmt::Debug for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}
