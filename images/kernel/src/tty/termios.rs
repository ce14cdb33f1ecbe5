//! How a terminal is set: `struct termios`, as `ioctl_tty(2)` hands it over.

use linux_raw_sys::general as linux;

/// Control characters that `struct termios` has room for.
const CHARS: usize = 19;
/// Those of the old `struct termio`.
const OLD_CHARS: usize = 8;
/// Bits that say how fast the line receives lie so far above those that say how fast it sends.
const INPUT_SPEED_SHIFT: u32 = 16;
/// The fastest of the numbered speeds, for which `CBAUD` has no room in order.
const EXTENDED_SPEEDS: [u32; 15] = [
    57_600, 115_200, 230_400, 460_800, 500_000, 576_000, 921_600, 1_000_000, 1_152_000, 1_500_000,
    2_000_000, 2_500_000, 3_000_000, 3_500_000, 4_000_000,
];
const SPEEDS: [u32; 16] = [
    0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19_200, 38_400,
];

/// How a terminal is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Termios {
    /// What is done to bytes that come in.
    pub iflag: u32,
    /// What is done to bytes that go out.
    pub oflag: u32,
    /// The wire: of no meaning here, and kept.
    pub cflag: u32,
    /// Editing, echo, signals.
    pub lflag: u32,
    /// The line discipline's number: kept, and of no meaning.
    pub discipline: u8,
    /// Control characters, by V*.
    pub chars: [u8; CHARS],
    /// Speed of input, in bits a second.
    pub ispeed: u32,
    /// Speed of output.
    pub ospeed: u32,
}

impl Default for Termios {
    /// As a pseudo terminal begins.
    fn default() -> Self {
        let mut chars = [0; CHARS];
        for (at, char) in [
            (linux::VINTR, 3),
            (linux::VQUIT, 0o34),
            (linux::VERASE, 0o177),
            (linux::VKILL, 0o25),
            (linux::VEOF, 4),
            (linux::VMIN, 1),
            (linux::VSTART, 0o21),
            (linux::VSTOP, 0o23),
            (linux::VSUSP, 0o32),
            (linux::VREPRINT, 0o22),
            (linux::VDISCARD, 0o17),
            (linux::VWERASE, 0o27),
            (linux::VLNEXT, 0o26),
        ] {
            chars[at as usize] = char;
        }
        Self {
            iflag: linux::ICRNL | linux::IXON,
            oflag: linux::OPOST | linux::ONLCR,
            cflag: linux::B38400 | linux::CS8 | linux::CREAD,
            lflag: linux::ISIG
                | linux::ICANON
                | linux::ECHO
                | linux::ECHOE
                | linux::ECHOK
                | linux::ECHOCTL
                | linux::ECHOKE
                | linux::IEXTEN,
            discipline: 0,
            chars,
            ispeed: 38_400,
            ospeed: 38_400,
        }
    }
}

/// Bytes of `struct termios2`; `struct termios` is the same without the speeds.
pub(super) const SIZE: usize = 16 + 1 + CHARS + 8;
/// Bytes of `struct termios`.
pub(super) const SIZE_WITHOUT_SPEEDS: usize = SIZE - 8;
/// Bytes of `struct termio`, the last of them padding.
pub(super) const OLD_SIZE: usize = 8 + 1 + OLD_CHARS + 1;

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

impl Termios {
    /// Whether an input flag is set.
    pub fn input(&self, flag: u32) -> bool {
        self.iflag & flag != 0
    }

    /// Whether an output flag is set.
    pub fn output(&self, flag: u32) -> bool {
        self.oflag & flag != 0
    }

    /// Whether a local flag is set.
    pub fn local(&self, flag: u32) -> bool {
        self.lflag & flag != 0
    }

    /// Whether lines are edited, and read line by line.
    pub fn is_canonical(&self) -> bool {
        self.local(linux::ICANON) && !self.local(linux::EXTPROC)
    }

    /// A control character (V*); 0 if there is none.
    pub fn char(&self, which: u32) -> u8 {
        self.chars[which as usize]
    }

    /// Whether a byte is the control character, which 0 never is.
    pub fn is(&self, byte: u8, which: u32) -> bool {
        byte != 0 && byte == self.char(which)
    }

