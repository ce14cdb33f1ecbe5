//! Runs that are repeated: the same under load and however late input comes, and receipts of them
//! that others can check.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use unicell_netstack::identity::KeyFile;
use unicell_netstack::receipt::{self, Receipt};
use unicell_tests::boxes::{tree, unicell};
use unicell_tests::hosts::{scale, too_long_here};
use unicell_tests::process::{Outcome, finish};
use unicell_tests::run::Run;
use unicell_tests::session::Session;

/// Prints all by which a host, a moment or a schedule could be told.
pub(crate) const PYTHON: &str = r#"
import math, os, random, resource, ssl, sys, threading, time, uuid
lock = threading.Lock()
def say(*words):
    with lock:
        print(*words, flush=True)
def work(n):
    for turn in range(4):
        time.sleep(0.001 * (n + 1))
        say("thread", n, turn, threading.get_native_id(), time.time_ns(), time.monotonic_ns())
        sum(hash(str(i)) for i in range(2000))
say("start", time.time(), os.getpid(), os.getppid(), os.urandom(8).hex(), random.random(), uuid.uuid4())
say("set", {"alpha", "beta", "gamma", "delta"}, hash("word"))
say("dirs", os.listdir("/"), os.listdir("/proc/self/fd"), [e.name for e in os.scandir("/etc")])
functions = math.sin, math.cos, math.tan, math.exp, math.log, math.atan, math.lgamma, math.tanh, math.erf
say("libm", [f(n / 7 + 0.1).hex() for f in functions for n in range(1, 30)], [math.pow(n / 7, 1.7).hex() for n in range(1, 30)])
say("openssl", ssl.RAND_bytes(32).hex())
threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
for t in threads: t.start()
for line in sys.stdin:
    say("line", line.strip(), time.monotonic_ns())
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, b"%d %d" % (os.getpid(), time.monotonic_ns()))
    os._exit(3)
for t in threads: t.join()
say("child", os.wait(), os.read(read, 99))
for file in "uptime", "sys/kernel/random/boot_id", "meminfo", "stat", "cmdline", "cpuinfo":
    say(open("/proc/" + file).read())
say("auxv", open("/proc/self/auxv", "rb").read().hex())
say("usage", resource.getrusage(resource.RUSAGE_SELF), time.process_time_ns())
"#;

/// A directory with a key in it, for receipts.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        KeyFile::new(place.path("key")).create().unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The program with a receipt of this name.
    pub(crate) fn receipted(&self, run: Run, name: &str) -> Run {
        let (receipt, key) = (self.path(name), self.path("key"));
        run.options(["--receipt".into(), receipt, "--key".into(), key])
    }

    pub(crate) fn hello(&self, name: &str) {
        let outcome = self
            .receipted(Run::new(&tree("hello"), "/bin/hello"), name)
            .options(["--nonce", "for me"])
            .guest();
        assert_eq!(outcome.code, 0, "{outcome}");
    }

    pub(crate) fn read(&self, name: &str) -> Receipt {
        receipt::parse(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// A receipt with another claim, which this node has signed all the same.
    pub(crate) fn lie(&self, name: &str, change: impl FnOnce(&mut receipt::Claim)) {
        let mut receipt = self.read(name);
        change(&mut receipt.claim);
        let key = KeyFile::new(self.path("key")).load().unwrap();
        let lie = Receipt::sign(receipt.claim, &key, receipt.hints).unwrap();
        fs::write(self.path(name), lie.to_json().unwrap()).unwrap();
    }
}

pub(crate) fn verify(receipt: &Path, options: &[&str]) -> Outcome {
    let mut command = Command::new(unicell());
    command.arg("verify").arg(receipt).args(options);
    finish(command, b"")
}

/// Runs something while other threads want every processor.
fn under_load<T>(run: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let result = run();
        over.store(true, Ordering::Relaxed);
        result
    })
}

