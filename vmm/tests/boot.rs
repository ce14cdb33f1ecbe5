//! Guests that behave.

mod common;

use common::{Script, run};
use unicell_guest_abi::exit::ExitKind;
use unicell_guest_abi::message::channel;
use unicell_vmm::End;

fn exited(status: u32) -> End {
    End::Guest {
        kind: ExitKind::Exited,
        status,
    }
}

#[test]
fn a_guest_prints_and_exits() {
    let script = Script::new().print(channel::STDOUT, b"hello\n").exit(7);
    let (outcome, text) = run(&script);
    assert_eq!(
        outcome.end,
        exited(7),
        "{outcome}\n{}",
        outcome
            .report
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    );
    assert_eq!(text, "hello\n");
}
