//! The API as a caller meets it that knows nothing but the document.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod support;

use std::collections::BTreeSet;

use http_body_util::BodyExt;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Node, door, request, respond, send, service};
use unicell_gateway::Caller;
use unicell_gateway::http::Door;
use unicell_gateway_api::instance::{Determinism, Outcome, Start};
use unicell_gateway_api::token::CreateToken;

/// What an operation is called with, beyond what the document says of it.
struct Arguments {
    id: String,
    child: String,
    proven: String,
    token: String,
}

impl Arguments {
    fn parameter(&self, operation: &str, name: &str) -> String {
        match (operation, name) {
            ("stop", "id") => self.child.clone(),
            ("receipt" | "transcript", "id") => self.proven.clone(),
            (_, "id") => self.id.clone(),
            (_, "port") => "80".to_owned(),
            (_, "name") => "n".to_owned(),
            ("remove", "service") => "doomed".to_owned(),
            (_, "service") => "hello".to_owned(),
            (_, "tag") => "alias".to_owned(),
            (_, "connection") => "upgrade".to_owned(),
            (_, "upgrade") => "unicell-stream".to_owned(),
            (_, other) => panic!("{operation} has a parameter {other:?} that nobody knows"),
        }
    }

    fn body(&self, operation: &str) -> String {
        let body = match operation {
            "start" | "estimate" => json!({"service": "hello"}),
            "availability" => json!({}),
            "resources" => json!({"memory": 2 << 20}),
            "allow" => {
                json!({"network": {"tags": ["n"]}, "endpoints": [{"address": "192.0.2.1:1"}]})
            }
            "tag" => json!({"service": "hello"}),
            "create-token" => {
                json!({"client": "alice", "caveats": [{"verbs": ["start"]}, {"expires": 5}]})
            }
            "narrow-token" => json!({"token": self.token, "caveats": [{"network": "n"}]}),
            "revoke-token" => json!({"token": self.token}),
            "import" => return "a service".to_owned(),
            other => panic!("{other} has a body that nobody knows"),
        };
        body.to_string()
    }
}

/// The order matters to a few operations only: others come in any.
const LAST: [&str; 6] = [
    "withdraw",
    "disallow",
    "untag",
    "remove",
    "stop",
    "revoke-token",
];

#[tokio::test]
async fn every_operation_of_the_document_does_what_it_says() {
    let node = Node::new();
    let (status, bytes) = send(
        door(&node.gateway, Door::Operator),
        request(Method::GET, "/openapi.json", &[], ""),
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1"),
        "{}",
        document["openapi"]
    );

    node.store.add("hello", service(1, &[80], &["n"]));
    node.store.add("doomed", service(3, &[], &[]));
    let (one, guest) = node.start("hello").await;
    let _accept = guest.listen(80);
    let (two, _) = node.start("hello").await;
    let repeatable = Start {
        service: "hello".to_owned(),
        determinism: Determinism::D1,
        ..Start::default()
    };
    let (proven, guest) = node.start_with(&Caller::operator(), repeatable).await;
    guest.exit(Outcome::Exited { status: 0 }).await;
    node.ended(proven.id).await;
    let request_of = CreateToken {
        client: "bob".into(),
        caveats: Vec::new(),
    };
    let token = node
        .gateway
        .create_token(&Caller::operator(), request_of)
        .unwrap()
        .token;
    let arguments = Arguments {
        id: one.id.to_string(),
        child: two.id.to_string(),
        proven: proven.id.to_string(),
        token: token.reveal().to_owned(),
    };
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"]
                .as_str()
                .expect("an operation has a name");
            let last = LAST
                .iter()
                .position(|last| *last == name)
                .map_or(0, |place| place + 1);
            operations.push((last, name, path, method, operation));
        }
    }
    let names: BTreeSet<_> = operations.iter().map(|operation| operation.1).collect();
    assert_eq!(names.len(), operations.len(), "names of operations differ");
    assert!(operations.len() >= 29, "{names:?}");
    operations.sort_by_key(|operation| {
        (
            operation.0,
            operation.1 != "allow",
            operation.1 != "tag",
            operation.1,
        )
    });
    for (_, name, path, method, operation) in operations {
        drive(&node, &document, &arguments, name, path, method, operation).await;
    }
}

