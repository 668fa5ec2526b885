//! Failures and time-outs of each stage: an error, an apology where one can be heard, an end.

use expect_test::expect;

use super::timeline::{Llm, NEVER, Script, check, check_answer, says};

#[test]
fn recognition_fails() {
    let script = Script { asr: vec![(50, Err("asr_failed"))], ..Script::default() };
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   error #1 asr_failed
        1234 ms   → speak s0 "Sorry."
        1264 ms   status speaking #1
        1264 ms   text #1 s0 "Sorry."
        1264 ms   audio #1 s0 chunks 0–1 (0–80 ms)
        1264 ms   whole text #1 s0 "Sorry."
        1274 ms   audio #1 s0 chunks 2–8 (80–360 ms) until 1294 ms
        1624 ms   → forget reply
        1624 ms   → commit #1: Failed, heard "Sorry."
        1629 ms   end #1 Failed
        1629 ms   status listening
    "#]],
    );
}

#[test]
fn recognition_fails_and_nothing_is_to_be_said() {
    let mut script = Script { asr: vec![(50, Err("asr_failed"))], ..Script::default() };
    script.config.apology = String::new();
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   error #1 asr_failed
        1234 ms   → commit #1: Failed, heard ""
        1239 ms   end #1 Failed
        1239 ms   status listening
    "#]],
    );
}

#[test]
fn recognition_does_not_answer() {
    let mut script = Script { asr: vec![(NEVER, Ok(""))], ..Script::default() };
    script.config.asr_timeout_ms = 1_000;
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        2184 ms   → forget transcribe 1
        2184 ms   error #1 asr_timeout
        2184 ms   → speak s0 "Sorry."
        2214 ms   status speaking #1
        2214 ms   text #1 s0 "Sorry."
        2214 ms   audio #1 s0 chunks 0–1 (0–80 ms)
        2214 ms   whole text #1 s0 "Sorry."
        2224 ms   audio #1 s0 chunks 2–8 (80–360 ms) until 2244 ms
        2574 ms   → forget reply
        2574 ms   → commit #1: Failed, heard "Sorry."
        2579 ms   end #1 Failed
        2579 ms   status listening
    "#]],
    );
}

#[test]
fn one_part_of_a_long_utterance_fails() {
    let mut script = Script { asr: vec![(50, Ok("one")), (50, Err("asr_failed"))], ..Script::default() };
    script.config.max_utterance_s = 1;
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   error #1 asr_failed
        1234 ms   → speak s0 "Sorry."
        1264 ms   status speaking #1
        1264 ms   text #1 s0 "Sorry."
        1264 ms   audio #1 s0 chunks 0–1 (0–80 ms)
        1264 ms   whole text #1 s0 "Sorry."
        1274 ms   audio #1 s0 chunks 2–8 (80–360 ms) until 1294 ms
        1624 ms   → forget reply
        1624 ms   → commit #1: Failed, said "one", heard "Sorry."
        1629 ms   end #1 Failed
        1629 ms   status listening
    "#]],
    );
}

#[test]
fn the_llm_fails_before_its_first_token() {
    let script = Script { llm: vec![vec![(100, Llm::Fails("llm_unreachable"))]], ..Script::default() };
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   error #1 llm_unreachable
        1334 ms   → speak s0 "Sorry."
        1364 ms   status speaking #1
        1364 ms   text #1 s0 "Sorry."
        1364 ms   audio #1 s0 chunks 0–1 (0–80 ms)
        1364 ms   whole text #1 s0 "Sorry."
        1374 ms   audio #1 s0 chunks 2–8 (80–360 ms) until 1394 ms
        1724 ms   → forget reply
        1724 ms   → commit #1: Failed, said "hello", heard "Sorry."
        1729 ms   end #1 Failed
        1729 ms   status listening
    "#]],
    );
}

#[test]
fn the_llm_fails_in_the_middle() {
    let llm = vec![(100, Llm::Says("So far. And th")), (300, Llm::Fails("llm_failed"))];
    check_answer(
        &Script { llm: vec![llm], ..Script::default() },
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "So far."
        1364 ms   status speaking #1
        1364 ms   text #1 s0 "So far."
        1364 ms   audio #1 s0 chunks 0–10 (0–420 ms) until 1414 ms
        1634 ms   error #1 llm_failed
        1634 ms   → speak s1 "And th"
        1664 ms   text #1 s1 "And th"
        1664 ms   audio #1 s1 chunks 11–17 (420–700 ms) until 1684 ms
        1704 ms   → speak s2 "Sorry."
        1704 ms   audio #1 s1 chunks 18–19 (700–780 ms) until 1744 ms
        1784 ms   text #1 s2 "Sorry."
        1784 ms   audio #1 s2 chunks 20–20 (780–820 ms)
        1784 ms   whole text #1 s2 "So far. And th\nSorry."
        1824 ms   audio #1 s2 chunks 21–28 (820–1140 ms) until 2104 ms
        2504 ms   → forget reply
        2504 ms   → commit #1: Failed, said "hello", heard "So far. And th\nSorry."
        2509 ms   end #1 Failed
        2509 ms   status listening
    "#]],
    );
}

