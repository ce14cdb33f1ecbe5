//! What happens, kept for a while and told to those who listen.
//!
//! Each instance has a ring of its own, so that one that makes many events
//! displaces none but its own. A listener that is too slow is told how many
//! it missed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures_util::stream::{self, Stream, StreamExt};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use unicell_gateway_api::event::{Event, What};
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::Owner;

use crate::clock::now_ms;

/// An event, and whose instance it is about.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) event: Event,
    /// The owner of the instance, for those who may see it.
    pub(crate) owner: Option<Owner>,
}

/// All that happens.
#[derive(Debug)]
pub(crate) struct Events {
    kept: Mutex<Kept>,
    live: broadcast::Sender<Arc<Told>>,
}

#[derive(Debug)]
struct Kept {
    next: u64,
    /// About no instance.
    node: VecDeque<Arc<Told>>,
    instances: BTreeMap<InstanceId, VecDeque<Arc<Told>>>,
    node_bound: usize,
    instance_bound: usize,
}

impl Events {
    pub(crate) fn new(node_bound: usize, instance_bound: usize, lag: usize) -> Self {
        Self {
            kept: Mutex::new(Kept {
                next: 1,
                node: VecDeque::new(),
                instances: BTreeMap::new(),
                node_bound,
                instance_bound,
            }),
            live: broadcast::Sender::new(lag),
        }
    }

    /// Something about the node happened.
    pub(crate) fn node(&self, what: What) {
        self.tell(None, what);
    }

    /// Something about an instance happened.
    pub(crate) fn instance(&self, id: InstanceId, owner: Owner, what: What) {
        self.tell(Some((id, owner)), what);
    }

    fn tell(&self, about: Option<(InstanceId, Owner)>, what: What) {
        let (instance, owner) = about.unzip();
        tracing::debug!(?instance, ?what);
        let mut kept = self.kept.lock();
        let number = kept.next;
        kept.next += 1;
        let told = Arc::new(Told {
            event: Event {
                number,
                time_ms: now_ms(),
                instance,
                what,
            },
            owner,
        });
        let (bound, ring) = match instance {
            Some(id) => (kept.instance_bound, kept.instances.entry(id).or_default()),
            None => (kept.node_bound, &mut kept.node),
        };
        if ring.len() >= bound {
            ring.pop_front();
        }
        ring.push_back(Arc::clone(&told));
        // Under the lock, so that listeners hear events in their order. Nobody
        // listening is no failure.
        let _ = self.live.send(told);
    }

    /// Forgets what was kept of an instance.
    pub(crate) fn forget(&self, id: InstanceId) {
        self.kept.lock().instances.remove(&id);
    }

    /// What is kept, in its order, and what comes then if `follow`; of what
    /// `visible` permits.
    pub(crate) fn listen<V>(
        &self,
        follow: bool,
        visible: V,
    ) -> impl Stream<Item = Event> + Send + use<V>
    where
        V: Fn(&Told) -> bool + Clone + Send + Sync + 'static,
    {
        let (mut past, live) = {
            let kept = self.kept.lock();
            let rings = kept.instances.values().chain([&kept.node]);
            let past: Vec<_> = rings.flatten().map(Arc::clone).collect();
            (past, follow.then(|| self.live.subscribe()))
        };
        past.sort_by_key(|told| told.event.number);
        let seen = visible.clone();
        let past = past
            .into_iter()
            .filter(move |told| seen(told))
            .map(|told| told.event.clone())
            .collect::<Vec<_>>();
        stream::iter(past).chain(stream::unfold(live, move |live| {
            let visible = visible.clone();
            async move { next(live?, &visible).await }
        }))
    }
}

type Live = broadcast::Receiver<Arc<Told>>;

async fn next(mut live: Live, visible: &impl Fn(&Told) -> bool) -> Option<(Event, Option<Live>)> {
    loop {
        match live.recv().await {
            Ok(told) if visible(&told) => return Some((told.event.clone(), Some(live))),
            Ok(_) => {}
            Err(RecvError::Lagged(missed)) => {
                let event = Event {
                    number: 0,
                    time_ms: now_ms(),
                    instance: None,
                    what: What::Lagged { missed },
                };
                return Some((event, Some(live)));
            }
            Err(RecvError::Closed) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> InstanceId {
        InstanceId::new([number; 6])
    }

    fn stopping(reason: &str) -> What {
        What::Stopping {
            reason: reason.to_owned(),
        }
    }

    #[tokio::test]
    async fn one_instance_displaces_no_events_of_another() {
        let events = Events::new(4, 4, 4);
        events.instance(id(1), Owner::Operator, stopping("a"));
        events.node(What::ShuttingDown);
        for _ in 0..100 {
            events.instance(id(2), Owner::Client("c".into()), stopping("b"));
        }
        let all: Vec<_> = events.listen(false, |_| true).collect().await;
        assert_eq!(
            all.iter().map(|event| event.number).collect::<Vec<_>>(),
            [1, 2, 99, 100, 101, 102]
        );
        let own: Vec<_> = events
            .listen(false, |told| told.owner == Some(Owner::Operator))
            .collect()
            .await;
        assert_eq!(own.len(), 1);
        events.forget(id(2));
        assert_eq!(events.listen(false, |_| true).count().await, 2);
    }

    #[tokio::test]
    async fn who_is_too_slow_is_told() {
        let events = Events::new(4, 4, 4);
        let mut heard = Box::pin(events.listen(true, |_| true));
        for _ in 0..10 {
            events.node(What::TokenRevoked);
        }
        assert_eq!(heard.next().await.unwrap().what, What::Lagged { missed: 6 });
        assert_eq!(heard.next().await.unwrap().number, 7);
        drop(events);
        assert_eq!(heard.count().await, 3);
    }
}
