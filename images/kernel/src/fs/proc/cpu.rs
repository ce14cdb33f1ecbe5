//! `/proc/cpuinfo`, from what the CPU says of itself.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::generated::Subject;
use crate::arch::cpu::cpuid;
use crate::device::platform;
use crate::errno::Result;

/// Features by leaf, subleaf, register (EAX to EDX are 0 to 3), and bit.
#[rustfmt::skip]
const FLAGS: &[(u32, u32, usize, u32, &str)] = &[
    (1, 0, 3, 0, "fpu"), (1, 0, 3, 4, "tsc"), (1, 0, 3, 5, "msr"), (1, 0, 3, 6, "pae"),
    (1, 0, 3, 8, "cx8"), (1, 0, 3, 13, "pge"), (1, 0, 3, 15, "cmov"), (1, 0, 3, 16, "pat"),
    (1, 0, 3, 19, "clflush"), (1, 0, 3, 23, "mmx"), (1, 0, 3, 24, "fxsr"), (1, 0, 3, 25, "sse"),
    (1, 0, 3, 26, "sse2"), (1, 0, 3, 28, "ht"),
    (0x8000_0001, 0, 3, 11, "syscall"), (0x8000_0001, 0, 3, 20, "nx"),
    (0x8000_0001, 0, 3, 26, "pdpe1gb"), (0x8000_0001, 0, 3, 27, "rdtscp"),
    (0x8000_0001, 0, 3, 29, "lm"),
    (1, 0, 2, 0, "pni"), (1, 0, 2, 1, "pclmulqdq"), (1, 0, 2, 9, "ssse3"), (1, 0, 2, 12, "fma"),
    (1, 0, 2, 13, "cx16"), (1, 0, 2, 19, "sse4_1"), (1, 0, 2, 20, "sse4_2"),
    (1, 0, 2, 22, "movbe"), (1, 0, 2, 23, "popcnt"), (1, 0, 2, 25, "aes"), (1, 0, 2, 26, "xsave"),
    (1, 0, 2, 28, "avx"), (1, 0, 2, 29, "f16c"), (1, 0, 2, 30, "rdrand"),
    (1, 0, 2, 31, "hypervisor"),
    (0x8000_0001, 0, 2, 0, "lahf_lm"), (0x8000_0001, 0, 2, 5, "abm"),
    (7, 0, 1, 0, "fsgsbase"), (7, 0, 1, 3, "bmi1"), (7, 0, 1, 5, "avx2"), (7, 0, 1, 8, "bmi2"),
    (7, 0, 1, 9, "erms"), (7, 0, 1, 16, "avx512f"), (7, 0, 1, 17, "avx512dq"),
    (7, 0, 1, 18, "rdseed"), (7, 0, 1, 19, "adx"), (7, 0, 1, 28, "avx512cd"),
    (7, 0, 1, 29, "sha_ni"), (7, 0, 1, 30, "avx512bw"), (7, 0, 1, 31, "avx512vl"),
    (7, 0, 2, 1, "avx512vbmi"), (7, 0, 2, 8, "gfni"), (7, 0, 2, 9, "vaes"),
    (7, 0, 2, 10, "vpclmulqdq"), (7, 0, 2, 22, "rdpid"),
];

/// The text in registers, without what fills it up.
fn text(registers: &[u32]) -> String {
    let bytes: Vec<u8> = registers
        .iter()
        .flat_map(|register| register.to_le_bytes())
        .collect();
    let len = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from(String::from_utf8_lossy(&bytes[..len]).trim())
}

/// The answer of a leaf, if the CPU has it.
fn leaf(leaf: u32, subleaf: u32) -> [u32; 4] {
    let known = leaf <= cpuid(leaf & 0x8000_0000, 0)[0];
    if known { cpuid(leaf, subleaf) } else { [0; 4] }
}

/// The text of `/proc/cpuinfo`.
pub(super) fn info(_: &Subject) -> Result<Vec<u8>> {
    let [highest, b, c, d] = leaf(0, 0);
    let [signature, misc, ..] = leaf(1, 0);
    let (base, extended) = (signature >> 8 & 0xf, signature >> 20 & 0xff);
    let family = if base == 0xf { base + extended } else { base };
    let model = signature >> 4 & 0xf | (signature >> 16 & 0xf) << 4;
    let brand = [0x8000_0002, 0x8000_0003, 0x8000_0004]
        .map(|number| leaf(number, 0))
        .concat();
    let has = |(number, subleaf, register, bit, _): &&(u32, u32, usize, u32, &str)| {
        leaf(*number, *subleaf)[*register] >> bit & 1 != 0
    };
    let flags: Vec<&str> = FLAGS.iter().filter(has).map(|flag| flag.4).collect();
    let sizes = leaf(0x8000_0008, 0)[0];
    let brand = match text(&brand) {
        brand if brand.is_empty() => "unknown".into(),
        brand => brand,
    };
    let khz = platform::tsc_khz();
    let (mhz, rest) = (khz / 1000, khz % 1000);
    let (bogomips, hundredths) = (khz / 500, khz % 500 / 5);
    let flush = (misc >> 8 & 0xff) * 8;
    Ok(format!(
        "processor\t: 0\nvendor_id\t: {}\ncpu family\t: {family}\nmodel\t\t: {model}\n\
         model name\t: {brand}\nstepping\t: {}\ncpu MHz\t\t: {mhz}.{rest:03}\n\
         physical id\t: 0\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\napicid\t\t: 0\n\
         initial apicid\t: 0\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {highest}\n\
         wp\t\t: yes\nflags\t\t: {}\nbugs\t\t:\nbogomips\t: {bogomips}.{hundredths:02}\n\
         clflush size\t: {flush}\ncache_alignment\t: {flush}\n\
         address sizes\t: {} bits physical, {} bits virtual\npower management:\n\n",
        text(&[b, d, c]),
        signature & 0xf,
        flags.join(" "),
        sizes & 0xff,
        sizes >> 8 & 0xff,
    )
    .into_bytes())
}
