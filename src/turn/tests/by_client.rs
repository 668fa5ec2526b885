//! Replies that the client asks for, messages that it puts in, and turns that nobody answers by themselves.

use expect_test::expect;

use super::timeline::{Llm, Script, check, says};
use crate::turn::config::TurnConfig;

/// As the Realtime wire sets it up.
fn realtime() -> Script {
    let script = Script::default();
    let config =
        TurnConfig { resume_false_interruption: false, joins: false, amendable_replies: 2, ..script.config };
    Script { config, shows_all: true, ..script }
}

#[test]
fn without_auto_reply_words_wait_for_the_client_who_may_ask_before_they_are_known() {
    let mut script = realtime();
    script.config.auto_reply = false;
    script.asr = vec![(400, Ok("one")), (50, Ok("two"))];
    script.llm = vec![says("Yes.")];
    check(
        &script,
        "0 ms manual; 320 ms commit; 480 ms commit; 490 ms respond 7; 500 ms respond 8",
        expect![[r#"
            0 ms      status listening
            320 ms    status user_speaking #1
            320 ms    → transcribe 1: 0–320 ms
            320 ms    contributed #1
            320 ms    status transcribing #1
            480 ms    status user_speaking #2
            480 ms    → transcribe 2: 320–480 ms
            480 ms    contributed #2
            480 ms    status transcribing #2
            500 ms    no reply for request 8: reply_under_way
            530 ms    transcript #2 "two" (160 ms)
            720 ms    transcript #1 "one" (320 ms)
            720 ms    → commit #1: Completed, said "one", heard ""
            720 ms    → commit #2: Completed, said "two", heard ""
            720 ms    reply #3 for request 7
            720 ms    → generate for ""
            720 ms    status thinking #3
            725 ms    end #1 Completed
            725 ms    end #2 Completed
            820 ms    → speak s0 "Yes."
            850 ms    status speaking #3
            850 ms    text #3 s0 "Yes."
            850 ms    audio #3 s0 chunks 0–1 (0–80 ms)
            850 ms    whole text #3 s0 "Yes."
            860 ms    audio #3 s0 chunks 2–5 (80–240 ms) until 870 ms
            880 ms    delivered #3
            1090 ms   → forget reply
            1090 ms   → commit #3: Completed, heard "Yes."
            1095 ms   end #3 Completed
            1095 ms   status listening
        "#]],
    );
}

#[test]
fn a_message_stands_behind_what_was_said_before_it() {
    let mut script = realtime();
    script.llm = vec![says("Yes.")];
    check(
        &script,
        "10 ms respond 1; 20 ms insert 5; 30 ms respond 2; 400 ms respond 3",
        expect![[r#"
        0 ms      status listening
        10 ms     reply #1 for request 1
        10 ms     → generate for ""
        10 ms     status thinking #1
        30 ms     no reply for request 2: reply_under_way
        110 ms    → speak s0 "Yes."
        140 ms    status speaking #1
        140 ms    text #1 s0 "Yes."
        140 ms    audio #1 s0 chunks 0–1 (0–80 ms)
        140 ms    whole text #1 s0 "Yes."
        150 ms    audio #1 s0 chunks 2–5 (80–240 ms) until 160 ms
        170 ms    delivered #1
        380 ms    → forget reply
        380 ms    → commit #1: Completed, heard "Yes."
        380 ms    → insert #2 message 5
        385 ms    end #1 Completed
        385 ms    status listening
        400 ms    reply #3 for request 3
        400 ms    → generate for ""
        400 ms    status thinking #3
        500 ms    → speak s0 "Yes."
        530 ms    status speaking #3
        530 ms    text #3 s0 "Yes."
        530 ms    audio #3 s0 chunks 6–7 (0–80 ms)
        530 ms    whole text #3 s0 "Yes."
        540 ms    audio #3 s0 chunks 8–11 (80–240 ms) until 550 ms
        560 ms    delivered #3
        770 ms    → forget reply
        770 ms    → commit #3: Completed, heard "Yes."
        775 ms    end #3 Completed
        775 ms    status listening
    "#]],
    );
}

#[test]
fn a_reply_that_is_read_is_not_spoken_and_a_voice_stops_it() {
    let mut script = realtime();
    script.llm = vec![vec![
        (100, Llm::Says(" One ")),
        (100, Llm::Says("two. ")),
        (900, Llm::Says("Three.")),
        (0, Llm::Ends),
    ]];
    check(
        &script,
        "0 ms write 1; 500 ms speech; 800 ms silence; 3000 ms close",
        expect![[r#"
        0 ms      status listening
        0 ms      reply #1 for request 1
        0 ms      → generate for ""
        0 ms      status thinking #1
        100 ms    written #1 "One "
        200 ms    written #1 "two. "
        608 ms    speech from 180 ms
        608 ms    → cancel reply
        608 ms    interrupt #1 by Speech, heard "One two."
        608 ms    → commit #1: Interrupted, heard "One two."
        608 ms    status user_speaking #2
        613 ms    end #1 Interrupted
        1344 ms   speech to 800 ms
        1344 ms   → transcribe 1: 180–1344 ms
        1344 ms   contributed #2
        1344 ms   status transcribing #2
        1394 ms   transcript #2 "hello" (1164 ms)
        1394 ms   reply #2
        1394 ms   → generate for "hello"
        1394 ms   status thinking #2
        2494 ms   → speak s0 "One two."
        2524 ms   status speaking #2
        2524 ms   text #2 s0 "One two."
        2524 ms   audio #2 s0 chunks 0–10 (0–440 ms) until 2564 ms
        2574 ms   → speak s1 "Three."
        2604 ms   audio #2 s0 chunks 11–11 (440–480 ms)
        2644 ms   text #2 s1 "Three."
        2644 ms   audio #2 s1 chunks 12–12 (480–520 ms)
        2644 ms   whole text #2 s1 "One two. Three."
        2684 ms   audio #2 s1 chunks 13–20 (520–840 ms) until 2964 ms
        2964 ms   delivered #2
        3000 ms   → cancel reply
        3000 ms   → commit #2: Interrupted, said "hello", heard "One" of "One two. Three."
        3005 ms   end #2 Interrupted
    "#]],
    );
}

#[test]
fn a_clients_tool_ends_the_reply() {
    let mut script = realtime();
    script.client_tools = &["look"];
    script.llm =
        vec![vec![(50, Llm::Says("Let me see.")), (10, Llm::Calls("look")), (10, Llm::Ends)], says("Sunny.")];
    check(
        &script,
        "0 ms respond 1; 200 ms insert 9; 210 ms respond 2",
        expect![[r#"
            0 ms      status listening
            0 ms      reply #1 for request 1
            0 ms      → generate for ""
            0 ms      status thinking #1
            60 ms     tool call #1 look for the client as call_1_1
            70 ms     → speak s0 "Let me see."
            100 ms    status speaking #1
            100 ms    text #1 s0 "Let me see."
            100 ms    audio #1 s0 chunks 0–1 (0–80 ms)
            100 ms    whole text #1 s0 "Let me see."
            110 ms    audio #1 s0 chunks 2–16 (80–660 ms) until 360 ms
            360 ms    delivered #1
            360 ms    → forget reply
            360 ms    → commit #1: Completed, 1. call_1_1 look@11 = nothing, heard "Let me see."
            360 ms    → insert #2 message 9
            360 ms    reply #3 for request 2
            360 ms    → generate for ""
            360 ms    status thinking #3
            365 ms    end #1 Completed
            460 ms    → speak s0 "Sunny."
            490 ms    status speaking #3
            490 ms    text #3 s0 "Sunny."
            490 ms    audio #3 s0 chunks 17–18 (0–80 ms)
            490 ms    whole text #3 s0 "Sunny."
            500 ms    audio #3 s0 chunks 19–25 (80–360 ms) until 520 ms
            530 ms    delivered #3
            850 ms    → forget reply
            850 ms    → commit #3: Completed, heard "Sunny."
            855 ms    end #3 Completed
            855 ms    status listening
        "#]],
    );
}

#[test]
fn a_reply_runs_on_where_voices_do_not_interrupt() {
    let mut script = realtime();
    script.config.interrupts = false;
    script.llm = vec![says("One two three four five."), says("Yes.")];
    check(
        &script,
        "0 ms respond 1; 320 ms speech; 640 ms silence",
        expect![[r#"
        0 ms      status listening
        0 ms      reply #1 for request 1
        0 ms      → generate for ""
        0 ms      status thinking #1
        100 ms    → speak s0 "One two three four five."
        130 ms    status speaking #1
        130 ms    text #1 s0 "One two three four five."
        130 ms    audio #1 s0 chunks 0–1 (0–80 ms)
        130 ms    whole text #1 s0 "One two three four five."
        140 ms    audio #1 s0 chunks 2–16 (80–680 ms) until 410 ms
        448 ms    speech from 20 ms
        448 ms    status user_speaking #2
        450 ms    status speaking #1
        450 ms    audio #1 s0 chunks 17–35 (680–1440 ms) until 1170 ms
        1170 ms   delivered #1
        1184 ms   speech to 640 ms
        1184 ms   → transcribe 1: 20–1184 ms
        1184 ms   contributed #2
        1184 ms   status transcribing #2
        1234 ms   transcript #2 "hello" (1164 ms)
        1570 ms   → forget reply
        1570 ms   → commit #1: Completed, heard "One two three four five."
        1570 ms   reply #2
        1570 ms   → generate for "hello"
        1570 ms   status thinking #2
        1575 ms   end #1 Completed
        1670 ms   → speak s0 "Yes."
        1700 ms   status speaking #2
        1700 ms   text #2 s0 "Yes."
        1700 ms   audio #2 s0 chunks 36–37 (0–80 ms)
        1700 ms   whole text #2 s0 "Yes."
        1710 ms   audio #2 s0 chunks 38–41 (80–240 ms) until 1720 ms
        1730 ms   delivered #2
        1940 ms   → forget reply
        1940 ms   → commit #2: Completed, said "hello", heard "Yes."
        1945 ms   end #2 Completed
        1945 ms   status listening
    "#]],
    );
}

#[test]
fn every_utterance_is_a_turn_of_its_own_where_they_are_not_joined() {
    let mut script = realtime();
    script.asr = vec![(900, Ok("one")), (50, Ok("two"))];
    script.llm = vec![says("Yes.")];
    check(
        &script,
        "0 ms speech; 320 ms silence; 960 ms speech; 1280 ms silence",
        expect![[r#"
        0 ms      status listening
        128 ms    speech from 0 ms
        128 ms    status user_speaking #1
        864 ms    speech to 320 ms
        864 ms    → transcribe 1: 0–864 ms
        864 ms    contributed #1
        864 ms    status transcribing #1
        1088 ms   speech from 864 ms
        1088 ms   status user_speaking #2
        1764 ms   transcript #1 "one" (864 ms)
        1764 ms   → commit #1: Completed, said "one", heard ""
        1769 ms   end #1 Completed
        1824 ms   speech to 1280 ms
        1824 ms   → transcribe 2: 864–1824 ms
        1824 ms   contributed #2
        1824 ms   status transcribing #2
        1874 ms   transcript #2 "two" (960 ms)
        1874 ms   reply #2
        1874 ms   → generate for "two"
        1874 ms   status thinking #2
        1974 ms   → speak s0 "Yes."
        2004 ms   status speaking #2
        2004 ms   text #2 s0 "Yes."
        2004 ms   audio #2 s0 chunks 0–1 (0–80 ms)
        2004 ms   whole text #2 s0 "Yes."
        2014 ms   audio #2 s0 chunks 2–5 (80–240 ms) until 2024 ms
        2034 ms   delivered #2
        2244 ms   → forget reply
        2244 ms   → commit #2: Completed, said "two", heard "Yes."
        2249 ms   end #2 Completed
        2249 ms   status listening
    "#]],
    );
}

#[test]
fn what_was_heard_is_amended_after_the_fact() {
    let mut script = realtime();
    script.llm = vec![says("One two three four.")];
    check(
        &script,
        "0 ms respond 1; 3000 ms truncate 1 420; 3010 ms truncate 1 90000; 3020 ms truncate 9 0; 3100 ms respond 2; \
         3500 ms truncate 2 60",
        expect![[r#"
            0 ms      status listening
            0 ms      reply #1 for request 1
            0 ms      → generate for ""
            0 ms      status thinking #1
            100 ms    → speak s0 "One two three four."
            130 ms    status speaking #1
            130 ms    text #1 s0 "One two three four."
            130 ms    audio #1 s0 chunks 0–1 (0–80 ms)
            130 ms    whole text #1 s0 "One two three four."
            140 ms    audio #1 s0 chunks 2–28 (80–1140 ms) until 870 ms
            870 ms    delivered #1
            1270 ms   → forget reply
            1270 ms   → commit #1: Completed, heard "One two three four."
            1275 ms   end #1 Completed
            1275 ms   status listening
            3000 ms   → amend #1: heard "One two"
            3000 ms   amended #1 "One two"
            3010 ms   error  truncated_beyond_end
            3020 ms   error  not_truncatable
            3100 ms   reply #2 for request 2
            3100 ms   → generate for ""
            3100 ms   status thinking #2
            3200 ms   → speak s0 "One two three four."
            3230 ms   status speaking #2
            3230 ms   text #2 s0 "One two three four."
            3230 ms   audio #2 s0 chunks 29–30 (0–80 ms)
            3230 ms   whole text #2 s0 "One two three four."
            3240 ms   audio #2 s0 chunks 31–44 (80–640 ms) until 3470 ms
            3500 ms   → cancel reply
            3500 ms   interrupt #2 by Client, heard "One"
            3500 ms   → commit #2: Interrupted, heard "One" of "One two three four."
            3500 ms   → amend #2: heard ""
            3500 ms   amended #2 ""
            3505 ms   end #2 Interrupted
            3505 ms   status listening
        "#]],
    );
}

#[test]
fn a_long_silence_is_broken_and_the_user_stops_that() {
    let mut script = realtime();
    script.config.idle_reply_ms = 500;
    script.llm = vec![says("Yes."), says("Are you there?"), says("Well.")];
    check(
        &script,
        "0 ms respond 1; 1400 ms speech; 1600 ms silence; 2300 ms close",
        expect![[r#"
        0 ms      status listening
        0 ms      reply #1 for request 1
        0 ms      → generate for ""
        0 ms      status thinking #1
        100 ms    → speak s0 "Yes."
        130 ms    status speaking #1
        130 ms    text #1 s0 "Yes."
        130 ms    audio #1 s0 chunks 0–1 (0–80 ms)
        130 ms    whole text #1 s0 "Yes."
        140 ms    audio #1 s0 chunks 2–5 (80–240 ms) until 150 ms
        160 ms    delivered #1
        370 ms    → forget reply
        370 ms    → commit #1: Completed, heard "Yes."
        375 ms    end #1 Completed
        375 ms    status listening
        870 ms    idled #2 352–864 ms
        870 ms    reply #2
        870 ms    → generate for ""
        870 ms    status thinking #2
        970 ms    → speak s0 "Are you there?"
        1000 ms   status speaking #2
        1000 ms   text #2 s0 "Are you there?"
        1000 ms   audio #2 s0 chunks 6–7 (0–80 ms)
        1000 ms   whole text #2 s0 "Are you there?"
        1010 ms   audio #2 s0 chunks 8–26 (80–840 ms) until 1440 ms
        1440 ms   delivered #2
        1504 ms   speech from 1076 ms
        1504 ms   → cancel reply
        1504 ms   interrupt #2 by Speech, heard "Are you"
        1504 ms   → commit #2: Interrupted, heard "Are you" of "Are you there?"
        1504 ms   status user_speaking #3
        1509 ms   end #2 Interrupted
        2144 ms   speech to 1600 ms
        2144 ms   → transcribe 1: 1076–2144 ms
        2144 ms   contributed #3
        2144 ms   status transcribing #3
        2194 ms   transcript #3 "hello" (1068 ms)
        2194 ms   reply #3
        2194 ms   → generate for "hello"
        2194 ms   status thinking #3
        2294 ms   → speak s0 "Well."
        2300 ms   → cancel reply
        2300 ms   → commit #3: Interrupted, said "hello", heard "" of "Well."
        2305 ms   end #3 Interrupted
    "#]],
    );
}

#[test]
fn a_cancel_for_a_turn_that_is_over_hits_no_other() {
    let mut script = realtime();
    script.llm = vec![says("Yes.")];
    check(
        &script,
        "0 ms respond 1; 600 ms respond 2; 800 ms interrupt_turn 1; 820 ms interrupt_turn 2",
        expect![[r#"
            0 ms      status listening
            0 ms      reply #1 for request 1
            0 ms      → generate for ""
            0 ms      status thinking #1
            100 ms    → speak s0 "Yes."
            130 ms    status speaking #1
            130 ms    text #1 s0 "Yes."
            130 ms    audio #1 s0 chunks 0–1 (0–80 ms)
            130 ms    whole text #1 s0 "Yes."
            140 ms    audio #1 s0 chunks 2–5 (80–240 ms) until 150 ms
            160 ms    delivered #1
            370 ms    → forget reply
            370 ms    → commit #1: Completed, heard "Yes."
            375 ms    end #1 Completed
            375 ms    status listening
            600 ms    reply #2 for request 2
            600 ms    → generate for ""
            600 ms    status thinking #2
            700 ms    → speak s0 "Yes."
            730 ms    status speaking #2
            730 ms    text #2 s0 "Yes."
            730 ms    audio #2 s0 chunks 6–7 (0–80 ms)
            730 ms    whole text #2 s0 "Yes."
            740 ms    audio #2 s0 chunks 8–11 (80–240 ms) until 750 ms
            760 ms    delivered #2
            800 ms    error  nothing_to_interrupt
            820 ms    → cancel reply
            820 ms    interrupt #2 by Client, heard ""
            820 ms    → commit #2: Interrupted, heard "" of "Yes."
            825 ms    end #2 Interrupted
            825 ms    status listening
        "#]],
    );
}
