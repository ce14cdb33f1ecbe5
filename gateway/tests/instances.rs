//! Instances: who belongs to whom, and that nothing is left of any.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use hyper::Method;
use support::{Node, config, network, service};
use unicell_gateway::Caller;
use unicell_gateway::record::Record;
use unicell_gateway_api::Code;
use unicell_gateway_api::configuration::Configuration;
use unicell_gateway_api::event::What;
use unicell_gateway_api::instance::{
    AvailabilityRequest, Determinism, EstimateRequest, Instance, Limits, Outcome, Owner, Publish,
    Resources, Start, Started, State, Transport, Usage,
};
use unicell_gateway_api::network::{Descriptor, NetworkPolicy};
use unicell_gateway_api::services::ConfigFormat;

fn start(service: &str) -> Start {
    Start {
        service: service.to_owned(),
        ..Start::default()
    }
}

#[tokio::test]
async fn an_instance_is_told_what_it_is() {
    let node = Node::new();
    node.store.add("child", service(2, &[], &[]));
    node.store
        .add_with("hello", service(1, &[80], &["nowhere"]), &["child"]);
    let request = Start {
        name: Some("greeter".to_owned()),
        env: BTreeMap::from([("COLOR".to_owned(), "red".to_owned())]),
        args: Some(vec!["-v".to_owned()]),
        resources: Resources {
            memory: Some(2 << 20),
            ..Resources::default()
        },
        timeout_ms: Some(5000),
        ..start("hello")
    };
    let (started, guest) = node.start_with(&Caller::operator(), request).await;
    assert_eq!(started.name, "greeter");
    assert!(!started.networks[0].granted);
    guest.launch(|launch| {
        assert_eq!(launch.program.args, ["-v"]);
        assert_eq!(launch.program.env, ["PATH=/bin", "COLOR=red"]);
        assert_eq!(launch.limits.memory, 2 << 20);
        assert_eq!(launch.limits.cpu_milli, 100);
        assert_eq!(launch.hostname, "greeter");
        assert_eq!(launch.timeout, Some(Duration::from_secs(5)));
    });
    let configuration = guest.configuration();
    assert_eq!(configuration.instance, started.id);
    assert_eq!(configuration.gateway.url, "http://gateway/");
    assert_eq!(configuration.environment["COLOR"], "red");
    assert!(configuration.dependencies.contains_key("child"));
    assert_eq!(configuration.resources.memory, 2 << 20);
    assert_eq!(guest.file("/etc/resolv.conf"), b"nameserver 10.0.0.1\n");
}

#[tokio::test]
async fn a_service_that_wants_its_configuration_in_proto3_has_it_so() {
    use unicell_service::spec::ConfigurationFile;
    use unicell_service::wire::Message;
    let node = Node::new();
    let policy = NetworkPolicy {
        network: network("n"),
        instances: true,
        endpoints: Vec::new(),
    };
    node.gateway
        .allow(&Caller::operator(), policy)
        .await
        .unwrap();
    let mut plan = service(1, &[80], &["n"]);
    node.store.add("json", plan.clone());
    plan.config_format = ConfigFormat::Proto3;
    node.store.add("proto3", plan);
    let (_peer, _) = node.start("json").await;
    let (started, guest) = node.start("proto3").await;
    let file = ConfigurationFile::from_bytes(&guest.file("/__config__")).unwrap();
    let gateway = &file.gateway.unwrap().addresses[0];
    assert_eq!(
        (gateway.internal_port, gateway.uri[0].ip.as_str()),
        (80, "10.0.0.1")
    );
    assert_eq!(file.network_resolution[0].tags, ["n"]);
    assert_eq!(
        file.network_resolution[0].peers[0].addresses[0].uri[0].ip,
        "10.2.0.1"
    );
    let resources = file.initial_resources.unwrap();
    assert_eq!(
        (resources.mem_limit, resources.cpu_quota),
        (Some(1 << 20), Some(10_000))
    );
    // What has the token is beside it.
    let json: Configuration = serde_json::from_slice(&guest.file("/__config__.json")).unwrap();
    assert_eq!(json.instance, started.id);
}

#[tokio::test]
async fn what_does_not_fit_the_service_is_refused_by_name() {
    let node = Node::new();
    node.store.add("hello", service(1, &[80], &["n"]));
    node.store.add("new", support_architecture("x86-64-v4"));
    let mut picky = service(3, &[], &[]);
    picky.expected_gateway = vec![Descriptor {
        tags: vec!["other/9".to_owned()],
        ..Descriptor::default()
    }];
    node.store.add("picky", picky);
    let refused = async |request: Start| {
        let refused = node.gateway.start(&Caller::operator(), request).await;
        refused.expect_err("it is refused")
    };
    let cases = [
        (start("nothing"), Code::NotFound, "nothing"),
        (start("new"), Code::Unsupported, "x86-64-v4"),
        (start("picky"), Code::Unsupported, "other/9"),
        (
            Start {
                name: Some("Not A Name".into()),
                ..start("hello")
            },
            Code::BadRequest,
            "name",
        ),
        (
            Start {
                name: Some("gateway".into()),
                ..start("hello")
            },
            Code::BadRequest,
            "name",
        ),
        (
            Start {
                networks: Some(vec!["m".into()]),
                ..start("hello")
            },
            Code::BadRequest,
            "\"m\"",
        ),
        (
            Start {
                args: Some(vec!["a\0b".into()]),
                ..start("hello")
            },
            Code::BadRequest,
            "byte 0",
        ),
        (
            Start {
                args: Some(vec!["a".repeat(1 << 20)]),
                ..start("hello")
            },
            Code::BadRequest,
            "args",
        ),
        (
            Start {
                env: BTreeMap::from([("SIZE".into(), "1".into())]),
                ..start("hello")
            },
            Code::BadRequest,
            "COLOR",
        ),
        (
            Start {
                resources: Resources {
                    memory: Some(1 << 40),
                    ..Resources::default()
                },
                ..start("hello")
            },
            Code::BadRequest,
            "resources.memory",
        ),
        (
            Start {
                publish: vec![publish(81)],
                ..start("hello")
            },
            Code::BadRequest,
            "slot 81",
        ),
    ];
    for (request, code, names) in cases {
        let problem = refused(request).await;
        assert_eq!(problem.code, code, "{problem}");
        assert!(problem.detail.contains(names), "{problem}");
    }
    assert_eq!(node.gateway.live_instances(), 0);
    assert!(node.host.guests().is_empty());
}

