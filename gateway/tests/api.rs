//! The API as callers meet it, hostile ones among them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use support::{Guest, Node, config, door, request, respond, send, service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;
use unicell_gateway::Caller;
use unicell_gateway::http::{self, Door};
use unicell_gateway_api::instance::{Start, Started, Transport};
use unicell_gateway_api::token::{Caveat, CreateToken, RevokeToken, Token, Verb};
use unicell_gateway_api::{Code, Problem};

fn start(service: &str) -> Start {
    Start {
        service: service.to_owned(),
        ..Start::default()
    }
}

async fn problem(socket: std::os::fd::OwnedFd, request: Request<Full<Bytes>>) -> Problem {
    let response = respond(socket, request).await;
    let status = response.status();
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let problem: Problem = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem.status, status.as_u16());
    problem
}

async fn guest_of(node: &Node) -> Guest {
    node.store.add("hello", service(1, &[80], &[]));
    node.start("hello").await.1
}

#[tokio::test]
async fn a_guest_must_say_gateway_and_show_its_token() {
    let node = Node::new();
    let guest = guest_of(&node).await;
    let token = guest.configuration().token;
    let token = token.reveal();
    let try_with = async |headers: &[(&str, &str)]| {
        let socket = guest.connect(Transport::Tcp, "10.0.0.1:80").await.unwrap();
        let (status, body) = send(socket, request(Method::GET, "/v1/instances", headers, "")).await;
        match status {
            StatusCode::OK => Ok(()),
            _ => Err(serde_json::from_slice::<Problem>(&body).unwrap().code),
        }
    };
    let bearer = format!("Bearer {token}");
    assert_eq!(
        try_with(&[("host", "gateway"), ("unicell-token", token)]).await,
        Ok(())
    );
    let refused: [(&[(&str, &str)], Code); 9] = [
        (&[("host", "gateway")], Code::Unauthenticated),
        (
            &[("host", "gateway"), ("authorization", &bearer)],
            Code::Unauthenticated,
        ),
        (
            &[("host", "gateway"), ("unicell-token", "uct1_AAAA")],
            Code::Unauthenticated,
        ),
        (
            &[("host", "gateway"), ("unicell-token", "")],
            Code::Unauthenticated,
        ),
        (
            &[("host", "10.0.0.1"), ("unicell-token", token)],
            Code::Forbidden,
        ),
        (
            &[("host", "gateway:80"), ("unicell-token", token)],
            Code::Forbidden,
        ),
        (
            &[("host", "Gateway"), ("unicell-token", token)],
            Code::Forbidden,
        ),
        (
            &[
                ("host", "gateway"),
                ("origin", "http://gateway"),
                ("unicell-token", token),
            ],
            Code::Forbidden,
        ),
        (
            &[
                ("host", "gateway"),
                ("unicell-token", token),
                ("unicell-token", token),
            ],
            Code::BadRequest,
        ),
    ];
    for (headers, code) in refused {
        assert_eq!(try_with(headers).await, Err(code), "{headers:?}");
    }
    // A token that ends in another character is another token.
    let mut changed = token.to_owned();
    let last = changed.pop().unwrap();
    changed.push(if last == 'A' { 'E' } else { 'A' });
    assert_eq!(
        try_with(&[("host", "gateway"), ("unicell-token", &changed)]).await,
        Err(Code::Unauthenticated)
    );
}

