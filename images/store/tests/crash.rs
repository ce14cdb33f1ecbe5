//! A process that uses a store is killed at random points: what it was told to
//! be there is there, whole; what is not whole is not there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, their helpers too"
)]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fastrand::Rng;
use support::service;
use unicell_service::spec::{Service, ServiceId};
use unicell_store::Store;

/// Where the victim finds its store; a process without it is no victim.
const STORE: &str = "UNICELL_CRASH_STORE";
const SEED: &str = "UNICELL_CRASH_SEED";

/// One of twenty services, which share some of their files.
fn numbered(number: u64) -> Service {
    let own = vec![number as u8; 5000];
    let shared = vec![(number % 4) as u8; 70_000];
    let name = format!("file-{number}");
    service(
        &format!("service {number}"),
        &[(&name, &own), ("shared", &shared)],
    )
}

/// What the killed process does until then: it says what is done.
#[test]
fn victim() {
    let Some(path) = std::env::var_os(STORE) else {
        return;
    };
    let mut random = Rng::with_seed(std::env::var(SEED).unwrap().parse().unwrap());
    let store = Store::open(Path::new(&path)).unwrap();
    let say = |text: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{text}").unwrap();
        out.flush().unwrap();
    };
    say("begin".to_owned());
    loop {
        let number = random.u64(..20);
        match random.u64(..8) {
            0 => {
                // Of all that goes, nothing can be said from here on.
                say("collecting".to_owned());
                store.gc(&[]).unwrap();
            }
            1 => {
                if let Some(id) = store.list().unwrap().into_keys().next() {
                    store.box_image(id).unwrap();
                }
            }
            _ => {
                let id = store.put_service(numbered(number), None).unwrap().ids.id;
                store.tag(id, &format!("t{number}")).unwrap();
                say(format!("put {id}"));
            }
        }
    }
}

#[test]
fn what_was_put_survives_a_kill_at_any_point() {
    if std::env::var_os(STORE).is_some() {
        return;
    }
    let seed = std::env::var(SEED).map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("{SEED}={seed}");
    let mut random = Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut put = BTreeSet::new();
    for round in 0..12 {
        put.extend(run_and_kill(dir.path(), &mut random));
        let store = Store::open(dir.path()).unwrap();
        let there: BTreeSet<ServiceId> = store.list().unwrap().into_keys().collect();
        let lost: Vec<_> = put.difference(&there).collect();
        assert!(lost.is_empty(), "seed {seed}, round {round}: lost {lost:?}");
        let report = store.check().unwrap();
        assert!(report.is_sound(), "seed {seed}, round {round}: {report:?}");
        for id in &there {
            let found = store.get(*id).unwrap().id().unwrap();
            assert_eq!(found, *id, "seed {seed}, round {round}");
        }
        let staging = std::fs::read_dir(dir.path().join("staging")).unwrap();
        assert_eq!(staging.count(), 0, "seed {seed}, round {round}");
    }
    assert!(!put.is_empty(), "seed {seed}: nothing was ever put");
}

#[test]
fn a_store_that_was_only_being_opened_opens_again() {
    if std::env::var_os(STORE).is_some() {
        return;
    }
    let mut random = Rng::new();
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..40 {
        // There is one, whose index is sealed.
        drop(Store::open(dir.path()).unwrap());
        let mut victim = begin(dir.path(), &mut random);
        // As above. Most of it is the process's own beginning.
        std::thread::sleep(Duration::from_micros(random.u64(..15_000)));
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
    Store::open(dir.path()).unwrap();
}

/// Starts a victim.
fn begin(store: &Path, random: &mut Rng) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture", "--test-threads=1"])
        .env(STORE, store)
        .env(SEED, random.u32(..).to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs a victim, kills it after a random time, and says what it had put, and
/// tagged, so that it must still be there.
fn run_and_kill(store: &Path, random: &mut Rng) -> BTreeSet<ServiceId> {
    let mut victim = begin(store, random);
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    // Some are killed while they still open the store.
    if random.u64(..6) > 0 {
        lines
            .find(|line| line.as_ref().unwrap() == "begin")
            .unwrap()
            .unwrap();
    }
    // The point in time is what the test is about: any will do.
    std::thread::sleep(Duration::from_micros(random.u64(..300_000)));
    victim.kill().unwrap();
    victim.wait().unwrap();
    lines
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("put ")?.parse().ok())
        .collect()
}
