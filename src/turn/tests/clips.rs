//! Replies as clips: one clip and no audio, or audio and no clip.

use expect_test::expect;

use super::timeline::{Llm, NEVER, Script, check_answer};

fn clips() -> Script {
    let mut script = Script::default();
    script.config.clips = true;
    script
}

#[test]
fn one_clip_and_nothing_else() {
    check_answer(
        &clips(),
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "Hello you."
        1424 ms   → speak s1 "How are you?"
        1534 ms   → render "Hello you. How are you?"
        1534 ms   status rendering #1
        2034 ms   clip #1 "Hello you. How are you?" (1500 ms)
        2034 ms   status speaking #1
        3354 ms   → forget reply
        3354 ms   → commit #1: Completed, said "hello", heard "Hello you. How are you?"
        3359 ms   end #1 Completed
        3359 ms   status listening
    "#]],
    );
}

#[test]
fn interrupted_while_the_speech_is_collected() {
    let script = Script { llm: vec![vec![(50, Llm::Says("So far. ")), (NEVER, Llm::Ends)]], ..clips() };
    check_answer(
        &script,
        "1500 ms interrupt",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1500 ms   → cancel reply
        1500 ms   interrupt #1 by Client, heard ""
        1500 ms   → commit #1: Interrupted, said "hello", heard "" of "So far."
        1505 ms   end #1 Interrupted
        1505 ms   status listening
    "#]],
    );
}

#[test]
fn interrupted_while_the_clip_is_rendered() {
    check_answer(
        &clips(),
        "1800 ms interrupt",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "Hello you."
        1424 ms   → speak s1 "How are you?"
        1534 ms   → render "Hello you. How are you?"
        1534 ms   status rendering #1
        1800 ms   → cancel reply
        1800 ms   interrupt #1 by Client, heard ""
        1800 ms   → commit #1: Interrupted, said "hello", heard "" of "Hello you. How are you?"
        1805 ms   end #1 Interrupted
        1805 ms   status listening
    "#]],
    );
}

