//! PostgreSQL: the suite of all stores, and what can happen to a database server.

use std::sync::Arc;

use vivavoce::conversation::sqlite::Access;
use vivavoce::conversation::{ConversationLog, TokenStore};

use super::backends::Backend;
use super::postgres_server::{PASSWORD, PostgresServer};
use super::{append, code, memories, new_head, random_logs, said, start, write, writers};

/// One server for all of it: making one takes seconds.
#[test]
fn it_does_what_every_store_does() {
    let Some(server) = PostgresServer::start() else { return };
    for (name, test) in memories::SUITE.iter().chain(writers::SUITE) {
        println!("{name}");
        test(&server.database());
    }
    random_logs::tables_kept_up_rebuilt_and_modelled_are_the_same(8, || server.database());
    writers::two_writers_fork_or_agree_and_lose_nothing(8, || server.database());
    damaged_ends_are_cut_off_and_other_damage_is_named(&server);
    deleted_words_leave_the_tables(&server);
    wrong_ways_in_are_refused_without_the_password(&server);
}

#[test]
fn a_server_elsewhere_is_reached_by_tls_if_its_certificate_is_trusted() {
    let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (server_tls, other) = (made("localhost"), made("localhost"));
    let (certificate, key) = (server_tls.cert.pem(), server_tls.signing_key.serialize_pem());
    let Some(server) = PostgresServer::start_encrypted(&certificate, &key) else { return };
    let backend = server.database();
    drop(backend.open());
    let folder = tempfile::tempdir().unwrap();
    let check = |trusted: &str| {
        let file = folder.path().join("trusted.pem");
        std::fs::write(&file, trusted).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_vivavoce"))
            .args(["db", "check"])
            .current_dir(folder.path())
            .env("VIVAVOCE_STORE__URL", backend.url_with_tls())
            .env("SSL_CERT_FILE", file)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.success(), said)
    };
    let (well, said) = check(&certificate);
    assert!(well, "{said}");
    let (well, said) = check(&other.cert.pem());
    assert!(!well && said.contains("certificate") && !said.contains(PASSWORD), "{said}");
}

fn damaged_ends_are_cut_off_and_other_damage_is_named(server: &Arc<PostgresServer>) {
    let backend = server.database();
    let store = backend.open();
    let (end, middle) = (new_head(), new_head());
    for head in [&end, &middle] {
        write(&*store, head, vec![start(), said("one"), said("two"), said("three")]);
    }
    drop(store);
    let (end, middle) = (end.place().session, middle.place().session);
    backend.sql(&format!("UPDATE events SET at_unix_us = 7 WHERE session_id = '{end}' AND seq > 2"));
    backend.sql(&format!("UPDATE events SET at_unix_us = 7 WHERE session_id = '{middle}' AND seq IN (2, 4)"));
    let read_only = ConversationLog::open_as(&backend.url(), Access::ReadOnly).unwrap();
    assert_eq!(read_only.check().unwrap().problems.len(), 2);

    let store = backend.open();
    let cuts: Vec<_> = store.cut_on_open().iter().map(|cut| (cut.session, cut.kept.0, cut.events)).collect();
    assert_eq!(cuts, [(end, 2, 2)]);
    assert_eq!(store.load(end, None).unwrap().len(), 2);
    assert_eq!(store.messages(end).unwrap().len(), 1);
    let error = store.load(middle, None).unwrap_err();
    assert_eq!(error.code(), "session_damaged", "{error}");
    assert!(error.to_string().contains("event 2"), "{error}");
    backend.sql("DO $$ BEGIN ASSERT (SELECT count(*) FROM cut_events) = 2; END $$");
}