#[tokio::test]
async fn clients_come_with_tokens_and_see_their_own() {
    let node = Node::new();
    node.store.add("hello", service(1, &[80], &[]));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let until = CancellationToken::new();
    let serving = tokio::spawn(http::listen_tcp(
        node.gateway.clone(),
        listener,
        until.clone(),
    ));
    let token = |client: &str, caveats: Vec<Caveat>| {
        let request = CreateToken {
            client: client.to_owned(),
            caveats,
        };
        node.gateway
            .create_token(&Caller::operator(), request)
            .unwrap()
            .token
    };
    let call = async |token: &Token, method: Method, path: &str, body: Value| {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let bearer = format!("Bearer {}", token.reveal());
        let host = address.to_string();
        let headers = [
            ("host", host.as_str()),
            ("authorization", &bearer),
            ("content-type", "application/json"),
        ];
        let response = sender
            .send_request(request(method, path, &headers, &body.to_string()))
            .await;
        let response = response.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (
            status,
            serde_json::from_slice::<Value>(&bytes).unwrap_or(Value::Null),
        )
    };
    let (alice, bob) = (token("alice", Vec::new()), token("bob", Vec::new()));
    let (status, started) = call(
        &alice,
        Method::POST,
        "/v1/instances",
        json!({"service": "hello"}),
    )
    .await;
    assert_eq!(status, 201);
    let path = format!("/v1/instances/{}", started["id"].as_str().unwrap());
    assert_eq!(call(&bob, Method::GET, &path, Value::Null).await.0, 404);
    assert_eq!(
        call(&bob, Method::GET, "/v1/instances", Value::Null)
            .await
            .1,
        json!([])
    );
    assert_eq!(call(&alice, Method::GET, &path, Value::Null).await.0, 200);
    // What the operator may, a client may not.
    assert_eq!(
        call(&alice, Method::POST, "/v1/tokens", json!({"client": "eve"}))
            .await
            .0,
        403
    );
    assert_eq!(
        call(&alice, Method::GET, "/v1/networks", Value::Null)
            .await
            .0,
        403
    );
    let publish = json!({"service": "hello", "publish": [{"slot": 80, "host": "127.0.0.1:0"}]});
    assert_eq!(
        call(&alice, Method::POST, "/v1/instances", publish).await.0,
        403
    );

    // A token that was passed on does what it is for, for Bob too, until it is revoked.
    let control = Token::new(started["token"].as_str().unwrap());
    let narrow = json!({"token": control.reveal(), "caveats": [{"verbs": ["instance"]}]});
    let (status, narrowed) = call(&bob, Method::POST, "/v1/tokens/narrow", narrow).await;
    assert_eq!(status, 201, "{narrowed}");
    let narrowed = Token::new(narrowed["token"].as_str().unwrap());
    assert_eq!(
        call(&narrowed, Method::GET, &path, Value::Null).await.0,
        200
    );
    assert_eq!(
        call(&narrowed, Method::DELETE, &path, Value::Null).await.0,
        403
    );
    let (_, list) = call(&narrowed, Method::GET, "/v1/instances", Value::Null).await;
    assert_eq!(list.as_array().unwrap().len(), 1);
    let revoke = RevokeToken {
        token: narrowed.clone(),
    };
    let bob_caller = node.gateway.authenticate(&bob, None).unwrap();
    let refused = node
        .gateway
        .revoke_token(&bob_caller, revoke.clone())
        .await
        .unwrap_err();
    assert_eq!(refused.code, Code::Forbidden);
    node.gateway
        .revoke_token(&Caller::operator(), revoke)
        .await
        .unwrap();
    assert_eq!(
        call(&narrowed, Method::GET, &path, Value::Null).await.1["code"],
        "token-invalid"
    );
    assert_eq!(
        call(&control, Method::DELETE, &path, Value::Null).await.0,
        200
    );

    let expired = token("carol", vec![Caveat::Expires(1)]);
    assert_eq!(
        call(&expired, Method::GET, "/v1/instances", Value::Null)
            .await
            .1["code"],
        "token-invalid"
    );
    let starts = token("dave", vec![Caveat::Verbs(vec![Verb::Start])]);
    assert_eq!(
        call(&starts, Method::GET, "/v1/instances", Value::Null)
            .await
            .0,
        403
    );
    until.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_token_is_for_its_holder() {
    let node = Node::new();
    let one = guest_of(&node).await;
    let (other, _) = node.start("hello").await;
    let configuration = one.configuration();
    let holder = Caveat::Holder {
        id: configuration.instance,
        incarnation: configuration.incarnation,
    };
    let request = CreateToken {
        client: "alice".into(),
        caveats: vec![holder],
    };
    let token = node
        .gateway
        .create_token(&Caller::operator(), request)
        .unwrap()
        .token;
    for (guest, permitted) in [
        (Some(one.id()), true),
        (Some(other.id), false),
        (None, false),
    ] {
        let caller = node.gateway.authenticate(&token, guest).unwrap();
        assert_eq!(
            node.gateway.instances(&caller).await.is_ok(),
            permitted,
            "{guest:?}"
        );
    }
}

#[tokio::test]
async fn requests_that_make_no_sense_are_told_what_is_wrong() {
    let node = Node::new();
    let json = ("content-type", "application/json");
    let host = ("host", "localhost");
    let large = format!("{{\"service\": \"{}\"}}", "x".repeat(1 << 20));
    type Case<'a> = (
        Method,
        &'a str,
        &'a [(&'a str, &'a str)],
        &'a str,
        Code,
        &'a str,
    );
    let cases: [Case<'_>; 11] = [
        (Method::GET, "/v2", &[host], "", Code::NotFound, "/v2"),
        (
            Method::PUT,
            "/v1/instances",
            &[host],
            "",
            Code::MethodNotAllowed,
            "PUT",
        ),
        (
            Method::GET,
            "/v1/instances/xyz",
            &[host],
            "",
            Code::BadRequest,
            "12 lower-case",
        ),
        (
            Method::GET,
            "/v1/instances/000000000000",
            &[host],
            "",
            Code::NotFound,
            "000000000000",
        ),
        (
            Method::GET,
            "/v1/events?folow=true",
            &[host],
            "",
            Code::BadRequest,
            "folow",
        ),
        (
            Method::POST,
            "/v1/instances",
            &[host],
            "{}",
            Code::BadRequest,
            "content-type",
        ),
        (
            Method::POST,
            "/v1/instances",
            &[host, json],
            "{",
            Code::BadRequest,
            "line 1",
        ),
        (
            Method::POST,
            "/v1/instances",
            &[host, json],
            "{}",
            Code::BadRequest,
            "service",
        ),
        (
            Method::POST,
            "/v1/instances",
            &[host, json],
            r#"{"service": "a", "credits": 1}"#,
            Code::BadRequest,
            "credits",
        ),
        (
            Method::POST,
            "/v1/instances",
            &[host, json],
            &large,
            Code::TooLarge,
            "262144",
        ),
        (
            Method::POST,
            "/v1/services?id=00",
            &[host],
            "x",
            Code::BadRequest,
            "64 lower-case",
        ),
    ];
    for (method, path, headers, body, code, names) in cases {
        let socket = door(&node.gateway, Door::Operator);
        let problem = problem(socket, request(method, path, headers, body)).await;
        assert_eq!(problem.code, code, "{path}: {problem}");
        assert!(problem.detail.contains(names), "{path}: {problem}");
    }
    let rebinding = problem(
        door(&node.gateway, Door::Client),
        request(Method::GET, "/v1/node", &[("host", "evil.example")], ""),
    );
    assert_eq!(rebinding.await.code, Code::Forbidden);
}

