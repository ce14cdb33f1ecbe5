//! The state of a vCPU that came to a bad end, for people.

use std::fmt;

use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::symbols::Symbols;

/// Registers and a backtrace.
pub(crate) struct CrashReport {
    pub(crate) regs: kvm_regs,
    /// Where KVM gave them.
    pub(crate) sregs: Option<kvm_sregs>,
    /// Kernel return addresses as the guest left them, innermost first.
    pub(crate) frames: Vec<u64>,
    pub(crate) symbols: Symbols,
}

impl fmt::Display for CrashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = &self.regs;
        let rows = [
            [
                ("rip", r.rip),
                ("rsp", r.rsp),
                ("rbp", r.rbp),
                ("rfl", r.rflags),
            ],
            [
                ("rax", r.rax),
                ("rbx", r.rbx),
                ("rcx", r.rcx),
                ("rdx", r.rdx),
            ],
            [("rsi", r.rsi), ("rdi", r.rdi), ("r8 ", r.r8), ("r9 ", r.r9)],
            [
                ("r10", r.r10),
                ("r11", r.r11),
                ("r12", r.r12),
                ("r13", r.r13),
            ],
        ];
        for row in rows {
            let cells = row.map(|(name, value)| format!("{name} {value:016x}"));
            writeln!(f, "  {}", cells.join("  "))?;
        }
        writeln!(f, "  r14 {:016x}  r15 {:016x}", r.r14, r.r15)?;
        if let Some(s) = &self.sregs {
            let (cs, ss) = (s.cs.selector, s.ss.selector);
            writeln!(
                f,
                "  cr2 {:016x}  cr3 {:016x}  cs {cs:04x}  ss {ss:04x}  fs {:016x}  gs {:016x}",
                s.cr2, s.cr3, s.fs.base, s.gs.base
            )?;
        }
        writeln!(f, "  at {}", self.symbols.name(r.rip))?;
        for frame in &self.frames {
            // A return address may lie one past the end of a function that does not return.
            writeln!(f, "  by {}", self.symbols.name(frame.wrapping_sub(1)))?;
        }
        Ok(())
    }
}
