//! Connections that break, and what a pull makes of what had come.

use std::sync::atomic::{AtomicUsize, Ordering};

use vivavoce::models::presence::{Look, State};

use super::{Place, weights};
use crate::stub_hub::{Answer, Asked, Step, StubHub, body, cut, is_bytes};

const MIND: &str = "O/Mind/mind.gguf";

/// A hub whose answer with the bytes number `n` (from 1) is changed.
fn hub(content: &[u8], change: impl Fn(usize, Answer) -> Answer + Send + Sync + 'static) -> StubHub {
    let number = AtomicUsize::new(0);
    StubHub::with(&[(MIND, content)], move |asked, answer| match is_bytes(asked) {
        true => change(number.fetch_add(1, Ordering::SeqCst) + 1, answer),
        false => answer,
    })
}

/// The requests for bytes: `Range` and `If-Range`.
fn ranges(hub: &StubHub) -> Vec<(Option<String>, bool)> {
    let header = |asked: &Asked, name: &str| Some(asked.headers.get(name)?.to_str().unwrap().to_owned());
    let asked = hub.server.take_asked().into_iter().filter(is_bytes);
    asked.map(|asked| (header(&asked, "range"), asked.headers.contains_key("if-range"))).collect()
}

#[test]
fn a_connection_that_breaks_is_taken_up_where_it_broke() {
    let content = weights(1);
    let hub = hub(&content, |number, answer| match number {
        1 => cut(answer, 100_000),
        2 => cut(answer, 50_000),
        _ => answer,
    });
    let place = Place::new(&hub);
    let (pulled, told) = place.pull_telling("mind");
    assert_eq!(pulled.unwrap().fetched, 1);
    assert!(place.read("mind/mind.gguf").unwrap() == content);
    let ranges = ranges(&hub);
    assert_eq!(ranges.len(), 3);
    assert_eq!(ranges[0], (None, false));
    assert_eq!(ranges[1], (Some("bytes=100000-".into()), true));
    assert_eq!(ranges[2], (Some("bytes=150000-".into()), true));
    assert!(told.notes.iter().all(|note| note.ends_with("; trying again")), "{:?}", told.notes);
    let expected = [
        "Fetching mind.gguf from 0 of 300000",
        "Checking mind.gguf from 0 of 100000",
        "Fetching mind.gguf from 100000 of 300000",
        "Checking mind.gguf from 0 of 150000",
        "Fetching mind.gguf from 150000 of 300000",
    ];
    assert_eq!(told.begun, expected);
}

#[test]
fn what_came_is_kept_for_the_next_pull() {
    let content = weights(1);
    let hub = hub(&content, |number, answer| if number == 1 { cut(answer, 100_000) } else { answer });
    let mut place = Place::new(&hub).manifest("{path: mind.gguf}", "{path: mind.gguf, bytes: 300000}");
    place.hub.retries = 0;
    let refused = place.refused("mind");
    assert!(refused.starts_with("cannot get HUB/O/Mind/resolve/main/mind.gguf ("), "{refused}");
    assert_eq!(place.look("mind", Look::Glance).state, State::Partial { percent: 33 });
    assert_eq!(place.read("mind/mind.gguf"), None);

    place.pull("mind").unwrap();
    assert!(place.read("mind/mind.gguf").unwrap() == content);
    assert_eq!(ranges(&hub)[1], (Some("bytes=100000-".into()), true));
}

#[test]
fn a_server_that_knows_no_ranges_sends_all_of_it_again() {
    let content = weights(1);
    let whole = content.clone();
    let hub = hub(&content, move |number, answer| match number {
        1 => cut(answer, 100_000),
        _ => Answer::plain(200, whole.clone()).header("content-length", "300000"),
    });
    let place = Place::new(&hub);
    let (pulled, told) = place.pull_telling("mind");
    pulled.unwrap();
    assert!(place.read("mind/mind.gguf").unwrap() == content);
    assert_eq!(told.begun.last().unwrap(), "Fetching mind.gguf from 0 of 300000");
}

