//! What was heard: by the last chunk, by reports, or by real time; to the word, or as an estimate.

use expect_test::expect;

use super::barge_in::{check, long_reply};
use super::timeline::{Script, says};

#[test]
fn the_client_interrupts_with_the_last_chunk_that_was_heard() {
    check(
        &long_reply(),
        "2500 ms interrupt 20",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–38 (600–1560 ms) until 2484 ms
        2500 ms   → cancel reply
        2500 ms   interrupt #1 by Client, heard "One two three"
        2500 ms   → commit #1: Interrupted, said "count", heard "One two three" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        2505 ms   end #1 Interrupted
        2505 ms   status listening
    "#]],
    );
}

#[test]
fn ids_of_chunks_that_mean_nothing_are_ignored_with_an_error() {
    let script = Script { llm: vec![says("Yes."), long_reply().llm[0].clone()], ..long_reply() };
    let steps = "2500 ms text go on; 3200 ms played 2; 3210 ms played 900; 3300 ms interrupt 900";
    check(
        &script,
        steps,
        expect![[r#"
        1564 ms   → forget reply
        1564 ms   → commit #1: Completed, said "count", heard "Yes."
        1569 ms   end #1 Completed
        1569 ms   status listening
        2500 ms   → generate for "go on"
        2500 ms   status thinking #2
        2600 ms   → speak s0 "One two three four five six seven."
        2630 ms   status speaking #2
        2630 ms   text #2 s0 "One two three four five six seven."
        2630 ms   audio #2 s0 chunks 6–20 (0–600 ms) until 2830 ms
        2840 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        2870 ms   audio #2 s0 chunks 21–29 (600–960 ms) until 3190 ms
        3200 ms   error  stale_chunk
        3210 ms   error  unknown_chunk
        3230 ms   audio #2 s0 chunks 30–31 (960–1040 ms) until 3270 ms
        3300 ms   error  unknown_chunk
        3300 ms   → cancel reply
        3300 ms   interrupt #2 by Client, heard "One two"
        3300 ms   → commit #2: Interrupted, typed "go on", heard "One two" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        3305 ms   end #2 Interrupted
        3305 ms   status listening
    "#]],
    );
}

#[test]
fn what_the_client_reports_counts_and_not_real_time() {
    let script = Script { reports: Some(300), ..long_reply() };
    check(
        &script,
        "2500 ms interrupt",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–38 (600–1560 ms) until 2484 ms
        2500 ms   → cancel reply
        2500 ms   interrupt #1 by Client, heard "One two three"
        2500 ms   → commit #1: Interrupted, said "count", heard "One two three" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        2504 ms   error  stale_chunk
        2505 ms   end #1 Interrupted
        2505 ms   status listening
        2544 ms   error  stale_chunk
        2584 ms   error  stale_chunk
        2624 ms   error  stale_chunk
        2664 ms   error  stale_chunk
        2704 ms   error  stale_chunk
        2744 ms   error  stale_chunk
        2784 ms   error  stale_chunk
    "#]],
    );
}

#[test]
fn the_later_of_last_chunk_and_played_counts() {
    check(
        &long_reply(),
        "2400 ms played 21; 2500 ms interrupt 3",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–38 (600–1560 ms) until 2484 ms
        2500 ms   → cancel reply
        2500 ms   interrupt #1 by Client, heard "One two three"
        2500 ms   → commit #1: Interrupted, said "count", heard "One two three" of "One two three four five six seven. Eight nine ten eleven twelve thirteen."
        2505 ms   end #1 Interrupted
        2505 ms   status listening
    "#]],
    );
}

#[test]
fn a_reply_waits_a_little_for_the_report_of_its_end() {
    let script = Script { reports: Some(200), llm: vec![says("Yes.")], ..Script::default() };
    check(
        &script,
        "5000 ms played 0",
        expect![[r#"
        1804 ms   → forget reply
        1804 ms   → commit #1: Completed, said "hello", heard "Yes."
        1809 ms   end #1 Completed
        1809 ms   status listening
        5000 ms   error  stale_chunk
    "#]],
    );
}

#[test]
fn a_client_that_stops_reporting_holds_nothing_up() {
    let script = Script { llm: vec![says("Yes.")], ..Script::default() };
    check(
        &script,
        "1400 ms played 0",
        expect![[r#"
        2604 ms   → forget reply
        2604 ms   → commit #1: Completed, said "hello", heard "Yes."
        2609 ms   end #1 Completed
        2609 ms   status listening
    "#]],
    );
}

#[test]
fn without_times_of_words_the_cut_is_an_estimate() {
    let script = Script { tts_times_words: false, ..long_reply() };
    check(
        &script,
        "2500 ms interrupt",
        expect![[r#"
        1534 ms   → speak s1 "Eight nine ten eleven twelve thirteen."
        1564 ms   audio #1 s0 chunks 15–38 (600–1560 ms) until 2484 ms
        2500 ms   → cancel reply
        2500 ms   interrupt #1 by Client, heard "One two three four"
        2500 ms   → commit #1: Interrupted, said "count", heard "One two three four" of "One two three four five six seven. Eight nine ten eleven twelve thirteen." (estimated)
        2505 ms   end #1 Interrupted
        2505 ms   status listening
    "#]],
    );
}
