//! A headless Chromium, driven through its debugging pipe.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

pub struct Browser {
    child: Child,
    to: File,
    from: Receiver<Value>,
    session: Option<String>,
    number: u64,
    /// Messages that were no answers.
    pub events: Vec<Value>,
    _folder: tempfile::TempDir,
}

impl Browser {
    /// None when there is no such browser.
    pub fn start() -> Option<Browser> {
        let program = NAMES.into_iter().find(|name| {
            Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
        })?;
        let folder = tempfile::tempdir().expect("a folder");
        let (to, from) = (folder.path().join("to"), folder.path().join("from"));
        for pipe in [&to, &from] {
            assert!(Command::new("mkfifo").arg(pipe).status().expect("mkfifo").success());
        }
        let child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<\"$PIPE_TO\" 4>\"$PIPE_FROM\"", program])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .env("PIPE_TO", &to)
            .env("PIPE_FROM", &from)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a browser");
        let to = File::options().write(true).open(&to).expect("the browser reads");
        let mut from = File::open(&from).expect("the browser writes");
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut rest = Vec::new();
            let mut buffer = vec![0; 64 << 10];
            while let Ok(count) = from.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                rest.extend_from_slice(&buffer[..count]);
                while let Some(end) = rest.iter().position(|byte| *byte == 0) {
                    let message: Vec<u8> = rest.drain(..=end).collect();
                    let Ok(value) = serde_json::from_slice(&message[..end]) else { return };
                    if sender.send(value).is_err() {
                        return;
                    }
                }
            }
        });
        let mut browser =
            Browser { child, to, from: receiver, session: None, number: 0, events: Vec::new(), _folder: folder };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached = json!({"targetId": target["targetId"], "flatten": true});
        browser.session = browser.call("Target.attachToTarget", attached)["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Asks, and waits for the answer.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut message = json!({"id": self.number, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).expect("the browser reads");
        loop {
            let answer = self.next(method);
            if answer["id"] == self.number {
                assert_eq!(answer["error"], Value::Null, "{method}");
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    fn next(&mut self, what: &str) -> Value {
        let answer = self.from.recv_timeout(Duration::from_secs(60));
        answer.unwrap_or_else(|error| panic!("no answer of the browser to {what}: {error}"))
    }

    /// Opens a page, and waits until it is there.
    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.next("Page.navigate");
            self.events.push(event);
        }
    }

    /// The value of a JavaScript expression.
    pub fn eval(&mut self, script: &str) -> Value {
        let answer = self.call("Runtime.evaluate", json!({"expression": script, "returnByValue": true}));
        assert_eq!(answer["exceptionDetails"], Value::Null, "{script}");
        answer["result"]["value"].clone()
    }

    /// Presses keys as a person does.
    pub fn press(&mut self, keys: &[&str]) {
        for key in keys {
            let text = if key.chars().count() == 1 { *key } else { "" };
            self.call("Input.dispatchKeyEvent", json!({"type": "keyDown", "key": key, "text": text}));
            self.call("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key}));
        }
    }

    /// What the page said on its console or asked of the network.
    pub fn complaints(&self) -> Vec<String> {
        let told = ["Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"];
        let asks = |event: &&Value| {
            let url = event["params"]["request"]["url"].as_str().unwrap_or_default();
            event["method"] == "Network.requestWillBeSent" && !url.starts_with("file:///") && url != "about:blank"
        };
        self.events
            .iter()
            .filter(|event| told.iter().any(|method| event["method"] == *method) || asks(event))
            .map(Value::to_string)
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
