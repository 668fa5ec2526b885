//! What a hub may say or do instead of sending a file, and what the user is told then.

use std::io;

use expect_test::{Expect, expect};

use super::Place;
use crate::stub_hub::{Answer, Asked, Step, StubHub, is_bytes, sha256};

const MIND: (&str, &[u8]) = ("O/Mind/mind.gguf", b"weights");

/// A hub whose own answers are all this one.
fn hub_saying(answer: Answer) -> StubHub {
    StubHub::with(&[MIND], move |_, _| answer.clone())
}

fn check(answer: Answer, token: Option<&str>, requests: usize, expected: Expect) {
    let hub = hub_saying(answer);
    let mut place = Place::new(&hub);
    place.hub.token = token.map(str::to_owned);
    expected.assert_eq(&place.refused("mind"));
    assert_eq!(hub.take_paths().len(), requests);
}

#[test]
fn a_refusal_is_told_with_the_hubs_words_and_the_remedy() {
    check(
        Answer::plain(401, ""),
        None,
        1,
        expect![
            "HUB/O/Mind/resolve/main/mind.gguf: the hub answers 401 Unauthorized; it wants to know who asks: put a token of your account into HF_TOKEN"
        ],
    );
    check(
        Answer::plain(401, ""),
        Some("t"),
        1,
        expect![
            "HUB/O/Mind/resolve/main/mind.gguf: the hub answers 401 Unauthorized; it does not accept the token in HF_TOKEN: make a new one there"
        ],
    );
    let gated = Answer::plain(403, "").header("x-error-message", "Access to model O/Mind is restricted");
    check(
        gated.clone(),
        None,
        1,
        expect![
            "HUB/O/Mind/resolve/main/mind.gguf: the hub answers 403 Forbidden: Access to model O/Mind is restricted; accept the model's terms on its page there, and pull with a token of that account in HF_TOKEN, which must be allowed to read it"
        ],
    );
    check(
        gated,
        Some("t"),
        1,
        expect![
            "HUB/O/Mind/resolve/main/mind.gguf: the hub answers 403 Forbidden: Access to model O/Mind is restricted; accept the model's terms on its page there, and pull with the token in HF_TOKEN, which must be allowed to read it"
        ],
    );
    check(
        Answer::plain(404, ""),
        None,
        1,
        expect![
            "HUB/O/Mind/resolve/main/mind.gguf: the hub answers 404 Not Found; the mirror in HF_ENDPOINT may not have it: unset that, or try another; a pinned commit is given up with --update"
        ],
    );
    check(
        Answer::plain(400, ""),
        None,
        1,
        expect!["HUB/O/Mind/resolve/main/mind.gguf: the hub answers 400 Bad Request; check HF_ENDPOINT"],
    );
}

#[test]
fn a_passing_fault_is_tried_again() {
    check(
        Answer::plain(429, "").header("retry-after", "0"),
        None,
        3,
        expect![
            "HUB/O/Mind/resolve/main/mind.gguf: the hub answers 429 Too Many Requests; try again later (what has come is kept); a token in HF_TOKEN raises the limit"
        ],
    );
    check(
        Answer::plain(500, ""),
        None,
        3,
        expect![
            "HUB/O/Mind/resolve/main/mind.gguf: the hub answers 500 Internal Server Error; try again later (what has come is kept), or set HF_ENDPOINT to a mirror"
        ],
    );
    // Nobody waits for an hour.
    check(
        Answer::plain(429, "").header("retry-after", "3600"),
        Some("t"),
        1,
        expect![
            "HUB/O/Mind/resolve/main/mind.gguf: the hub answers 429 Too Many Requests; try again later (what has come is kept)"
        ],
    );

    let number = std::sync::atomic::AtomicUsize::new(0);
    let hub = StubHub::with(&[MIND], move |_, answer| {
        match number.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Answer::plain(503, ""),
            _ => answer,
        }
    });
    let (pulled, told) = Place::new(&hub).pull_telling("mind");
    pulled.unwrap();
    assert_eq!(told.notes, ["the hub answers 503 Service Unavailable; trying again"]);
}

fn tokens(asked: Vec<Asked>) -> Vec<Option<String>> {
    let token = |asked: Asked| Some(asked.headers.get("authorization")?.to_str().unwrap().to_owned());
    asked.into_iter().map(token).collect()
}

#[test]
fn the_token_goes_to_the_hub_and_to_nobody_it_points_to() {
    let elsewhere = StubHub::start(&[MIND]);
    let there = elsewhere.url.clone();
    let hub = StubHub::with(&[MIND], move |_, answer| {
        let headers = answer.headers.iter().map(|(name, value)| match *name {
            "location" => (*name, format!("{there}{value}")),
            _ => (*name, value.clone()),
        });
        Answer { headers: headers.collect(), ..answer }
    });
    let mut place = Place::new(&hub);
    place.hub.token = Some("secret".into());
    place.pull("mind").unwrap();
    assert_eq!(tokens(hub.server.take_asked()), [Some("Bearer secret".to_owned())]);
    assert_eq!(tokens(elsewhere.server.take_asked()), [None]);

    // The same host, elsewhere on it.
    let hub = StubHub::start(&[MIND]);
    let mut place = Place::new(&hub);
    place.hub.token = Some("secret".into());
    place.pull("mind").unwrap();
    assert_eq!(tokens(hub.server.take_asked()), [(); 2].map(|()| Some("Bearer secret".to_owned())));
}

