//! Where log lines go: standard error, as text or as JSON, filtered by `log.level`.
//!
//! Session and turn ids come from the spans that a line is written in (`session{session_id=…}`,
//! `turn{turn_id=…}`). What people say is not filtered here: it is logged only where
//! `log.transcripts` allows it.

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::Log;

/// Logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// `log.level` is no filter. A loaded configuration's always is.
    #[error("log.level: {0}; use error, warn, info, debug, trace, or a list like info,vivavoce=debug")]
    Level(#[from] ParseError),
    /// Called twice.
    #[error("logging is set up already: {0}")]
    Again(#[from] SetGlobalDefaultError),
}

/// Sets up logging for the whole process. Once.
pub fn init(log: &Log) -> Result<(), LoggingError> {
    let colours = std::io::stderr().is_terminal();
    Ok(tracing::subscriber::set_global_default(subscriber(log, colours, std::io::stderr)?)?)
}

/// What [`init`] sets up, writing to `writer`. `colours`: for a terminal.
fn subscriber<W>(
    log: &Log,
    colours: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(&log.level)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(writer);
    Ok(if log.json {
        // All enclosing spans are in `spans`; the innermost need not stand there twice.
        Box::new(builder.json().flatten_event(true).with_current_span(false).with_span_list(true).finish())
    } else {
        Box::new(builder.finish())
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: Log, write: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        tracing::subscriber::with_default(subscriber(&log, false, move || writer.clone()).unwrap(), write);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    fn a_turn() {
        let session = tracing::info_span!("session", session_id = "s-7").entered();
        let turn = tracing::info_span!("turn", turn_id = 3).entered();
        tracing::info!(duration_ms = 12, "recognised");
        tracing::debug!("detail");
        drop((turn, session));
    }

    #[test]
    fn json_lines_hold_the_event_and_its_session_and_turn() {
        let lines = logged(Log { json: true, ..Log::default() }, a_turn);
        assert_eq!(lines.len(), 1, "debug is below the default level: {lines:?}");
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!((&line["message"], &line["duration_ms"]), (&"recognised".into(), &12.into()));
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["spans"][0]["session_id"], "s-7");
        assert_eq!(line["spans"][1]["turn_id"], 3);
    }

    #[test]
    fn text_lines_hold_the_same() {
        let lines = logged(Log { level: "debug".into(), ..Log::default() }, a_turn);
        assert_eq!(lines.len(), 2, "{lines:?}");
        for word in ["INFO", "session_id=\"s-7\"", "turn_id=3", "recognised", "duration_ms=12"] {
            assert!(lines[0].contains(word), "{word} is missing in {:?}", lines[0]);
        }
        assert!(!lines[0].contains('\u{1b}'), "no colours outside a terminal");
    }

    #[test]
    fn a_bad_level_is_an_error_that_names_the_key() {
        let error = subscriber(&Log { level: "a=b=c".into(), ..Log::default() }, false, std::io::sink);
        assert!(error.err().unwrap().to_string().starts_with("log.level: "));
    }
}
