//! Fillers: what bridges the wait for a tool, and that it leaves no trace in what was heard.

use expect_test::expect;

use super::timeline::{Llm, Script, check_answer, says};
use super::tools::calls_and_says;

#[test]
fn a_slow_tool_is_bridged_by_one_filler() {
    let script = Script {
        llm: calls_and_says("look", "Found it."),
        tools: vec![(4_000, Ok("there"))],
        ..Script::default()
    };
    check_answer(
        &script,
        "",
        1_200,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   tool call #1 look
        1334 ms   → run look
        2234 ms   → speak s0 "One moment, please."
        2264 ms   status speaking #1
        2264 ms   filler #1 s0 "One moment, please."
        2264 ms   audio #1 s0 chunks 0–28 (0–1140 ms) until 3004 ms
        5334 ms   tool result #1 look: there
        5334 ms   → generate for "hello" behind "", 1. call_0 look@0 = there
        5334 ms   status thinking #1
        5434 ms   → speak s1 "Found it."
        5464 ms   status speaking #1
        5464 ms   text #1 s1 "Found it."
        5464 ms   audio #1 s1 chunks 29–30 (1140–1220 ms)
        5464 ms   whole text #1 s1 "Found it."
        5474 ms   audio #1 s1 chunks 31–42 (1220–1680 ms) until 5604 ms
        6004 ms   → forget reply
        6004 ms   → commit #1: Completed, said "hello", 1. call_0 look@0 = there, heard "Found it."
        6009 ms   end #1 Completed
        6009 ms   status listening
    "#]],
    );
}