/// Runs a program that answers each line; a line is sent so long after the answer to the one
/// before. Returns what it printed, and its exit code.
fn converse(run: &Run, mut pause: impl FnMut() -> Duration) -> (String, Option<i32>) {
    const LINES: [&str; 4] = ["line one", "line two", "line three", "line four"];
    let mut child = run
        .command()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    for line in LINES {
        thread::sleep(pause());
        // In one piece: another number of pieces is another input.
        input.write_all(format!("{line}\n").as_bytes()).unwrap();
        let answered = said.len();
        while !said[answered..].contains(line) {
            assert!(output.read_line(&mut said).unwrap() > 0, "{said}");
        }
    }
    drop(input);
    while output.read_line(&mut said).unwrap() > 0 {}
    (said, child.wait().unwrap().code())
}

/// Has a conversation at once, and again under load with each line after a while that nobody can
/// foresee. Returns the two, which should be the same.
fn converse_twice(first: &Run, second: &Run) -> [(String, Option<i32>); 2] {
    let quiet = converse(first, || Duration::ZERO);
    let seed = fastrand::u64(..);
    println!("pauses of seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let late = || Duration::from_millis(random.u64(0..70));
    [quiet, under_load(|| converse(second, late))]
}

#[test]
fn a_python_program_is_the_same_under_load_and_however_late_its_input_comes() {
    if too_long_here() {
        return;
    }
    let place = Place::new();
    let python = || Run::new(&tree("python"), "/usr/bin/python3.11").args(["-c", PYTHON]);
    let (first, second) = (
        place.receipted(python(), "first"),
        place.receipted(python(), "second"),
    );
    let [(quiet, code), loaded] = converse_twice(&first, &second);
    assert_eq!((&quiet, code), (&loaded.0, loaded.1));
    assert_eq!(code, Some(0), "{quiet}");
    assert!(quiet.contains("unicell.level=D1"), "{quiet}");
    assert_eq!(place.read("first").claim, place.read("second").claim);
    let outcome = verify(&place.path("first"), &[]);
    assert_eq!(outcome.code, 0, "{outcome}");
}

#[test]
fn channels_timers_and_input_of_tokio_are_the_same_under_load_and_however_late_they_come() {
    let run = Run::new(&tree("tokio"), "/bin/tokio")
        .arg("select")
        .options(["--level", "D1"]);
    let [quiet, loaded] = converse_twice(&run, &run);
    assert_eq!(quiet.1, Some(5), "{}", quiet.0);
    assert_eq!(quiet, loaded);
}

#[test]
fn channels_and_timers_of_go_are_the_same_under_load() {
    if too_long_here() {
        return;
    }
    let place = Place::new();
    let run = || Run::new(&tree("go"), "/bin/go").arg("select");
    let quiet = place.receipted(run(), "first").guest();
    let loaded = under_load(|| place.receipted(run(), "second").guest());
    assert_eq!(quiet.code, 0, "{quiet}");
    assert_eq!(quiet.out(), loaded.out());
    assert_eq!(place.read("first").claim, place.read("second").claim);
}

/// Small, so that it runs in emulation too, where the time stamp counter is trapped otherwise.
#[test]
fn threads_timers_and_the_processor_are_the_same_in_every_libc() {
    let place = Place::new();
    for linking in scale(&["musl", "static"][..], &["musl"]) {
        let run = Run::new(&tree("programs"), &format!("/{linking}/reproducible"));
        let name = |run| format!("{linking}-{run}");
        let first = place.receipted(run.clone(), &name("first"));
        let second = place.receipted(run, &name("second"));
        let [(quiet, code), loaded] = converse_twice(&first, &second);
        assert_eq!((&quiet, code), (&loaded.0, loaded.1));
        assert_eq!(code, Some(0), "{quiet}");
        // Whatever the host shows to those who do not ask.
        for hidden in ["RDRAND", "RDSEED", "RDTSCP"] {
            assert!(quiet.contains(&format!("{hidden} offered: 0")), "{quiet}");
        }
        let claim = place.read(&name("first")).claim;
        assert_eq!(claim, place.read(&name("second")).claim);
        let outcome = verify(&place.path(&name("first")), &[]);
        assert_eq!(outcome.code, 0, "{outcome}");
    }
}

#[test]
fn what_a_program_polls_for_is_found_again() {
    if too_long_here() {
        return;
    }
    // How often it looks in vain depends on the host: the transcript tells.
    const POLLS: &str = "
import os, select, time
looks, got = 0, b''
while got.count(b'\\n') < 2:
    looks += 1
    if select.select([0], [], [], 0)[0]: got += os.read(0, 99)
print(got, looks, time.monotonic_ns())
print('two')
";
    let place = Place::new();
    let run = Run::new(&tree("python"), "/usr/bin/python3.11").args(["-c", POLLS]);
    let run = place.receipted(run, "polls");
    let mut child = run.command().stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for line in ["one\n", "two\n"] {
        thread::sleep(Duration::from_millis(20));
        input.write_all(line.as_bytes()).unwrap();
    }
    assert!(child.wait().unwrap().success());
    let outcome = verify(&place.path("polls"), &[]);
    assert_eq!(outcome.code, 0, "{outcome}");
}

#[test]
fn sleep_takes_no_time_and_passes_all_the_same() {
    let outcome = Run::new(&tree("busybox"), "/bin/busybox")
        .args(["sh", "-c", "date +%s; sleep 100000; date +%s"])
        .options(["--level", "D1"])
        .guest();
    assert_eq!(outcome.out(), "1577836800\n1577936800\n", "{outcome}");
}

#[test]
fn a_program_that_spins_is_ended_or_costs_the_level() {
    let spin = || {
        Run::new(&tree("busybox"), "/bin/busybox")
            .args(["sh", "-c", "(sleep 1; kill -9 $$) & while :; do :; done"])
            .options(["--level", "D1", "--spin-limit", "200ms", "--stats"])
    };
    let ended = spin().guest();
    assert_eq!(ended.code, 212, "{ended}");
    let lowered = spin().options(["--when-spinning", "lower"]).guest();
    assert_eq!(lowered.code, 128 + 9, "{lowered}");
    assert!(lowered.err().contains("D0  level"), "{lowered}");
}

#[test]
fn what_was_tampered_with_is_named() {
    let place = Place::new();
    place.hello("r");
    let receipt = place.path("r");
    let honest = fs::read_to_string(&receipt).unwrap();
    let node = place.read("r").node.to_string();
    let same = verify(&receipt, &["--nonce", "for me", "--signed-by", &node]);
    assert_eq!(same.code, 0, "{same}");

    let expect = |options: &[&str], word: &str| {
        let outcome = verify(&receipt, options);
        assert_eq!(outcome.code, 215, "{outcome}");
        assert!(outcome.err().contains(word), "{outcome}");
    };
    expect(&["--nonce", "for you"], "nonce");
    expect(&["--signed-by", &"ab".repeat(32)], "another node");
    let package = tree("busybox").package();
    expect(&["--box", package.to_str().unwrap()], "another service");

    let mut changed: Value = serde_json::from_str(&honest).unwrap();
    changed["claim"]["end"]["exited"] = 1.into();
    fs::write(&receipt, changed.to_string()).unwrap();
    expect(&[], "signature");
    fs::write(&receipt, "{}").unwrap();
    expect(&[], "no receipt");
    fs::write(&receipt, &honest).unwrap();

    let transcript = place.path("r.transcript");
    let mut bytes = fs::read(&transcript).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&transcript, bytes).unwrap();
    expect(&[], "transcript");
}

