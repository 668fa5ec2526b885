//! What can be wrong with a configuration, said so that one line is enough to mend it.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why there is no [`Config`](super::Config).
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was asked for cannot be read.
    #[error("cannot read {}: {source}; give an existing file with --config", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not YAML.
    #[error("{origin}: not valid YAML: {message}")]
    Syntax {
        /// The file, with the line where it is known.
        origin: String,
        /// The parser's words.
        message: String,
    },
    /// Keys or values that cannot be. Never empty.
    #[error("{}", one_line(.0))]
    Invalid(Vec<Problem>),
}

impl ConfigError {
    /// Everything that is wrong, one line each; never empty.
    pub fn lines(&self) -> Vec<String> {
        match self {
            ConfigError::Invalid(problems) => problems.iter().map(Problem::to_string).collect(),
            other => vec![other.to_string()],
        }
    }
}

/// One key that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was set: `config.yml:12`, or the name of an environment variable.
    pub origin: String,
    /// Full path of the key (`turn.lead_ms`).
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.key, self.message)
    }
}

fn one_line(problems: &[Problem]) -> String {
    match problems {
        [] => "invalid configuration".to_owned(),
        [only] => only.to_string(),
        [first, rest @ ..] => {
            format!("{first} (and {} more: see `vivavoce config check`)", rest.len())
        }
    }
}
