//! What is proven of an instance.

use unicell_gateway::Caller;
use unicell_gateway_api::Code;
use unicell_gateway_api::instance::{Determinism, Outcome, Start};

use crate::start;
use crate::support::{Node, service};

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
