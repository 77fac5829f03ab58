//! Values and texts that were made to cost much: the work is counted in bytes that are searched,
//! and the memory at its peak.
//!
//! `cargo test -p scrub --test hostile -- --nocapture` prints the table.

use peak_alloc::PeakAlloc;
use scrub::Scrubber;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const MIB: usize = 1024 * 1024;

/// Scrubs and holds work and memory; gives the text.
fn check(name: &str, values: &[String], text: &str, work_max: usize, heap_max: usize) -> String {
    let values: Vec<(&str, &str)> = values.iter().map(|value| ("a.b", value.as_str())).collect();
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let scrubber = Scrubber::new(&values, &[]);
    let made = HEAP.peak_usage() - before;
    let (scrubbed, places) = scrubber.scrub_text(text);
    let heap = HEAP.peak_usage() - before;
    let work = scrubber.searched_bytes(text);
    println!(
        "{name:<44} {:>8} bytes  searched {:>6.1} times  automaton {:>6.1} MiB  peak {:>6.1} MiB  places {places}",
        text.len(),
        work as f64 / text.len() as f64,
        made as f64 / MIB as f64,
        heap as f64 / MIB as f64,
    );
    assert!(work <= work_max * text.len(), "{name}: searched {work} bytes");
    assert!(heap <= heap_max, "{name}: {heap} bytes");
    scrubbed
}

/// One test, for the heap is counted for the whole process.
#[test]
fn hostile_values_and_texts_cost_what_plain_ones_do() {
    let value = |bytes: usize| vec!["s".repeat(bytes)];
    let plain = "the quick brown fox, ".repeat(MIB / 21);
    check("a plain text", &value(40), &plain, 2, 8 * MIB);

    // 25.6 s for each MiB with one comparison for each string that a window of eight bytes could
    // begin.
    let lines: String = (0..5_000).map(|line| format!("aaaaaaaaaaaa{line:05}\n")).collect();
    check("5,000 strings of one prefix", &[lines], &"a".repeat(MIB), 8, 32 * MIB);

    let nested: Vec<String> = (8..129).map(|bytes| "a".repeat(bytes)).collect();
    let scrubbed = check("121 strings within each other", &nested, &"a".repeat(256 * 1024), 16, 32 * MIB);
    assert_eq!(scrubbed, "[secret:a.b]");

    let overlapping: Vec<String> =
        (0..1_000).map(|at| format!("{:03}{:03}{:03}", at, (at + 1) % 1_000, (at + 2) % 1_000)).collect();
    let text: String = (0..300_000).map(|at| format!("{:03}", at % 1_000)).collect();
    assert_eq!(check("overlapping secrets", &overlapping, &text, 8, 48 * MIB), "[secret:a.b]");

    let lines: String = (0..17_000).map(|line| format!("{:x}\n", line % 4096)).collect();
    check(
        "a value of 17,000 lines",
        &[lines[..64 * 1024].to_owned()],
        &"0123456789abcdef\n".repeat(MIB / 17),
        8,
        32 * MIB,
    );

    let long: String = (0..96 * 1024 / 6).map(|at| format!("{at:06x}")).collect();
    check("a value of 96 KiB", std::slice::from_ref(&long), &long.repeat(8), 8, 48 * MIB);

    check("4 MiB of `+`", &value(40), &"+".repeat(4 * MIB), 8, 16 * MIB);
    check("4 MiB of `%41`", &value(40), &"%41".repeat(4 * MIB / 3), 8, 24 * MIB);
    check("4 MiB of `%41a`", &value(40), &"%41a".repeat(MIB), 8, 48 * MIB);
    check("4 MiB of base64", &value(40), &"QUFB".repeat(MIB), 8, 24 * MIB);
    check("4 MiB of `s`", &value(40), &"s".repeat(4 * MIB), 8, 24 * MIB);
}