#[tokio::test]
async fn bytes_that_are_no_request_end_the_connection_and_nothing_else() {
    let mut config = config();
    config.api.head = Duration::from_millis(100);
    let node = Node::with(config);
    let long_head = format!(
        "GET / HTTP/1.1\r\nhost: gateway\r\nx: {}\r\n\r\n",
        "a".repeat(1 << 20)
    );
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    let inputs: [&[u8]; 8] = [
        b"\0\0\0\0",
        b"GET",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/instances HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        long_head.as_bytes(),
        many.as_bytes(),
    ];
    for (number, input) in inputs.into_iter().enumerate() {
        let mut socket = StdStream::from(door(&node.gateway, Door::Operator));
        let input = input.to_vec();
        let read = tokio::task::spawn_blocking(move || {
            let _ = socket.write_all(&input);
            let mut answer = Vec::new();
            // Reset is an end too.
            let _ = socket.read_to_end(&mut answer);
            answer
        });
        let answer = tokio::time::timeout(Duration::from_secs(20), read).await;
        let answer =
            String::from_utf8_lossy(&answer.expect("the connection ends").unwrap()).into_owned();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{number}: {answer}"
        );
    }
    let (status, _) = send(
        door(&node.gateway, Door::Operator),
        request(Method::GET, "/v1/node", &[], ""),
    )
    .await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_slot_is_reached_through_the_connection_of_the_request() {
    let node = Node::new();
    let guest = guest_of(&node).await;
    let mut accept = guest.listen(80);
    let path = format!("/v1/instances/{}/slots/80", guest.id());
    let headers = [
        ("host", "localhost"),
        ("connection", "upgrade"),
        ("upgrade", "unicell-stream"),
    ];
    let response = respond(
        door(&node.gateway, Door::Operator),
        request(Method::GET, &path, &headers, ""),
    )
    .await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let inside = std::os::unix::net::UnixStream::from(accept.recv().await.unwrap().socket);
    inside.set_nonblocking(true).unwrap();
    let mut inside = tokio::net::UnixStream::from_std(inside).unwrap();
    let sent = vec![7; 1 << 20];
    let (_, received) = tokio::join!(
        async {
            stream.write_all(&sent).await.unwrap();
            stream.shutdown().await.unwrap();
        },
        async {
            let mut all = Vec::new();
            inside.read_to_end(&mut all).await.unwrap();
            inside.write_all(b"got it").await.unwrap();
            // As a process does it: the node has a duplicate.
            inside.shutdown().await.unwrap();
            all
        }
    );
    assert_eq!(received, sent);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "got it");
    let instance = node
        .gateway
        .instance(&Caller::operator(), guest.id())
        .await
        .unwrap();
    assert_eq!(instance.usage.bytes_relayed, (1 << 20) + 6);

    let plain = request(Method::GET, &path, &[("host", "localhost")], "");
    assert_eq!(
        problem(door(&node.gateway, Door::Operator), plain)
            .await
            .code,
        Code::BadRequest
    );
    let other = request(
        Method::GET,
        &path.replace("slots/80", "slots/81"),
        &headers,
        "",
    );
    assert_eq!(
        problem(door(&node.gateway, Door::Operator), other)
            .await
            .code,
        Code::Conflict
    );
}

