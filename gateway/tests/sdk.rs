//! The SDK against a gateway.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use support::{Guest, Node, network, service};
use unicell_gateway::http::{self, Door};
use unicell_gateway::{Caller, Gateway};
use unicell_gateway_api::Code;
use unicell_gateway_api::instance::{EstimateRequest, Outcome, Resources, State};
use unicell_gateway_api::network::NetworkPolicy;
use unicell_gateway_api::token::{Caveat, Verb};

/// The SDK as a program in a guest has it; its calls come through a socket of
/// the host in place of the guest's.
async fn sdk(gateway: &Gateway, guest: &Guest) -> unicell_sdk::Gateway {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut configuration = guest.configuration();
    configuration.gateway.url = format!("http://{}/", listener.local_addr().unwrap());
    let (gateway, id) = (gateway.clone(), guest.id());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let gateway = gateway.clone();
            tokio::spawn(async move { http::serve(&gateway, stream, Door::Guest(id)).await });
        }
    });
    unicell_sdk::Gateway::new(configuration)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_starts_looks_after_and_stops_a_child() {
    let node = Node::new();
    node.store.add("worker", service(2, &[7], &[]));
    node.store
        .add_with("boss", service(1, &[], &["net/work"]), &["worker"]);
    let policy = NetworkPolicy {
        network: network("net/work"),
        instances: true,
        endpoints: Vec::new(),
    };
    node.gateway
        .allow(&Caller::operator(), policy)
        .await
        .unwrap();
    let (boss, guest) = node.start("boss").await;
    let gateway = sdk(&node.gateway, &guest).await;
    let used = tokio::task::spawn_blocking(move || {
        assert_eq!(gateway.configuration().instance, boss.id);
        let child = gateway.spawn("worker").unwrap();
        assert_eq!(child.address(7).unwrap().to_string(), "10.1.0.1:7");
        assert!(
            child
                .address(8)
                .unwrap_err()
                .to_string()
                .contains("worker has no TCP slot 8")
        );
        assert_eq!(child.look().unwrap().state, State::Running);
        assert_eq!(gateway.children().unwrap().len(), 1);
        let more = Resources {
            memory: Some(4 << 20),
            ..Resources::default()
        };
        assert_eq!(
            gateway.resources(child.id(), &more).unwrap().memory,
            4 << 20
        );
        let ask = EstimateRequest {
            service: "worker".into(),
            ..Default::default()
        };
        assert!(gateway.estimate(&ask).unwrap().of_this_service);
        assert!(gateway.availability(&Default::default()).unwrap().available);
        let network = gateway.network("net/work").unwrap();
        assert!(network.granted && network.note.unwrap().contains("no member"));
        let narrow = gateway
            .narrow(child.token(), vec![Caveat::Verbs(vec![Verb::Logs])])
            .unwrap();
        assert!(narrow.reveal().len() > child.token().reveal().len());
        assert_eq!(
            gateway.spawn("nothing").unwrap_err().code(),
            Some(Code::NotFound)
        );
        let id = child.id();
        assert_eq!(child.stop().unwrap().outcome, Outcome::Stopped);
        assert_eq!(gateway.instance(id).unwrap().state, State::Ended);
    });
    used.await.unwrap();
}
