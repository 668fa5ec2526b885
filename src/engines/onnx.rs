//! ONNX Runtime: where its shared library is, and the one environment that a process may have.
//!
//! The library is loaded at run time, so a binary starts without it. Left to itself `ort` panics
//! where the library is missing or too old; here that is an [`EngineError::Load`]. Every engine
//! on `ort` gets its environment from here first.
//!
//! **Telemetry.** The official Linux builds since 1.31 report to their maker over HTTPS, and keep a
//! device id in the user's cache folder for it, unless [`TELEMETRY_SWITCH`] is `1` in the process's
//! environment before the library is loaded; `ort`'s own switch comes too late for the first event.
//! What people say to this server is nobody else's business, so without the switch nothing is
//! loaded. `main` sets it as its first act (this module cannot: changing the environment is only
//! sound while there is one thread), `.cargo/config.toml` does for tests and benches.
//!
//! Deliberately absent: the sessions, which belong to their engines, and every execution provider
//! but the CPU.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

use super::EngineError;
use crate::config;

/// Where `scripts/setup-models.sh` puts the library, below `models.dir`.
pub const LIBRARY: &str = "vendor/onnxruntime/libonnxruntime.so.1.31.1";

/// The environment variable that has to be `1` for [`environment`] to load the library.
pub const TELEMETRY_SWITCH: &str = "ORT_DISABLE_TELEMETRY";

/// The environment and the library it lives in. `ort` allows one per process, ever: it is kept
/// until the process ends.
static LOADED: Mutex<Option<(Environment, PathBuf)>> = Mutex::new(None);

/// The process's ONNX Runtime environment; the first call loads the library.
///
/// Errors name the library and the remedy. A failed call may be tried again.
pub fn environment(models: &config::Models) -> Result<Environment, EngineError> {
    require_telemetry_off(std::env::var_os(TELEMETRY_SWITCH).as_deref())?;
    let library = find_library(models, std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from))?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((environment, from)) = &*loaded {
        if *from == library {
            return Ok(environment.clone());
        }
        return Err(load_error(format!(
            "cannot use {}: this process already uses {}",
            library.display(),
            from.display()
        )));
    }
    let environment = ort::init_from(&library)
        .map_err(|error| load_error(format!("cannot load {}: {error}; {REMEDY}", library.display())))?
        .with_name("vivavoce")
        .with_telemetry(false)
        .build()
        .map_err(|error| load_error(format!("cannot start {}: {error}; {REMEDY}", library.display())))?;
    *loaded = Some((environment.clone(), library));
    Ok(environment)
}

const REMEDY: &str = "run scripts/setup-models.sh, or set models.onnxruntime in config.yml to an ONNX \
                      Runtime library of version 1.31 or later";

fn require_telemetry_off(switch: Option<&OsStr>) -> Result<(), EngineError> {
    if switch == Some(OsStr::new("1")) {
        return Ok(());
    }
    Err(load_error(format!(
        "not loaded, because it would report to its maker; set {TELEMETRY_SWITCH}=1 in the environment"
    )))
}

/// An absolute path, because `ort` looks for relative ones beside the executable.
fn find_library(models: &config::Models, from_environment: Option<PathBuf>) -> Result<PathBuf, EngineError> {
    let in_models_dir = models.dir.join(LIBRARY);
    let path = if !models.onnxruntime.as_os_str().is_empty() {
        models.onnxruntime.clone()
    } else if in_models_dir.is_file() {
        in_models_dir
    } else {
        from_environment.filter(|path| !path.as_os_str().is_empty()).unwrap_or(in_models_dir)
    };
    if !path.is_file() {
        return Err(load_error(format!("there is no file {}; {REMEDY}", path.display())));
    }
    absolute(&path)
}

fn absolute(path: &Path) -> Result<PathBuf, EngineError> {
    std::path::absolute(path)
        .map_err(|error| load_error(format!("cannot find {} from here: {error}", path.display())))
}

fn load_error(message: String) -> EngineError {
    EngineError::Load { engine: "onnxruntime", message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(dir: &Path, onnxruntime: &str) -> config::Models {
        config::Models { dir: dir.into(), onnxruntime: onnxruntime.into(), ..Default::default() }
    }

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().expect("has a parent")).expect("folder is made");
        std::fs::write(path, "not a library").expect("file is written");
    }

    #[test]
    fn the_configured_library_comes_before_the_models_folder_and_that_before_the_environment() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let [configured, in_dir, in_env] =
            ["configured.so", LIBRARY, "env.so"].map(|name| dir.path().join(name));
        for path in [&configured, &in_dir, &in_env] {
            touch(path);
        }
        let find = |onnxruntime: &str| {
            find_library(&models(dir.path(), onnxruntime), Some(in_env.clone())).expect("is found")
        };
        assert_eq!(find(configured.to_str().expect("UTF-8")), configured);
        assert_eq!(find(""), in_dir);
        std::fs::remove_file(&in_dir).expect("file is removed");
        assert_eq!(find(""), in_env);
    }

    #[test]
    fn a_missing_library_is_an_error_that_names_file_and_remedy() {
        let dir = tempfile::tempdir().expect("temporary folder");
        for (onnxruntime, named) in [("", LIBRARY), ("/nowhere/onnx.so", "/nowhere/onnx.so")] {
            let error = find_library(&models(dir.path(), onnxruntime), None).expect_err("nothing is there");
            assert_eq!(error.code(), "engine_load_failed");
            let message = error.to_string();
            assert!(message.contains(named) && message.contains("scripts/setup-models.sh"), "{message}");
        }
    }

    #[test]
    fn nothing_is_loaded_while_telemetry_is_on() {
        for on in [None, Some(""), Some("0")] {
            let error = require_telemetry_off(on.map(OsStr::new)).expect_err("telemetry is on");
            assert!(error.to_string().contains("set ORT_DISABLE_TELEMETRY=1"), "{error}");
        }
        assert!(require_telemetry_off(Some(OsStr::new("1"))).is_ok());
    }

    #[test]
    fn a_file_that_is_no_library_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let library = dir.path().join(LIBRARY);
        touch(&library);
        let error = environment(&models(dir.path(), "")).expect_err("it is no library");
        assert_eq!(error.code(), "engine_load_failed");
        assert!(error.to_string().contains(&library.display().to_string()), "{error}");
    }
}