#[tokio::test]
async fn what_is_streamed_goes_on_until_its_end() {
    let node = Node::new();
    let guest = guest_of(&node).await;
    let path = format!("/v1/instances/{}/logs?follow=true", guest.id());
    let response = respond(
        door(&node.gateway, Door::Operator),
        request(Method::GET, &path, &[], ""),
    )
    .await;
    let mut body = response.into_body();
    for text in ["one", "two"] {
        guest.print(text);
        let line = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let entry: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(entry["text"], text);
    }
    node.gateway
        .stop(&Caller::operator(), guest.id())
        .await
        .unwrap();
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn only_so_many_calls_are_open_at_once() {
    let mut config = config();
    config.instance.gateway_streams = 3;
    let node = Node::with(config);
    let guest = guest_of(&node).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(guest.connect(Transport::Tcp, "10.0.0.1:80").await.unwrap());
    }
    let refused = guest.connect(Transport::Tcp, "10.0.0.1:80").await.err();
    assert_eq!(refused, Some(unicell_gateway_api::run::Errno::NOBUFS));
    open.clear();
    while guest.connect(Transport::Tcp, "10.0.0.1:80").await.is_err() {
        tokio::task::yield_now().await;
    }
    let started: Result<Started, Problem> = guest
        .call(Method::POST, "/v1/instances", &start("none"))
        .await;
    assert_eq!(started.unwrap_err().code, Code::NotFound);
}
