//! `unicell run -it`, by somebody who types and looks.

use unicell_tests::boxes::{tree, unicell};
use unicell_tests::process::finish;
use unicell_tests::run::Run;
use unicell_tests::session::Session;

use rustix::process::{Pid, Signal, kill_process};

fn bash() -> Session {
    let run = Run::new(&tree("bash"), "/bin/bash")
        .args(["--norc", "--noprofile"])
        .env("PS1", "bash> ")
        .env("TERM", "xterm")
        .options(["-it"]);
    Session::start(run.command(), 24, 80)
}

#[test]
fn bash_with_job_control_and_another_size() {
    let mut session = bash();
    session.expect("bash> ");
    session.type_in("tty; stty size; echo $TERM\r");
    session.expect("/dev/pts/0\r\n24 80\r\nxterm\r\n");
    session.expect("bash> ");

    // The quotes tell what is printed from what is typed.
    session.type_in("bash -c 'echo st\"\"arted; exec sleep 1000'\r");
    session.expect("started\r\n");
    session.type_in("\x03");
    session.expect("^C");
    session.expect("bash> ");

    session.type_in("bash -c 'echo st\"\"arted; exec sleep 1000'\r");
    session.expect("started\r\n");
    session.type_in("\x1a");
    session.expect("Stopped");
    session.expect("bash> ");
    session.type_in("bg\r");
    session.expect("bash> ");
    session.type_in("jobs\r");
    session.expect("Running");
    session.expect("bash> ");
    session.type_in("kill %1; wait %1; echo st\"\"atus $?\r");
    session.expect("status 143\r\n");
    session.expect("bash> ");

    // A command says that it has started before anything is typed for it: until then the terminal
    // is set as bash's editor has it. And that it answers shows that it is in the foreground: bash
    // names a job before it hands the terminal over.
    session.type_in("bash -c 'echo st\"\"arted; exec cat'\r");
    session.expect("started\r\n");
    session.type_in("before\r");
    session.expect("before\r\nbefore\r\n");
    session.type_in("\x1a");
    session.expect("Stopped");
    session.expect("bash> ");
    session.type_in("fg\r");
    session.expect("exec cat'\r\n");
    session.type_in("after\r");
    session.expect("after\r\nafter\r\n");
    session.type_in("\x03");
    session.expect("bash> ");

    // A key that edits the line.
    session.type_in("echo wrong\x17ri\"\"ght\r");
    session.expect("\rright\r\n");
    session.expect("bash> ");

    // A size goes another way than keys do, so it is waited for.
    session.type_in(
        "bash -c 'trap \"stty size; exit\" WINCH; echo st\"\"arted; while :; do :; done'\r",
    );
    session.expect("started\r\n");
    session.resize(40, 132);
    session.expect("40 132\r\n");
    session.expect("bash> ");

    session.type_in("bash -c 'echo st\"\"arted; exec cat'\r");
    session.expect("started\r\n");
    session.type_in("a line\r");
    session.expect("a line\r\na line\r\n");
    session.type_in("\x04");
    session.expect("bash> ");
    session.type_in("exit 7\r");
    let (code, seen) = session.end();
    assert_eq!(code, 7, "{seen}");
}

#[test]
fn python_at_its_prompt() {
    let run = Run::new(&tree("python"), "/usr/bin/python3.11").options(["-it"]);
    let mut session = Session::start(run.command(), 30, 100);
    session.expect(">>> ");
    session.type_in("import os; print(os.isatty(0), os.ttyname(1))\r");
    session.expect("\nTrue /dev/pts/0\r\n");
    session.expect(">>> ");
    // A loop: a signal that comes after `print` and before a `sleep` would not end the sleep.
    session.type_in("print('st' 'arted'); exec('while True: pass')\r");
    session.expect("started\r\n");
    session.type_in("\x03");
    session.expect("KeyboardInterrupt");
    session.expect(">>> ");
    let told = "lambda *_: (os.write(1, repr(os.get_terminal_size()).encode()), os._exit(3))";
    session.type_in(&format!(
        "import signal; _ = signal.signal(signal.SIGWINCH, {told})\r"
    ));
    session.expect(">>> ");
    session.type_in("print('st' 'arted'); exec('while True: pass')\r");
    session.expect("started\r\n");
    session.resize(5, 7);
    session.expect("columns=7, lines=5");
    let (code, seen) = session.end();
    assert_eq!(code, 3, "{seen}");
}

#[test]
fn a_signal_ends_the_run_and_leaves_the_terminal_as_it_was() {
    let mut session = bash();
    session.expect("bash> ");
    session.signal(Signal::TERM);
    assert_eq!(session.end().0, 128 + 15);
}

#[test]
fn the_death_of_the_instance_leaves_the_terminal_as_it_was() {
    let mut session = bash();
    session.expect("bash> ");
    let process = session.process().as_raw_nonzero();
    let children = format!("/proc/{process}/task/{process}/children");
    let children = std::fs::read_to_string(children).unwrap();
    let instance = children.trim().parse().unwrap();
    kill_process(Pid::from_raw(instance).unwrap(), Signal::KILL).unwrap();
    let (code, seen) = session.end();
    assert_eq!(code, unicell_tests::exit::INTERNAL, "{seen}");
    assert!(
        seen.contains("the instance's process ended early"),
        "{seen}"
    );
}

#[test]
fn a_terminal_to_type_on_needs_one() {
    let run = Run::new(&tree("hello"), "/bin/hello").options(["-it"]);
    let outcome = run.guest();
    assert_eq!((outcome.code, outcome.out().as_str()), (1, ""), "{outcome}");
    assert!(outcome.err().contains("standard input is no terminal"));
    assert!(outcome.err().contains("hint: leave out -t"), "{outcome}");
}

#[test]
fn a_terminal_only_to_look_at() {
    let outcome = Run::new(&tree("hello"), "/bin/hello")
        .options(["-t"])
        .guest();
    assert_eq!(outcome.out(), "hello from a box\r\n");
}

#[test]
fn input_that_is_kept_is_input_as_ever() {
    let run = Run::new(&tree("busybox"), "/bin/busybox").arg("cat");
    let outcome = run.options(["-i"]).input("through\n").guest();
    assert_eq!(outcome.out(), "through\n");
}

#[test]
fn the_options_are_told() {
    let mut help = std::process::Command::new(unicell());
    help.args(["run", "--help"]);
    let help = finish(help, b"").out();
    assert!(help.contains("-i, --interactive") && help.contains("-t, --tty"));
}
