//! Connections to the database, for callers that block.
//!
//! The driver is asynchronous; each connection has a small runtime of its own, which runs only while
//! somebody waits for an answer. On a thread of an executor that is not allowed, so there the work is
//! done on a thread for the purpose.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, IsolationLevel, NoTls, Row, Statement, Transaction};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::conversation::error::StoreError;
use crate::conversation::sqlite::Access;

/// Connections that are kept for the next reader.
const IDLE_LINKS: usize = 4;

/// So long somebody waits for the server to answer the first time, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What went wrong, before it is put in words.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server or the connection to it.
    Database(tokio_postgres::Error),
    /// Something that is not as we write it.
    Content(String),
    /// Our own words already.
    Store(StoreError),
}

impl Fault {
    /// Whether the connection is lost: the server does not answer on it any more, or said goodbye.
    pub(super) fn is_lost_connection(&self) -> bool {
        let Fault::Database(error) = self else { return false };
        error.code().is_none_or(|state| state.code().starts_with("57P") || state.code().starts_with("08"))
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Fault {
        Fault::Database(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::Store(error)
    }
}

/// A database, and connections to it that nobody uses just now.
#[derive(Debug)]
pub(in crate::conversation) struct Database {
    config: Config,
    access: Access,
    place: PathBuf,
    idle: Mutex<Vec<Link>>,
}

impl Database {
    /// The database that `url` names; connects to nothing.
    pub(super) fn new(url: &str, access: Access) -> Result<Database, StoreError> {
        // What the parser says names keys and numbers, never a password.
        let bad = |what: String| StoreError::BadUrl { what };
        let mut config = Config::from_str(url).map_err(|e| bad(said_by(&e)))?;
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(name)) if name.contains('@') => {
                return Err(bad("an @ in the password has to be written as %40".into()));
            }
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(folder)) => folder.display().to_string(),
            None => return Err(bad("names no host".into())),
        };
        let (user, name) = (config.get_user().unwrap_or_default(), config.get_dbname().unwrap_or_default());
        let place = format!("postgres://{user}@{host}/{name}").into();
        if config.get_ssl_mode() == SslMode::Prefer {
            // Encryption that anybody in between can switch off is no protection.
            config.ssl_mode(SslMode::Disable);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("vivavoce");
        }
        Ok(Database { config, access, place, idle: Mutex::default() })
    }

    /// For error messages.
    pub(super) fn place(&self) -> PathBuf {
        self.place.clone()
    }

    /// How it may be used.
    pub(super) fn access(&self) -> Access {
        self.access
    }

    /// A new connection.
    pub(super) fn connect(&self) -> Result<Link, StoreError> {
        let open = |cause: String| StoreError::Open { path: self.place(), cause };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| open(e.to_string()))?;
        let client = if self.config.get_ssl_mode() == SslMode::Disable {
            runtime.block_on(async {
                let (client, connection) = self.config.connect(NoTls).await?;
                tokio::spawn(connection);
                Ok(client)
            })
        } else {
            // Elsewhere in the process it may be set already; it is the same one.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let tls = MakeRustlsConnect::with_native_certs();
            let (tls, _) = tls.map_err(|_| open("this system has no certificates of authorities".into()))?;
            runtime.block_on(async {
                let (client, connection) = self.config.connect(tls).await?;
                tokio::spawn(connection);
                Ok(client)
            })
        };
        let client = client.map_err(|e: tokio_postgres::Error| self.in_words(Fault::Database(e)))?;
        let link = Link { runtime: Some(runtime), client, statements: RefCell::default() };
        // An acknowledged event is on the disk, whatever the server's default is.
        let settings = match self.access {
            Access::ReadOnly => "SET default_transaction_read_only = on",
            Access::Create | Access::Existing => "SET synchronous_commit = on",
        };
        link.block_on(link.client.batch_execute(settings)).map_err(|e| self.in_words(e.into()))?;
        Ok(link)
    }

    /// Runs `work` in one transaction that sees one state of the database, and writes nothing. A
    /// connection that broke while nobody used it is made anew.
    pub(super) fn read<T: Send>(
        &self,
        work: impl AsyncFn(&Db<'_>) -> Result<T, Fault> + Send,
    ) -> Result<T, StoreError> {
        self.run(IsolationLevel::RepeatableRead, work)
    }

    /// Runs `work` in one transaction.
    pub(super) fn write<T: Send>(
        &self,
        work: impl AsyncFn(&Db<'_>) -> Result<T, Fault> + Send,
    ) -> Result<T, StoreError> {
        self.run(IsolationLevel::ReadCommitted, work)
    }

    fn run<T: Send>(
        &self,
        isolation: IsolationLevel,
        work: impl AsyncFn(&Db<'_>) -> Result<T, Fault> + Send,
    ) -> Result<T, StoreError> {
        blocking(move || {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let (mut link, used_before) = match idle {
                Some(link) => (link, true),
                None => (self.connect()?, false),
            };
            let mut result = link.transaction(isolation, &work);
            if used_before && result.as_ref().is_err_and(Fault::is_lost_connection) {
                link = self.connect()?;
                result = link.transaction(isolation, &work);
            }
            if !link.is_broken() && !result.as_ref().is_err_and(Fault::is_lost_connection) {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                if idle.len() < IDLE_LINKS {
                    idle.push(link);
                }
            }
            result.map_err(|fault| self.in_words(fault))
        })
    }

    /// What went wrong, in our words.
    pub(super) fn in_words(&self, fault: Fault) -> StoreError {
        let path = self.place();
        let error = match fault {
            Fault::Database(error) => error,
            Fault::Content(cause) => return StoreError::Failed { path, cause },
            Fault::Store(error) => return error,
        };
        let cause = said_by(&error);
        let Some(state) = error.code() else { return StoreError::Unreachable { path, cause } };
        match state {
            &SqlState::DISK_FULL => StoreError::DiskFull { path },
            &SqlState::READ_ONLY_SQL_TRANSACTION => StoreError::ReadOnly { path },
            &SqlState::LOCK_NOT_AVAILABLE | &SqlState::T_R_DEADLOCK_DETECTED => StoreError::Locked { path },
            &SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED => StoreError::DamagedFile { path, cause },
            // No such database, no such user, a wrong password, stopping, starting, too many connections.
            state if ["28", "3D", "08", "57", "53"].iter().any(|class| state.code().starts_with(class)) => {
                StoreError::Unreachable { path, cause }
            }
            _ => StoreError::Failed { path, cause },
        }
    }
}

/// Runs work that blocks, on this thread if it may block.
fn blocking<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if tokio::runtime::Handle::try_current().is_err() {
        return work();
    }
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// An error with its causes; the driver's own words are only its kind.
fn said_by(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return error.message().to_owned();
    }
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |words, cause| format!("{words}: {cause}"))
}

