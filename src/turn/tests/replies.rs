//! Replies: segments, texts, pacing, limits, greetings, and the end of a session.

use expect_test::expect;

use super::timeline::{Llm, NEVER, Script, check, check_answer, says};

#[test]
fn a_greeting_is_spoken_first() {
    let script = Script { greeting: Some("Good day."), ..Script::default() };
    check(
        &script,
        "2000 ms text hi; 2100 ms close",
        expect![[r#"
        0 ms      status listening
        0 ms      → speak s0 "Good day."
        30 ms     status speaking #1
        30 ms     text #1 s0 "Good day."
        30 ms     audio #1 s0 chunks 0–1 (0–80 ms)
        30 ms     whole text #1 s0 "Good day."
        40 ms     audio #1 s0 chunks 2–13 (80–540 ms) until 170 ms
        570 ms    → forget reply
        570 ms    → commit #1: Completed, heard "Good day."
        575 ms    end #1 Completed
        575 ms    status listening
        2000 ms   → generate for "hi"
        2000 ms   status thinking #2
        2100 ms   → cancel reply
        2100 ms   → commit #2: Interrupted, typed "hi", heard ""
        2105 ms   end #2 Interrupted
    "#]],
    );
}

#[test]
fn a_greeting_can_be_interrupted_and_superseded() {
    let script = Script { greeting: Some("Good day to you."), ..Script::default() };
    check(
        &script,
        "500 ms interrupt",
        expect![[r#"
        0 ms      status listening
        0 ms      → speak s0 "Good day to you."
        30 ms     status speaking #1
        30 ms     text #1 s0 "Good day to you."
        30 ms     audio #1 s0 chunks 0–1 (0–80 ms)
        30 ms     whole text #1 s0 "Good day to you."
        40 ms     audio #1 s0 chunks 2–20 (80–840 ms) until 470 ms
        500 ms    → cancel reply
        500 ms    interrupt #1 by Client, heard "Good"
        500 ms    → commit #1: Interrupted, heard "Good" of "Good day to you."
        505 ms    end #1 Interrupted
        505 ms    status listening
    "#]],
    );
    let script = Script { tts_delay: 400, asr: vec![(10, Ok(""))], ..script };
    check(
        &script,
        "0 ms speech; 320 ms silence",
        expect![[r#"
        0 ms      status listening
        0 ms      → speak s0 "Good day to you."
        128 ms    speech from 0 ms
        128 ms    → cancel reply
        128 ms    → commit #1: Superseded, heard ""
        128 ms    status user_speaking #2
        133 ms    end #1 Superseded
        864 ms    speech to 320 ms
        864 ms    → transcribe 1: 0–864 ms
        864 ms    status transcribing #2
        874 ms    transcript #2 "" (864 ms)
        874 ms    → commit #2: Empty, heard ""
        879 ms    end #2 Empty
        879 ms    status listening
    "#]],
    );
}

#[test]
fn speech_starts_with_the_first_segment_while_the_llm_goes_on() {
    let llm = vec![
        (100, Llm::Says("First, ")),
        (100, Llm::Says("a short clause, and then the rest. ")),
        (900, Llm::Says("Late.")),
        (100, Llm::Ends),
    ];
    let script = Script { llm: vec![llm], tts_ms_per_char: 20, ..Script::default() };
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1434 ms   → speak s0 "First, a short clause,"
        1464 ms   status speaking #1
        1464 ms   text #1 s0 "First, a short clause,"
        1464 ms   audio #1 s0 chunks 0–10 (0–440 ms) until 1504 ms
        2334 ms   → speak s1 "and then the rest."
        2364 ms   text #1 s1 "and then the rest."
        2364 ms   audio #1 s1 chunks 11–19 (440–800 ms) until 2394 ms
        2434 ms   → speak s2 "Late."
        2464 ms   text #1 s2 "Late."
        2464 ms   audio #1 s2 chunks 20–21 (800–880 ms)
        2464 ms   whole text #1 s2 "First, a short clause, and then the rest. Late."
        2474 ms   audio #1 s2 chunks 22–22 (880–900 ms)
        2824 ms   → forget reply
        2824 ms   → commit #1: Completed, said "hello", heard "First, a short clause, and then the rest. Late."
        2829 ms   end #1 Completed
        2829 ms   status listening
    "#]],
    );
}

#[test]
fn synthesis_keeps_no_more_than_so_much_ahead() {
    let mut script = Script {
        llm: vec![says("One one one one. Two two two two. Three three. Four.")],
        ..Script::default()
    };
    script.config.tts_ahead_ms = 500;
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "One one one one."
        1364 ms   status speaking #1
        1364 ms   text #1 s0 "One one one one."
        1364 ms   audio #1 s0 chunks 0–11 (0–480 ms) until 1444 ms
        1464 ms   → speak s1 "Two two two two."
        1484 ms   audio #1 s0 chunks 12–23 (480–960 ms) until 1924 ms
        1964 ms   text #1 s1 "Two two two two."
        1964 ms   audio #1 s1 chunks 24–35 (960–1440 ms) until 2404 ms
        2404 ms   → speak s2 "Three three."
        2444 ms   audio #1 s1 chunks 36–47 (1440–1920 ms) until 2884 ms
        2924 ms   text #1 s2 "Three three."
        2924 ms   audio #1 s2 chunks 48–53 (1920–2160 ms) until 3124 ms
        3124 ms   → speak s3 "Four."
        3164 ms   audio #1 s2 chunks 54–65 (2160–2640 ms) until 3604 ms
        3644 ms   text #1 s3 "Four."
        3644 ms   audio #1 s3 chunks 66–66 (2640–2680 ms)
        3644 ms   whole text #1 s3 "One one one one. Two two two two. Three three. Four."
        3684 ms   audio #1 s3 chunks 67–73 (2680–2940 ms) until 3904 ms
        4304 ms   → forget reply
        4304 ms   → commit #1: Completed, said "hello", heard "One one one one. Two two two two. Three three. Four."
        4309 ms   end #1 Completed
        4309 ms   status listening
    "#]],
    );
}

#[test]
fn an_empty_reply_ends_at_once() {
    check_answer(
        &Script { llm: vec![vec![(100, Llm::Ends)]], ..Script::default() },
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → forget reply
        1334 ms   → commit #1: Completed, said "hello", heard ""
        1339 ms   end #1 Completed
        1339 ms   status listening
    "#]],
    );
}

#[test]
fn a_reply_of_which_nothing_can_be_spoken_is_shown() {
    check_answer(
        &Script { llm: vec![says("👍\n")], ..Script::default() },
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   whole text #1 s0 "👍"
        1334 ms   → forget reply
        1334 ms   → commit #1: Completed, said "hello", heard "👍"
        1339 ms   end #1 Completed
        1339 ms   status listening
    "#]],
    );
}

#[test]
fn a_reply_without_sound_is_shown() {
    check_answer(
        &Script { tts_ms_per_char: 0, ..Script::default() },
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "Hello you."
        1364 ms   → speak s1 "How are you?"
        1394 ms   whole text #1 s0 "Hello you. How are you?"
        1394 ms   → forget reply
        1394 ms   → commit #1: Completed, said "hello", heard "Hello you. How are you?"
        1399 ms   end #1 Completed
        1399 ms   status listening
    "#]],
    );
}

#[test]
fn a_reply_that_grows_too_long_is_ended() {
    let mut script = Script {
        llm: vec![vec![
            (100, Llm::Says("Ten chars. ")),
            (50, Llm::Says("More chars. ")),
            (50, Llm::Says("Lost.")),
            (5_000, Llm::Ends),
        ]],
        ..Script::default()
    };
    script.config.max_reply_chars = 20;
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1384 ms   → stop generating
        1384 ms   → speak s0 "Ten chars."
        1414 ms   status speaking #1
        1414 ms   text #1 s0 "Ten chars."
        1414 ms   audio #1 s0 chunks 0–10 (0–440 ms) until 1454 ms
        1474 ms   → speak s1 "More chars."
        1494 ms   audio #1 s0 chunks 11–14 (440–600 ms) until 1614 ms
        1654 ms   text #1 s1 "More chars."
        1654 ms   audio #1 s1 chunks 15–15 (600–640 ms)
        1654 ms   whole text #1 s1 "Ten chars. More chars."
        1694 ms   audio #1 s1 chunks 16–31 (640–1260 ms) until 2274 ms
        2674 ms   → forget reply
        2674 ms   → commit #1: Completed, said "hello", heard "Ten chars. More chars."
        2679 ms   end #1 Completed
        2679 ms   status listening
    "#]],
    );
}

#[test]
fn the_next_turn_may_begin_before_the_last_one_is_durable() {
    let script = Script {
        llm: vec![says("Yes."), says("No.")],
        store: vec![(1_500, Ok(())), (100, Ok(()))],
        ..Script::default()
    };
    check(
        &script,
        "0 ms text one; 400 ms text two; 500 ms text three",
        expect![[r#"
        0 ms      status listening
        0 ms      → generate for "one"
        0 ms      status thinking #1
        100 ms    → speak s0 "Yes."
        130 ms    status speaking #1
        130 ms    text #1 s0 "Yes."
        130 ms    audio #1 s0 chunks 0–1 (0–80 ms)
        130 ms    whole text #1 s0 "Yes."
        140 ms    audio #1 s0 chunks 2–5 (80–240 ms) until 150 ms
        370 ms    → forget reply
        370 ms    → commit #1: Completed, typed "one", heard "Yes."
        400 ms    → generate for "two"
        400 ms    status thinking #2
        500 ms    → cancel reply
        500 ms    interrupt #2 by Client, heard ""
        500 ms    → commit #2: Interrupted, typed "two", heard ""
        500 ms    → generate for "three"
        500 ms    status thinking #3
        600 ms    end #2 Interrupted
        600 ms    → speak s0 "No."
        630 ms    status speaking #3
        630 ms    text #3 s0 "No."
        630 ms    audio #3 s0 chunks 6–7 (0–80 ms)
        630 ms    whole text #3 s0 "No."
        640 ms    audio #3 s0 chunks 8–10 (80–180 ms) until 650 ms
        810 ms    → forget reply
        810 ms    → commit #3: Completed, typed "three", heard "No."
        910 ms    end #3 Completed
        1870 ms   end #1 Completed
        1870 ms   status listening
    "#]],
    );
}

#[test]
fn closing_commits_what_was_heard() {
    check_answer(
        &Script::default(),
        "2300 ms close",
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
        1644 ms   audio #1 s1 chunks 16–32 (640–1320 ms) until 2284 ms
        2300 ms   → cancel reply
        2300 ms   → commit #1: Interrupted, said "hello", heard "Hello you. How" of "Hello you. How are you?"
        2305 ms   end #1 Interrupted
    "#]],
    );
    check(
        &Script::default(),
        "0 ms speech; 640 ms close; 700 ms text late",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        640 ms    → commit #1: Interrupted, heard ""
        645 ms    end #1 Interrupted
    "#]],
    );
    check_answer(
        &Script { asr: vec![(NEVER, Ok(""))], ..Script::default() },
        "1300 ms close",
        1_185,
        expect![[r#"
        1300 ms   → forget transcribe 1
        1300 ms   → commit #1: Interrupted, heard ""
        1305 ms   end #1 Interrupted
    "#]],
    );
}