#[test]
fn a_lie_is_different_and_what_cannot_be_run_here_is_not_comparable() {
    let place = Place::new();
    place.hello("r");
    let receipt = place.path("r");
    place.lie("r", |claim| claim.output.stdout.0[0] ^= 1);
    let outcome = verify(&receipt, &[]);
    assert_eq!(outcome.code, 213, "{outcome}");
    assert!(outcome.err().contains("standard output"), "{outcome}");
    place.lie("r", |claim| claim.kernel.0[0] ^= 1);
    assert_eq!(verify(&receipt, &[]).code, 214);
    place.hello("r");
    place.lie("r", |claim| claim.level = "D0".into());
    assert_eq!(verify(&receipt, &[]).code, 214);
}

#[test]
fn a_receipt_of_another_build_of_the_vmm_is_compared_and_said_to_be_one() {
    let place = Place::new();
    place.hello("r");
    let receipt = place.path("r");
    let of_ours = verify(&receipt, &[]);
    assert!(!of_ours.out().contains("another build"), "{of_ours}");
    place.lie("r", |claim| claim.vmm.0[0] ^= 1);
    let same = verify(&receipt, &[]);
    assert_eq!(same.code, 0, "{same}");
    assert!(same.out().contains("another build of the VMM"), "{same}");
    place.lie("r", |claim| claim.output.stderr.0[0] ^= 1);
    let different = verify(&receipt, &[]);
    assert_eq!(different.code, 213, "{different}");
    assert!(different.err().contains("standard error"), "{different}");
    assert!(
        different.err().contains("another build of the VMM"),
        "{different}"
    );
}

