//! Processors that are the same on every host: what a program finds of them, and runs that one host
//! makes and the other verifies.

use std::fs;
use std::path::PathBuf;

use unicell_netstack::receipt::{self, Digest};
use unicell_tests::boxes::{repository, tree};
use unicell_tests::hosts::{Host, skip};
use unicell_tests::process::Outcome;
use unicell_tests::run::Run;
use unicell_vmm::reproducible::{Configuration, transcript};

use crate::reproducible::{PYTHON, Place, verify};

/// `/proc/cpuinfo` on x86-64-v2, whatever the host.
const CPUINFO: &str = "\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 26
model name\t: Unicell x86-64-v2
stepping\t: 5
cpu MHz\t\t: 1000.000
physical id\t: 0
siblings\t: 1
core id\t\t: 0
cpu cores\t: 1
apicid\t\t: 0
initial apicid\t: 0
fpu\t\t: yes
fpu_exception\t: yes
cpuid level\t: 7
wp\t\t: yes
flags\t\t: fpu tsc pae cx8 pge cmov pat clflush mmx fxsr sse sse2 syscall nx lm pni ssse3 cx16 \
sse4_1 sse4_2 popcnt lahf_lm fsgsbase
bugs\t\t:
bogomips\t: 2000.00
clflush size\t: 64
cache_alignment\t: 64
address sizes\t: 40 bits physical, 48 bits virtual
power management:

";

/// Prints `/proc/cpuinfo` at this level on this processor.
fn cpuinfo(options: &[&str]) -> Outcome {
    Run::new(&tree("busybox"), "/bin/busybox")
        .args(["cat", "/proc/cpuinfo"])
        .options(options.iter().copied())
        .guest()
}

#[test]
fn a_program_at_d1_finds_the_same_processor_on_every_host() {
    assert_eq!(cpuinfo(&["--level", "D1"]).out(), CPUINFO);
    let named = cpuinfo(&["--level", "D1", "--cpu", "x86-64-v2"]);
    assert_eq!(named.out(), CPUINFO);
    let own = cpuinfo(&["--level", "D1", "--cpu", "host"]);
    assert_eq!(own.code, 0, "{own}");
    assert!(!own.out().contains("Unicell"), "{own}");
}

#[test]
fn a_processor_that_cannot_be_had_is_refused_and_not_lowered() {
    let refused = |options: &[&str], word: &str| {
        let outcome = cpuinfo(options);
        assert_eq!((outcome.code, &*outcome.out()), (1, ""), "{outcome}");
        assert!(outcome.err().contains(word), "{outcome}");
    };
    refused(&["--cpu", "x86-64-v2"], "from level D1 on");
    let avx = ["--level", "D1", "--cpu", "x86-64-v3"];
    if unicell_vmm::hardware_virtualisation() {
        let outcome = cpuinfo(&avx);
        assert!(outcome.out().contains("Unicell x86-64-v3"), "{outcome}");
        for flag in [" avx2 ", " fma ", " bmi2"] {
            assert!(outcome.out().contains(flag), "{outcome}");
        }
    } else {
        refused(&avx, "XCR0");
    }
}

/// Looks at the processor without asking CPUID what it has.
fn unasked(what: &str, options: &[&str]) -> Outcome {
    Run::new(&tree("programs"), "/musl/processor")
        .arg(what)
        .options(["--level", "D1"].iter().chain(options).copied())
        .guest()
}

#[test]
fn signal_frames_hold_the_baselines_state_and_no_more() {
    let frame = |features: u32, size: u32| {
        format!(
            "magic 0x46505853, features {features:#x}, size {size}, then 0x46505845, beyond the \
             features 0\nAT_MINSIGSTKSZ {}\n",
            size + 1024
        )
    };
    assert_eq!(unasked("frame", &[]).out(), frame(0b11, 576));
    if unicell_vmm::hardware_virtualisation() {
        let avx = unasked("frame", &["--cpu", "x86-64-v3"]);
        assert_eq!(avx.out(), frame(0b111, 832));
    }
}

