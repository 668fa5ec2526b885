//! The images cannot be built where these tests run. What can be checked without building them: that
//! their steps are scripts that `make setup` runs too, that the files they copy exist, and that what
//! they configure is configuration.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml::Value;
use vivavoce::config::{Config, ENV_PREFIX, Source};

const DOCKERFILES: [&str; 2] = ["Dockerfile", "Dockerfile.gpu"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// One instruction of a Dockerfile: its first word, the rest, and the number of its stage.
struct Instruction {
    name: String,
    rest: String,
    stage: usize,
}

impl Instruction {
    fn words(&self) -> Vec<&str> {
        self.rest.split_whitespace().filter(|word| !word.starts_with("--")).collect()
    }
    fn flag(&self, name: &str) -> Option<&str> {
        self.rest.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }
}

fn instructions(dockerfile: &str) -> Vec<Instruction> {
    let text = read(dockerfile);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let mut stage = 0;
    let joined = lines.join("\n").replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines().filter(|line| !line.trim().is_empty()) {
        let (name, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{dockerfile}: {line:?}"));
        stage += usize::from(name == "FROM");
        found.push(Instruction { name: name.into(), rest: rest.trim().into(), stage });
    }
    assert_eq!(stage, 2, "{dockerfile}: one stage builds, one runs");
    found
}

/// Files that `COPY` brings from the repository, as paths in the image.
fn copied(instruction: &Instruction) -> Vec<(PathBuf, String)> {
    let words = instruction.words();
    let (to, from) = words.split_last().expect("COPY has arguments");
    from.iter()
        .map(|source| {
            let to = to.strip_prefix("./").unwrap_or(to);
            let name = Path::new(source).file_name().unwrap_or_default().to_string_lossy();
            (root().join(source), if to.ends_with('/') { format!("{to}{name}") } else { to.to_owned() })
        })
        .collect()
}

#[test]
fn every_step_is_cargo_or_a_script_that_is_there() {
    for dockerfile in DOCKERFILES {
        let mut scripts_present: HashSet<(usize, String)> = HashSet::new();
        let mut steps = 0;
        for instruction in instructions(dockerfile) {
            match instruction.name.as_str() {
                "COPY" if instruction.flag("--from").is_none() => {
                    for (source, target) in copied(&instruction) {
                        assert!(source.exists(), "{dockerfile}: COPY {} does not exist", source.display());
                        scripts_present.insert((instruction.stage, target));
                    }
                }
                "RUN" => {
                    for step in instruction.rest.split("&&").map(str::trim) {
                        steps += 1;
                        let (command, arguments) = step.split_once(' ').unwrap_or((step, ""));
                        if command == "cargo" {
                            assert!(arguments.contains("--locked"), "{dockerfile}: {step}");
                            continue;
                        }
                        let script = command.trim_start_matches("/opt/vivavoce/");
                        let all = scripts_present.contains(&(instruction.stage, ".".into()));
                        let here = scripts_present.contains(&(instruction.stage, command.into()));
                        assert!(all || here, "{dockerfile}: {command} was not copied before it is run");
                        assert!(script.starts_with("scripts/"), "{dockerfile}: {step} is no script");
                        let mode = fs::metadata(root().join(script)).expect(script).permissions().mode();
                        assert_eq!(mode & 0o111, 0o111, "{script} is not executable");
                        let makefile = read("Makefile");
                        let run_by_tests = match script {
                            // Its sets are arguments; `make setup` runs all that the images do.
                            "scripts/setup-system.sh" => arguments.split(' ').all(|set| {
                                set == "--clean" || makefile_step(&makefile, script).contains(&set)
                            }),
                            // Run below.
                            "scripts/install-files.sh" => true,
                            _ => makefile.lines().any(|line| line == format!("\t{step}")),
                        };
                        assert!(run_by_tests, "{dockerfile}: `make setup` does not run {step}");
                    }
                }
                _ => {}
            }
        }
        assert!(steps >= 5, "{dockerfile}: only {steps} steps were understood");
    }
}

/// Arguments of the first line of the Makefile that runs `script`.
fn makefile_step<'m>(makefile: &'m str, script: &str) -> Vec<&'m str> {
    let line = makefile.lines().find(|line| line.trim().starts_with(script));
    line.unwrap_or_else(|| panic!("the Makefile does not run {script}")).split_whitespace().skip(1).collect()
}

#[test]
fn the_installed_tree_has_what_the_images_copy_and_start() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    for file in
        ["scripts/install-files.sh", "config.yml", "LICENSE-MIT", "LICENSE-APACHE", "models/manifest.yml"]
    {
        let to = source.join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(root().join(file), to).unwrap();
    }
    let install = |out: &Path| {
        let script = source.join("scripts/install-files.sh");
        Command::new(script).arg("/bin/true").arg(out).output().unwrap()
    };
    let out = folder.path().join("out");
    let refused = install(&out);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("scripts/setup-models.sh"), "{said}");
    assert!(!out.exists(), "nothing is installed by halves");

    fs::create_dir_all(source.join("models/vendor/engine")).unwrap();
    fs::write(source.join("models/vendor/engine/weights"), "w").unwrap();
    for _ in 0..2 {
        let done = install(&out);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let home = out.join("opt/vivavoce");
    assert_eq!(fs::read(home.join("vivavoce")).unwrap(), fs::read("/bin/true").unwrap());
    assert_eq!(fs::read_to_string(home.join("models/vendor/engine/weights")).unwrap(), "w");
    assert!(!home.join("models/vendor/vendor").exists(), "a second run lays the same tree");
    // The installed file is found with its models beside it.
    let config = Config::load_from(&Source::File(home.join("config.yml")), std::iter::empty()).unwrap();
    assert!(config.models.dir.join("manifest.yml").exists());

    for dockerfile in DOCKERFILES {
        let mut from_builder = 0;
        for instruction in instructions(dockerfile) {
            let absolute: Vec<&str> =
                match instruction.name.as_str() {
                    "COPY" if instruction.flag("--from") == Some("builder") => {
                        from_builder += 1;
                        let source = instruction.words()[0].strip_prefix("/out");
                        vec![source.unwrap_or_else(|| {
                            panic!("{dockerfile}: {} is not below /out", instruction.rest)
                        })]
                    }
                    "ENTRYPOINT" | "CMD" => {
                        instruction.rest.split('"').filter(|part| part.starts_with('/')).collect()
                    }
                    _ => continue,
                };
            for path in absolute {
                let laid = out.join(path.trim_start_matches('/'));
                assert!(laid.exists(), "{dockerfile}: {path} is not installed");
            }
        }
        assert_eq!(from_builder, 2, "{dockerfile}: program and data folder come from the builder");
    }
}

