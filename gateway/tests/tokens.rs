//! Tokens in the hands of those who should not have them, or want more of
//! them: each is refused, and an event says who tried what.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod support;

use futures_util::StreamExt;
use hyper::{Method, StatusCode};
use serde_json::json;
use support::{Node, door, request, send, service};
use unicell_gateway::Caller;
use unicell_gateway::http::Door;
use unicell_gateway_api::event::{Event, What};
use unicell_gateway_api::instance::{Outcome, Owner, Started, Transport};
use unicell_gateway_api::token::{Caveat, CreateToken, NarrowToken, RevokeToken, Token, Verb};
use unicell_gateway_api::{Code, Problem};

/// The node with a service, and a client's token.
async fn node() -> (Node, Token) {
    let node = Node::new();
    node.store.add("hello", service(1, &[80], &[]));
    let create = CreateToken {
        client: "alice".to_owned(),
        caveats: Vec::new(),
    };
    let token = node.gateway.create_token(&Caller::operator(), create);
    (node, token.unwrap().token)
}

/// A call through a door with a token as that door wants it; the error, if it is one.
async fn call(
    node: &Node,
    through: Door,
    token: &Token,
    (method, path): (Method, &str),
    body: &str,
) -> Result<(), Problem> {
    let bearer = format!("Bearer {}", token.reveal());
    let mut headers = match through {
        Door::Guest(_) => vec![("host", "gateway"), ("unicell-token", token.reveal())],
        _ => vec![("host", "localhost"), ("authorization", bearer.as_str())],
    };
    headers.push(("content-type", "application/json"));
    let socket = door(&node.gateway, through);
    let (status, body) = send(socket, request(method, path, &headers, body)).await;
    match status {
        StatusCode::OK | StatusCode::NO_CONTENT | StatusCode::CREATED => Ok(()),
        _ => Err(serde_json::from_slice(&body).unwrap()),
    }
}

const LIST: (Method, &str) = (Method::GET, "/v1/instances");

async fn code(node: &Node, through: Door, token: &Token) -> Option<Code> {
    let refused = call(node, through, token, LIST, "").await;
    refused.err().map(|problem| problem.code)
}

/// The refusals that were told, oldest first: the door, for whom, and how.
async fn told(node: &Node) -> Vec<(String, Option<Owner>, Code)> {
    let events = node.gateway.events(&Caller::operator(), false).unwrap();
    let refusal = |event: Event| async move {
        match event.what {
            What::CallRefused {
                door,
                token_of,
                code,
                ..
            } => Some((door, token_of, code)),
            _ => None,
        }
    };
    events.filter_map(refusal).collect().await
}

fn alice() -> Option<Owner> {
    Some(Owner::Client("alice".to_owned()))
}

#[tokio::test]
async fn a_token_is_good_on_its_own_node_only() {
    let (node, token) = node().await;
    let (other, _) = self::node().await;
    assert_eq!(code(&node, Door::Client, &token).await, None);
    for through in [Door::Client, Door::Operator] {
        let refused = code(&other, through, &token).await;
        assert_eq!(refused, Some(Code::Unauthenticated));
    }
    // Whose it is, another node cannot know.
    let told = told(&other).await;
    assert_eq!(
        told,
        [
            ("client".to_owned(), None, Code::Unauthenticated),
            ("operator".to_owned(), None, Code::Unauthenticated)
        ]
    );
}

#[tokio::test]
async fn a_forged_token_is_refused_and_told() {
    let (node, token) = node().await;
    let text = token.reveal();
    for at in [5, text.len() / 2, text.len() - 1] {
        let other = if text.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        let mut forged = text.to_owned();
        forged.replace_range(at..=at, other);
        let refused = code(&node, Door::Client, &Token::new(forged)).await;
        assert_eq!(refused, Some(Code::Unauthenticated), "byte {at}");
    }
    let told = told(&node).await;
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|(_, whose, _)| whose.is_none()));
}

