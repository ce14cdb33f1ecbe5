//! The rules of "One ring" (docs/architecture.md), each by a program that is
//! told from one on Linux when the rule is broken.

use unicell_tests::boxes::tree;
use unicell_tests::hosts::skip;
use unicell_tests::run::Run;

fn holds(rule: &str) {
    let outcome = Run::new(&tree("programs"), "/static/ring").arg(rule).same();
    assert_eq!(outcome.code, 0, "{outcome}");
}

#[test]
fn nobody_writes_below_the_stack_pointer() {
    holds("red-zone");
}

#[test]
fn a_call_changes_three_registers() {
    holds("registers");
}

#[test]
fn the_kernel_clears_flags_and_the_program_keeps_them() {
    holds("flags");
}

#[test]
fn single_steps_stop_at_the_programs_instructions_alone() {
    holds("steps");
}

#[test]
fn selectors_are_those_of_linux() {
    holds("selectors");
}

#[test]
fn pointers_are_looked_up_before_they_are_used() {
    holds("pointers");
}

#[test]
fn privileged_instructions_and_vectors_are_refused() {
    holds("privilege");
}

#[test]
fn the_gate_is_told_from_undefined_instructions_by_its_address() {
    holds("undefined");
}

#[test]
fn segment_bases_are_the_programs() {
    let flags = std::fs::read_to_string("/proc/cpuinfo").expect("a processor is described");
    if !flags.contains(" fsgsbase") {
        return skip("no FSGSBASE to compare with");
    }
    holds("bases");
}

#[test]
fn extended_state_is_each_threads_own() {
    holds("state");
}

#[test]
fn a_spinning_thread_is_interrupted_whatever_went_before() {
    holds("spinning");
}

#[test]
fn rights_that_are_taken_are_gone_and_that_are_given_are_there() {
    holds("mappings");
}

#[test]
fn the_programs_stack_may_point_anywhere() {
    holds("stacks");
}

#[test]
fn sigreturn_loads_nothing_that_hurts() {
    holds("returns");
}
