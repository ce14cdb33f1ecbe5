//! What an instance is told, and what is told of it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use unicell_gateway::Caller;
use unicell_gateway_api::Code;
use unicell_gateway_api::configuration::Configuration;
use unicell_gateway_api::event::What;
use unicell_gateway_api::instance::{
    EstimateRequest, Outcome, Owner, Resources, Start, State, Usage,
};
use unicell_gateway_api::network::{Descriptor, NetworkPolicy};
use unicell_gateway_api::services::ConfigFormat;

use crate::support::{Node, network, service};
use crate::{publish, start};

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
    node.store.add("new", of_architecture("x86-64-v4"));
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

fn of_architecture(level: &str) -> unicell_gateway_api::services::Plan {
    let mut plan = service(9, &[], &[]);
    plan.architecture = level.to_owned();
    plan
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
