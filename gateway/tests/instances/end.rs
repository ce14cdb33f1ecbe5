//! How a node ends, and what the next life is told.

use std::time::Duration;

use futures_util::StreamExt;
use hyper::Method;
use unicell_gateway::Caller;
use unicell_gateway::record::Record;
use unicell_gateway_api::Code;
use unicell_gateway_api::event::What;
use unicell_gateway_api::instance::{Outcome, Start, Started};

use crate::support::{Node, config, service};
use crate::{publish, start};

#[tokio::test]
async fn the_next_life_is_told_what_was_lost_and_refuses_its_tokens() {
    let node = Node::new();
    node.store.add("hello", service(1, &[80], &[]));
    let request = Start {
        publish: vec![publish(80)],
        ..start("hello")
    };
    let (started, guest) = node.start_with(&Caller::operator(), request).await;
    let (gone, _) = node.start("hello").await;
    node.gateway
        .stop(&Caller::operator(), gone.id)
        .await
        .unwrap();
    let token = guest.configuration().token;
    // As after kill -9: nothing is told to the record any more.
    let copy = node.folder.path().join("copy");
    let seen = loop {
        std::fs::copy(node.folder.path().join("record"), &copy).unwrap();
        // The file may be copied in the middle of a write; redb repairs or refuses.
        if let Ok((record, last)) = Record::open(&copy)
            && last.remnants.len() == 1
        {
            break (record, last);
        }
        tokio::task::yield_now().await;
    };
    let (record, last) = seen;
    let remnant = &last.remnants[0];
    assert_eq!(
        (remnant.id, remnant.incarnation),
        (started.id, started.incarnation)
    );
    assert_eq!(remnant.traces.pid, Some(std::process::id()));
    assert_eq!(remnant.published, started.slots[0].addresses);
    let next = unicell_gateway::Gateway::new(
        config(),
        node.host.clone(),
        node.store.clone(),
        record,
        last,
    );
    let events: Vec<_> = next
        .events(&Caller::operator(), false)
        .unwrap()
        .collect()
        .await;
    assert!(matches!(events[0].what, What::Lost { service } if service == started.service));
    assert_eq!(
        next.authenticate(&token, None).unwrap_err().code,
        Code::TokenInvalid
    );
    let again = next
        .start(&Caller::operator(), start("hello"))
        .await
        .unwrap();
    assert!(again.incarnation > started.incarnation);
    next.shut_down().await;
}

#[tokio::test]
async fn a_shut_down_stops_all_and_starts_nothing() {
    let node = Node::new();
    node.store.add("worker", service(2, &[], &[]));
    node.store
        .add_with("boss", service(1, &[], &[]), &["worker"]);
    for _ in 0..3 {
        let (_, guest) = node.start("boss").await;
        guest
            .call::<Started>(Method::POST, "/v1/instances", &start("worker"))
            .await
            .unwrap();
    }
    node.gateway.shut_down().await;
    assert_eq!(node.gateway.live_instances(), 0);
    assert_eq!(node.host.stopped.lock().len(), 6);
    let refused = node
        .gateway
        .start(&Caller::operator(), start("boss"))
        .await
        .unwrap_err();
    assert_eq!(refused.code, Code::ShuttingDown);
}

#[tokio::test]
async fn who_stops_waiting_for_a_stop_has_stopped_it() {
    let node = Node::new();
    node.store.add("hello", service(1, &[], &[]));
    let (started, _guest) = node.start("hello").await;
    node.host.slow.send_replace(true);
    let operator = Caller::operator();
    let waiting = node.gateway.stop(&operator, started.id);
    assert!(
        tokio::time::timeout(Duration::from_millis(30), waiting)
            .await
            .is_err()
    );
    node.host.slow.send_replace(false);
    assert_eq!(node.ended(started.id).await, Outcome::Stopped);
}