#[tokio::test]
async fn what_was_narrowed_is_not_widened() {
    let (node, token) = node().await;
    let (first, _) = node.start("hello").await;
    let narrow = |token: &Token, caveats: Vec<Caveat>| {
        let narrow = NarrowToken {
            token: Some(token.clone()),
            caveats,
        };
        let narrowed = node.gateway.narrow_token(&Caller::operator(), narrow);
        narrowed.unwrap().token
    };
    // Verbs that are named later are added to those that are forbidden already.
    let looks = narrow(&token, vec![Caveat::Verbs(vec![Verb::Instance])]);
    let more = vec![Caveat::Verbs(vec![Verb::Instance, Verb::Start, Verb::Stop])];
    let widened = narrow(&looks, more);
    assert_eq!(code(&node, Door::Client, &widened).await, None);
    let start = json!({ "service": "hello" }).to_string();
    let post = (Method::POST, "/v1/instances");
    let refused = call(&node, Door::Client, &widened, post, &start).await;
    assert_eq!(refused.unwrap_err().code, Code::Forbidden);
    // One instance's token is none for another.
    let caller = node.gateway.authenticate(&token, None).unwrap();
    let request = serde_json::from_str(&start).unwrap();
    let mine = node.gateway.start(&caller, request).await.unwrap();
    let path = format!("/v1/instances/{}", first.id);
    let stop = (Method::DELETE, path.as_str());
    let refused = call(&node, Door::Client, &mine.token, stop, "").await;
    assert_eq!(refused.unwrap_err().code, Code::NotFound);
    // Nor is it a way to more: what it starts would be somebody else.
    let refused = call(
        &node,
        Door::Client,
        &mine.token,
        (Method::POST, "/v1/instances"),
        &start,
    );
    assert_eq!(refused.await.unwrap_err().code, Code::Forbidden);
    let told = told(&node).await;
    let codes: Vec<_> = told.iter().map(|(_, _, code)| *code).collect();
    assert_eq!(codes, [Code::Forbidden, Code::NotFound, Code::Forbidden]);
    assert!(told.iter().all(|(_, whose, _)| *whose == alice()));
}

#[tokio::test]
async fn after_its_time_a_token_is_good_for_nothing() {
    let (node, token) = node().await;
    let create = CreateToken {
        client: "alice".to_owned(),
        caveats: vec![Caveat::Expires(1)],
    };
    let expired = node.gateway.create_token(&Caller::operator(), create);
    let expired = expired.unwrap().token;
    assert_eq!(
        code(&node, Door::Client, &expired).await,
        Some(Code::TokenInvalid)
    );
    // A later time does not bring it back.
    let later = NarrowToken {
        token: Some(expired),
        caveats: vec![Caveat::Expires(u64::MAX)],
    };
    let later = node.gateway.narrow_token(&Caller::operator(), later);
    let refused = code(&node, Door::Client, &later.unwrap().token).await;
    assert_eq!(refused, Some(Code::TokenInvalid));
    assert_eq!(code(&node, Door::Client, &token).await, None);
    let told = told(&node).await;
    assert_eq!(told[0], ("client".to_owned(), alice(), Code::TokenInvalid));
}

#[tokio::test]
async fn after_a_revocation_nothing_narrowed_from_it_is_good() {
    let (node, token) = node().await;
    let below = NarrowToken {
        token: Some(token.clone()),
        caveats: vec![Caveat::Verbs(vec![Verb::Instance])],
    };
    let below = node.gateway.narrow_token(&Caller::operator(), below);
    let below = below.unwrap().token;
    let revoke = RevokeToken {
        token: token.clone(),
    };
    let operator = Caller::operator();
    node.gateway.revoke_token(&operator, revoke).await.unwrap();
    for token in [&token, &below] {
        let refused = code(&node, Door::Client, token).await;
        assert_eq!(refused, Some(Code::TokenInvalid));
    }
    assert_eq!(
        told(&node).await[1],
        ("client".to_owned(), alice(), Code::TokenInvalid)
    );
}

#[tokio::test]
async fn a_guests_token_ends_with_it() {
    let (node, _) = node().await;
    let (started, guest) = node.start("hello").await;
    let token = guest.configuration().token;
    assert_eq!(code(&node, Door::Guest(started.id), &token).await, None);
    guest.exit(Outcome::Exited { status: 0 }).await;
    node.ended(started.id).await;
    // A connection that outlives it, another guest's, and the doors outside.
    let (next, _) = node.start("hello").await;
    for through in [
        Door::Guest(started.id),
        Door::Guest(next.id),
        Door::Client,
        Door::Operator,
    ] {
        let refused = code(&node, through, &token).await;
        assert_eq!(refused, Some(Code::TokenInvalid), "{through:?}");
    }
    let told = told(&node).await;
    assert_eq!(told.len(), 4);
    let whose = Some(Owner::Instance(started.id));
    assert!(told.iter().all(|(_, of, _)| *of == whose), "{told:?}");
}

/// A token that is good for nobody but one holder any more.
fn held_by(node: &Node, token: &Token, holder: &Started) -> Token {
    let narrowing = NarrowToken {
        token: Some(token.clone()),
        caveats: vec![Caveat::Holder {
            id: holder.id,
            incarnation: holder.incarnation,
        }],
    };
    let narrowed = node.gateway.narrow_token(&Caller::operator(), narrowing);
    narrowed.unwrap().token
}