fn support_architecture(level: &str) -> unicell_gateway_api::services::Plan {
    let mut plan = service(9, &[], &[]);
    plan.architecture = level.to_owned();
    plan
}

fn publish(slot: u16) -> Publish {
    Publish {
        slot,
        transport: Transport::Tcp,
        host: "127.0.0.1:0".parse().unwrap(),
    }
}

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
    // One whose guest fails before it runs.
    let failing = tokio::spawn({
        let gateway = node.gateway.clone();
        async move { gateway.start(&Caller::operator(), start("hello")).await }
    });
    let guest = loop {
        match node
            .host
            .guests()
            .into_iter()
            .find(|guest| !node.host.stopped.lock().contains(&guest.id()))
        {
            Some(guest) => break guest,
            None => tokio::task::yield_now().await,
        }
    };
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
    assert!(
        tokio::time::timeout(Duration::from_millis(30), waiting)
            .await
            .is_err()
    );
    let guest = node.host.guests().remove(0);
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

#[tokio::test]
async fn estimates_are_what_was_measured() {
    let node = Node::new();
    node.store.add("hello", service(1, &[], &[]));
    let ask = EstimateRequest {
        service: "hello".into(),
        ..Default::default()
    };
    let before = node
        .gateway
        .estimate(&Caller::operator(), ask.clone())
        .await
        .unwrap();
    assert_eq!(
        (before.start_ns.samples, before.of_this_service),
        (0, false)
    );
    for peak in [100, 300] {
        let (started, guest) = node.start("hello").await;
        guest.use_up(Usage {
            memory_peak: peak,
            ..Usage::default()
        });
        node.gateway
            .stop(&Caller::operator(), started.id)
            .await
            .unwrap();
    }
    let after = node
        .gateway
        .estimate(&Caller::operator(), ask)
        .await
        .unwrap();
    assert!(after.of_this_service && after.start_ns.mean > 0.0);
    assert_eq!(
        (after.memory_peak.mean, after.memory_peak.samples),
        (200.0, 2)
    );
}

#[tokio::test]
async fn what_is_printed_and_what_happens_is_told() {
    let node = Node::new();
    node.store.add("hello", service(1, &[], &[]));
    let events = node.gateway.events(&Caller::operator(), true).unwrap();
    let (started, guest) = node.start("hello").await;
    let logs = node
        .gateway
        .logs(&Caller::operator(), started.id, true)
        .unwrap();
    guest.print("grüße\n");
    guest.exit(Outcome::Exited { status: 0 }).await;
    let text: String = logs.map(|entry| entry.text).collect().await;
    assert_eq!(text, "grüße\n");
    // Not merely its output: it has ended when they have.
    let seen = node.gateway.instance(&Caller::operator(), started.id).await;
    assert_eq!(seen.unwrap().state, State::Ended);
    let mut told: Vec<_> = Box::pin(events).take(3).collect().await;
    assert!(matches!(
        told.pop().unwrap().what,
        What::Ended {
            outcome: Outcome::Exited { status: 0 }
        }
    ));
    assert!(matches!(told.pop().unwrap().what, What::Running { .. }));
    assert!(matches!(
        told.pop().unwrap().what,
        What::Starting {
            owner: Owner::Operator,
            ..
        }
    ));
    // A stranger hears nothing of it.
    let (_, other) = node.start("hello").await;
    let heard: Vec<_> = node
        .gateway
        .events(&node.caller(&other), false)
        .unwrap()
        .collect()
        .await;
    assert!(
        heard.iter().all(|event| event.instance == Some(other.id())),
        "{heard:?}"
    );
}

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

#[tokio::test]
async fn an_instance_is_proven_to_its_owner_when_it_has_ended_and_was_to_be_repeatable() {
    let node = Node::new();
    node.store.add("hello", service(1, &[], &[]));
    let operator = Caller::operator();
    let ask = async |caller: &Caller, id| {
        let receipt = node.gateway.receipt(caller, id, Some("for me".to_owned()));
        receipt.await.map_err(|problem| problem.code)
    };
    let (ordinary, guest) = node.start("hello").await;
    guest.exit(Outcome::Exited { status: 0 }).await;
    node.ended(ordinary.id).await;
    assert_eq!(ask(&operator, ordinary.id).await, Err(Code::Conflict));

    let request = Start {
        determinism: Determinism::D1,
        ..start("hello")
    };
    let (proven, guest) = node.start_with(&operator, request).await;
    assert_eq!(ask(&operator, proven.id).await, Err(Code::Conflict));
    let (_, stranger) = node.start("hello").await;
    let stranger = node.caller(&stranger);
    guest.exit(Outcome::Exited { status: 0 }).await;
    node.ended(proven.id).await;
    assert_eq!(ask(&stranger, proven.id).await, Err(Code::NotFound));
    let receipt = ask(&operator, proven.id).await;
    assert_eq!(receipt.as_deref(), Ok(r#"{"nonce":"for me"}"#));
}