#[test]
fn there_is_no_filler_while_something_is_heard_and_one_when_silence_lasts() {
    let llm = vec![
        vec![(100, Llm::Says("I am going to look that up.")), (0, Llm::Calls("look")), (0, Llm::Ends)],
        says("Found."),
    ];
    // What was said ends at about 2900 ms, the tool at 3300.
    let script = Script { llm, tools: vec![(2_000, Ok("there"))], ..Script::default() };
    check_answer(
        &script,
        "",
        1_200,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   tool call #1 look
        1334 ms   → run look
        1334 ms   → speak s0 "I am going to look that up."
        1364 ms   status speaking #1
        1364 ms   text #1 s0 "I am going to look that up."
        1364 ms   audio #1 s0 chunks 0–40 (0–1620 ms) until 2584 ms
        3334 ms   tool result #1 look: there
        3334 ms   → generate for "hello" behind "I am going to look that up.", 1. call_0 look@27 = there
        3334 ms   status thinking #1
        3434 ms   → speak s1 "Found."
        3464 ms   status speaking #1
        3464 ms   text #1 s1 "Found."
        3464 ms   audio #1 s1 chunks 41–42 (1620–1700 ms)
        3464 ms   whole text #1 s1 "I am going to look that up.\nFound."
        3474 ms   audio #1 s1 chunks 43–49 (1700–1980 ms) until 3494 ms
        3824 ms   → forget reply
        3824 ms   → commit #1: Completed, said "hello", 1. call_0 look@27 = there, heard "I am going to look that up.\nFound."
        3829 ms   end #1 Completed
        3829 ms   status listening
    "#]],
    );
    let script = Script { tools: vec![(3_500, Ok("there"))], ..script };
    check_answer(
        &script,
        "",
        3_000,
        expect![[r#"
        3884 ms   → speak s1 "One moment, please."
        3914 ms   filler #1 s1 "One moment, please."
        3914 ms   audio #1 s1 chunks 41–69 (1620–2760 ms) until 4654 ms
        4834 ms   tool result #1 look: there
        4834 ms   → generate for "hello" behind "I am going to look that up.", 1. call_0 look@27 = there
        4934 ms   → speak s2 "Found."
        4964 ms   text #1 s2 "Found."
        4964 ms   audio #1 s2 chunks 70–71 (2760–2840 ms)
        4964 ms   whole text #1 s2 "I am going to look that up.\nFound."
        4974 ms   audio #1 s2 chunks 72–78 (2840–3120 ms) until 5014 ms
        5414 ms   → forget reply
        5414 ms   → commit #1: Completed, said "hello", 1. call_0 look@27 = there, heard "I am going to look that up.\nFound."
        5419 ms   end #1 Completed
        5419 ms   status listening
    "#]],
    );
}

#[test]
fn without_fillers_nothing_is_said() {
    let mut script = Script {
        llm: calls_and_says("look", "Found."),
        tools: vec![(3_000, Ok("there"))],
        ..Script::default()
    };
    script.config.filler.clear();
    check_answer(
        &script,
        "",
        1_300,
        expect![[r#"
        1334 ms   tool call #1 look
        1334 ms   → run look
        4334 ms   tool result #1 look: there
        4334 ms   → generate for "hello" behind "", 1. call_0 look@0 = there
        4434 ms   → speak s0 "Found."
        4464 ms   status speaking #1
        4464 ms   text #1 s0 "Found."
        4464 ms   audio #1 s0 chunks 0–1 (0–80 ms)
        4464 ms   whole text #1 s0 "Found."
        4474 ms   audio #1 s0 chunks 2–8 (80–360 ms) until 4494 ms
        4824 ms   → forget reply
        4824 ms   → commit #1: Completed, said "hello", 1. call_0 look@0 = there, heard "Found."
        4829 ms   end #1 Completed
        4829 ms   status listening
    "#]],
    );
}

#[test]
fn a_clip_has_no_filler() {
    let mut script = Script {
        llm: calls_and_says("look", "Found."),
        tools: vec![(3_000, Ok("there"))],
        ..Script::default()
    };
    script.config.clips = true;
    check_answer(
        &script,
        "",
        1_300,
        expect![[r#"
        1334 ms   tool call #1 look
        1334 ms   → run look
        4334 ms   tool result #1 look: there
        4334 ms   → generate for "hello" behind "", 1. call_0 look@0 = there
        4434 ms   → speak s0 "Found."
        4504 ms   → render "Found."
        4504 ms   status rendering #1
        5004 ms   clip #1 "Found." (1500 ms)
        5004 ms   status speaking #1
        5364 ms   → forget reply
        5364 ms   → commit #1: Completed, said "hello", 1. call_0 look@0 = there, heard "Found."
        5369 ms   end #1 Completed
        5369 ms   status listening
    "#]],
    );
}

#[test]
fn who_interrupts_the_filler_has_heard_nothing_of_the_reply() {
    let script = Script {
        llm: calls_and_says("look", "Found it."),
        tools: vec![(9_000, Ok("there"))],
        ..Script::default()
    };
    check_answer(
        &script,
        "2700 ms interrupt",
        2_200,
        expect![[r#"
        2234 ms   → speak s0 "One moment, please."
        2264 ms   status speaking #1
        2264 ms   filler #1 s0 "One moment, please."
        2264 ms   audio #1 s0 chunks 0–19 (0–800 ms) until 2664 ms
        2700 ms   → cancel reply
        2700 ms   interrupt #1 by Client, heard ""
        2700 ms   → commit #1: Interrupted, said "hello", 1. call_0 look@0 = nothing, heard ""
        2705 ms   end #1 Interrupted
        2705 ms   status listening
    "#]],
    );
}

#[test]
fn heard_words_around_a_filler_are_exact() {
    let llm = vec![
        vec![(100, Llm::Says("Wait.")), (0, Llm::Calls("look")), (0, Llm::Ends)],
        says("One two three four."),
    ];
    let script = Script { llm, tools: vec![(2_000, Ok("there"))], ..Script::default() };
    check_answer(
        &script,
        "4700 ms interrupt",
        2_000,
        expect![[r#"
        2564 ms   → speak s1 "One moment, please."
        2594 ms   filler #1 s1 "One moment, please."
        2594 ms   audio #1 s1 chunks 8–35 (300–1420 ms) until 3314 ms
        3334 ms   tool result #1 look: there
        3334 ms   → generate for "hello" behind "Wait.", 1. call_0 look@5 = there
        3334 ms   audio #1 s1 chunks 36–36 (1420–1440 ms)
        3434 ms   → speak s2 "One two three four."
        3464 ms   text #1 s2 "One two three four."
        3464 ms   audio #1 s2 chunks 37–38 (1440–1520 ms)
        3464 ms   whole text #1 s2 "Wait.\nOne two three four."
        3474 ms   audio #1 s2 chunks 39–65 (1520–2580 ms) until 4474 ms
        4700 ms   → cancel reply
        4700 ms   interrupt #1 by Client, heard "Wait.\nOne two three"
        4700 ms   → commit #1: Interrupted, said "hello", 1. call_0 look@5 = there, heard "Wait.\nOne two three" of "Wait.\nOne two three four."
        4705 ms   end #1 Interrupted
        4705 ms   status listening
    "#]],
    );
}

#[test]
fn a_filler_stays_held_while_the_user_makes_a_sound() {
    let script = Script {
        llm: calls_and_says("look", "Found it."),
        tools: vec![(3_000, Ok("there"))],
        ..Script::default()
    };
    check_answer(
        &script,
        "2400 ms speech; 2600 ms silence",
        2_200,
        expect![[r#"
        2234 ms   → speak s0 "One moment, please."
        2264 ms   status speaking #1
        2264 ms   filler #1 s0 "One moment, please."
        2264 ms   audio #1 s0 chunks 0–15 (0–640 ms) until 2504 ms
        2528 ms   speech from 2100 ms
        2528 ms   pause #1
        3136 ms   speech to 2592 ms
        3136 ms   resume #1 from chunk 16
        3152 ms   audio #1 s0 chunks 16–28 (640–1140 ms) until 3612 ms
        4334 ms   tool result #1 look: there
        4334 ms   → generate for "hello" behind "", 1. call_0 look@0 = there
        4334 ms   status thinking #1
        4434 ms   → speak s1 "Found it."
        4464 ms   status speaking #1
        4464 ms   text #1 s1 "Found it."
        4464 ms   audio #1 s1 chunks 29–30 (1140–1220 ms)
        4464 ms   whole text #1 s1 "Found it."
        4474 ms   audio #1 s1 chunks 31–42 (1220–1680 ms) until 4604 ms
        5004 ms   → forget reply
        5004 ms   → commit #1: Completed, said "hello", 1. call_0 look@0 = there, heard "Found it."
        5009 ms   end #1 Completed
        5009 ms   status listening
    "#]],
    );
}
