//! Urgent data (MSG_OOB): one byte beside the stream, and the place in the stream where it was sent.

/// Urgent data that has arrived.
#[derive(Default)]
pub(super) struct Urgent {
    /// Bytes of the queue before the place; none if it was passed, or there never was one.
    mark: Option<usize>,
    /// The byte, unless it was read, or stays in the stream (SO_OOBINLINE).
    byte: Option<u8>,
    /// Whether the program is still to be told.
    news: bool,
}

impl Urgent {
    /// A byte has arrived after `queued` others; if `inline` it is the next of the queue.
    pub(super) fn arrive(&mut self, queued: usize, byte: u8, inline: bool) {
        *self = Self {
            mark: Some(queued),
            byte: (!inline).then_some(byte),
            news: true,
        };
    }

    /// Whether there is something urgent to be read.
    pub(super) fn is_news(&self) -> bool {
        self.news
    }

    /// Whether the place is next.
    pub(super) fn is_next(&self) -> bool {
        self.mark == Some(0)
    }

    /// Bytes that a read may take: it stops at the place, and a further one goes on behind.
    pub(super) fn limit(&self) -> usize {
        self.mark.filter(|mark| *mark > 0).unwrap_or(usize::MAX)
    }

    /// So many bytes were taken from the queue.
    pub(super) fn taken(&mut self, count: usize) {
        match self.mark {
            Some(mark) if count <= mark && mark > 0 => self.mark = Some(mark - count),
            Some(_) if count > 0 => *self = Self::default(),
            _ => {}
        }
    }

    /// The byte, which goes unless it is only peeked at.
    pub(super) fn read(&mut self, peek: bool) -> Option<u8> {
        let byte = self.byte?;
        if !peek {
            (self.byte, self.news) = (None, false);
        }
        Some(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stop_at_the_place_and_pass_it_once() {
        let mut urgent = Urgent::default();
        assert_eq!(urgent.limit(), usize::MAX);
        urgent.arrive(3, b'!', false);
        assert_eq!((urgent.limit(), urgent.is_next()), (3, false));
        urgent.taken(2);
        urgent.taken(1);
        assert_eq!((urgent.limit(), urgent.is_next()), (usize::MAX, true));
        assert_eq!(
            (urgent.read(true), urgent.read(false)),
            (Some(b'!'), Some(b'!'))
        );
        assert_eq!((urgent.read(false), urgent.is_news()), (None, false));
        assert!(urgent.is_next());
        urgent.taken(1);
        assert!(!urgent.is_next());
    }

    #[test]
    fn a_byte_that_was_passed_is_lost() {
        let mut urgent = Urgent::default();
        urgent.arrive(0, b'!', false);
        urgent.taken(5);
        assert_eq!((urgent.read(false), urgent.is_news()), (None, false));
    }
}
