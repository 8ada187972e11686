//! A bounded run of each target: the committed seeds, then bytes of numbered seeds.
//!
//! `FUZZ_CASES` multiplies the numbers here.

use std::path::Path;

use super::{answers, arguments, bodies, choices::material, lines};

/// Runs the seeds of a target and so many inputs more, of up to so many bytes.
fn run(target: &str, cases: u64, longest: u64, harness: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut files: Vec<_> = std::fs::read_dir(&seeds)
        .expect("seeds")
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    assert!(files.len() > 3, "no seeds in {}", seeds.display());
    for file in files {
        eprintln!("{}", file.display());
        harness(&std::fs::read(&file).expect("a seed"));
    }
    let times = std::env::var("FUZZ_CASES").ok();
    let times: u64 = times.and_then(|times| times.parse().ok()).unwrap_or(1);
    for seed in 0..cases * times {
        // The last number is the one that failed.
        eprintln!("{target} {seed}");
        harness(&material(seed, 8 + (seed * 37 % longest) as usize));
    }
}

#[test]
fn every_line_is_answered_once() {
    run("lines", 250, 600, lines::run);
}

#[test]
fn every_body_is_answered_over_http_and_sse() {
    run("bodies", 250, 300, bodies::run);
    bodies::assert_nothing_left();
}

#[test]
fn whatever_is_sent_is_answered_and_the_argument_at_fault_is_named() {
    run("arguments", 1_500, 60, arguments::run);
}

#[test]
fn damaged_answers_are_answered_in_words() {
    run("answers", 300, 200, answers::run);
}