#[test]
fn the_llm_does_not_answer() {
    let mut script = Script { llm: vec![vec![(NEVER, Llm::Ends)]], ..Script::default() };
    script.config.llm_first_token_timeout_ms = 500;
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        2734 ms   → stop generating
        2734 ms   error #1 llm_timeout
        2734 ms   → speak s0 "Sorry."
        2764 ms   status speaking #1
        2764 ms   text #1 s0 "Sorry."
        2764 ms   audio #1 s0 chunks 0–1 (0–80 ms)
        2764 ms   whole text #1 s0 "Sorry."
        2774 ms   audio #1 s0 chunks 2–8 (80–360 ms) until 2794 ms
        3124 ms   → forget reply
        3124 ms   → commit #1: Failed, said "hello", heard "Sorry."
        3129 ms   end #1 Failed
        3129 ms   status listening
    "#]],
    );
}

#[test]
fn the_llm_stops_answering() {
    let mut script =
        Script { llm: vec![vec![(100, Llm::Says("So far.")), (NEVER, Llm::Ends)]], ..Script::default() };
    script.config.llm_token_timeout_ms = 500;
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        2834 ms   → stop generating
        2834 ms   error #1 llm_timeout
        2834 ms   → speak s0 "So far."
        2864 ms   status speaking #1
        2864 ms   text #1 s0 "So far."
        2864 ms   audio #1 s0 chunks 0–9 (0–400 ms) until 2894 ms
        2914 ms   → speak s1 "Sorry."
        2914 ms   audio #1 s0 chunks 10–10 (400–420 ms)
        2944 ms   text #1 s1 "Sorry."
        2944 ms   audio #1 s1 chunks 11–11 (420–460 ms)
        2944 ms   whole text #1 s1 "So far.\nSorry."
        2964 ms   audio #1 s1 chunks 12–19 (460–780 ms) until 3244 ms
        3644 ms   → forget reply
        3644 ms   → commit #1: Failed, said "hello", heard "So far.\nSorry."
        3649 ms   end #1 Failed
        3649 ms   status listening
    "#]],
    );
}

#[test]
fn synthesis_fails_at_once() {
    let script = Script { tts_fails: Some((0, 0, Some("tts_failed"))), ..Script::default() };
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "Hello you."
        1364 ms   error #1 tts_failed
        1364 ms   whole text #1 s0 "Hello you. How are you?"
        1364 ms   → forget reply
        1364 ms   → commit #1: Failed, said "hello", heard "" of "Hello you. How are you?"
        1369 ms   end #1 Failed
        1369 ms   status listening
    "#]],
    );
}

#[test]
fn synthesis_fails_in_the_middle_and_only_what_was_made_is_heard() {
    let llm = vec![(100, Llm::Says("One two three four. Five.")), (5_000, Llm::Ends)];
    let script = Script { llm: vec![llm], tts_fails: Some((0, 5, Some("tts_failed"))), ..Script::default() };
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "One two three four."
        1364 ms   status speaking #1
        1364 ms   text #1 s0 "One two three four."
        1364 ms   audio #1 s0 chunks 0–10 (0–440 ms) until 1404 ms
        1414 ms   → stop generating
        1414 ms   error #1 tts_failed
        1414 ms   whole text #1 s0 "One two three four. Five."
        1444 ms   audio #1 s0 chunks 11–12 (440–500 ms) until 1464 ms
        1864 ms   → forget reply
        1864 ms   → commit #1: Failed, said "hello", heard "One two" of "One two three four. Five."
        1869 ms   end #1 Failed
        1869 ms   status listening
    "#]],
    );
    let script = Script { tts_times_words: false, ..script };
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "One two three four."
        1364 ms   status speaking #1
        1364 ms   text #1 s0 "One two three four."
        1364 ms   audio #1 s0 chunks 0–10 (0–440 ms) until 1404 ms
        1414 ms   → stop generating
        1414 ms   error #1 tts_failed
        1414 ms   whole text #1 s0 "One two three four. Five."
        1444 ms   audio #1 s0 chunks 11–12 (440–500 ms) until 1464 ms
        1864 ms   → forget reply
        1864 ms   → commit #1: Failed, said "hello", heard "One" of "One two three four. Five." (estimated)
        1869 ms   end #1 Failed
        1869 ms   status listening
    "#]],
    );
}

