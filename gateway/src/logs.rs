//! What a program prints, kept within a bound.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use unicell_gateway_api::log::{LogEntry, Source};

use crate::clock::now_ms;

/// What one instance has printed.
#[derive(Debug)]
pub(crate) struct Log {
    kept: Mutex<Kept>,
    /// Changes with each entry; true when nothing comes any more.
    news: watch::Sender<bool>,
}

#[derive(Debug)]
struct Kept {
    entries: VecDeque<LogEntry>,
    /// The number of the first entry that is kept.
    first: u64,
    bytes: usize,
    bound: usize,
    /// Bytes that were printed before the first entry.
    gone: u64,
    sources: usize,
}

/// Bytes that are read at once.
const CHUNK: usize = 16 << 10;
/// The time from one look at what was printed to the next. What a program
/// prints in between waits in the pipe, so that one that prints without end
/// neither wakes the node for each line nor has it read all the time.
const PAUSE: Duration = Duration::from_millis(2);

/// The ends of pipes for a program's output, and what reads them.
pub(crate) fn pipe(log: &Arc<Log>, source: Source) -> io::Result<OwnedFd> {
    let (ours, theirs) = {
        let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        (ours, theirs)
    };
    let receiver = pipe::Receiver::from_owned_fd(ours)?;
    log.kept.lock().sources += 1;
    tokio::spawn(read(Arc::clone(log), source, receiver));
    Ok(theirs)
}

async fn read(log: Arc<Log>, source: Source, mut pipe: pipe::Receiver) {
    let mut bytes = vec![0; CHUNK];
    // The beginning of a character whose rest is still to come.
    let mut have = 0;
    loop {
        // A pipe that fails has ended.
        let read = pipe.read(&mut bytes[have..]).await.unwrap_or(0);
        if read == 0 {
            break;
        }
        have += read;
        let whole = whole_characters(&bytes[..have]);
        log.push(source, &bytes[..whole]);
        bytes.copy_within(whole..have, 0);
        have -= whole;
        tokio::time::sleep(PAUSE).await;
    }
    log.push(source, &bytes[..have]);
    log.end();
}

/// How many bytes there are before a character that is cut off at the end.
fn whole_characters(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let at = bytes.len() - back;
        match bytes[at] {
            0xc0.. => {
                let cut = std::str::from_utf8(&bytes[at..])
                    .is_err_and(|error| error.error_len().is_none());
                return if cut { at } else { bytes.len() };
            }
            0x80..0xc0 => {}
            _ => break,
        }
    }
    bytes.len()
}

impl Log {
    pub(crate) fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self {
            kept: Mutex::new(Kept {
                entries: VecDeque::new(),
                first: 0,
                bytes: 0,
                bound,
                gone: 0,
                sources: 0,
            }),
            news: watch::Sender::new(false),
        })
    }

    fn push(&self, source: Source, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(bytes).into_owned();
        let mut kept = self.kept.lock();
        kept.bytes += text.len();
        kept.entries.push_back(LogEntry {
            time_ms: now_ms(),
            source,
            missed: 0,
            text,
        });
        while kept.bytes > kept.bound || kept.entries.len() > MAX_ENTRIES {
            let Some(oldest) = kept.entries.pop_front() else {
                break;
            };
            kept.bytes -= oldest.text.len();
            kept.gone += oldest.text.len() as u64;
            kept.first += 1;
        }
        drop(kept);
        self.news.send_modify(|_| {});
    }

    fn end(&self) {
        let mut kept = self.kept.lock();
        kept.sources -= 1;
        if kept.sources == 0 {
            self.news.send_replace(true);
        }
    }

    /// Waits until all that was printed is here.
    pub(crate) async fn ended(&self) {
        // The sender is in `self`: it is not dropped while we wait.
        let _ = self.news.subscribe().wait_for(|ended| *ended).await;
    }

    /// Nothing was ever printed, and nothing will be: the program was not started.
    pub(crate) fn close(&self) {
        self.news.send_replace(true);
    }

    /// What is kept, and if `follow` what comes then, until the end.
    pub(crate) fn read(
        self: Arc<Self>,
        follow: bool,
    ) -> impl Stream<Item = LogEntry> + Send + 'static {
        let news = self.news.subscribe();
        let reader = Reader {
            log: self,
            news,
            next: 0,
            passed: 0,
            follow,
        };
        stream::unfold(reader, |mut reader| async {
            let entry = reader.next().await?;
            Some((entry, reader))
        })
    }
}