fn deleted_words_leave_the_tables(server: &Arc<PostgresServer>) {
    let backend = server.database();
    let log = backend.log();
    let head = new_head();
    write(&*log.store(), &head, vec![start(), said("zanzibar")]);
    let deletion = vivavoce::conversation::events::SessionDeleted { session: head.place().session };
    log.record(vivavoce::conversation::Event::SessionDeleted(deletion)).unwrap();
    // Beside a running server.
    let report = backend.log().compact().unwrap();
    assert_eq!(report.erased_events, 2);
    backend.sql(
        "DO $$ BEGIN ASSERT NOT EXISTS (
             SELECT 1 FROM events WHERE convert_from(payload, 'UTF8') LIKE '%zanzibar%'); END $$",
    );
    assert_eq!(log.check().unwrap().problems, []);
    assert_eq!(log.backup(std::path::Path::new("/tmp/never")).unwrap_err().code(), "store_no_backup");
}

fn wrong_ways_in_are_refused_without_the_password(server: &Arc<PostgresServer>) {
    let good = server.database().url();
    let wrong = [
        (good.replace("vivavoce:s3", "vivavoce:wrong"), "store_unreachable"),
        (good.replace("/test_", "/nosuch_"), "store_unreachable"),
        (format!("postgres://vivavoce:{PASSWORD}@127.0.0.1:1/test"), "store_unreachable"),
        ("postgres://vivavoce:s3cret%2Fw0rd@127.0.0.1:1/test".to_owned(), "store_unreachable"),
        ("postgres://vivavoce:s3cret@w0rd@127.0.0.1:1/test".to_owned(), "store_bad_url"),
        ("postgres://vivavoce:s3cret@host/test?sslmode=cret".to_owned(), "store_bad_url"),
    ];
    for (url, expected) in wrong {
        for error in [ConversationLog::open(&url).unwrap_err(), TokenStore::open(&url).unwrap_err()] {
            assert_eq!(error.code(), expected, "{error}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("cret") && !shown.contains("w0rd"), "{shown}");
        }
    }
    backend_of_a_newer_version_is_refused(server);
}

fn backend_of_a_newer_version_is_refused(server: &Arc<PostgresServer>) {
    let backend = server.database();
    let error = ConversationLog::open_as(&backend.url(), Access::ReadOnly).unwrap_err();
    assert_eq!(error.code(), "store_older_schema", "an empty database is not changed by a reader");
    drop(backend.log());
    backend.sql("UPDATE vivavoce_schema SET version = 99");
    assert_eq!(ConversationLog::open(&backend.url()).unwrap_err().code(), "store_newer_schema");
}

#[test]
fn a_connection_that_breaks_is_made_anew_and_nothing_is_there_twice() {
    let Some(mut server) = PostgresServer::start() else { return };
    let backend = server.database();
    let (log, url) = (backend.log(), backend.url());
    let tokens = TokenStore::open(&url).unwrap();
    let store = log.store();
    let head = new_head();
    write(&*store, &head, vec![start()]);
    assert!(!tokens.has_any().unwrap());
    backend.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'vivavoce' AND pid <> pg_backend_pid()",
    );
    assert!(!write(&*store, &head, vec![said("after it")]).forked);
    assert_eq!(store.load(head.place().session, None).unwrap().len(), 2);
    assert!(!tokens.has_any().unwrap());
    drop(backend);

    Arc::get_mut(&mut server).expect("nobody else has it").stop();
    let error = append(&*store, &head, vec![said("lost")]).recv().unwrap().unwrap_err();
    assert_eq!(error.code(), "store_unreachable", "{error}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
    assert_eq!(store.load(head.place().session, None).unwrap_err().code(), "store_unreachable");
    assert_eq!(code(&append(&*store, &new_head(), vec![start()])), "store_unreachable");

    Arc::get_mut(&mut server).expect("nobody else has it").run();
    assert!(!write(&*store, &head, vec![said("again")]).forked);
    let said: Vec<_> = store.messages(head.place().session).unwrap();
    let said: Vec<_> = said.iter().map(|row| row.message.text.as_str()).collect();
    assert_eq!(said, ["after it", "again"]);
    assert_eq!(store.check().unwrap().problems, []);
}
