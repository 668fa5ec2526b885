//! From file and environment to a [`Config`]: read, override, refuse, resolve.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value};

use super::error::{ConfigError, Problem};
use super::validate::Finding;
use super::{Config, Persona, agents, env, tree, validate};

/// Looked for in the working directory when no file is given.
pub const FILE_NAME: &str = "config.yml";

/// Where the configuration comes from. Relative paths in it are relative to the file's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// No file: the defaults; paths are relative to the working directory.
    Defaults,
}

impl Source {
    /// `path` if given, else [`FILE_NAME`] in the working directory if there is one.
    pub fn find(path: Option<&Path>) -> Source {
        match path {
            Some(path) => Source::File(path.to_owned()),
            None if Path::new(FILE_NAME).exists() => Source::File(FILE_NAME.into()),
            None => Source::Defaults,
        }
    }

    fn folder(&self) -> &Path {
        match self {
            Source::File(path) => path.parent().unwrap_or(Path::new("")),
            Source::Defaults => Path::new(""),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Defaults => write!(f, "defaults (no {FILE_NAME} in the working directory)"),
        }
    }
}

impl Config {
    /// The configuration in `path`, or in [`FILE_NAME`] of the working directory, or the defaults;
    /// with the overrides of this process's environment.
    pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
        Config::load_from(&Source::find(path), std::env::vars_os())
    }

    /// `persona` as the same file and environment say it now. The whole file has to be valid, and
    /// nothing else of it is used: all other changes wait for a restart.
    pub fn reload_persona(path: Option<&Path>) -> Result<Persona, ConfigError> {
        Config::load(path).map(|config| config.persona)
    }

    /// [`Config::load`] with an environment of the caller's.
    pub fn load_from(
        source: &Source,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Config, ConfigError> {
        let text = match source {
            Source::Defaults => String::new(),
            Source::File(path) => std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?,
        };
        Config::parse(&text, source, environment)
    }

    /// The configuration in `text`, the contents of `source`.
    pub fn parse(
        text: &str,
        source: &Source,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Config, ConfigError> {
        let schema = Schema::new();
        let mut problems = Vec::new();
        let mut root = read(text, source)?;
        schema.drop_empty_sections(&mut root);
        expand_tls(&mut root);
        let in_file = |key: &str| origin(text, source, key).unwrap_or(source.to_string());
        // Their names are the operator's.
        let agents = root.remove(agents::KEY).unwrap_or_default();
        problems.extend(agents::problems(&agents, &schema, &in_file));
        schema.refuse_unknown("", &root, &schema.defaults, &in_file, &mut problems);

        let leaves = schema.leaves();
        let (overrides, wrong) = env::overrides(environment, &leaves);
        problems.extend(wrong);
        for set in &overrides {
            tree::set(&mut root, &set.key, set.value.clone());
        }
        // A variable sets a list as a whole: `tools.http[0].url` is in it.
        let whole = |key: &str| key.split('[').next().unwrap_or_default().to_owned();
        let origin = |key: &str| match overrides.iter().find(|set| set.key == whole(key)) {
            Some(set) => Some(set.variable.clone()),
            None => origin(text, source, key),
        };
        let locate = |finding: Finding| Problem {
            origin: finding.keys.iter().find_map(|key| origin(key)).unwrap_or(source.to_string()),
            key: finding.keys[0].clone().into_owned(),
            message: finding.message,
        };

        let place = |key: &str| origin(key).unwrap_or(source.to_string());
        problems.extend(super::tools::problems_in_http(&root, &place));
        for (key, value) in tree::leaves(&root) {
            // Unknown keys and sections that are none have been reported above.
            let leaf = leaves.iter().find(|(leaf, _)| *leaf == key && key != super::tools::HTTP_KEY);
            if let Some(message) = leaf.and_then(|(_, default)| wrong_type(&key, value, default)) {
                problems.push(Problem { origin: origin(&key).unwrap_or(source.to_string()), key, message });
            }
        }
        if !problems.is_empty() {
            return Err(ConfigError::Invalid(problems));
        }

        if !agents.is_null() {
            root.insert(agents::KEY.into(), agents);
        }
        let config: Config = serde_yaml::from_value(Value::Mapping(root)).map_err(|error| {
            ConfigError::Syntax { origin: source.to_string(), message: error.to_string() }
        })?;
        let findings = validate::findings(&config);
        if !findings.is_empty() {
            return Err(ConfigError::Invalid(findings.into_iter().map(locate).collect()));
        }
        Ok(resolve(config, source.folder()))
    }
}

/// The document as a tree, its duplicate keys refused.
fn read(text: &str, source: &Source) -> Result<Mapping, ConfigError> {
    if let Some((key, line)) = tree::duplicate(text) {
        let first = tree::line_of(text, &key).unwrap_or(line);
        let message = format!("set twice, first on line {first}; keep one of them");
        return Err(ConfigError::Invalid(vec![Problem { origin: format!("{source}:{line}"), key, message }]));
    }
    let invalid = |line: Option<usize>, message: String| ConfigError::Syntax {
        origin: line.map_or(source.to_string(), |line| format!("{source}:{line}")),
        message,
    };
    match serde_yaml::from_str(text) {
        Ok(Value::Mapping(root)) => Ok(root),
        Ok(Value::Null) => Ok(Mapping::new()),
        Ok(other) => Err(invalid(None, format!("expected keys and values, found {}", describe(&other)))),
        Err(error) => Err(invalid(error.location().map(|at| at.line()), error.to_string())),
    }
}

/// `tls: self_signed` means `tls: {mode: self_signed}`.
fn expand_tls(root: &mut Mapping) {
    if let Some(tls @ Value::String(_)) = root.get_mut("tls") {
        let mode = std::mem::replace(tls, Value::Null);
        *tls = Value::Mapping(Mapping::from_iter([("mode".into(), mode)]));
    }
}

/// Where `key` was set in the file, if it was.
fn origin(text: &str, source: &Source, key: &str) -> Option<String> {
    let key = if key == "tls.mode" && tree::line_of(text, key).is_none() { "tls" } else { key };
    // What is missing from an entry of a list is missing there.
    let list = || key.find('[').and_then(|end| tree::line_of(text, &key[..end]));
    tree::line_of(text, key).or_else(list).map(|line| format!("{source}:{line}"))
}

/// Which keys there are: those of the default configuration.
pub(super) struct Schema {
    defaults: Mapping,
}

impl Schema {
    fn new() -> Schema {
        match serde_yaml::to_value(Config::default()) {
            Ok(Value::Mapping(defaults)) => Schema { defaults },
            // A struct of structs of scalars serialises to a mapping (tests do it).
            _ => Schema { defaults: Mapping::new() },
        }
    }

    /// Every key that is no section, and its default.
    fn leaves(&self) -> Vec<(String, &Value)> {
        tree::leaves(&self.defaults)
    }

    /// The keys of one section.
    pub(super) fn section(&self, name: &str) -> Option<&Mapping> {
        self.defaults.get(name)?.as_mapping()
    }

    /// A section with all of its keys commented out is an empty section, not a null.
    fn drop_empty_sections(&self, root: &mut Mapping) {
        root.retain(|key, value| !(value.is_null() && self.defaults.get(key).is_some_and(Value::is_mapping)));
    }

    /// Notes the keys of `found` that `valid` has not, and sections and values in each other's place.
    pub(super) fn refuse_unknown(
        &self,
        prefix: &str,
        found: &Mapping,
        valid: &Mapping,
        origin: &dyn Fn(&str) -> String,
        problems: &mut Vec<Problem>,
    ) {
        for (key, value) in found {
            let path = tree::join(prefix, &tree::key_text(key));
            let message = match (valid.get(key), value) {
                (Some(Value::Mapping(section)), Value::Mapping(found)) => {
                    self.refuse_unknown(&path, found, section, origin, problems);
                    continue;
                }
                (Some(Value::Mapping(_)), other) => {
                    format!("expected a section with keys below it, found {}", describe(other))
                }
                (Some(default), Value::Mapping(_)) => match wrong_type(&path, value, default) {
                    Some(message) => message,
                    None => continue,
                },
                (Some(_), _) => continue,
                (None, _) => match self.nearest(&path) {
                    Some(nearest) => format!("unknown key; the nearest valid one is {nearest}"),
                    None => "unknown key".to_owned(),
                },
            };
            problems.push(Problem { origin: origin(&path), key: path, message });
        }
    }

    fn nearest(&self, path: &str) -> Option<String> {
        let leaves = self.leaves();
        let sections = self.defaults.iter().filter(|(_, value)| value.is_mapping()).map(|(key, _)| key);
        let sections: Vec<&str> = sections.filter_map(Value::as_str).collect();
        // A section is meant only where one stands.
        let sections = sections.into_iter().filter(|_| !path.contains('.'));
        tree::nearest(path, leaves.iter().map(|(leaf, _)| leaf.as_str()).chain(sections)).map(str::to_owned)
    }
}

/// What is wrong with the type of `value` for `key`, if anything: it is tried alone, all other keys
/// at their defaults.
pub(super) fn wrong_type(key: &str, value: &Value, default: &Value) -> Option<String> {
    let mut alone = Mapping::new();
    tree::set(&mut alone, key, value.clone());
    let error = serde_yaml::from_value::<Config>(Value::Mapping(alone)).err()?.to_string();
    let wanted = error.rsplit_once("expected ").map_or("", |(_, wanted)| wanted);
    let wanted = match wanted {
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "f32" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" if default.is_sequence() => "a list of texts".to_owned(),
        "a sequence" => "a list of texts".to_owned(),
        "a string" | "path string" => "text".to_owned(),
        // The names of variants: "`a` or `b`", or "one of `a`, `b`, `c`".
        names if names.contains('`') => names.replace('`', ""),
        _ => format!("a value like {}", describe(default)),
    };
    Some(format!("expected {wanted}, found {}", describe(value)))
}

/// A value in a person's words, short.
pub(super) fn describe(value: &Value) -> String {
    /// Longer texts are cut: the line has to stay readable.
    const SHOWN_CHARS: usize = 60;
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() > SHOWN_CHARS => {
            format!("the text {:?}…", text.chars().take(SHOWN_CHARS).collect::<String>())
        }
        Value::String(text) => format!("the text {text:?}"),
        Value::Sequence(items) => match items.iter().find(|item| !item.is_string()) {
            Some(item) => format!("a list with {}", describe(item)),
            None => "a list".to_owned(),
        },
        Value::Mapping(_) => "a section".to_owned(),
        Value::Tagged(tagged) => format!("the tag {}", tagged.tag),
    }
}

/// Makes relative paths relative to the folder of the file that they stand in.
fn resolve(mut config: Config, folder: &Path) -> Config {
    let Config { models, asr, tts, store, tls, record_audio, record_dir, .. } = &mut config;
    let paths = [
        &mut models.dir,
        &mut models.cache,
        &mut models.onnxruntime,
        &mut asr.pocketsphinx_model_dir,
        &mut tts.kokoro.lexicons,
        &mut tls.cert,
        &mut tls.key,
        &mut record_audio.dir,
        record_dir,
    ];
    for path in paths {
        if !path.as_os_str().is_empty() {
            *path = folder.join(&*path);
        }
    }
    if let Some(path) = store.sqlite_path() {
        store.url = format!("sqlite://{}", folder.join(path).display());
    }
    config.markdown.resolve(folder);
    config.persona.greeting = config.persona.greeting.filter(|greeting| !greeting.trim().is_empty());
    config
}