async fn drive(
    node: &Node,
    document: &Value,
    arguments: &Arguments,
    name: &str,
    path: &str,
    method: &str,
    operation: &Value,
) {
    let mut path = path.to_owned();
    let mut headers = vec![("host".to_owned(), "localhost".to_owned())];
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let called = parameter["name"].as_str().unwrap();
        match parameter["in"].as_str().unwrap() {
            "path" => {
                let value = arguments.parameter(name, called);
                path = path.replace(&format!("{{{called}}}"), &value);
            }
            "header" => headers.push((called.to_owned(), arguments.parameter(name, called))),
            "query" => assert_ne!(parameter["required"], json!(true), "{name}: {called}"),
            other => panic!("{name}: a parameter in {other}"),
        }
    }
    assert!(
        !path.contains('{'),
        "{name}: {path} has a parameter that the document lacks"
    );
    let body = match operation["requestBody"]["content"].as_object() {
        Some(content) => {
            let (kind, media) = content.iter().next().unwrap();
            headers.push(("content-type".to_owned(), kind.clone()));
            let body = arguments.body(name);
            if kind == "application/json" {
                check(
                    document,
                    &media["schema"],
                    &serde_json::from_str(&body).unwrap(),
                    name,
                );
            }
            body
        }
        None => String::new(),
    };
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    let socket = door(&node.gateway, Door::Operator);
    let response = respond(socket, request(method, &path, &headers, &body)).await;
    let status = response.status();
    let described = &operation["responses"][status.as_str()];
    assert!(
        described.is_object() && !status.is_client_error() && !status.is_server_error(),
        "{name}: {status}"
    );
    assert!(
        operation["responses"]["default"].is_object(),
        "{name} does not say how it fails"
    );
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let kind = response
        .headers()
        .get("content-type")
        .map(|kind| kind.to_str().unwrap().to_owned());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let Some((says, media)) = described["content"]
        .as_object()
        .and_then(|content| content.iter().next())
    else {
        assert!(
            body.is_empty(),
            "{name} answers what the document does not describe"
        );
        return;
    };
    assert!(kind.unwrap().starts_with(says), "{name}");
    match says.as_str() {
        "application/json" if name != "openapi" => {
            check(
                document,
                &media["schema"],
                &serde_json::from_slice(&body).unwrap(),
                name,
            );
        }
        "application/x-ndjson" => {
            for line in body
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
            {
                check(
                    document,
                    &media["schema"],
                    &serde_json::from_slice(line).unwrap(),
                    name,
                );
            }
        }
        _ => assert!(!body.is_empty(), "{name}"),
    }
}

/// Whether a value is what a schema says: of JSON Schema what the document uses.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Err(reason) = conforms(document, schema, value, at) {
        panic!("{reason}");
    }
}

fn conforms(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Some(object) = schema.as_object() else {
        return Ok(());
    };
    if let Some(reference) = object.get("$ref") {
        let pointer = reference.as_str().unwrap().trim_start_matches('#');
        let schema = document
            .pointer(pointer)
            .ok_or(format!("{at}: {pointer} is nowhere"))?;
        return conforms(document, schema, value, at);
    }
    for schema in object
        .get("allOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        conforms(document, schema, value, at)?;
    }
    if let Some(ways) = object.get("oneOf").and_then(Value::as_array) {
        let tried: Vec<_> = ways
            .iter()
            .map(|way| conforms(document, way, value, at))
            .collect();
        if tried.iter().filter(|way| way.is_ok()).count() == 0 {
            return Err(format!("{at}: {value} is none of {tried:?}"));
        }
    }
    if let Some(values) = object.get("enum").and_then(Value::as_array)
        && !values.contains(value)
    {
        return Err(format!("{at}: {value} is none of {values:?}"));
    }
    if let Some(wanted) = object.get("type") {
        let names: Vec<_> = match wanted {
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        let is = |name: &&str| match *name {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            _ => false,
        };
        if !names.iter().any(is) {
            return Err(format!("{at}: {value} is no {names:?}"));
        }
    }
    for name in object
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let name = name.as_str().unwrap();
        if value.is_object() && value.get(name).is_none() {
            return Err(format!("{at}: {name} is missing in {value}"));
        }
    }
    let properties = object.get("properties").and_then(Value::as_object);
    for (name, value) in value.as_object().into_iter().flatten() {
        match properties.and_then(|properties| properties.get(name)) {
            Some(schema) => conforms(document, schema, value, &format!("{at}.{name}"))?,
            None if object.get("additionalProperties") == Some(&json!(false)) => {
                return Err(format!("{at}: {name} is not described"));
            }
            None => {}
        }
    }
    if let Some(items) = object.get("items") {
        for (number, value) in value.as_array().into_iter().flatten().enumerate() {
            conforms(document, items, value, &format!("{at}[{number}]"))?;
        }
    }
    Ok(())
}
