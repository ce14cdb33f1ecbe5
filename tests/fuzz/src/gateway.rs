//! What guests and clients ask of a node.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;
use unicell_gateway::http::{self, Door};
use unicell_gateway::token::{Chain, RootKey};
use unicell_gateway_api::token::Token;

#[path = "../../../gateway/tests/support/mod.rs"]
mod support;

/// A token, in its text: what is read has this one spelling, and was not made here.
pub(crate) fn token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let Ok(chain) = Chain::parse(&Token::new(text.clone())) else {
        return;
    };
    assert_eq!(chain.token().reveal(), text);
    // The corpus has tokens under a key of zeros.
    let forged = RootKey::from_bytes([1; 32]).verify(&chain).is_err();
    assert!(forged, "nobody has this key");
}

/// Most bytes of one answer: the document of the API is the longest.
const ANSWER: usize = 512 << 10;
/// How long nothing is said before the caller hangs up. It decides how much is answered, and not
/// whether what has to hold does.
const IDLE: Duration = Duration::from_millis(20);
/// Never reached by a connection that ends at all.
const LIMIT: Duration = Duration::from_secs(60);

/// A connection to the API. The first byte says whose it is; `{token}` and `{instance}` in what
/// follows stand for those of an instance that runs.
pub(crate) fn http(bytes: &[u8]) {
    let Some((door, bytes)) = bytes.split_first() else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("there is a runtime");
    runtime.block_on(async {
        let node = support::Node::new();
        node.store
            .add("hello", support::service(1, &[80], &["net"]));
        let (started, guest) = node.start("hello").await;
        let door = match door % 3 {
            0 => Door::Operator,
            1 => Door::Client,
            _ => Door::Guest(started.id),
        };
        let token = guest.configuration().token;
        let sent = replace(bytes, b"{token}", token.reveal().as_bytes());
        let sent = replace(&sent, b"{instance}", started.id.to_string().as_bytes());
        let (ours, theirs) = UnixStream::pair().expect("a pair can be made");
        let serving = http::serve(&node.gateway, theirs, door);
        // A caller that has hung up is served no longer, whatever it had asked for.
        let served = timeout(LIMIT, async { tokio::join!(talk(ours, &sent), serving) });
        let (answers, ()) = served.await.expect("the connection ends");
        // Of either minor version.
        let starts = b"HTTP/1.";
        let number = answers.windows(starts.len()).filter(|at| at == starts);
        assert!(answers.len() <= number.count() * ANSWER);
    });
    // What still blocks is nobody's any more.
    runtime.shutdown_background();
}

/// Says all, hears all that is said until nothing more happens, and hangs up.
async fn talk(stream: UnixStream, say: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = stream.into_split();
    let mut heard = Vec::new();
    let hear =
        async { while let Ok(Ok(1..)) = timeout(IDLE, reader.read_buf(&mut heard)).await {} };
    let say = async {
        // The node may have hung up.
        let _ = timeout(IDLE, writer.write_all(say)).await;
    };
    tokio::join!(hear, say);
    heard
}

fn replace(bytes: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(what.len()).position(|here| here == what) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(with);
        rest = &rest[at + what.len()..];
    }
    out.extend_from_slice(rest);
    out
}
