//! The host itself: without this nothing else here means anything.

use kvm_ioctls::Kvm;
use unicell_tests::hosts::Host;

#[test]
fn kvm_speaks_the_stable_interface_and_creates_a_vm() {
    let kvm = Kvm::new().expect("/dev/kvm opens");
    assert_eq!(kvm.get_api_version(), 12);
    let vm = kvm.create_vm().expect("a VM is created");
    vm.create_vcpu(0).expect("a vCPU is created");
}

#[test]
fn the_emulated_host_has_svm() {
    let amd = std::path::Path::new("/sys/module/kvm_amd").exists();
    if Host::current() == Host::Svm {
        assert!(amd, "kvm_amd is not loaded");
    }
}