/// One connection. One thread at a time uses it.
#[derive(Debug)]
pub(super) struct Link {
    /// `None` only while dropping.
    runtime: Option<Runtime>,
    client: Client,
    statements: RefCell<HashMap<&'static str, Statement>>,
}

impl Link {
    /// Whether nothing comes through any more.
    pub(super) fn is_broken(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs `work` in one transaction.
    pub(super) fn transaction<T>(
        &mut self,
        isolation: IsolationLevel,
        work: &impl AsyncFn(&Db<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let Link { runtime, client, statements } = self;
        let runtime = runtime.as_ref().ok_or_else(gone)?;
        runtime.block_on(async {
            let transaction = client.build_transaction().isolation_level(isolation).start().await?;
            let done = work(&Db { transaction: &transaction, statements }).await?;
            transaction.commit().await?;
            Ok(done)
        })
    }

    /// Runs one statement outside of any transaction.
    pub(super) fn execute_alone(&self, statement: &str) -> Result<(), Fault> {
        Ok(self.block_on(self.client.batch_execute(statement))?)
    }

    fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.runtime {
            Some(runtime) => runtime.block_on(work),
            None => unreachable!("a link has its runtime until it is dropped"),
        }
    }
}

fn gone() -> Fault {
    Fault::Content("the connection is being closed".into())
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // May happen on a thread of an executor, which must not wait.
            runtime.shutdown_background();
        }
    }
}

/// A transaction, with the connection's prepared statements.
pub(super) struct Db<'a> {
    transaction: &'a Transaction<'a>,
    statements: &'a RefCell<HashMap<&'static str, Statement>>,
}

/// Parameters of a statement.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Db<'_> {
    async fn statement(&self, sql: &'static str) -> Result<Statement, Fault> {
        let known = self.statements.borrow().get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.transaction.prepare(sql).await?;
        self.statements.borrow_mut().insert(sql, statement.clone());
        Ok(statement)
    }

    /// Rows that were changed.
    pub(super) async fn execute(&self, sql: &'static str, params: Params<'_>) -> Result<u64, Fault> {
        let statement = self.statement(sql).await?;
        Ok(self.transaction.execute(&statement, params).await?)
    }

    /// All rows.
    pub(super) async fn rows(&self, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let statement = self.statement(sql).await?;
        Ok(self.transaction.query(&statement, params).await?)
    }

    /// The first row.
    pub(super) async fn row(&self, sql: &'static str, params: Params<'_>) -> Result<Option<Row>, Fault> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Several statements, without parameters.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), Fault> {
        Ok(self.transaction.batch_execute(sql).await?)
    }

    /// Shows all rows, a thousand at a time; other statements may run in between.
    pub(super) async fn each_row(
        &self,
        sql: &'static str,
        mut show: impl AsyncFnMut(Row) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let statement = self.statement(sql).await?;
        let portal = self.transaction.bind(&statement, &[]).await?;
        loop {
            let rows = self.transaction.query_portal(&portal, 1_000).await?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                show(row).await?;
            }
        }
    }
}
