//! TCP, timers, tasks, processes and signals under tokio, in its runtime of many threads. Prints
//! nothing that depends on time or order.

use std::io;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{interval, sleep, timeout};

#[tokio::main(worker_threads = 4)]
async fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("child") => child().await,
        Some("select") => selects().await,
        Some(_) => sleep(Duration::from_secs(3600)).await,
        None => {
            if let Err(error) = everything().await {
                println!("failed: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::from(5)
}

async fn everything() -> io::Result<()> {
    tasks().await;
    timers().await;
    tcp().await?;
    datagrams().await?;
    files().await?;
    processes().await?;
    signals().await
}

async fn child() {
    let mut text = String::new();
    // What cannot be read shows as a text that is too short.
    let _ = tokio::io::stdin().read_to_string(&mut text).await;
    println!("child read {text:?}");
}

/// Selects over channels, lines of its input and timers, and tells what came when and where: for runs
/// that are to be the same.
async fn selects() {
    let began = Instant::now();
    let (fast, mut from_fast) = mpsc::channel(2);
    let (slow, mut from_slow) = mpsc::channel(2);
    for (sender, pause) in [(fast, 700), (slow, 1900)] {
        tokio::spawn(async move {
            for n in 0..20_u32 {
                sleep(Duration::from_micros(pause)).await;
                let told = (n, std::thread::current().id(), Instant::now());
                // The receiver may have had enough.
                let _ = sender.send(told).await;
            }
        });
    }
    let (typed, mut from_input) = mpsc::channel(2);
    spawn_blocking(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            // As above.
            let _ = typed.blocking_send(line);
        }
    });
    let mut ticks = interval(Duration::from_millis(3));
    for _ in 0..40 {
        let (what, n, thread, at) = tokio::select! {
            Some((n, thread, at)) = from_fast.recv() => ("fast", n, Some(thread), at),
            Some((n, thread, at)) = from_slow.recv() => ("slow", n, Some(thread), at),
            at = ticks.tick() => ("tick", 0, None, at.into_std()),
            Some(line) = from_input.recv() => {
                println!("line {line} at {:?}", began.elapsed());
                continue;
            }
        };
        let now = began.elapsed();
        println!("{what} {n} {thread:?} sent {:?}, seen {now:?}", at - began);
    }
    println!("{:?}", std::time::SystemTime::now());
}

async fn tasks() {
    let (sender, mut receiver) = mpsc::channel(16);
    for n in 0..1000_u64 {
        let sender = sender.clone();
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            // The receiver outlives the senders.
            let _ = sender.send(n).await;
        });
    }
    drop(sender);
    let mut sum = 0;
    while let Some(n) = receiver.recv().await {
        sum += n;
    }
    let blocking = spawn_blocking(|| (1..=20_u64).product::<u64>()).await;
    println!("sum {sum}, factorial {}", blocking.unwrap_or(0));
}

async fn timers() {
    let start = Instant::now();
    let mut set = JoinSet::new();
    for n in [30, 10, 20] {
        set.spawn(async move {
            sleep(Duration::from_millis(n)).await;
            n
        });
    }
    // In which order they are joined, a busy machine decides.
    let mut slept = Vec::new();
    while let Some(Ok(n)) = set.join_next().await {
        slept.push(n);
    }
    slept.sort_unstable();
    println!("slept {slept:?} ms");
    println!(
        "at least 30 ms: {}",
        start.elapsed() >= Duration::from_millis(30)
    );
    let mut ticks = interval(Duration::from_millis(2));
    for _ in 0..5 {
        ticks.tick().await;
    }
    let (_keep, never) = oneshot::channel::<()>();
    println!(
        "timeout: {}",
        timeout(Duration::from_millis(5), never).await.is_err()
    );
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await
        });
    }
}

async fn tcp() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(serve(listener));
    let mut set = JoinSet::new();
    for n in 0..50_u8 {
        set.spawn(async move {
            let stream = TcpStream::connect(address).await?;
            let (mut from, mut to) = stream.into_split();
            let sent = vec![n; 100_000];
            let copy = sent.clone();
            let writer = tokio::spawn(async move {
                to.write_all(&copy).await?;
                to.shutdown().await
            });
            let mut got = Vec::new();
            from.read_to_end(&mut got).await?;
            writer.await??;
            io::Result::Ok(got == sent)
        });
    }
    let mut equal = 0;
    while let Some(result) = set.join_next().await {
        equal += u32::from(result??);
    }
    println!("echoed {equal}");
    server.abort();
    println!(
        "server: {}",
        server.await.is_err_and(|error| error.is_cancelled())
    );
    let refused = TcpStream::connect(address).await;
    println!("{:?}", refused.map_err(|error| error.kind()).err());
    Ok(())
}

async fn datagrams() -> io::Result<()> {
    let (a, b) = (
        UdpSocket::bind("127.0.0.1:0").await?,
        UdpSocket::bind("127.0.0.1:0").await?,
    );
    a.send_to(b"over udp", b.local_addr()?).await?;
    let mut buffer = [0; 64];
    let (len, from) = b.recv_from(&mut buffer).await?;
    println!(
        "{:?} {}",
        std::str::from_utf8(&buffer[..len]),
        from == a.local_addr()?
    );
    let (mut left, right) = UnixStream::pair()?;
    left.write_all(b"one\ntwo\n").await?;
    drop(left);
    let mut lines = BufReader::new(right).lines();
    while let Some(line) = lines.next_line().await? {
        println!("{line}");
    }
    Ok(())
}

async fn files() -> io::Result<()> {
    tokio::fs::write("/tmp/of-tokio", vec![b'x'; 200_000]).await?;
    let text = tokio::fs::read("/tmp/of-tokio").await?;
    tokio::fs::remove_file("/tmp/of-tokio").await?;
    println!("file of {}", text.len());
    Ok(())
}

async fn processes() -> io::Result<()> {
    let mut process = Command::new("/proc/self/exe")
        .arg("child")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = process.stdin.take() {
        stdin.write_all(b"input").await?;
    }
    let output = process.wait_with_output().await?;
    println!(
        "{} {:?}",
        output.status,
        String::from_utf8_lossy(&output.stdout)
    );
    // Eight at a time, and all are waited for.
    let gate = std::sync::Arc::new(Semaphore::new(8));
    let mut set = JoinSet::new();
    for _ in 0..24 {
        let gate = gate.clone();
        set.spawn(async move {
            let _permit = gate.acquire().await.map_err(io::Error::other)?;
            let status = Command::new("/proc/self/exe")
                .arg("child")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status()
                .await?;
            io::Result::Ok(status.code())
        });
    }
    let mut ended = 0;
    while let Some(result) = set.join_next().await {
        ended += i32::from(result?? == Some(5));
    }
    println!("ended {ended}");
    let mut sleeper = Command::new("/proc/self/exe").arg("sleep").spawn()?;
    sleeper.start_kill()?;
    println!("{}", sleeper.wait().await?);
    println!(
        "{:?}",
        Command::new("/absent")
            .spawn()
            .map_err(|error| error.kind())
            .err()
    );
    Ok(())
}

async fn signals() -> io::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    let early = timeout(Duration::from_millis(5), hangups.recv()).await;
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::HUP)?;
    println!(
        "hangup: {} {}",
        early.is_ok(),
        hangups.recv().await.is_some()
    );
    Ok(())
}
