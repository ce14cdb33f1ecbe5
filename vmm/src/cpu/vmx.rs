//! What VMX checks before it enters a guest (SDM vol. 3, 27.3.1), as far as it concerns a 64-bit
//! guest with paging on.
//!
//! The hosts that this project is tested on cannot show a violation: there, nothing checks. On VMX
//! hardware it is a failed entry with no word of explanation. So each initial state is checked
//! here, by the rules in the order of the manual.

use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};

/// The first rule that this state breaks, or `None` if VMX will take it.
pub(crate) fn violation(regs: &kvm_regs, sregs: &kvm_sregs) -> Option<&'static str> {
    let rules = control_registers(sregs)
        .into_iter()
        .chain(code_and_stack(sregs))
        .chain(data_segments(sregs))
        .chain(system_segments(sregs))
        .chain(instruction_pointer_and_flags(regs));
    let mut broken = rules.filter(|(holds, _)| !holds);
    broken.next().map(|(_, rule)| rule)
}

type Rule = (bool, &'static str);

const fn canonical(address: u64) -> bool {
    let upper = address as i64 >> 47;
    upper == 0 || upper == -1
}

/// 27.3.1.1: checks on control registers, debug registers and MSRs.
fn control_registers(s: &kvm_sregs) -> Vec<Rule> {
    let (pe, pg, ne) = (s.cr0 & 1, s.cr0 >> 31 & 1, s.cr0 >> 5 & 1);
    vec![
        (pe == 1 && pg == 1, "CR0.PE and CR0.PG are set"),
        (ne == 1, "CR0.NE is set"),
        (s.cr0 >> 32 == 0, "CR0 has no bit above 31"),
        (s.cr0 & 0x6000_0000 == 0, "CR0.CD and CR0.NW are clear"),
        (s.cr4 & 0x20 != 0, "CR4.PAE is set in IA-32e mode"),
        (s.cr4 & 0x2000 == 0, "CR4.VMXE is the host's"),
        (
            s.cr3 & 0xfff == 0 && s.cr3 >> 52 == 0,
            "CR3 is a page's address",
        ),
        (s.efer & !0xd01 == 0, "EFER has no reserved bit"),
        (
            s.efer & 0x500 == 0x500,
            "EFER.LME and EFER.LMA equal the IA-32e mode control",
        ),
    ]
}

/// Access rights that a usable segment must have; `limit` against granularity.
fn well_formed(segment: &kvm_segment) -> bool {
    // A low bit that is clear cannot be said in pages, a high bit that is set only so.
    let granular = match segment.g {
        0 => segment.limit & 0xfff0_0000 == 0,
        _ => segment.limit & 0xfff == 0xfff,
    };
    segment.present == 1 && granular && segment.padding == 0
}

/// 27.3.1.2: CS and SS.
fn code_and_stack(s: &kvm_sregs) -> Vec<Rule> {
    let (cs, ss) = (&s.cs, &s.ss);
    vec![
        (
            cs.unusable == 0 && cs.s == 1 && well_formed(cs),
            "CS is a usable segment",
        ),
        (matches!(cs.type_, 9 | 11 | 13 | 15), "CS is accessed code"),
        (cs.l == 1 && cs.db == 0, "CS is 64-bit"),
        (cs.base >> 32 == 0, "CS.base has no upper half"),
        (
            cs.selector & 3 == u16::from(ss.selector as u8 & 3),
            "SS.RPL equals CS.RPL",
        ),
        (
            matches!(cs.type_, 13 | 15) || cs.dpl == ss.dpl,
            "CS.DPL equals SS.DPL",
        ),
        (ss.dpl == ss.selector as u8 & 3, "SS.DPL equals SS.RPL"),
        (
            ss.unusable == 1 || (matches!(ss.type_, 3 | 7) && ss.s == 1),
            "SS is accessed, writable data",
        ),
        (ss.unusable == 1 || well_formed(ss), "SS is well formed"),
        (ss.base >> 32 == 0, "SS.base has no upper half"),
    ]
}

/// 27.3.1.2: DS, ES, FS and GS.
fn data_segments(s: &kvm_sregs) -> Vec<Rule> {
    let readable = |d: &kvm_segment| d.type_ & 1 == 1 && (d.type_ & 8 == 0 || d.type_ & 2 == 2);
    let usable = |d: &kvm_segment| d.unusable == 0;
    let of = |holds: &dyn Fn(&kvm_segment) -> bool| {
        [&s.ds, &s.es, &s.fs, &s.gs]
            .into_iter()
            .all(|d| !usable(d) || holds(d))
    };
    vec![
        (
            of(&|d| d.s == 1 && readable(d)),
            "data segments are accessed and readable",
        ),
        (of(&well_formed), "data segments are well formed"),
        (
            of(&|d| d.type_ >= 12 || d.dpl >= d.selector as u8 & 3),
            "the DPL of a data segment is not below its RPL",
        ),
        (
            s.ds.base >> 32 == 0 && s.es.base >> 32 == 0,
            "DS.base and ES.base have no upper half",
        ),
        (
            canonical(s.fs.base) && canonical(s.gs.base),
            "FS.base and GS.base are canonical",
        ),
    ]
}

/// 27.3.1.2 and 27.3.1.3: TR, LDTR, GDTR and IDTR.
fn system_segments(s: &kvm_sregs) -> Vec<Rule> {
    let (tr, ldt) = (&s.tr, &s.ldt);
    let ldt_usable = ldt.unusable == 0;
    vec![
        (tr.unusable == 0, "TR is usable"),
        (tr.type_ == 11 && tr.s == 0, "TR is a busy 64-bit TSS"),
        (tr.selector & 4 == 0, "TR's selector is in the GDT"),
        (well_formed(tr) && canonical(tr.base), "TR is well formed"),
        (
            !ldt_usable || (ldt.type_ == 2 && ldt.s == 0),
            "a usable LDTR is an LDT",
        ),
        (
            !ldt_usable || ldt.selector & 4 == 0,
            "LDTR's selector is in the GDT",
        ),
        (
            !ldt_usable || (well_formed(ldt) && canonical(ldt.base)),
            "LDTR is well formed",
        ),
        (
            canonical(s.gdt.base) && canonical(s.idt.base),
            "GDTR.base and IDTR.base are canonical",
        ),
    ]
}

/// 27.3.1.4: RIP and RFLAGS.
fn instruction_pointer_and_flags(r: &kvm_regs) -> Vec<Rule> {
    const RESERVED: u64 = !0x3f_7fd7;
    vec![
        (canonical(r.rip), "RIP is canonical"),
        (
            r.rflags & 2 == 2 && r.rflags & RESERVED == 0,
            "RFLAGS has its reserved bits",
        ),
        (r.rflags & 1 << 17 == 0, "RFLAGS.VM is clear in IA-32e mode"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::initial;
    use unicell_guest_abi::boot::KernelHeader;
    use unicell_guest_abi::cpu::VECTORS;
    use unicell_guest_abi::layout::{KERNEL_BASE, TABLES_GPA};

    type Change = fn(&mut kvm_regs, &mut kvm_sregs);

    fn good() -> (kvm_regs, kvm_sregs) {
        let kernel = KernelHeader {
            magic: 0,
            abi: 0,
            reserved: 0,
            entry: KERNEL_BASE + 0x1000,
            syscall: 0,
            vectors: [0; VECTORS],
            ring0: [0; 2],
        };
        initial(&kernel, TABLES_GPA)
    }

    #[test]
    fn the_initial_state_breaks_no_rule() {
        let (regs, sregs) = good();
        assert_eq!(violation(&regs, &sregs), None);
    }

    #[test]
    fn each_broken_rule_is_found() {
        let broken = |change: Change| {
            let (mut regs, mut sregs) = good();
            change(&mut regs, &mut sregs);
            violation(&regs, &sregs)
        };
        let cases: [(Change, &str); 24] = [
            (|_, s| s.cr0 &= !1, "CR0.PE and CR0.PG are set"),
            (|_, s| s.cr0 &= !0x20, "CR0.NE is set"),
            (|_, s| s.cr0 |= 1 << 40, "CR0 has no bit above 31"),
            (|_, s| s.cr0 |= 1 << 30, "CR0.CD and CR0.NW are clear"),
            (|_, s| s.cr4 &= !0x20, "CR4.PAE is set in IA-32e mode"),
            (|_, s| s.cr4 |= 0x2000, "CR4.VMXE is the host's"),
            (|_, s| s.cr3 |= 1 << 60, "CR3 is a page's address"),
            (|_, s| s.efer |= 2, "EFER has no reserved bit"),
            (
                |_, s| s.efer &= !0x400,
                "EFER.LME and EFER.LMA equal the IA-32e mode control",
            ),
            (|_, s| s.cs.present = 0, "CS is a usable segment"),
            (|_, s| s.cs.type_ = 10, "CS is accessed code"),
            (|_, s| s.cs.db = 1, "CS is 64-bit"),
            (|_, s| s.ss.selector &= !3, "SS.RPL equals CS.RPL"),
            (|_, s| s.cs.dpl = 0, "CS.DPL equals SS.DPL"),
            (|_, s| (s.cs.dpl, s.ss.dpl) = (0, 0), "SS.DPL equals SS.RPL"),
            (|_, s| s.ss.type_ = 2, "SS is accessed, writable data"),
            (
                |_, s| s.ds.type_ = 2,
                "data segments are accessed and readable",
            ),
            (|_, s| s.es.g = 0, "data segments are well formed"),
            (
                |_, s| s.gs.dpl = 0,
                "the DPL of a data segment is not below its RPL",
            ),
            (
                |_, s| s.fs.base = 1 << 47,
                "FS.base and GS.base are canonical",
            ),
            (|_, s| s.tr.type_ = 9, "TR is a busy 64-bit TSS"),
            (|_, s| s.ldt.unusable = 0, "a usable LDTR is an LDT"),
            (|r, _| r.rip = 1 << 47, "RIP is canonical"),
            (|r, _| r.rflags = 0, "RFLAGS has its reserved bits"),
        ];
        for (change, rule) in cases {
            assert_eq!(broken(change), Some(rule));
        }
    }
}
