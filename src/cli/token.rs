//! `vivavoce token create`, `list` and `revoke`. They work beside a running server, which sees the change
//! with the next request.

use std::io::Write;

use jiff::{SpanRelativeTo, Timestamp, ToSpan as _};

use crate::config::Config;
use crate::conversation::StoreError;
use crate::conversation::store::now_unix_us;
use crate::conversation::tokens::{NewToken, Scope, TokenInfo, TokenStore};

/// Make, show and take away access tokens.
#[derive(Debug, clap::Args)]
pub struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a token and show it, once
    Create {
        /// What it is for
        #[arg(long, default_value = "made by hand")]
        name: String,
        /// What it allows: voice, realtime, api or admin; may be given several times
        /// [default: voice, realtime and api]
        #[arg(long, value_name = "SCOPE")]
        scope: Vec<Scope>,
        /// When it ends: 12h, 30d, 1y … [default: never]
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// Show all tokens by their ids (the tokens themselves are not kept)
    List,
    /// Take a token away
    Revoke {
        /// Its id or its name, as `list` shows them
        token: String,
    },
}

/// Why `vivavoce token` failed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It would end in no time that there is.
    #[error("--expires {0:?} is no time to come; write 12h, 30d or 1y")]
    Expires(String),
    /// Nothing is called that.
    #[error("there is no token with the id or name {0:?}; see `vivavoce token list`")]
    Unknown(String),
    /// More than one is called that.
    #[error("{1} tokens have the name {0:?}; give the id of one, see `vivavoce token list`")]
    Ambiguous(String, usize),
    /// The answer could not be written.
    #[error("cannot write to the output: {0}")]
    Output(#[from] std::io::Error),
}

impl Token {
    /// Runs the command; what it shows goes to `out`. Blocking.
    ///
    /// # Errors
    /// Where the store cannot be used, or the command names what is not there.
    pub fn run(self, config: &Config, out: &mut dyn Write) -> Result<(), TokenError> {
        let tokens = TokenStore::open(&config.store.url)?;
        match self.command {
            Command::Create { name, scope, expires } => {
                let scopes = if scope.is_empty() { Scope::USUAL.to_vec() } else { scope };
                let expires_at_unix_us = expires.as_deref().map(end_after).transpose()?;
                let token = tokens.create(&NewToken { name: &name, scopes: &scopes, expires_at_unix_us })?;
                writeln!(out, "{token}")?;
            }
            Command::List => {
                let now = now_unix_us();
                for info in tokens.list()? {
                    writeln!(out, "{}", line(&info, now))?;
                }
            }
            Command::Revoke { token } => {
                let listed = tokens.list()?;
                let called: Vec<&TokenInfo> =
                    listed.iter().filter(|info| info.id() == token || info.name == token).collect();
                match called[..] {
                    [] => return Err(TokenError::Unknown(token)),
                    [one] => {
                        tokens.revoke(&one.hash)?;
                        writeln!(out, "revoked: {}", line(one, now_unix_us()))?;
                    }
                    _ => return Err(TokenError::Ambiguous(token, called.len())),
                }
            }
        }
        Ok(())
    }
}

/// `30d` from now, in microseconds since 1970. A day has 24 hours, a year 365 days.
fn end_after(time: &str) -> Result<i64, TokenError> {
    let wrong = || TokenError::Expires(time.to_owned());
    let span: jiff::Span = time.parse().map_err(|_| wrong())?;
    if span.is_negative() || span.is_zero() {
        return Err(wrong());
    }
    let (years, span) = (i64::from(span.get_years()), span.years(0));
    let days = (years * 365).days();
    let duration = |span: jiff::Span| span.to_duration(SpanRelativeTo::days_are_24_hours());
    let whole =
        duration(span).and_then(|some| duration(days).map(|more| some + more)).map_err(|_| wrong())?;
    let end = Timestamp::now().checked_add(whole).map_err(|_| wrong())?;
    Ok(end.as_microsecond())
}

/// `3f9a… name [scopes] made …, ends …`
fn line(info: &TokenInfo, now_unix_us: i64) -> String {
    let day = |unix_us: i64| {
        Timestamp::from_microsecond(unix_us).map_or_else(|_| "?".to_owned(), |time| format!("{time:.0}"))
    };
    let end = match info.expires_at_unix_us {
        None => "never ends".to_owned(),
        Some(end) if info.has_expired(now_unix_us) => format!("ended {}", day(end)),
        Some(end) => format!("ends {}", day(end)),
    };
    let scopes: Vec<&str> = info.scopes.iter().map(|scope| scope.name()).collect();
    format!(
        "{}  {}  [{}]  made {}, {end}",
        info.id(),
        info.name,
        scopes.join(" "),
        day(info.created_at_unix_us)
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(flatten)]
        token: Token,
    }

    /// What `vivavoce token ARGUMENTS` writes, or its error.
    fn run(config: &Config, arguments: &[&str]) -> Result<String, String> {
        let words = std::iter::once(&"token").chain(arguments);
        let arguments = Arguments::try_parse_from(words).map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        arguments.token.run(config, &mut out).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn tokens_are_made_shown_and_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.url = format!("sqlite://{}/log.sqlite", folder.path().display());
        let token = run(&config, &["create"]).unwrap();
        let short = ["create", "--name", "kiosk", "--scope", "voice", "--scope", "api", "--expires", "30d"];
        run(&config, &short).unwrap();
        run(&config, &short).unwrap();
        let listed = run(&config, &["list"]).unwrap();
        assert!(!listed.contains(token.trim()), "{listed}");
        let lines: Vec<&str> = listed.lines().collect();
        assert!(lines[0].contains("made by hand  [voice realtime api]"), "{listed}");
        assert!(lines[0].ends_with("never ends"), "{listed}");
        assert!(lines[1].contains("kiosk  [voice api]") && lines[1].contains(", ends 2"), "{listed}");

        let ambiguous = run(&config, &["revoke", "kiosk"]).unwrap_err();
        assert!(ambiguous.contains("2 tokens have the name"), "{ambiguous}");
        let id = lines[1].split(' ').next().unwrap();
        assert!(run(&config, &["revoke", id]).unwrap().contains("kiosk"));
        run(&config, &["revoke", "kiosk"]).unwrap();
        assert!(run(&config, &["revoke", "kiosk"]).unwrap_err().contains("there is no token"));
        assert_eq!(run(&config, &["list"]).unwrap().lines().count(), 1);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.url = format!("sqlite://{}/log.sqlite", folder.path().display());
        for time in ["", "soon", "-3d", "0s", "30"] {
            let error = run(&config, &["create", &format!("--expires={time}")]).unwrap_err();
            assert!(error.contains("is no time to come"), "{time}: {error}");
        }
        let error = run(&config, &["create", "--scope", "root"]).unwrap_err();
        assert!(error.contains("there are voice, realtime, api, messages"), "{error}");
        assert_eq!(run(&config, &["list"]).unwrap(), "");
    }

    #[test]
    fn a_time_is_that_long() {
        let now = Timestamp::now().as_microsecond();
        for (time, seconds) in [("90s", 90), ("12h", 43_200), ("30d", 2_592_000), ("1y", 31_536_000)] {
            let ahead = (end_after(time).unwrap() - now) / 1_000_000;
            assert!((seconds..seconds + 60).contains(&ahead), "{time}: {ahead}");
        }
    }
}
