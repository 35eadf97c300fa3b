//! A headless browser, driven over the WebDriver protocol.
//!
//! The protocol is JSON over HTTP; of it, the tests need a dozen commands.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A window of Chromium with nothing of its user's in it.
pub(crate) struct Browser {
    driver: Child,
    agent: ureq::Agent,
    /// Where the driver takes commands for the window.
    session: String,
    /// The browser's own files, which go when it has gone.
    _profile: TempDir,
}

/// Nothing that calls home, and nothing that a machine without a screen lacks.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A command that is not answered in this time never is.
const PATIENCE: Duration = Duration::from_secs(60);

impl Browser {
    /// Opens a window of 1200 by 800 pixels.
    pub(crate) fn start() -> Result<Self> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context(
                "chromedriver cannot be started; the page is tested in a real browser: \
                 apt-get install chromium chromium-driver",
            )?;
        let output = driver.stdout.take().context("its output is piped")?;
        let profile = TempDir::new()?;
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .build();
        // From here on, the driver goes with the browser, whatever fails.
        let mut browser =
            Self { driver, agent: config.into(), session: String::new(), _profile: profile };
        let port = port(BufReader::new(output))?;
        browser.session = format!("http://127.0.0.1:{port}/session");
        let mut args: Vec<String> = FLAGS.map(str::to_owned).to_vec();
        args.push(format!("--user-data-dir={}", browser._profile.path().display()));
        let wishes = json!({ "goog:chromeOptions": { "args": args }, "goog:loggingPrefs": { "browser": "ALL" } });
        let opened =
            browser.post("", &json!({ "capabilities": { "alwaysMatch": wishes } })).context(
                "chromedriver cannot start Chromium: apt-get install chromium chromium-driver",
            )?;
        let id = opened["sessionId"].as_str().context("a session has an id")?;
        browser.session = format!("{}/{id}", browser.session);
        let size = json!({ "width": 1200, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        browser.devtools("Emulation.setDeviceMetricsOverride", &size)?;
        Ok(browser)
    }

    /// Opens a file.
    pub(crate) fn open(&self, page: &Path) -> Result<()> {
        self.post("/url", &json!({ "url": format!("file://{}", page.display()) }))?;
        self.settle()
    }

    /// Runs the body of a function in the page and returns what it returns.
    pub(crate) fn run(&self, script: &str) -> Result<Value> {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Moves the pointer there, in pixels of the window.
    pub(crate) fn point(&self, (x, y): (f64, f64)) -> Result<()> {
        self.pointer(&json!([moved(x, y)]))
    }

    /// Clicks there.
    pub(crate) fn click(&self, (x, y): (f64, f64)) -> Result<()> {
        self.pointer(&json!([moved(x, y), pressed("pointerDown"), pressed("pointerUp")]))
    }

    /// Presses there, and lets go at the other place.
    pub(crate) fn drag(&self, (x, y): (f64, f64), to: (f64, f64)) -> Result<()> {
        let (down, up) = (pressed("pointerDown"), pressed("pointerUp"));
        self.pointer(&json!([moved(x, y), down, moved(to.0, to.1), up]))
    }

    /// Turns the wheel there; a negative amount is away from oneself.
    pub(crate) fn wheel(&self, (x, y): (f64, f64), amount: i32) -> Result<()> {
        let turn = json!({ "type": "scroll", "x": pixel(x), "y": pixel(y), "deltaX": 0, "deltaY": amount, "duration": 0 });
        self.act(&json!({ "type": "wheel", "id": "wheel", "actions": [turn] }))
    }

    /// Presses a key and lets it go; WebDriver's code for those that write nothing.
    pub(crate) fn press(&self, key: char) -> Result<()> {
        let actions: Vec<Value> =
            ["keyDown", "keyUp"].iter().map(|t| json!({ "type": t, "value": key })).collect();
        self.act(&json!({ "type": "key", "id": "keys", "actions": actions }))
    }

    /// Says that its user likes pages `light` or `dark`.
    pub(crate) fn prefer(&self, scheme: &str) -> Result<()> {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": [feature] }))?;
        self.settle()
    }

    /// The errors in the page since the last time.
    pub(crate) fn errors(&self) -> Result<Vec<String>> {
        let log = self.post("/se/log", &json!({ "type": "browser" }))?;
        let log = log.as_array().cloned().unwrap_or_default();
        let errors = log.iter().filter(|entry| entry["level"] == "SEVERE");
        Ok(errors.map(|entry| entry["message"].to_string()).collect())
    }

    fn pointer(&self, actions: &Value) -> Result<()> {
        self.act(&json!({ "type": "pointer", "id": "mouse", "actions": actions }))
    }

    fn act(&self, source: &Value) -> Result<()> {
        self.post("/actions", &json!({ "actions": [source] }))?;
        self.settle()
    }

    /// Lets the page draw: what happened is on the screen after two frames.
    fn settle(&self) -> Result<()> {
        let script = "const done = arguments[0]; \
                      requestAnimationFrame(() => requestAnimationFrame(() => done()))";
        self.post("/execute/async", &json!({ "script": script, "args": [] }))?;
        Ok(())
    }

    fn devtools(&self, command: &str, params: &Value) -> Result<Value> {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": params }))
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.session);
        let mut response = self
            .agent
            .post(&url)
            .header("content-type", "application/json")
            .send(body.to_string())
            .with_context(|| format!("no answer to {path}"))?;
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string()?;
        let answer: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        ensure!(response.status().is_success(), "{path}: {}", answer["value"]["message"]);
        Ok(answer["value"].clone())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium ends with its session, and the driver here. Whoever fails at that has failed
        // before, with a better message.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn moved(x: f64, y: f64) -> Value {
    json!({ "type": "pointerMove", "duration": 0, "origin": "viewport", "x": pixel(x), "y": pixel(y) })
}

/// A place in a window, which WebDriver counts in whole pixels.
#[expect(clippy::cast_possible_truncation, reason = "a window has a few thousand pixels")]
pub(crate) fn pixel(at: f64) -> i32 {
    at.round() as i32
}

fn pressed(how: &str) -> Value {
    json!({ "type": how, "button": 0 })
}

/// The port that the driver has chosen, which it prints once it listens.
fn port(output: impl BufRead) -> Result<u16> {
    for line in output.lines() {
        if let Some((_, port)) = line?.split_once("successfully on port ") {
            return Ok(port.trim_end_matches('.').parse()?);
        }
    }
    anyhow::bail!("chromedriver has ended without listening")
}