#[test]
fn synthesis_of_the_second_segment_stops_answering() {
    let mut script = Script { tts_fails: Some((1, 2, None)), ..Script::default() };
    script.config.tts_timeout_ms = 1_000;
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "Hello you."
        1364 ms   status speaking #1
        1364 ms   text #1 s0 "Hello you."
        1364 ms   audio #1 s0 chunks 0–10 (0–440 ms) until 1404 ms
        1424 ms   → speak s1 "How are you?"
        1444 ms   audio #1 s0 chunks 11–14 (440–600 ms) until 1564 ms
        1604 ms   text #1 s1 "How are you?"
        1604 ms   audio #1 s1 chunks 15–15 (600–640 ms)
        1604 ms   whole text #1 s1 "Hello you. How are you?"
        1644 ms   audio #1 s1 chunks 16–19 (640–800 ms) until 1764 ms
        2464 ms   error #1 tts_timeout
        2464 ms   → forget reply
        2464 ms   → commit #1: Failed, said "hello", heard "Hello you. How" of "Hello you. How are you?"
        2469 ms   end #1 Failed
        2469 ms   status listening
    "#]],
    );
}

#[test]
fn the_apology_cannot_be_spoken() {
    let script = Script {
        asr: vec![(50, Err("asr_failed"))],
        tts_fails: Some((0, 0, Some("tts_failed"))),
        ..Script::default()
    };
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   error #1 asr_failed
        1234 ms   → speak s0 "Sorry."
        1264 ms   error #1 tts_failed
        1264 ms   whole text #1 s0 "Sorry."
        1264 ms   → forget reply
        1264 ms   → commit #1: Failed, heard "" of "Sorry."
        1269 ms   end #1 Failed
        1269 ms   status listening
    "#]],
    );
}

#[test]
fn the_store_fails() {
    let script =
        Script { llm: vec![says("Yes.")], store: vec![(5, Err("store_failed"))], ..Script::default() };
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "Yes."
        1364 ms   status speaking #1
        1364 ms   text #1 s0 "Yes."
        1364 ms   audio #1 s0 chunks 0–1 (0–80 ms)
        1364 ms   whole text #1 s0 "Yes."
        1374 ms   audio #1 s0 chunks 2–5 (80–240 ms) until 1384 ms
        1604 ms   → forget reply
        1604 ms   → commit #1: Completed, said "hello", heard "Yes."
        1609 ms   error #1 store_failed
        1609 ms   end #1 Completed
        1609 ms   status listening
    "#]],
    );
}

#[test]
fn a_failed_reply_can_be_interrupted() {
    let llm = vec![(100, Llm::Says("So far. And th")), (300, Llm::Fails("llm_failed"))];
    check_answer(
        &Script { llm: vec![llm], ..Script::default() },
        "1900 ms interrupt",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "So far."
        1364 ms   status speaking #1
        1364 ms   text #1 s0 "So far."
        1364 ms   audio #1 s0 chunks 0–10 (0–420 ms) until 1414 ms
        1634 ms   error #1 llm_failed
        1634 ms   → speak s1 "And th"
        1664 ms   text #1 s1 "And th"
        1664 ms   audio #1 s1 chunks 11–17 (420–700 ms) until 1684 ms
        1704 ms   → speak s2 "Sorry."
        1704 ms   audio #1 s1 chunks 18–19 (700–780 ms) until 1744 ms
        1784 ms   text #1 s2 "Sorry."
        1784 ms   audio #1 s2 chunks 20–20 (780–820 ms)
        1784 ms   whole text #1 s2 "So far. And th\nSorry."
        1824 ms   audio #1 s2 chunks 21–22 (820–900 ms) until 1864 ms
        1900 ms   → cancel reply
        1900 ms   interrupt #1 by Client, heard "So far."
        1900 ms   → commit #1: Interrupted, said "hello", heard "So far." of "So far. And th\nSorry."
        1905 ms   end #1 Interrupted
        1905 ms   status listening
    "#]],
    );
}

#[test]
fn the_next_turn_works_again() {
    let script =
        Script { llm: vec![vec![(50, Llm::Fails("llm_failed"))], says("Yes.")], ..Script::default() };
    check(
        &script,
        "0 ms text one; 1500 ms text two",
        expect![[r#"
        0 ms      status listening
        0 ms      → generate for "one"
        0 ms      status thinking #1
        50 ms     error #1 llm_failed
        50 ms     → speak s0 "Sorry."
        80 ms     status speaking #1
        80 ms     text #1 s0 "Sorry."
        80 ms     audio #1 s0 chunks 0–1 (0–80 ms)
        80 ms     whole text #1 s0 "Sorry."
        90 ms     audio #1 s0 chunks 2–8 (80–360 ms) until 110 ms
        440 ms    → forget reply
        440 ms    → commit #1: Failed, typed "one", heard "Sorry."
        445 ms    end #1 Failed
        445 ms    status listening
        1500 ms   → generate for "two"
        1500 ms   status thinking #2
        1600 ms   → speak s0 "Yes."
        1630 ms   status speaking #2
        1630 ms   text #2 s0 "Yes."
        1630 ms   audio #2 s0 chunks 9–10 (0–80 ms)
        1630 ms   whole text #2 s0 "Yes."
        1640 ms   audio #2 s0 chunks 11–14 (80–240 ms) until 1650 ms
        1870 ms   → forget reply
        1870 ms   → commit #2: Completed, typed "two", heard "Yes."
        1875 ms   end #2 Completed
        1875 ms   status listening
    "#]],
    );
}
