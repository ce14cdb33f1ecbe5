//! Those who wait to be answered.
//!
//! Whoever comes for something that is not there yet joins a line. Whoever has it, or knows that it
//! will never come, takes one out of the line and answers it: nobody who comes later is first, and an
//! answer is never missed, whatever changes before the thread that waits runs again.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use super::{WaitQueue, scheduler};
use crate::errno::Result;
use crate::sync::Mutex;

/// Those who wait, in the order in which they came: each for what its wish `W` says, to be answered
/// with a `T`.
pub struct Line<W, T>(VecDeque<Waiter<W, T>>);

/// One who has been taken out of a line, to be answered.
pub struct Waiter<W, T> {
    /// What it waits for.
    pub wish: W,
    place: Arc<Place<T>>,
}

/// The place in a line, of the thread that waits.
pub struct Ticket<T>(Arc<Place<T>>);

struct Place<T> {
    answer: Mutex<Option<T>>,
    answered: WaitQueue,
}

impl<W, T> Default for Line<W, T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<W, T> Line<W, T> {
    /// Takes the last place. Who waits by its ticket leaves the line if no answer came.
    pub fn join(&mut self, wish: W) -> Ticket<T> {
        let place = Arc::new(Place {
            answer: Mutex::new(None),
            answered: WaitQueue::new(),
        });
        let ticket = Ticket(Arc::clone(&place));
        self.0.push_back(Waiter { wish, place });
        ticket
    }

    /// Gives up a place, if it is in this line.
    pub fn leave(&mut self, ticket: &Ticket<T>) {
        self.0
            .retain(|waiter| !Arc::ptr_eq(&waiter.place, &ticket.0));
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What they wait for, the first first.
    pub fn wishes(&self) -> impl Iterator<Item = &W> {
        self.0.iter().map(|waiter| &waiter.wish)
    }

    /// What the one at a place waits for.
    #[must_use]
    pub fn wish(&self, at: usize) -> Option<&W> {
        Some(&self.0.get(at)?.wish)
    }

    /// What the one at a place waits for, to be changed.
    pub fn wish_mut(&mut self, at: usize) -> Option<&mut W> {
        Some(&mut self.0.get_mut(at)?.wish)
    }

    /// Takes out the first.
    pub fn pop(&mut self) -> Option<Waiter<W, T>> {
        self.0.pop_front()
    }

    /// Takes out the first whose wish is as asked.
    pub fn take_first(&mut self, is_it: impl FnMut(&W) -> bool) -> Option<Waiter<W, T>> {
        let at = self.wishes().position(is_it)?;
        self.take(at)
    }

    /// Takes out the one at a place.
    pub fn take(&mut self, at: usize) -> Option<Waiter<W, T>> {
        self.0.remove(at)
    }

    /// Takes out all but the first `count`.
    #[must_use]
    pub fn split_off(&mut self, count: usize) -> Self {
        Self(self.0.split_off(count.min(self.0.len())))
    }

    /// Puts those of another line behind those of this one; returns how many.
    pub fn append(&mut self, mut other: Self) -> usize {
        let count = other.0.len();
        self.0.append(&mut other.0);
        count
    }
}

impl<W, T> Waiter<W, T> {
    /// Gives it its answer, and wakes it; returns its wish.
    pub fn answer(self, answer: T) -> W {
        *self.place.answer.lock() = Some(answer);
        self.place.answered.wake_all();
        self.wish
    }
}

impl<T> Ticket<T> {
    /// Sleeps until the answer is there. Without one, `leave` has to take the ticket out of the line
    /// where it is then.
    ///
    /// # Errors
    ///
    /// As [`wait`](super::wait).
    pub fn wait(self, deadline: Option<u64>, leave: impl FnOnce(&Self)) -> Result<T> {
        let answer = || self.0.answer.lock().take();
        let answered = scheduler::wait(&[&self.0.answered], deadline, answer);
        answered.inspect_err(|_| leave(&self))
    }
}