    /// As `struct termios2`.
    pub fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let words = [self.iflag, self.oflag, self.cflag, self.lflag];
        for (at, word) in words.iter().enumerate() {
            bytes[4 * at..4 * at + 4].copy_from_slice(&word.to_le_bytes());
        }
        bytes[16] = self.discipline;
        bytes[17..17 + CHARS].copy_from_slice(&self.chars);
        bytes[SIZE - 8..SIZE - 4].copy_from_slice(&self.ispeed.to_le_bytes());
        bytes[SIZE - 4..].copy_from_slice(&self.ospeed.to_le_bytes());
        bytes
    }

    /// What `struct termios2` says.
    pub fn from_bytes(bytes: &[u8; SIZE]) -> Self {
        let mut chars = [0; CHARS];
        chars.copy_from_slice(&bytes[17..17 + CHARS]);
        let given = Self {
            iflag: word(bytes, 0),
            oflag: word(bytes, 4),
            cflag: word(bytes, 8),
            lflag: word(bytes, 12),
            discipline: bytes[16],
            chars,
            ispeed: word(bytes, SIZE - 8),
            ospeed: word(bytes, SIZE - 4),
        };
        given.settled()
    }

    /// As `struct termio`.
    pub fn to_old_bytes(self) -> [u8; OLD_SIZE] {
        let mut bytes = [0; OLD_SIZE];
        let words = [self.iflag, self.oflag, self.cflag, self.lflag];
        for (at, word) in words.iter().enumerate() {
            bytes[2 * at..2 * at + 2].copy_from_slice(&(*word as u16).to_le_bytes());
        }
        bytes[8] = self.discipline;
        bytes[9..9 + OLD_CHARS].copy_from_slice(&self.chars[..OLD_CHARS]);
        bytes
    }

    /// What `struct termio` says; the rest stays as it is.
    pub fn with_old_bytes(mut self, bytes: &[u8; OLD_SIZE]) -> Self {
        let low = |old: u32, at: usize| {
            old & !0xffff | u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
        };
        self.iflag = low(self.iflag, 0);
        self.oflag = low(self.oflag, 2);
        self.cflag = low(self.cflag, 4);
        self.lflag = low(self.lflag, 6);
        self.discipline = bytes[8];
        self.chars[..OLD_CHARS].copy_from_slice(&bytes[9..9 + OLD_CHARS]);
        self.settled()
    }

    /// With what no pseudo terminal lets be changed, and with the speeds that the bits name.
    fn settled(mut self) -> Self {
        let output = speed(self.cflag, self.ospeed);
        let input = match self.cflag >> INPUT_SPEED_SHIFT & linux::CBAUD {
            linux::B0 => output,
            bits => speed(bits, self.ispeed),
        };
        (self.ispeed, self.ospeed) = (input, output);
        let fixed = linux::CSIZE | linux::PARENB | linux::ADDRB;
        self.cflag = self.cflag & !fixed | linux::CS8 | linux::CREAD;
        self
    }
}

/// The speed that `CBAUD` names; `other` if it names none.
fn speed(cflag: u32, other: u32) -> u32 {
    let bits = cflag & linux::CBAUD;
    match bits & linux::CBAUDEX {
        _ if bits == linux::BOTHER => other,
        0 => SPEEDS[(bits & 0xf) as usize],
        _ => EXTENDED_SPEEDS[((bits & 0xf) as usize).saturating_sub(1)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_say_what_was_said() {
        let begin = Termios::default();
        assert_eq!(Termios::from_bytes(&begin.to_bytes()), begin);
        assert_eq!(begin.with_old_bytes(&begin.to_old_bytes()), begin);
        assert_eq!(begin.to_bytes()[17..21], [3, 0o34, 0o177, 0o25]);
    }

    #[test]
    fn a_pseudo_terminal_has_eight_bits_and_the_speed_that_is_named() {
        let termios = Termios {
            cflag: linux::B115200 | linux::CS5 | linux::PARENB,
            ..Termios::default()
        };
        let termios = Termios::from_bytes(&termios.to_bytes());
        assert_eq!((termios.ispeed, termios.ospeed), (115_200, 115_200));
        assert_eq!(termios.cflag, linux::B115200 | linux::CS8 | linux::CREAD);
    }
}
