//! Connections that are lost, and requests that have to wait: nothing is missed, nothing is said twice.

use expect_test::expect;

use super::timeline::{Script, check_answer, says};

fn script() -> Script {
    Script { llm: vec![says("One two three four five six seven eight nine ten.")], ..Script::default() }
}

#[test]
fn a_reply_goes_on_where_it_was_heard_when_the_client_is_back() {
    check_answer(
        &script(),
        "2500 ms lost; 6000 ms back",
        1_300,
        expect![[r#"
        1334 ms   → speak s0 "One two three four five six seven eight nine ten."
        1364 ms   status speaking #1
        1364 ms   text #1 s0 "One two three four five six seven eight nine ten."
        1364 ms   audio #1 s0 chunks 0–1 (0–80 ms)
        1364 ms   whole text #1 s0 "One two three four five six seven eight nine ten."
        1374 ms   audio #1 s0 chunks 2–37 (80–1520 ms) until 2484 ms
        6000 ms   status speaking #1
        6000 ms   resume #1 from chunk 38
        6000 ms   text #1 s0 "One two three four five six seven eight nine ten."
        6000 ms   audio #1 s0 chunks 38–47 (1136–1536 ms)
        6000 ms   whole text #1 s0 "One two three four five six seven eight nine ten."
        6040 ms   audio #1 s0 chunks 48–83 (1536–2940 ms) until 7404 ms
        7804 ms   → forget reply
        7804 ms   → commit #1: Completed, said "hello", heard "One two three four five six seven eight nine ten."
        7809 ms   end #1 Completed
        7809 ms   status listening
    "#]],
    );
}

#[test]
fn a_client_that_knows_what_it_heard_is_believed() {
    check_answer(
        &script(),
        "2500 ms lost; 6000 ms back 19",
        1_300,
        expect![[r#"
        1334 ms   → speak s0 "One two three four five six seven eight nine ten."
        1364 ms   status speaking #1
        1364 ms   text #1 s0 "One two three four five six seven eight nine ten."
        1364 ms   audio #1 s0 chunks 0–1 (0–80 ms)
        1364 ms   whole text #1 s0 "One two three four five six seven eight nine ten."
        1374 ms   audio #1 s0 chunks 2–37 (80–1520 ms) until 2484 ms
        6000 ms   status speaking #1
        6000 ms   resume #1 from chunk 38
        6000 ms   text #1 s0 "One two three four five six seven eight nine ten."
        6000 ms   audio #1 s0 chunks 38–47 (800–1200 ms)
        6000 ms   whole text #1 s0 "One two three four five six seven eight nine ten."
        6040 ms   audio #1 s0 chunks 48–91 (1200–2940 ms) until 7740 ms
        8140 ms   → forget reply
        8140 ms   → commit #1: Completed, said "hello", heard "One two three four five six seven eight nine ten."
        8145 ms   end #1 Completed
        8145 ms   status listening
    "#]],
    );
}

#[test]
fn what_is_written_meanwhile_is_heard_afterwards() {
    check_answer(
        &script(),
        "1240 ms lost; 4000 ms back",
        1_200,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        1334 ms   → speak s0 "One two three four five six seven eight nine ten."
        4000 ms   status thinking #1
        4000 ms   resume #1 from chunk 0
        4000 ms   status speaking #1
        4000 ms   text #1 s0 "One two three four five six seven eight nine ten."
        4000 ms   audio #1 s0 chunks 0–9 (0–400 ms)
        4000 ms   whole text #1 s0 "One two three four five six seven eight nine ten."
        4040 ms   audio #1 s0 chunks 10–73 (400–2940 ms) until 6540 ms
        6940 ms   → forget reply
        6940 ms   → commit #1: Completed, said "hello", heard "One two three four five six seven eight nine ten."
        6945 ms   end #1 Completed
        6945 ms   status listening
    "#]],
    );
}

#[test]
fn a_client_that_does_not_come_back_has_heard_what_it_had_heard() {
    check_answer(
        &script(),
        "2500 ms lost; 6000 ms close",
        2_400,
        expect![[r#"
        6000 ms   → cancel reply
        6000 ms   → commit #1: Interrupted, said "hello", heard "One two three four" of "One two three four five six seven eight nine ten."
        6005 ms   end #1 Interrupted
    "#]],
    );
}

#[test]
fn a_request_that_has_to_wait_is_bridged_and_its_model_has_its_own_time() {
    let script = Script { delay: 3_000, ..script() };
    check_answer(
        &script,
        "",
        1_200,
        expect![[r#"
        1234 ms   transcript #1 "hello" (1184 ms)
        1234 ms   → generate for "hello"
        1234 ms   status thinking #1
        2134 ms   → speak s0 "One moment, please."
        2164 ms   status speaking #1
        2164 ms   filler #1 s0 "One moment, please."
        2164 ms   audio #1 s0 chunks 0–28 (0–1140 ms) until 2904 ms
        4334 ms   → speak s1 "One two three four five six seven eight nine ten."
        4364 ms   text #1 s1 "One two three four five six seven eight nine ten."
        4364 ms   audio #1 s1 chunks 29–30 (1140–1220 ms)
        4364 ms   whole text #1 s1 "One two three four five six seven eight nine ten."
        4374 ms   audio #1 s1 chunks 31–102 (1220–4080 ms) until 6904 ms
        7304 ms   → forget reply
        7304 ms   → commit #1: Completed, said "hello", heard "One two three four five six seven eight nine ten."
        7309 ms   end #1 Completed
        7309 ms   status listening
    "#]],
    );
}
