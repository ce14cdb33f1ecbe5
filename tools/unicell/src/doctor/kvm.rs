//! KVM: of which kind it is, whether it can be used, and if not, what to do.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;
use unicell_vmm::hardware_virtualisation;

const DEVICE: &str = "/dev/kvm";

/// How guests are kept apart from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// By VMX or SVM.
    Hardware,
    /// By page tables alone: a KVM for machines without either.
    PageTable,
    /// There is none.
    None,
}

/// The device and whether this user may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Device {
    /// It opens.
    Usable,
    /// It is not there.
    Absent,
    /// It is there, and not for this user.
    Forbidden,
    /// It is there and does not work.
    Broken,
}

/// What was found of KVM.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Kvm {
    pub(super) kind: Kind,
    pub(super) device: Device,
}

impl Kvm {
    /// This host's.
    pub(super) fn of_host() -> Self {
        let opened = rustix::fs::open(DEVICE, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        let device = match opened {
            Ok(_) => Device::Usable,
            Err(Errno::NOENT) => Device::Absent,
            Err(Errno::ACCESS | Errno::PERM) => Device::Forbidden,
            Err(_) => Device::Broken,
        };
        let kind = match device {
            Device::Absent | Device::Broken => Kind::None,
            _ if hardware_virtualisation() => Kind::Hardware,
            _ => Kind::PageTable,
        };
        Self { kind, device }
    }

    /// No guest could run on it, though it opens.
    pub(super) fn fails(&mut self) {
        *self = Self {
            kind: Kind::None,
            device: Device::Broken,
        };
    }

    /// What makes boxes run, where they do not.
    pub(super) fn remedy(self) -> Option<String> {
        match self.device {
            Device::Usable => None,
            Device::Absent => Some(absent(hardware_virtualisation())),
            Device::Forbidden => Some(forbidden(fs::metadata(DEVICE).ok().as_ref())),
            Device::Broken => Some(BROKEN.to_owned()),
        }
    }
}

/// What to do about a device that does not work.
const BROKEN: &str =
    "look into the kernel's log (`dmesg | grep -i kvm`); another hypervisor may hold the processor";

fn absent(has_hardware: bool) -> String {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let modules = format!("/lib/modules/{release}/kernel/arch/x86/kvm");
    let amd = vendor() == *b"AuthenticAMD";
    let module = if amd { "kvm_amd" } else { "kvm_intel" };
    if has_hardware && !Path::new(&modules).exists() {
        "this kernel has no KVM modules: `apt install linux-image-amd64`, then boot that kernel"
            .into()
    } else if has_hardware {
        format!("load KVM: `modprobe {module}`, and name {module} in /etc/modules-load.d/kvm.conf")
    } else if in_a_virtual_machine() {
        format!(
            "this machine is a virtual one without nested virtualisation: turn that on where it \
             is configured (the host's {module} with nested=1, the machine's processor as \
             `host`; in a cloud, an instance type that has it), or use a kernel with page-table \
             KVM (`modprobe kvm_pvm`)"
        )
    } else {
        "turn on virtualisation in the firmware's set-up: VT-x, VMX, AMD-V or SVM by name".into()
    }
}

/// `of` is the device's metadata.
fn forbidden(of: Option<&Metadata>) -> String {
    const GROUP_READS_AND_WRITES: u32 = 0o060;
    let grants = of.filter(|of| of.mode() & GROUP_READS_AND_WRITES == GROUP_READS_AND_WRITES);
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    match grants.and_then(|of| group_name(&groups, of.gid())) {
        Some(group) if group != "root" => {
            format!("join its group, `sudo usermod -aG {group} $USER`, and log in again")
        }
        _ => "give it to the group kvm, `sudo chgrp kvm /dev/kvm && sudo chmod 660 /dev/kvm`, and \
              join that group, `sudo usermod -aG kvm $USER`; then log in again"
            .into(),
    }
}

/// The name of a group (group(5)).
fn group_name(groups: &str, gid: u32) -> Option<String> {
    let mut fields = groups
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let found = fields.find(|fields| fields.get(2).is_some_and(|id| **id == gid.to_string()));
    found.map(|fields| fields[0].to_owned())
}

fn vendor() -> [u8; 12] {
    let leaf = std::arch::x86_64::__cpuid(0);
    let mut name = [0; 12];
    for (bytes, word) in name.chunks_exact_mut(4).zip([leaf.ebx, leaf.edx, leaf.ecx]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    name
}

/// CPUID leaf 1, ECX bit 31, which processors keep clear and hypervisors set.
fn in_a_virtual_machine() -> bool {
    std::arch::x86_64::__cpuid(1).ecx >> 31 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_number() {
        let groups = "root:x:0:\nkvm:x:104:alice,bob\nnonsense\n";
        assert_eq!(group_name(groups, 104).as_deref(), Some("kvm"));
        assert_eq!(group_name(groups, 10), None);
    }

    #[test]
    fn every_trouble_has_a_remedy() {
        for device in [Device::Absent, Device::Forbidden, Device::Broken] {
            let kvm = Kvm {
                kind: Kind::None,
                device,
            };
            assert!(
                kvm.remedy()
                    .is_some_and(|remedy| remedy.contains('`') || !remedy.is_empty())
            );
        }
        let kvm = Kvm {
            kind: Kind::Hardware,
            device: Device::Usable,
        };
        assert_eq!(kvm.remedy(), None);
    }
}
