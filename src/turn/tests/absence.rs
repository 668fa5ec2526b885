//! Connections that are lost, and requests that have to wait: nothing is missed, nothing is said twice.

use expect_test::expect;

use super::timeline::{Script, check_answer, says};

fn script() -> Script {
    Script { llm: vec![says("One two three four five six seven eight nine ten.")], ..Script::default() }
}

#[test]
fn a_reply_goes_on_where_it_was_heard_when_the_client_is_back() {
    check_answer(&script(), "2500 ms lost; 6000 ms back", 1_300, expect![]);
}

#[test]
fn a_client_that_knows_what_it_heard_is_believed() {
    check_answer(&script(), "2500 ms lost; 6000 ms back 19", 1_300, expect![]);
}

#[test]
fn what_is_written_meanwhile_is_heard_afterwards() {
    check_answer(&script(), "1240 ms lost; 4000 ms back", 1_200, expect![]);
}

#[test]
fn a_client_that_does_not_come_back_has_heard_what_it_had_heard() {
    check_answer(&script(), "2500 ms lost; 6000 ms close", 2_400, expect![]);
}

#[test]
fn a_request_that_has_to_wait_is_bridged_and_its_model_has_its_own_time() {
    let script = Script { delay: 3_000, ..script() };
    check_answer(&script, "", 1_200, expect![]);
}