#[test]
fn going_on_before_the_clip_is_there_joins_both() {
    let script = Script { asr: vec![(10, Ok("I would like")), (10, Ok("tea"))], ..clips() };
    check_answer(
        &script,
        "1600 ms speech; 2240 ms silence; 2800 ms close",
        1_185,
        expect![[r#"
        1194 ms   transcript #1 "I would like" (1184 ms)
        1194 ms   → generate for "I would like"
        1194 ms   status thinking #1
        1294 ms   → speak s0 "Hello you."
        1384 ms   → speak s1 "How are you?"
        1494 ms   → render "Hello you. How are you?"
        1494 ms   status rendering #1
        1728 ms   speech from 1300 ms
        1728 ms   → cancel reply
        1728 ms   → commit #1: Superseded, heard ""
        1728 ms   status user_speaking #2
        1733 ms   end #1 Superseded
        2784 ms   speech to 2240 ms
        2784 ms   → transcribe 2: 1300–2784 ms
        2784 ms   status transcribing #2
        2794 ms   transcript #2 "I would like tea" (2668 ms)
        2794 ms   → generate for "I would like tea"
        2794 ms   status thinking #2
        2800 ms   → cancel reply
        2800 ms   → commit #2: Interrupted, said "I would like tea", heard ""
        2805 ms   end #2 Interrupted
    "#]],
    );
}

#[test]
fn a_clip_is_held_goes_on_and_is_interrupted() {
    check_answer(
        &clips(),
        "2304 ms speech; 2496 ms silence; 3520 ms speech; 4000 ms close",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "Hello you."
        1424 ms   → speak s1 "How are you?"
        1534 ms   → render "Hello you. How are you?"
        1534 ms   status rendering #1
        2034 ms   clip #1 "Hello you. How are you?" (1500 ms)
        2034 ms   status speaking #1
        2432 ms   speech from 2004 ms
        2432 ms   pause #1
        3040 ms   speech to 2496 ms
        3040 ms   resume #1 from chunk 0
        3648 ms   speech from 3220 ms
        3648 ms   pause #1
        3840 ms   → cancel reply
        3840 ms   interrupt #1 by Speech, heard "Hello you. How"
        3840 ms   → commit #1: Interrupted, said "hello", heard "Hello you. How" of "Hello you. How are you?"
        3840 ms   status user_speaking #2
        3845 ms   end #1 Interrupted
        4000 ms   → commit #2: Interrupted, heard ""
        4005 ms   end #2 Interrupted
    "#]],
    );
}

#[test]
fn the_client_interrupts_a_clip() {
    check_answer(
        &clips(),
        "2600 ms played 0; 2700 ms interrupt",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "Hello you."
        1424 ms   → speak s1 "How are you?"
        1534 ms   → render "Hello you. How are you?"
        1534 ms   status rendering #1
        2034 ms   clip #1 "Hello you. How are you?" (1500 ms)
        2034 ms   status speaking #1
        2600 ms   error  unknown_chunk
        2700 ms   → cancel reply
        2700 ms   interrupt #1 by Client, heard "Hello you."
        2700 ms   → commit #1: Interrupted, said "hello", heard "Hello you." of "Hello you. How are you?"
        2705 ms   end #1 Interrupted
        2705 ms   status listening
    "#]],
    );
}

#[test]
fn a_failed_rendering_falls_back_to_audio() {
    check_answer(
        &Script { clip: (200, Err("clip_failed")), ..clips() },
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "Hello you."
        1424 ms   → speak s1 "How are you?"
        1534 ms   → render "Hello you. How are you?"
        1534 ms   status rendering #1
        1734 ms   error #1 clip_failed
        1734 ms   status speaking #1
        1734 ms   text #1 s0 "Hello you."
        1734 ms   audio #1 s0 chunks 0–14 (0–600 ms) until 1934 ms
        1974 ms   text #1 s1 "How are you?"
        1974 ms   audio #1 s1 chunks 15–15 (600–640 ms)
        1974 ms   whole text #1 s1 "Hello you. How are you?"
        2014 ms   audio #1 s1 chunks 16–32 (640–1320 ms) until 2654 ms
        3054 ms   → forget reply
        3054 ms   → commit #1: Completed, said "hello", heard "Hello you. How are you?"
        3059 ms   end #1 Completed
        3059 ms   status listening
    "#]],
    );
}

#[test]
fn a_rendering_that_does_not_end_falls_back_to_audio() {
    let mut script = Script { clip: (3_000, Ok(1_320)), ..clips() };
    script.config.render_timeout_ms = 1_000;
    check_answer(
        &script,
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "Hello you."
        1424 ms   → speak s1 "How are you?"
        1534 ms   → render "Hello you. How are you?"
        1534 ms   status rendering #1
        2534 ms   error #1 render_timeout
        2534 ms   status speaking #1
        2534 ms   text #1 s0 "Hello you."
        2534 ms   audio #1 s0 chunks 0–14 (0–600 ms) until 2734 ms
        2774 ms   text #1 s1 "How are you?"
        2774 ms   audio #1 s1 chunks 15–15 (600–640 ms)
        2774 ms   whole text #1 s1 "Hello you. How are you?"
        2814 ms   audio #1 s1 chunks 16–32 (640–1320 ms) until 3454 ms
        3854 ms   → forget reply
        3854 ms   → commit #1: Completed, said "hello", heard "Hello you. How are you?"
        3859 ms   end #1 Completed
        3859 ms   status listening
    "#]],
    );
}

#[test]
fn a_failed_synthesis_makes_no_clip() {
    check_answer(
        &Script { tts_fails: Some((1, 1, Some("tts_failed"))), ..clips() },
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "Hello you."
        1424 ms   → speak s1 "How are you?"
        1464 ms   error #1 tts_failed
        1464 ms   status speaking #1
        1464 ms   text #1 s0 "Hello you."
        1464 ms   audio #1 s0 chunks 0–14 (0–600 ms) until 1664 ms
        1704 ms   text #1 s1 "How are you?"
        1704 ms   audio #1 s1 chunks 15–15 (600–640 ms)
        1704 ms   whole text #1 s1 "Hello you. How are you?"
        1744 ms   audio #1 s1 chunks 16–17 (640–700 ms) until 1764 ms
        2164 ms   → forget reply
        2164 ms   → commit #1: Failed, said "hello", heard "Hello you." of "Hello you. How are you?"
        2169 ms   end #1 Failed
        2169 ms   status listening
    "#]],
    );
}

#[test]
fn a_failed_llm_apologises_in_the_clip() {
    let llm = vec![vec![(50, Llm::Says("So far. ")), (50, Llm::Fails("llm_failed"))]];
    check_answer(
        &Script { llm, ..clips() },
        "",
        1_185,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   error #1 llm_failed
        1334 ms   → speak s0 "So far."
        1414 ms   → speak s1 "Sorry."
        1484 ms   → render "So far. \nSorry."
        1484 ms   status rendering #1
        1984 ms   clip #1 "So far. \nSorry." (1500 ms)
        1984 ms   status speaking #1
        2764 ms   → forget reply
        2764 ms   → commit #1: Failed, said "hello", heard "So far. \nSorry."
        2769 ms   end #1 Failed
        2769 ms   status listening
    "#]],
    );
}

#[test]
fn a_reply_without_sound_makes_no_clip() {
    check_answer(
        &Script { tts_ms_per_char: 0, ..clips() },
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
