//! Sixty-four threads that pass numbers along a ring of channels, share a
//! counter under a lock, and sum into one result.

use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Barrier, Condvar, Mutex, RwLock};
use std::thread;

const THREADS: usize = 64;
const LAPS: u64 = 20;

thread_local! {
    static VISITS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

fn main() {
    let counter = Arc::new(Mutex::new(0_u64));
    let table = Arc::new(RwLock::new(vec![0_u64; THREADS]));
    let barrier = Arc::new(Barrier::new(THREADS));
    let (results, collected) = channel();

    let (mut senders, receivers): (Vec<_>, Vec<_>) =
        (0..THREADS).map(|_| sync_channel::<u64>(1)).unzip();
    let first = senders[0].clone();
    // Thread i receives on channel i and sends on channel i + 1.
    senders.rotate_left(1);

    let threads: Vec<_> = senders
        .into_iter()
        .zip(receivers)
        .enumerate()
        .map(|(index, (next, previous))| {
            let (counter, table, barrier) = (counter.clone(), table.clone(), barrier.clone());
            let results = results.clone();
            thread::Builder::new()
                .name(format!("ring-{index}"))
                .spawn(move || {
                    barrier.wait();
                    while let Ok(token) = previous.recv() {
                        VISITS.with(|visits| visits.set(visits.get() + 1));
                        *counter.lock().unwrap() += 1;
                        table.write().unwrap()[index] += token;
                        if token == LAPS * THREADS as u64 {
                            break;
                        }
                        // The last one may find its neighbour gone.
                        if next.send(token + 1).is_err() {
                            break;
                        }
                    }
                    drop(next);
                    results.send((index, VISITS.with(std::cell::Cell::get))).unwrap();
                })
                .unwrap()
        })
        .collect();
    drop(results);
    first.send(1).unwrap();
    drop(first);

    let mut visits: Vec<_> = collected.iter().collect();
    visits.sort_unstable();
    for thread in threads {
        thread.join().unwrap();
    }
    println!("threads {}, visits each {:?}", visits.len(), visits[0].1);
    println!("all alike: {}", visits.iter().all(|&(_, count)| count == visits[0].1));
    println!("counter {}", counter.lock().unwrap());
    println!("table {:?}", table.read().unwrap().iter().sum::<u64>());

    let pair = Arc::new((Mutex::new(0), Condvar::new()));
    thread::scope(|scope| {
        for turn in 0..THREADS {
            let pair = pair.clone();
            scope.spawn(move || {
                let mut now = pair.0.lock().unwrap();
                while *now != turn {
                    now = pair.1.wait(now).unwrap();
                }
                *now += 1;
                pair.1.notify_all();
            });
        }
    });
    println!("turns {}", pair.0.lock().unwrap());

    // The usual message names the thread's id, which differs from run to run.
    std::panic::set_hook(Box::new(|_| eprintln!("panicked")));
    let panicked = thread::spawn(|| panic!("on purpose")).join();
    println!("a panic stays in its thread: {}", panicked.is_err());
}