#[test]
fn redirects_lead_somewhere_and_end() {
    let to = |location: &str| Answer::plain(302, "").header("location", location);
    check(
        to("/O/Mind/resolve/main/mind.gguf"),
        None,
        6,
        expect![
            "HUB/O/Mind/resolve/main/mind.gguf: redirects more than 5 times; if HF_ENDPOINT is set, check the mirror there"
        ],
    );
    check(
        Answer::plain(302, ""),
        None,
        1,
        expect![
            "HUB/O/Mind/resolve/main/mind.gguf: 302 Found without an address; if HF_ENDPOINT is set, check the mirror there"
        ],
    );
    check(
        to("ftp://elsewhere.example/x?signature=secret"),
        None,
        1,
        expect![
            "HUB/O/Mind/resolve/main/mind.gguf: redirects to ftp://elsewhere.example; if HF_ENDPOINT is set, check the mirror there"
        ],
    );
    check(
        to("http://["),
        None,
        1,
        expect![
            "HUB/O/Mind/resolve/main/mind.gguf: redirects to something that is no address; if HF_ENDPOINT is set, check the mirror there"
        ],
    );
}

#[test]
fn a_file_of_another_length_than_announced_is_refused() {
    let hub = StubHub::with(&[MIND], |asked, answer| match is_bytes(asked) {
        true => Answer::plain(200, "weights and more").header("content-length", "16"),
        false => answer,
    });
    expect!["HUB/O/Mind/resolve/main/mind.gguf: leads to a file of 16 bytes, but the hub says that it has 7 bytes; if HF_ENDPOINT is set, check the mirror there"].assert_eq(&Place::new(&hub).refused("mind"));

    // Without Content-Length what comes is counted.
    let hub = StubHub::with(&[MIND], |asked, answer| match is_bytes(asked) {
        true => Answer {
            body: vec![Step::Send("weig".into()), Step::Send("hts and".into())],
            ..Answer::plain(200, "")
        },
        false => answer,
    });
    let place = Place::new(&hub);
    expect!["mind: mind.gguf came damaged: the hub announced 7 bytes, received more than that; it was thrown away, pull again"].assert_eq(&place.refused("mind"));
    assert_eq!(place.read("mind/mind.gguf.part"), None);

    let place = Place::new(&hub).manifest("{path: mind.gguf}", "{path: mind.gguf, bytes: 8}");
    expect!["mind: mind.gguf is not what models/manifest.yml pins: expected 8 bytes, the hub has 7; use another mirror (HF_ENDPOINT), or a version of Vivavoce that knows the new file"].assert_eq(&place.refused("mind"));
}

#[test]
fn bytes_that_are_not_those_announced_are_thrown_away() {
    let hub = StubHub::with(&[MIND], |asked, answer| match is_bytes(asked) {
        true => Answer { body: vec![Step::Send("weighed".into())], ..answer },
        false => answer,
    });
    let place = Place::new(&hub);
    let expected = format!(
        "mind: mind.gguf came damaged: the hub announced sha256 {}, received {}; it was thrown away, pull again",
        sha256(MIND.1),
        sha256(b"weighed")
    );
    assert_eq!(place.refused("mind"), expected);
    assert_eq!((place.read("mind/mind.gguf"), place.read("mind/mind.gguf.part")), (None, None));
}

#[test]
fn a_disk_that_is_too_small_is_not_filled() {
    let hub = StubHub::start(&[MIND, ("O/Folder/config.json", b"{}")]);
    let mut place = Place::new(&hub);
    place.free_bytes = |_| Ok(6);
    expect!["mind needs 7 B more, DIR/cache has 6 B free; free some space, or set models.cache to a folder on a larger disk"].assert_eq(&place.refused("mind"));
    assert_eq!(place.read("mind/mind.gguf.part"), None);
    // What is still to come counts too, as far as its length is known.
    place.free_bytes = |_| Ok(1_000_001);
    let refused = place.refused("folder");
    assert!(refused.starts_with("folder needs 1.0 MB more, DIR/cache has 1.0 MB free"), "{refused}");
    place.free_bytes = |_| Err(io::Error::other("no such call"));
    place.pull("mind").unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let hub = StubHub::start(&[MIND]);
    let place = Place::new(&hub);
    place.write("mind", b"a file where a folder should be");
    let refused = place.refused("mind");
    assert!(refused.starts_with("cannot make the folder DIR/cache/mind: "), "{refused}");
}

#[test]
fn a_lock_file_that_is_none_stops_everything() {
    let hub = StubHub::start(&[MIND]);
    let place = Place::new(&hub);
    place.write("models.lock.yml", b"mind: {repository: 7");
    let refused = place.refused("mind");
    assert!(
        refused.starts_with("DIR/cache/models.lock.yml: ") && refused.contains("; mend it, or delete it"),
        "{refused}"
    );
    place.write("models.lock.yml", b"# nothing pinned\n");
    place.pull("mind").unwrap();
}

#[test]
fn a_hub_that_nobody_answers_at_is_named_with_the_ways_out() {
    // Nobody listens there any more.
    let url = StubHub::start(&[]).url.clone();
    let place = Place::at(&url);
    let (_, told) = place.pull_telling("mind");
    assert_eq!(told.notes.len(), 0, "it is not worth another try");
    let refused = place.refused("mind");
    let (cause, remedy) = refused.split_once("); ").unwrap();
    assert!(cause.starts_with("cannot get HUB/O/Mind/resolve/main/mind.gguf ("), "{refused}");
    expect!["check the network, set HF_ENDPOINT to a mirror of the hub, or copy that file to DIR/cache/mind/mind.gguf by hand"].assert_eq(remedy);
}
