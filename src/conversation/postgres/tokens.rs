//! The server's access tokens in the database.

use subtle::ConstantTimeEq as _;
use tokio_postgres::Row;

use super::connection::{Database, Fault};
use super::{rows, schema};
use crate::conversation::error::StoreError;
use crate::conversation::ids::Hash;
use crate::conversation::sqlite::Access;
use crate::conversation::tokens::{TokenInfo, scopes_of};

/// Opens the database that `url` names, and makes its tables where they are missing.
pub(in crate::conversation) fn open(url: &str) -> Result<Database, StoreError> {
    let database = Database::new(url, Access::Create)?;
    schema::prepare(&database)?;
    Ok(database)
}

impl Database {
    /// Writes a token.
    pub(in crate::conversation) fn put_token(&self, token: &TokenInfo) -> Result<(), StoreError> {
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.name()).collect();
        let scopes = scopes.join(" ");
        self.write(async |db| {
            db.execute(
                "INSERT INTO access_tokens VALUES ($1, $2, $3, $4, $5)",
                &[
                    &&token.hash.0[..],
                    &token.name,
                    &token.created_at_unix_us,
                    &scopes,
                    &token.expires_at_unix_us,
                ],
            )
            .await
        })
        .map(drop)
    }

    /// All tokens, the oldest first.
    pub(in crate::conversation) fn tokens(&self) -> Result<Vec<TokenInfo>, StoreError> {
        let all = "SELECT hash, label, created_at_unix_us, scopes, expires_at_unix_us FROM access_tokens
                   ORDER BY created_at_unix_us, hash";
        self.read(async |db| db.rows(all, &[]).await?.iter().map(info_of).collect())
    }

    /// Whether there was one with this hash.
    pub(in crate::conversation) fn delete_token(&self, hash: &Hash) -> Result<bool, StoreError> {
        let one = "DELETE FROM access_tokens WHERE hash = $1";
        self.write(async |db| db.execute(one, &[&&hash.0[..]]).await).map(|rows| rows > 0)
    }

    /// The one with this hash. All are compared, each in constant time.
    pub(in crate::conversation) fn token(&self, hash: &Hash) -> Result<Option<TokenInfo>, StoreError> {
        let is_it = |info: &TokenInfo| bool::from(info.hash.0.ct_eq(&hash.0));
        Ok(self.tokens()?.into_iter().fold(None, |found, info| if is_it(&info) { Some(info) } else { found }))
    }
}

fn info_of(row: &Row) -> Result<TokenInfo, Fault> {
    let hash = rows::hash(row, 0)?.ok_or_else(|| Fault::Content("a token has no hash".into()))?;
    Ok(TokenInfo {
        hash,
        name: row.try_get(1)?,
        created_at_unix_us: row.try_get(2)?,
        scopes: scopes_of(row.try_get(3)?),
        expires_at_unix_us: row.try_get(4)?,
    })
}
