//! Parents and children.

use hyper::Method;
use unicell_gateway::Caller;
use unicell_gateway_api::Code;
use unicell_gateway_api::instance::{
    AvailabilityRequest, Instance, Limits, Outcome, Owner, Resources, Start, Started, Usage,
};

use crate::start;
use crate::support::{Node, service};

#[tokio::test]
async fn a_child_belongs_to_its_parent_and_dies_with_it() {
    let node = Node::new();
    node.store.add("worker", service(2, &[7], &[]));
    node.store
        .add_with("boss", service(1, &[], &[]), &["worker"]);
    let (boss, guest) = node.start("boss").await;
    let mut children = Vec::new();
    for _ in 0..3 {
        let started: Started = guest
            .call(Method::POST, "/v1/instances", &start("worker"))
            .await
            .unwrap();
        children.push(started);
    }
    let names: Vec<_> = children.iter().map(|child| child.name.as_str()).collect();
    assert_eq!(names, ["worker", "worker-2", "worker-3"]);
    assert_eq!(children[2].slots[0].addresses[0].to_string(), "10.1.0.3:7");

    // Seen and reached by its parent and the operator; others do not even see it.
    let seen: Vec<Instance> = guest.call(Method::GET, "/v1/instances", &()).await.unwrap();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].owner, Owner::Instance(boss.id));
    let (other, stranger) = node.start("boss").await;
    let path = format!("/v1/instances/{}", children[0].id);
    let refused = stranger
        .call::<Instance>(Method::GET, &path, &())
        .await
        .unwrap_err();
    assert_eq!(refused.code, Code::NotFound);
    let sibling = node.host.guest(children[1].id);
    assert_eq!(
        sibling
            .call::<Instance>(Method::DELETE, &path, &())
            .await
            .unwrap_err()
            .code,
        Code::NotFound
    );
    // An alias means something to who declares it, and a tag to nobody inside.
    let unknown = sibling
        .call::<Started>(Method::POST, "/v1/instances", &start("worker"))
        .await;
    assert_eq!(unknown.unwrap_err().code, Code::NotFound);

    // The parent ends by itself: its children are stopped, then it is over.
    guest.use_up(Usage {
        cpu_ns: 5,
        ..Usage::default()
    });
    guest.exit(Outcome::Exited { status: 3 }).await;
    assert_eq!(node.ended(boss.id).await, Outcome::Exited { status: 3 });
    for child in &children {
        assert_eq!(node.ended(child.id).await, Outcome::Stopped);
    }
    assert_eq!(node.gateway.live_instances(), 1);
    let ended = node
        .gateway
        .instance(&Caller::operator(), boss.id)
        .await
        .unwrap();
    assert_eq!((ended.usage.cpu_ns, ended.children.len()), (5, 0));
    node.gateway
        .stop(&Caller::operator(), other.id)
        .await
        .unwrap();
}

#[tokio::test]
async fn stopping_is_from_the_leaves_up() {
    let node = Node::new();
    node.store.add("leaf", service(3, &[], &[]));
    node.store
        .add_with("branch", service(2, &[], &[]), &["leaf"]);
    node.store
        .add_with("root", service(1, &[], &[]), &["branch"]);
    let (root, guest) = node.start("root").await;
    let branch: Started = guest
        .call(Method::POST, "/v1/instances", &start("branch"))
        .await
        .unwrap();
    let middle = node.host.guest(branch.id);
    let leaf: Started = middle
        .call(Method::POST, "/v1/instances", &start("leaf"))
        .await
        .unwrap();
    let stopped = node
        .gateway
        .stop(&Caller::operator(), root.id)
        .await
        .unwrap();
    assert_eq!(stopped.outcome, Outcome::Stopped);
    assert_eq!(stopped.returned.memory, 1 << 20);
    assert_eq!(*node.host.stopped.lock(), [leaf.id, branch.id, root.id]);
    // Again is nothing new.
    assert_eq!(
        node.gateway
            .stop(&Caller::operator(), root.id)
            .await
            .unwrap(),
        stopped
    );
}

#[tokio::test]
async fn a_parent_pays_within_what_it_was_given() {
    let node = Node::new();
    node.store.add("worker", service(2, &[], &[]));
    node.store
        .add_with("boss", service(1, &[], &[]), &["worker"]);
    let mib = |mib: u64| Limits {
        memory: mib << 20,
        cpu_milli: 1000,
        disk: 10 << 20,
    };
    let request = Start {
        allowance: Some(mib(3)),
        ..start("boss")
    };
    let (_, guest) = node.start_with(&Caller::operator(), request).await;
    let more = async |memory: u64| {
        let resources = Resources {
            memory: Some(memory << 20),
            ..Resources::default()
        };
        let request = Start {
            resources,
            ..start("worker")
        };
        guest
            .call::<Started>(Method::POST, "/v1/instances", &request)
            .await
    };
    let first = more(2).await.unwrap();
    assert_eq!(more(2).await.unwrap_err().code, Code::NoResources);
    let request = AvailabilityRequest {
        service: Some("worker".into()),
        ..Default::default()
    };
    let caller = node.caller(&guest);
    assert!(
        node.gateway
            .availability(&caller, request.clone())
            .await
            .unwrap()
            .available
    );
    let resize = |memory: u64| Resources {
        memory: Some(memory << 20),
        ..Resources::default()
    };
    node.gateway
        .resources(&caller, first.id, resize(3))
        .await
        .unwrap();
    assert_eq!(node.host.guest(first.id).limits().memory, 3 << 20);
    let full = node.gateway.availability(&caller, request).await.unwrap();
    assert!(
        !full.available && full.reasons[0].contains("memory"),
        "{full:?}"
    );
    let over = node
        .gateway
        .resources(&caller, first.id, resize(4))
        .await
        .unwrap_err();
    assert_eq!(over.code, Code::NoResources);
    let over = node
        .gateway
        .resources(&caller, first.id, resize(1 << 12))
        .await
        .unwrap_err();
    assert!(over.detail.contains("declares"), "{over}");
    node.gateway.stop(&caller, first.id).await.unwrap();
    more(3).await.unwrap();
}
