//! The types of a system call's arguments: how each is read from its register, and how the trace
//! shows it.

/// How the trace shows an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A signed number.
    Signed,
    /// An unsigned number.
    Unsigned,
    /// Flags, in hexadecimal.
    Flags,
    /// A descriptor, or AT_FDCWD.
    Fd,
    /// An address.
    Address,
    /// An address of a string, shown as the string.
    Path,
}

/// A type that an argument may have.
pub trait Argument {
    /// How the trace shows it.
    const KIND: Kind;
    /// Its value, from its register; as in Linux the unused upper half is ignored.
    fn from_register(register: u64) -> Self;
}

macro_rules! integer {
    ($($type:ty: $kind:ident),*) => {
        $(impl Argument for $type {
            const KIND: Kind = Kind::$kind;
            fn from_register(register: u64) -> Self {
                register as $type
            }
        })*
    };
}

integer!(i32: Signed, i64: Signed, u32: Flags, u64: Unsigned, usize: Unsigned);

macro_rules! wrapper {
    ($($(#[$doc:meta])* $name:ident($type:ty): $kind:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct $name(pub $type);

            impl Argument for $name {
                const KIND: Kind = Kind::$kind;
                fn from_register(register: u64) -> Self {
                    Self(register as $type)
                }
            }
        )*
    };
}

wrapper! {
    /// A file descriptor as the program gives it.
    Fd(i32): Fd;
    /// An address in the program's memory; may be null or wild.
    Address(u64): Address;
    /// The address of a string that ends in NUL.
    Path(u64): Path;
}

impl Address {
    /// Whether it is the null pointer.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.0 == 0
    }
}
