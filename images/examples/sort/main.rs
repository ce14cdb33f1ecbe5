//! Sorts numbers with helpers: starts several children, gives each a share, and merges what they
//! answer. The children connect to their parent, so none of them has to be waited for.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    let count = |name, usual| std::env::var(name).map_or(Ok(usual), |text| text.parse());
    let (numbers, helpers) = (numbers(count("NUMBERS", 100_000)?), count("HELPERS", 4)?);
    let listener = TcpListener::bind(("0.0.0.0", 7000))?;
    let gateway = unicell_sdk::Gateway::open()?;
    let mut shares = Vec::new();
    for share in numbers.chunks(numbers.len().div_ceil(helpers).max(1)) {
        gateway.spawn("sorter")?;
        let (stream, _) = listener.accept()?;
        println!("a helper sorts {} numbers", share.len());
        let share = share.to_vec();
        shares.push(thread::spawn(move || sorted(&stream, &share)));
    }
    let mut answers = Vec::new();
    for share in shares {
        answers.push(share.join().map_err(|_| "a share was lost")??);
    }
    let merged = merge(answers);
    let in_order = merged.is_sorted() && merged.len() == numbers.len();
    println!("{} numbers, in order: {in_order}", merged.len());
    Ok(())
}

/// Numbers without an order, the same in each run.
fn numbers(count: usize) -> Vec<u64> {
    // Knuth's MMIX generator.
    let next = |number: &u64| {
        Some(
            number
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407),
        )
    };
    std::iter::successors(Some(1), next)
        .map(|number| number >> 32)
        .take(count)
        .collect()
}

/// Has a helper sort numbers, one a line.
fn sorted(mut stream: &TcpStream, share: &[u64]) -> Result<Vec<u64>> {
    let lines: String = share.iter().map(|number| format!("{number}\n")).collect();
    stream.write_all(lines.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    BufReader::new(stream)
        .lines()
        .map(|line| Ok(line?.parse()?))
        .collect()
}

/// One list from several that are in order: always the least of the first ones.
fn merge(lists: Vec<Vec<u64>>) -> Vec<u64> {
    let mut lists: Vec<_> = lists.into_iter().map(VecDeque::from).collect();
    let least = || {
        let left = lists.iter_mut().filter(|list| !list.is_empty());
        left.min_by_key(|list| list.front().copied())?.pop_front()
    };
    std::iter::from_fn(least).collect()
}