/// The keys of a `NAME=value …` instruction that are the server's, as a parsed configuration.
fn configured(origin: &str, variables: Vec<(String, String)>) -> Config {
    let ours = variables.into_iter().filter(|(name, _)| name.starts_with(ENV_PREFIX));
    let ours = ours.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::parse("", &Source::Defaults, ours)
        .unwrap_or_else(|error| panic!("{origin}: {}", error.lines().join("\n")))
}

fn image_environment(dockerfile: &str) -> Vec<(String, String)> {
    let all = instructions(dockerfile);
    let env = all.iter().filter(|instruction| instruction.name == "ENV" && instruction.stage == 2);
    let pairs = env.flat_map(|instruction| instruction.words());
    pairs.map(|pair| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap()).collect()
}

#[test]
fn the_images_run_as_nobody_and_are_watched_where_they_listen() {
    for dockerfile in DOCKERFILES {
        let config = configured(dockerfile, image_environment(dockerfile));
        assert_eq!(config.server.host, "0.0.0.0");
        assert!(config.store.sqlite_path().unwrap().starts_with("/data"), "the log outlives the container");
        assert!(config.record_dir.starts_with("/data"));
        assert!(config.models.cache.starts_with("/data"), "so do pulled models");

        let all = instructions(dockerfile);
        let the = |name: &str| {
            let mut found = all.iter().filter(|i| i.name == name && i.stage == 2).map(|i| i.rest.as_str());
            found.next_back().unwrap_or_else(|| panic!("{dockerfile}: no {name}")).to_owned()
        };
        assert_eq!(the("EXPOSE"), config.server.port.to_string());
        assert!(the("HEALTHCHECK").contains(&format!("127.0.0.1:{}/healthz", config.server.port)));
        assert_eq!(the("VOLUME"), "/data");
        let user = the("USER");
        let user_id: u32 = user.split(':').next().unwrap().parse().expect("a numeric user");
        assert!(user_id > 0);
        let owned = all.iter().find_map(|i| i.flag("--chown")).unwrap();
        assert_eq!(owned, user, "{dockerfile}: /data belongs to whoever the server runs as");

        let packages = read("scripts/setup-system.sh");
        let run = packages.lines().find(|line| line.starts_with("run=(")).unwrap();
        assert!(run.contains(" curl "), "the health check needs curl: {run}");
    }
}

/// What compose makes of `${NAME:-default}` with an empty environment.
fn interpolate(text: &str) -> String {
    match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        Some(inner) => inner.split_once(":-").expect("every variable has a default").1.to_owned(),
        None => text.to_owned(),
    }
}

#[test]
fn compose_starts_the_server_and_only_on_request_a_language_model() {
    let compose: Value = serde_yaml::from_str(&read("docker-compose.yml")).unwrap();
    let services = compose["services"].as_mapping().unwrap();
    let names: Vec<&str> = services.keys().filter_map(Value::as_str).collect();
    assert_eq!(names, ["vivavoce", "vllm"]);

    let server = &compose["services"]["vivavoce"];
    assert_eq!(server["build"], ".");
    assert!(server["profiles"].is_null(), "always started");
    let mut environment = image_environment("Dockerfile");
    for (name, value) in server["environment"].as_mapping().unwrap() {
        let value = interpolate(value.as_str().expect("text"));
        environment.push((name.as_str().unwrap().to_owned(), value));
    }
    let names: HashSet<String> = environment.iter().map(|(name, _)| name.clone()).collect();
    let config = configured("docker-compose.yml", environment);
    assert!(names.contains(&config.llm.api_key_env), "the key's variable reaches the container");
    let port = config.server.port;
    assert_eq!(server["ports"][0], format!("{port}:{port}"));
    let grace = server["stop_grace_period"].as_str().unwrap().strip_suffix('s').unwrap();
    assert!(grace.parse::<u64>().unwrap() * 1_000 > config.server.drain_ms, "replies may finish");

    let model = &compose["services"]["vllm"];
    assert_eq!(model["profiles"][0], "vllm", "started only with its profile");
    assert!(!model["image"].as_str().unwrap().ends_with(":latest"));
    for service in [server, model] {
        for volume in service["volumes"].as_sequence().unwrap() {
            let name = volume.as_str().unwrap().split(':').next().unwrap();
            assert!(compose["volumes"].as_mapping().unwrap().contains_key(name), "{name} is not declared");
        }
    }
}

#[test]
fn set_up_says_what_it_does_not_know() {
    let output = Command::new(root().join("scripts/setup-system.sh")).arg("everything").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("everything") && said.contains("run build test"), "{said}");
}