#[test]
fn who_does_not_ask_finds_the_baselines_state_where_kvm_can_restrict_it() {
    let outcome = unasked("avx", &[]);
    if unicell_vmm::hardware_virtualisation() {
        // SIGILL, as on a processor without it.
        assert_eq!((outcome.code, &*outcome.out()), (128 + 4, ""), "{outcome}");
        assert_eq!(unasked("state", &[]).out(), "XCR0 0x3\n");
        let avx = ["--cpu", "x86-64-v3"];
        assert_eq!(unasked("avx", &avx).out(), "AVX runs\n");
        assert_eq!(unasked("state", &avx).out(), "XCR0 0x7\n");
    } else {
        let native = native("avx");
        assert_eq!((outcome.code, outcome.out()), (native.code, native.out()));
    }
}

/// The same without a micro-VM.
fn native(what: &str) -> Outcome {
    Run::new(&tree("programs"), "/musl/processor")
        .arg(what)
        .native()
}

/// What goes from one host to the other: `local` leaves it where the emulated machine sees it.
struct Shared(PathBuf);

impl Shared {
    fn place() -> Self {
        Self(repository().join("target/receipts"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Leaves a receipt with its transcript, its box and the key that has signed it.
    fn leave(&self, place: &Place, name: &str, run: &Run) {
        fs::create_dir_all(&self.0).unwrap();
        for file in [name, &format!("{name}.transcript")] {
            fs::copy(place.path(file), self.path(file)).unwrap();
        }
        let (package, key) = (self.cell(name), self.path(&format!("{name}.key")));
        let _ = (fs::remove_file(&package), fs::remove_file(&key));
        fs::copy(place.path("key"), key).unwrap();
        // A name of its own, so that it stays when the box is packed again.
        fs::hard_link(run.tree().package(), package).unwrap();
    }

    fn cell(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.cell"))
    }

    fn verify(&self, name: &str) -> Outcome {
        let package = self.cell(name);
        verify(&self.path(name), &["--box", package.to_str().unwrap()])
    }
}

/// On this machine: runs it, verifies it, and leaves it for the other. On the other, which has
/// another processor: verifies that. Returns whether there is something to go on with.
fn same_on_both(name: &str, run: &Run) -> bool {
    let shared = Shared::place();
    match Host::current() {
        Host::Local => {
            let place = Place::new();
            let outcome = place.receipted(run.clone(), name).guest();
            assert_eq!(outcome.code, 0, "{outcome}");
            let class = place.read(name).claim.cpu_class;
            assert!(class.starts_with("x86-64-v2-"), "{class}");
            shared.leave(&place, name, run);
        }
        Host::Svm if !shared.cell(name).exists() => {
            skip("no receipt of another host is there: the local tests leave it");
            return false;
        }
        Host::Svm => {}
    }
    let outcome = shared.verify(name);
    if outcome.err().contains("another guest kernel") {
        skip("the receipt of the other host is of another build: the local tests leave it");
        return false;
    }
    assert_eq!(outcome.code, 0, "{outcome}");
    assert!(outcome.out().starts_with("same: "), "{outcome}");
    true
}

/// On the emulated machine it makes the receipt as well: the very one that the other has made, down
/// to its signature. So that one is what the other host verifies of it.
#[test]
fn receipts_of_either_host_are_those_of_the_other() {
    for linking in ["musl", "dynamic"] {
        let name = format!("small-{linking}");
        let run = Run::new(&tree("programs"), &format!("/{linking}/reproducible"));
        let run = run.input("line one\nline two\n");
        if !same_on_both(&name, &run) || Host::current() == Host::Local {
            continue;
        }
        let (shared, place) = (Shared::place(), Place::new());
        fs::write(
            place.path("key"),
            fs::read(shared.path(&format!("{name}.key"))).unwrap(),
        )
        .unwrap();
        let run = run.package(&shared.cell(&name));
        let outcome = place.receipted(run, &name).guest();
        assert_eq!(outcome.code, 0, "{outcome}");
        let theirs = receipt::parse(&fs::read(shared.path(&name)).unwrap()).unwrap();
        let ours = place.read(&name);
        assert_eq!(ours.claim, theirs.claim);
        assert_eq!((ours.node, ours.signature), (theirs.node, theirs.signature));
        let transcript = format!("{name}.transcript");
        assert_eq!(
            fs::read(place.path(&transcript)).unwrap(),
            fs::read(shared.path(&transcript)).unwrap()
        );
    }
}

/// Threads, times, random numbers, pids, directories, sets, libm, OpenSSL, and the processor.
#[test]
fn a_python_program_of_one_host_is_the_same_on_the_other() {
    let python = Run::new(&tree("python"), "/usr/bin/python3.11").args(["-c", PYTHON]);
    same_on_both("python", &python.input("line one\nline two\n"));
}

#[test]
fn channels_and_timers_of_go_of_one_host_are_the_same_on_the_other() {
    same_on_both("go", &Run::new(&tree("go"), "/bin/go").arg("select"));
}

/// As ever without a baseline.
#[test]
fn a_receipt_of_a_hosts_own_processor_is_not_comparable_on_another() {
    let shared = Shared::place();
    match Host::current() {
        Host::Local => {
            let place = Place::new();
            let run = Run::new(&tree("hello"), "/bin/hello");
            let own = run.clone().options(["--cpu", "host"]);
            let outcome = place.receipted(own, "own").guest();
            assert_eq!(outcome.code, 0, "{outcome}");
            shared.leave(&place, "own", &run);
            let outcome = shared.verify("own");
            assert_eq!(outcome.code, 0, "{outcome}");
        }
        Host::Svm if !shared.cell("own").exists() => skip("no receipt of another host is there"),
        Host::Svm => {
            let outcome = shared.verify("own");
            assert_eq!(outcome.code, 214, "{outcome}");
            let because = "not comparable: it was run on a CPU of class";
            assert!(outcome.err().contains(because), "{outcome}");
        }
    }
}

#[test]
fn what_contradicts_the_configuration_and_another_table_are_named() {
    let place = Place::new();
    place.hello("r");
    let receipt = place.path("r");
    let expect = |code: i32, words: &[&str]| {
        let outcome = verify(&receipt, &[]);
        assert_eq!(outcome.code, code, "{outcome}");
        for word in words {
            assert!(outcome.err().contains(word), "{outcome}");
        }
    };
    let other_table = "x86-64-v2-0000000000000000";
    place.lie("r", |claim| claim.cpu_class = other_table.into());
    expect(214, &["not comparable", other_table]);
    place.lie("r", |claim| claim.cpu_class = "0".repeat(32));
    expect(215, &["CPU class 00000000", "the configuration x86-64-v2"]);
    place.lie("r", |claim| claim.cpu_class = "x86-64-v3-0".into());
    expect(
        215,
        &["CPU class x86-64-v3-0", "the configuration x86-64-v2"],
    );

    place.hello("r");
    change_configuration(&place, |configuration| configuration.cpu = None);
    expect(215, &["CPU class x86-64-v2", "the host's own processor"]);
    place.hello("r");
    change_configuration(&place, |configuration| configuration.memory += 2 << 20);
    expect(215, &["bytes of memory", "the configuration"]);
    place.hello("r");
    place.lie("r", |claim| claim.level = "D2".into());
    expect(215, &["level D2, and the configuration D1"]);
}

/// Another configuration in the transcript `r`, which its node has signed all the same.
fn change_configuration(place: &Place, change: impl FnOnce(&mut Configuration)) {
    let path = place.path("r.transcript");
    let bytes = fs::read(&path).unwrap();
    let old = transcript::parse(&bytes).unwrap().configuration;
    let mut configuration = Configuration::decode(&old).unwrap();
    change(&mut configuration);
    let new = configuration.encode().unwrap();
    let mut changed = Vec::new();
    transcript::begin(&new, &mut changed).unwrap();
    let mut begun = Vec::new();
    transcript::begin(&old, &mut begun).unwrap();
    changed.extend(bytes.strip_prefix(&*begun).unwrap());
    fs::write(&path, &changed).unwrap();
    let digest = |bytes: &[u8]| Digest(*blake3::hash(bytes).as_bytes());
    place.lie("r", |claim| {
        claim.transcript = digest(&changed);
        claim.configuration = digest(&new);
    });
}
