//! A headless Chromium, driven over WebDriver: JSON over HTTP to a `chromedriver` of our own.
//!
//! Waiting is always for a condition of the page, never for time to pass. Everything blocks, so that
//! a scenario reads from top to bottom.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long a condition may take to come true. Generous: a machine that also builds is slow.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Keys without a character, as WebDriver writes them.
pub mod key {
    pub const TAB: &str = "\u{E004}";
    pub const ENTER: &str = "\u{E007}";
    pub const ESCAPE: &str = "\u{E00C}";
}

/// What `getUserMedia` meets.
pub enum Microphone<'a> {
    /// A permitted microphone that hears this WAV file once, from when it is opened, then silence.
    Hears(&'a Path),
    /// The user has forbidden microphones.
    Forbidden,
}

pub struct Chromium {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    driver: Child,
    /// Address of the WebDriver session.
    session: String,
    _profile: tempfile::TempDir,
}

impl Chromium {
    pub fn start(microphone: Microphone<'_>) -> Chromium {
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let mut flags: Vec<String> = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--autoplay-policy=no-user-gesture-required",
            "--use-fake-device-for-media-stream",
            "--window-size=1280,800",
            // Those that servers make for themselves.
            "--ignore-certificate-errors",
        ]
        .map(str::to_owned)
        .into();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let mut preferences = json!({});
        match microphone {
            Microphone::Hears(wav) => {
                flags.push("--use-fake-ui-for-media-stream".to_owned());
                flags.push(format!("--use-file-for-fake-audio-capture={}%noloop", wav.display()));
            }
            Microphone::Forbidden => {
                preferences = json!({ "profile.default_content_setting_values.media_stream_mic": 2 });
            }
        }
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": flags, "prefs": preferences },
            "goog:loggingPrefs": { "browser": "ALL" },
        });

        let (driver, port) = start_driver();
        crate::tls();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let session = format!("http://127.0.0.1:{port}/session");
        let mut chromium = Chromium { runtime, http, driver, session, _profile: profile };
        let begun = chromium.post("", json!({ "capabilities": { "alwaysMatch": capabilities } }));
        let id = begun["sessionId"].as_str().unwrap_or_else(|| panic!("chromedriver: {begun}"));
        chromium.session = format!("{}/{id}", chromium.session);
        chromium
    }

    pub fn open(&self, url: &str) {
        self.post("/url", json!({ "url": url }));
    }

    /// The value of a JavaScript expression.
    pub fn value(&self, expression: &str) -> Value {
        self.run(&format!("return ({expression})"))
    }

    /// Runs JavaScript statements.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": [] }))
    }

    /// Waits until the JavaScript expression is truthy, and gives its value.
    #[track_caller]
    pub fn until(&self, expression: &str) -> Value {
        let limit = Instant::now() + PATIENCE;
        loop {
            let value = self.value(expression);
            if !matches!(&value, Value::Null | Value::Bool(false)) && value != json!("") && value != json!(0)
            {
                return value;
            }
            if Instant::now() > limit {
                panic!(
                    "this did not become true: {expression}\nbody: {}\npage: {}\nconsole: {:#?}",
                    self.value("{ ...document.body.dataset }"),
                    self.value("document.body.innerText"),
                    self.console(),
                );
            }
            std::thread::sleep(POLL);
        }
    }

    pub fn click(&self, selector: &str) {
        let found = self.post("/element", json!({ "using": "css selector", "value": selector }));
        let element = found.as_object().and_then(|o| o.values().next()).and_then(Value::as_str);
        let element = element.unwrap_or_else(|| panic!("no {selector}: {found}"));
        self.post(&format!("/element/{element}/click"), json!({}));
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub fn press(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| ["keyDown", "keyUp"].map(|kind| (kind, key)));
        let actions: Vec<Value> =
            strokes.map(|(kind, key)| json!({ "type": kind, "value": key.to_string() })).collect();
        self.post(
            "/actions",
            json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] }),
        );
    }

    /// What the browser has logged since the last call, as `LEVEL text`.
    pub fn console(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({ "type": "browser" }));
        let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries.iter().map(|e| format!("{} {}", text(e, "level"), text(e, "message"))).collect()
    }

    fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.session);
        let answer = self.runtime.block_on(async {
            let response = self.http.post(&url).body(body.to_string()).send().await?;
            response.json::<Value>().await
        });
        let mut answer = answer.unwrap_or_else(|error| panic!("chromedriver does not answer: {error}"));
        let value = answer["value"].take();
        if let Some(error) = value.get("error").and_then(Value::as_str) {
            panic!("WebDriver {path}: {error}: {}\n{body}", value["message"].as_str().unwrap_or_default());
        }
        value
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Ends the browser; its driver knows best how.
        let _ = self.runtime.block_on(self.http.delete(&self.session).send());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn start_driver() -> (Child, u16) {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "chromedriver cannot be started: {error}; scripts/setup-system.sh test installs it \
                 (Debian: chromium and chromium-driver)"
            )
        });
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    // A driver whose pipe is full or closed would stop.
    std::thread::spawn(move || lines.for_each(drop));
    (driver, port.expect("chromedriver tells its port"))
}
