//! A parent is killed at any point of its life, and nothing is left: no
//! instance, no stream, no resource, no descriptor. Alone in its process, which
//! counts its descriptors.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use hyper::Method;
use support::{Node, service};
use unicell_gateway::Caller;
use unicell_gateway_api::instance::{Outcome, Start, Started, Transport};

fn start(service: &str) -> Start {
    Start {
        service: service.to_owned(),
        ..Start::default()
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A parent with children that have streams is killed at any point of their
/// life, and nothing of them is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_a_parent_at_any_point_leaves_nothing() {
    let node = Node::new();
    node.store.add("worker", service(2, &[7], &[]));
    node.store
        .add_with("boss", service(1, &[], &[]), &["worker"]);
    let free = node.gateway.node().free;
    // The first start makes what the process keeps.
    let (first, _) = node.start("boss").await;
    node.gateway
        .stop(&Caller::operator(), first.id)
        .await
        .unwrap();
    node.host.forget();
    let before = descriptors();
    for round in 0..60_u32 {
        let (boss, guest) = node.start("boss").await;
        let busy = tokio::spawn({
            let (guest, host) = (guest.clone(), node.host.clone());
            async move {
                for number in 1..=3 {
                    let child: Started = guest
                        .call(Method::POST, "/v1/instances", &start("worker"))
                        .await
                        .ok()?;
                    let mut accept = host.guest(child.id).listen(7);
                    let ours = guest
                        .connect(Transport::Tcp, &format!("10.1.0.{number}:7"))
                        .await
                        .ok()?;
                    drop((ours, accept.recv().await?.socket));
                }
                Some(())
            }
        });
        for _ in 0..round * 3 {
            tokio::task::yield_now().await;
        }
        if round % 2 == 0 {
            guest.exit(Outcome::Signaled { signal: 9 }).await;
        } else {
            node.gateway
                .stop(&Caller::operator(), boss.id)
                .await
                .unwrap();
        }
        node.ended(boss.id).await;
        busy.abort();
        let _ = busy.await;
        assert_eq!(node.gateway.live_instances(), 0, "round {round}");
        assert_eq!(node.gateway.open_streams(), 0, "round {round}");
        assert_eq!(node.gateway.node().free, free, "round {round}");
        node.host.forget();
    }
    // What served them ends by itself, soon.
    while descriptors() > before {
        tokio::task::yield_now().await;
    }
}
