use alloc::string::String;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::*;
use crate::signal::SIGINT;

fn shown(line: &mut Line) -> String {
    let mut bytes = alloc::vec![0; line.shown_len()];
    line.take_shown(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn typed(line: &mut Line, text: &str) -> Option<u32> {
    assert_eq!(line.type_in(text.as_bytes()), text.len());
    line.take_typed()
}

fn read(line: &mut Line, most: usize) -> String {
    let mut bytes = alloc::vec![0; most];
    let len = line.read(&mut bytes);
    String::from_utf8_lossy(&bytes[..len]).into_owned()
}

#[test]
fn a_line_is_edited_and_read_whole() {
    let mut line = Line::default();
    assert_eq!(typed(&mut line, "abx\x7fc d\x17e"), None);
    assert!(!line.is_readable(1));
    assert_eq!(typed(&mut line, "\r"), None);
    assert_eq!(line.readable(), 6);
    assert_eq!(shown(&mut line), "abx\x08 \x08c d\x08 \x08e\r\n");
    assert_eq!(read(&mut line, 100), "abc e\n");
}

#[test]
fn a_signal_takes_what_was_typed_with_it() {
    let mut line = Line::default();
    assert_eq!(typed(&mut line, "abc\x03def\n"), Some(SIGINT));
    assert_eq!(line.take_typed(), None);
    assert_eq!(shown(&mut line), "abc^Cdef\r\n");
    assert_eq!(read(&mut line, 100), "def\n");
}

#[test]
fn an_end_of_file_belongs_to_the_read_that_it_follows() {
    let mut line = Line::default();
    typed(&mut line, "abc\x04\x04x\n");
    assert_eq!(read(&mut line, 3), "abc");
    assert_eq!(read(&mut line, 3), "");
    assert_eq!(read(&mut line, 3), "x\n");
}

#[test]
fn a_line_that_is_too_long_can_still_be_ended() {
    let mut line = Line::default();
    let mut long = alloc::vec![b'a'; BUFFER + 1000];
    long.push(b'\n');
    assert_eq!(line.type_in(&long), long.len());
    assert_eq!(line.take_typed(), None);
    let mut all = alloc::vec![0; 2 * BUFFER];
    assert_eq!(line.read(&mut all), BUFFER);
    assert_eq!(&all[BUFFER - 2..BUFFER], b"a\n");
}

#[test]
fn nothing_grows_without_end() {
    let mut line = Line::default();
    for _ in 0..20 {
        line.type_in(&alloc::vec![b'\x01'; TYPED]);
        line.take_typed();
        line.write(&alloc::vec![b'\n'; SHOWN]);
    }
    assert!(line.shown.len() <= SHOWN && line.typed.len() <= TYPED);
    assert!(line.buffer.len() <= BUFFER && line.echoes.len() <= ECHOES);
}

#[test]
fn any_settings_and_any_bytes_do_no_harm() {
    // xorshift64
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut number = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut line = Line::default();
    for _ in 0..20_000 {
        match number() % 6 {
            0 => {
                line.set_termios(Termios {
                    iflag: number() as u32,
                    oflag: number() as u32,
                    lflag: number() as u32 | linux::ECHO,
                    ..Termios::default()
                });
            }
            1 | 2 => {
                let bytes: Vec<u8> = (0..number() % 300).map(|_| number() as u8).collect();
                line.type_in(&bytes);
                while line.take_typed().is_some() {}
            }
            3 => {
                let bytes = number().to_le_bytes();
                line.write(&bytes);
            }
            4 => {
                line.read(&mut [0; 77]);
            }
            _ => {
                line.take_shown(&mut [0; 500]);
            }
        }
        assert!(line.lines <= line.buffer.len() && line.buffer.len() <= BUFFER + 2);
    }
}
