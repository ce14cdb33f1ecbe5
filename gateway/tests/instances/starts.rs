//! Starts that fail, that nobody waits for, and that are too many.

use std::time::Duration;

use futures_util::StreamExt;
use hyper::Method;
use unicell_gateway::Caller;
use unicell_gateway::http::Door;
use unicell_gateway::starts::Rate;
use unicell_gateway_api::Code;
use unicell_gateway_api::event::What;
use unicell_gateway_api::instance::{Outcome, Started, State};
use unicell_gateway_api::token::CreateToken;

use crate::start;
use crate::support::{Guest, Node, config, door, request, respond, service};

/// The first guest, when its process is there.
async fn launched(node: &Node) -> Guest {
    loop {
        if let Some(guest) = node.host.guests().pop() {
            return guest;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_start_that_fails_leaves_nothing() {
    let mut config = config();
    config.instance.start = Duration::from_millis(50);
    let node = Node::with(config);
    node.store.add("hello", service(1, &[], &[]));
    let free = node.gateway.node().free;
    *node.host.refuses.lock() = Some("there is no KVM".to_owned());
    let refused = node
        .gateway
        .start(&Caller::operator(), start("hello"))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code, refused.detail.as_str()),
        (Code::StartFailed, "there is no KVM")
    );

    // A program that never comes to run.
    node.host.held.send_replace(true);
    let late = node
        .gateway
        .start(&Caller::operator(), start("hello"))
        .await
        .unwrap_err();
    assert_eq!(late.code, Code::StartFailed);
    assert_eq!(node.gateway.live_instances(), 0);
    assert_eq!(node.gateway.node().free, free);
}

#[tokio::test]
async fn a_guest_that_fails_before_it_runs_is_a_start_that_fails() {
    let node = Node::new();
    node.store.add("hello", service(1, &[], &[]));
    let free = node.gateway.node().free;
    node.host.held.send_replace(true);
    let failing = tokio::spawn({
        let gateway = node.gateway.clone();
        async move { gateway.start(&Caller::operator(), start("hello")).await }
    });
    let guest = launched(&node).await;
    let reason = "the entrypoint is not in the box".to_owned();
    guest
        .exit(Outcome::Failed {
            code: 202,
            reason: reason.clone(),
        })
        .await;
    assert_eq!(failing.await.unwrap().unwrap_err().detail, reason);
    assert_eq!(node.gateway.live_instances(), 0);
    assert_eq!(node.gateway.node().free, free);
}

#[tokio::test]
async fn who_stops_waiting_for_a_start_still_owns_what_was_started() {
    let node = Node::new();
    node.store.add("hello", service(1, &[], &[]));
    node.host.held.send_replace(true);
    let operator = Caller::operator();
    let waiting = node.gateway.start(&operator, start("hello"));
    let guest = tokio::select! {
        started = waiting => panic!("{started:?} though its program does not run"),
        guest = launched(&node) => guest,
    };
    guest.run().await;
    loop {
        let instances = node.gateway.instances(&Caller::operator()).await.unwrap();
        if instances[0].state == State::Running {
            break;
        }
        tokio::task::yield_now().await;
    }
    node.gateway
        .stop(&Caller::operator(), guest.id())
        .await
        .unwrap();
}

#[tokio::test]
async fn who_starts_too_often_is_refused_and_told_when_it_may_again() {
    let mut config = config();
    config.starts.instance = Rate {
        burst: 3,
        each: Duration::from_secs(3600),
    };
    let node = Node::with(config);
    node.store.add("leaf", service(3, &[], &[]));
    node.store
        .add_with("child", service(2, &[], &[]), &["leaf"]);
    node.store
        .add_with("parent", service(1, &[], &[]), &["child"]);
    let (parent, guest) = node.start("parent").await;
    let (_, other) = node.start("parent").await;
    let post = |guest: &Guest, what: &str| {
        let (guest, start) = (guest.clone(), start(what));
        async move {
            let answer = guest.call::<Started>(Method::POST, "/v1/instances", &start);
            answer.await
        }
    };
    let child = post(&guest, "child").await.unwrap();
    let child = node.host.guest(child.id);
    // What is started below counts too.
    post(&child, "leaf").await.unwrap();
    post(&guest, "child").await.unwrap();
    for who in [&guest, &child] {
        let what = if who.id() == parent.id {
            "child"
        } else {
            "leaf"
        };
        let problem = post(who, what).await.unwrap_err();
        assert_eq!((problem.code, problem.status), (Code::TooOften, 429));
        let after = problem.retry_after_ms.unwrap();
        assert!((1..=3_600_000).contains(&after), "{after}");
    }
    // As HTTP says it, too.
    let token = guest.configuration().token;
    let headers = [
        ("host", "gateway"),
        ("unicell-token", token.reveal()),
        ("content-type", "application/json"),
    ];
    let again = request(
        Method::POST,
        "/v1/instances",
        &headers,
        "{\"service\":\"child\"}",
    );
    let response = respond(door(&node.gateway, Door::Guest(parent.id)), again).await;
    let after = response.headers()["retry-after"].to_str().unwrap();
    assert!((1..=3600).contains(&after.parse().unwrap()), "{after}");
    // Nothing of them is left, an event tells of each, and nobody else notices.
    assert_eq!(node.gateway.live_instances(), 5);
    let events = node.gateway.events(&Caller::operator(), false).unwrap();
    let told = events.filter(|event| {
        let too_often = matches!(
            &event.what,
            What::CallRefused {
                code: Code::TooOften,
                ..
            }
        );
        std::future::ready(too_often)
    });
    let whose: Vec<_> = told.map(|event| event.instance.unwrap()).collect().await;
    assert_eq!(whose, [guest.id(), child.id(), guest.id()]);
    post(&other, "child").await.unwrap();
}

#[tokio::test]
async fn a_start_that_comes_a_little_early_waits_for_its_turn() {
    let mut config = config();
    config.starts.client = Rate {
        burst: 1,
        each: Duration::from_millis(1),
    };
    let node = Node::with(config);
    node.store.add("hello", service(1, &[], &[]));
    let alice = CreateToken {
        client: "alice".to_owned(),
        caveats: Vec::new(),
    };
    let token = node.gateway.create_token(&Caller::operator(), alice);
    let alice = node
        .gateway
        .authenticate(&token.unwrap().token, None)
        .unwrap();
    let starts = (0..50).map(|_| node.start_as(&alice, "hello"));
    assert_eq!(futures_util::future::join_all(starts).await.len(), 50);
}
