//! The stores that there are, each with a place of its own.

use std::sync::Arc;

use tempfile::TempDir;
use vivavoce::conversation::{ConversationLog, Store};

/// A place for a store.
pub trait Backend {
    /// As in `store.url`.
    fn url(&self) -> String;
    /// Runs statements behind the store's back.
    fn sql(&self, statements: &str);

    /// Opens the store, as often as one likes: each is a server of its own.
    fn open(&self) -> Arc<dyn Store> {
        self.log().store()
    }

    /// Opens the log.
    fn log(&self) -> Arc<ConversationLog> {
        ConversationLog::open(&self.url()).unwrap()
    }
}

/// A file in a folder.
pub struct Sqlite(pub TempDir);

impl Sqlite {
    pub fn new() -> Sqlite {
        Sqlite(TempDir::new().unwrap())
    }
}

impl Backend for Sqlite {
    fn url(&self) -> String {
        format!("sqlite://{}/log.sqlite", self.0.path().display())
    }

    fn sql(&self, statements: &str) {
        rusqlite::Connection::open(self.0.path().join("log.sqlite"))
            .unwrap()
            .execute_batch(statements)
            .unwrap();
    }
}

/// Tests of a place: each a test of the embedded store, and all of them in a list for another.
macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[test]
            fn $name() {
                super::$name(&super::super::backends::Sqlite::new());
            })*
        }

        /// All of this file.
        pub const SUITE: &[(&str, fn(&dyn super::backends::Backend))] =
            &[$((stringify!($name), $name)),*];
    };
}
pub(super) use suite;