#[test]
fn a_range_that_is_refused_or_is_another_is_started_over() {
    let content = weights(1);
    let of_another = |answer: Answer| {
        let headers = answer.headers.iter().map(|(name, value)| match *name {
            "content-range" => (*name, "bytes 99999-299999/300000".to_owned()),
            _ => (*name, value.clone()),
        });
        Answer { headers: headers.collect(), ..answer }
    };
    for answer_to_range in [|_| Answer::plain(416, "").header("content-range", "bytes */300000"), of_another]
    {
        let hub = hub(&content, move |number, answer| match number {
            1 => cut(answer, 100_000),
            2 => answer_to_range(answer),
            _ => answer,
        });
        let place = Place::new(&hub);
        let (pulled, told) = place.pull_telling("mind");
        pulled.unwrap();
        assert!(place.read("mind/mind.gguf").unwrap() == content);
        assert_eq!(told.notes[1], "mind.gguf: it cannot be continued; starting over");
        let ranges: Vec<_> = ranges(&hub).into_iter().map(|(range, _)| range).collect();
        assert_eq!(ranges, [None, Some("bytes=100000-".to_owned()), None]);
    }
}

#[test]
fn the_beginning_of_another_file_is_not_continued() {
    let old = weights(1);
    let hub = hub(&old, |number, answer| if number == 1 { cut(answer, 100_000) } else { answer });
    let mut place = Place::new(&hub);
    place.hub.retries = 0;
    place.refused("mind");
    let new = weights(2);
    hub.put(MIND, &new);
    place.pull("mind").unwrap();
    assert!(place.read("mind/mind.gguf").unwrap() == new);
    // The hub's own words told the files apart, so the rest was not even asked for.
    assert_eq!(ranges(&hub)[1], (None, false));
}

#[test]
fn a_beginning_that_changed_on_the_disk_is_thrown_away() {
    let content = weights(1);
    let hub = hub(&content, |number, answer| if number == 1 { cut(answer, 100_000) } else { answer });
    let mut place = Place::new(&hub);
    place.hub.retries = 0;
    place.refused("mind");
    let mut part = place.read("mind/mind.gguf.part").unwrap();
    part[5] ^= 1;
    place.write("mind/mind.gguf.part", &part);
    let (pulled, told) = place.pull_telling("mind");
    pulled.unwrap();
    assert!(place.read("mind/mind.gguf").unwrap() == content);
    assert_eq!(told.notes, ["mind.gguf: its parts do not fit together; starting over"]);
}

#[test]
fn a_part_without_its_note_is_started_over() {
    let content = weights(1);
    let hub = hub(&content, |_, answer| answer);
    for note in [None, Some("not: [yaml"), Some("identity: null\nvalidator: null\ntotal: null\n")] {
        let place = Place::new(&hub);
        place.write("mind/mind.gguf.part", &content[..10]);
        if let Some(note) = note {
            place.write("mind/mind.gguf.part.yml", note.as_bytes());
        }
        place.pull("mind").unwrap();
        assert!(place.read("mind/mind.gguf").unwrap() == content);
    }
}

#[test]
fn a_hub_that_never_gets_further_is_given_up() {
    let content = weights(1);
    let hub = hub(&content, |_, answer| cut(answer, 0));
    let place = Place::new(&hub);
    let (pulled, told) = place.pull_telling("mind");
    assert!(pulled.unwrap_err().to_string().contains("set HF_ENDPOINT to a mirror"));
    assert_eq!(told.notes.len(), 2, "{:?}", told.notes);
    assert_eq!(ranges(&hub).len(), 3, "once and two more tries");
}

#[test]
fn a_body_that_ends_early_is_a_broken_connection() {
    let content = weights(1);
    // Without Content-Length the end of a body looks like the end of a file.
    let hub = hub(&content, |number, answer| match number {
        1 => Answer {
            headers: answer.headers.iter().filter(|(name, _)| *name != "content-length").cloned().collect(),
            body: vec![Step::Send(body(&answer).slice(..100_000))],
            ..answer
        },
        _ => answer,
    });
    let place = Place::new(&hub);
    let (pulled, told) = place.pull_telling("mind");
    pulled.unwrap();
    assert_eq!(told.notes, ["the connection ended early; trying again"]);
    assert!(place.read("mind/mind.gguf").unwrap() == content);
}