#[tokio::test]
async fn a_token_for_one_holder_is_none_for_another() {
    let (node, token) = node().await;
    let (one, _) = node.start("hello").await;
    let (two, _) = node.start("hello").await;
    let held = held_by(&node, &token, &one);
    assert_eq!(code(&node, Door::Guest(one.id), &held).await, None);
    for through in [Door::Guest(two.id), Door::Client] {
        let refused = code(&node, through, &held).await;
        assert_eq!(refused, Some(Code::Forbidden), "{through:?}");
    }
    let told = told(&node).await;
    assert_eq!(told[0], ("guest".to_owned(), alice(), Code::Forbidden));
}

#[tokio::test]
async fn a_guests_own_token_is_worth_nothing_elsewhere() {
    let (node, _) = node().await;
    let (one, guest) = node.start("hello").await;
    let (two, _) = node.start("hello").await;
    let token = guest.configuration().token;
    let further = held_by(&node, &token, &two);
    assert_eq!(code(&node, Door::Guest(one.id), &token).await, None);
    for through in [Door::Guest(two.id), Door::Client, Door::Operator] {
        for token in [&token, &further] {
            let refused = code(&node, through, token).await;
            assert_eq!(refused, Some(Code::Forbidden), "{through:?}");
        }
    }
    let told = told(&node).await;
    assert_eq!(told.len(), 6);
    let whose = Some(Owner::Instance(one.id));
    assert!(told.iter().all(|(_, of, _)| *of == whose), "{told:?}");
}

#[tokio::test]
async fn a_childs_token_can_be_passed_on_and_is_revoked_with_its_parents() {
    let (node, _) = node().await;
    let (parent, guest) = node.start("hello").await;
    let (other, _) = node.start("hello").await;
    let (child, _) = node
        .start_as(&node.caller(&guest), &service(1, &[80], &[]).id.to_string())
        .await;
    let path = format!("/v1/instances/{}", child.id);
    let look = || (Method::GET, path.as_str());
    for through in [Door::Guest(parent.id), Door::Guest(other.id), Door::Client] {
        let answer = call(&node, through, &child.token, look(), "").await;
        assert_eq!(answer, Ok(()), "{through:?}");
        // For that child, and nothing else.
        let start = json!({ "service": "hello" }).to_string();
        let post = (Method::POST, "/v1/instances");
        let refused = call(&node, through, &child.token, post, &start).await;
        assert_eq!(refused.unwrap_err().code, Code::Forbidden, "{through:?}");
    }
    let revoke = RevokeToken {
        token: guest.configuration().token,
    };
    let operator = Caller::operator();
    node.gateway.revoke_token(&operator, revoke).await.unwrap();
    let refused = call(&node, Door::Client, &child.token, look(), "").await;
    assert_eq!(refused.unwrap_err().code, Code::TokenInvalid);
}

#[tokio::test]
async fn refusals_are_told_within_a_bound() {
    let (node, _) = node().await;
    let (_, guest) = node.start("hello").await;
    let forged = Token::new("uct1_AAAA");
    for _ in 0..200 {
        code(&node, Door::Guest(guest.id()), &forged).await;
        code(&node, Door::Client, &forged).await;
    }
    // A second passes at most once or twice meanwhile.
    let told = told(&node).await;
    assert!((64..=200).contains(&told.len()), "{}", told.len());
    // Streams to the API are as many as ever.
    guest.connect(Transport::Tcp, "10.0.0.1:80").await.unwrap();
}

#[tokio::test]
async fn revocations_are_bounded() {
    let (node, _) = node().await;
    let (_, guest) = node.start("hello").await;
    let caller = node.caller(&guest);
    let narrowed = |time| NarrowToken {
        token: Some(guest.configuration().token),
        caveats: vec![Caveat::Expires(time)],
    };
    let mut revoked = 0;
    let problem = loop {
        let token = node
            .gateway
            .narrow_token(&caller, narrowed(revoked))
            .unwrap();
        let revoke = RevokeToken { token: token.token };
        match node.gateway.revoke_token(&caller, revoke.clone()).await {
            Ok(()) => revoked += 1,
            Err(problem) => break problem,
        }
        // Twice is once.
        node.gateway.revoke_token(&caller, revoke).await.unwrap();
    };
    assert_eq!((problem.code, revoked), (Code::LimitReached, 1024));
    // Another's are counted for themselves, and the operator's are not.
    let (_, other) = node.start("hello").await;
    let revoke = RevokeToken {
        token: other.configuration().token,
    };
    let caller = node.caller(&other);
    node.gateway.revoke_token(&caller, revoke).await.unwrap();
    let revoke = RevokeToken {
        token: guest.configuration().token,
    };
    let operator = Caller::operator();
    node.gateway.revoke_token(&operator, revoke).await.unwrap();
}