/// Many small writes are bounded too: each entry costs more than its text.
const MAX_ENTRIES: usize = 4096;

struct Reader {
    log: Arc<Log>,
    news: watch::Receiver<bool>,
    /// The number of the entry to be read.
    next: u64,
    /// Bytes before it.
    passed: u64,
    follow: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<LogEntry> {
        loop {
            let ended = *self.news.borrow_and_update();
            if let Some(entry) = self.take() {
                return Some(entry);
            }
            if ended || !self.follow {
                return None;
            }
            self.news.changed().await.ok()?;
        }
    }

    fn take(&mut self) -> Option<LogEntry> {
        let kept = self.log.kept.lock();
        let mut missed = 0;
        if self.next < kept.first {
            missed = kept.gone - self.passed;
            self.next = kept.first;
            self.passed = kept.gone;
        }
        let entry = kept.entries.get((self.next - kept.first) as usize)?;
        self.next += 1;
        self.passed += entry.text.len() as u64;
        Some(LogEntry {
            missed,
            ..entry.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn all_that_was_printed_is_there_before_the_end() {
        let log = Log::new(1 << 20);
        let mut out = std::fs::File::from(pipe(&log, Source::Stdout).unwrap());
        let err = pipe(&log, Source::Stderr).unwrap();
        let follower = Arc::clone(&log).read(true);
        let text = "grüße, 世界! ".repeat(5000);
        let writer = {
            let text = text.clone();
            tokio::task::spawn_blocking(move || out.write_all(text.as_bytes()).unwrap())
        };
        writer.await.unwrap();
        drop(err);
        let read: String = follower.map(|entry| entry.text).collect().await;
        assert_eq!(read, text);
        log.ended().await;
        assert_eq!(
            log.read(false)
                .map(|entry| entry.text)
                .collect::<String>()
                .await,
            text
        );
    }

    #[tokio::test]
    async fn a_log_is_bounded_and_says_what_is_missing() {
        let log = Log::new(10);
        for text in ["aaaa", "bbbb", "cccc"] {
            log.push(Source::Stdout, text.as_bytes());
        }
        let all: Vec<_> = Arc::clone(&log).read(false).collect().await;
        assert_eq!(
            all.iter()
                .map(|e| (e.missed, e.text.as_str()))
                .collect::<Vec<_>>(),
            [(4, "bbbb"), (0, "cccc")]
        );
        let mut slow = Box::pin(Arc::clone(&log).read(true));
        assert_eq!(slow.next().await.unwrap().missed, 4);
        for text in ["dddd", "eeee", "ffff"] {
            log.push(Source::Stdout, text.as_bytes());
        }
        let next = slow.next().await.unwrap();
        assert_eq!((next.missed, next.text.as_str()), (8, "eeee"));
        for _ in 0..2 * MAX_ENTRIES {
            Log::push(&log, Source::Stdout, b"");
        }
    }

    #[test]
    fn characters_are_not_cut() {
        for text in ["a", "é", "世", "𝄞", "a𝄞"] {
            let bytes = text.as_bytes();
            assert_eq!(whole_characters(bytes), bytes.len());
            let last = text.chars().last().unwrap().len_utf8();
            for cut in 1..last {
                assert_eq!(
                    whole_characters(&bytes[..bytes.len() - cut]),
                    bytes.len() - last
                );
            }
        }
        assert_eq!(whole_characters(&[0xff, 0x80]), 2);
        assert_eq!(whole_characters(&[0x80; 5]), 5);
    }
}