#[test]
fn what_was_typed_at_a_terminal_is_typed_again() {
    let place = Place::new();
    let shell = Run::new(&tree("busybox"), "/bin/busybox")
        .arg("sh")
        .env("PS1", "sh> ")
        .options(["-it"]);
    let mut session = Session::start(place.receipted(shell, "r").command(), 24, 80);
    session.expect("sh> ");
    session.type_in("stty size; date +%s\r");
    session.expect("24 80\r\n1577836800\r\n");
    session.expect("sh> ");
    session.resize(30, 90);
    session.type_in("stty size; exit 5\r");
    session.expect("30 90\r\n");
    let (code, seen) = session.end();
    assert_eq!(code, 5, "{seen}");
    let outcome = verify(&place.path("r"), &[]);
    assert_eq!(outcome.code, 0, "{outcome}");
}

#[test]
fn a_replay_shows_what_the_program_did() {
    let place = Place::new();
    place.hello("r");
    let mut command = Command::new(unicell());
    command.arg("replay").arg(place.path("r")).arg("--trace");
    let outcome = finish(command, b"");
    assert_eq!(outcome.code, 0, "{outcome}");
    assert_eq!(outcome.out(), "hello from a box\n");
    assert!(outcome.err().contains("exit_group(0x0)"), "{outcome}");
}

#[test]
fn a_key_is_made_shown_copied_and_changed() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let key = |arguments: &[&str]| {
        let mut command = Command::new(unicell());
        command
            .arg("key")
            .args(arguments)
            .args(["--key", &path("key")]);
        finish(command, b"")
    };
    let first_line = |outcome: &Outcome| {
        assert_eq!(outcome.code, 0, "{outcome}");
        outcome.out().lines().next().unwrap().to_owned()
    };
    assert_eq!(key(&["show"]).code, 1);
    let id = first_line(&key(&["create"]));
    assert_eq!(key(&["create"]).code, 1, "there is one");
    assert_eq!(first_line(&key(&["show"])), id);
    assert_eq!(first_line(&key(&["backup", &path("copy")])), id);
    let new = first_line(&key(&["rotate"]));
    assert_ne!(new, id);
    let shown = key(&["show"]);
    assert_eq!(first_line(&shown), new);
    assert!(shown.out().contains(&id), "{shown}");
    fs::remove_file(path("key")).unwrap();
    assert_eq!(first_line(&key(&["restore", &path("copy")])), id);
}
