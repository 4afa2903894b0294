//! HTTP questions: no proxy, no redirects, bounded answers, and failures in the words of what failed.

use std::error::Error;
use std::io;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;

use crate::origin::{Fact, Unknown};

use super::budget::Budget;
use super::credentials::Identity;
use super::{tcp, tls};

/// Bytes of an answer; more is refused.
const LIMIT: usize = 4 << 20;

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// The server's clock less this host's, in milliseconds; none without a Date, and when the answer took long.
    pub clock_offset_ms: Option<i64>,
}

impl Answer {
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Status and the beginning of what was said, for messages: `HTTP 400: Client sent an HTTP request to ...`.
    pub fn summary(&self) -> String {
        let json = self.json();
        let said = json.as_ref().and_then(|json| ["message", "error"].iter().find_map(|key| json.get(key)?.as_str()));
        let text = match said {
            Some(said) => said.to_owned(),
            None => String::from_utf8_lossy(self.body.get(..self.body.len().min(400)).unwrap_or_default()).into_owned(),
        };
        let line = text.lines().next().unwrap_or_default().trim();
        let line: String = line.chars().filter(|letter| !letter.is_control()).take(200).collect();
        if line.is_empty() { format!("HTTP {}", self.status) } else { format!("HTTP {}: {line}", self.status) }
    }
}

/// A client that presents `identity` where a server asks for it. The reason is returned when the identity is of no use.
pub fn client(identity: Option<Identity>) -> Result<Client, String> {
    build(Client::builder().tls_backend_preconfigured(tls::accepting(identity)?))
}

/// A client whose every request goes to one unix socket.
pub fn unix_client(path: &str) -> Result<Client, String> {
    build(Client::builder().tls_backend_preconfigured(tls::accepting(None)?).unix_socket(path))
}

fn build(builder: reqwest::ClientBuilder) -> Result<Client, String> {
    builder
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .user_agent(concat!("k8sdoctor/", env!("CARGO_PKG_VERSION")))
        .pool_max_idle_per_host(0)
        .build()
        .map_err(|error| describe(&error))
}

/// Sends the request and reads the whole answer; `what` is the URL for messages.
pub async fn ask(request: RequestBuilder, what: &str, budget: Budget) -> Fact<Answer> {
    budget
        .answer(what, async {
            let asked = crate::collect::now();
            let response = request.send().await.map_err(|error| Unknown::new(what, describe(&error)))?;
            let date = response.headers().get("date").and_then(|date| date.to_str().ok());
            let clock_offset_ms = date.and_then(|date| clock_offset(date, asked, crate::collect::now()));
            let status = response.status().as_u16();
            Ok(Answer { status, body: body(response, what).await?, clock_offset_ms })
        })
        .await
}

/// A Date is cut to seconds: what was meant is half a second later on average.
fn clock_offset(date: &str, asked: jiff::Timestamp, answered: jiff::Timestamp) -> Option<i64> {
    const SLOW: i64 = 1000;
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_millisecond();
    let (asked, answered) = (asked.as_millisecond(), answered.as_millisecond());
    ((0..=SLOW).contains(&(answered - asked))).then(|| theirs + 500 - (asked + answered) / 2)
}

async fn body(mut response: Response, what: &str) -> Fact<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Unknown::new(what, describe(&error)))? {
        if body.len() + chunk.len() > LIMIT {
            return Err(Unknown::new(what, format!("answered with more than {} MiB", LIMIT >> 20)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost cause: `connection refused`, `TLS alert: certificate required`.
pub fn describe(error: &(dyn Error + 'static)) -> String {
    let mut at = Some(error);
    let mut last = error;
    // Errors that wrap each other in a circle do not occur; the bound costs nothing.
    for _ in 0..32 {
        let Some(error) = at else { break };
        last = error;
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return tls::describe(tls);
        }
        // An I/O error's source is its inner error's source, so that the inner one is passed over unless asked for.
        at = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    match last.downcast_ref::<io::Error>() {
        Some(error) => tcp::plain(error),
        None => last.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        let cases: [(u16, &str, &str); 4] = [
            (
                400,
                "Client sent an HTTP request to an HTTPS server.\n",
                "HTTP 400: Client sent an HTTP request to an HTTPS server.",
            ),
            (
                503,
                r#"{"error":"etcdserver: no leader","code":14,"message":"etcdserver: no leader"}"#,
                "HTTP 503: etcdserver: no leader",
            ),
            (404, "", "HTTP 404"),
            (500, "a\u{1b}[31mb", "HTTP 500: a[31mb"),
        ];
        for (status, body, expected) in cases {
            assert_eq!(Answer { status, body: body.into(), clock_offset_ms: None }.summary(), expected);
        }
    }

    #[test]
    fn clocks_are_compared() {
        let time = |text: &str| text.parse().unwrap();
        let asked = time("2026-01-01T00:00:10.0Z");
        for (date, answered, expected) in [
            ("Thu, 01 Jan 2026 00:00:10 GMT", "2026-01-01T00:00:10.2Z", Some(400)),
            ("Thu, 01 Jan 2026 00:00:40 GMT", "2026-01-01T00:00:10.0Z", Some(30_500)),
            ("Wed, 31 Dec 2025 23:00:10 GMT", "2026-01-01T00:00:10.0Z", Some(-3_599_500)),
            ("Thu, 01 Jan 2026 00:00:10 GMT", "2026-01-01T00:00:12.0Z", None),
            ("yesterday", "2026-01-01T00:00:10.2Z", None),
        ] {
            assert_eq!(clock_offset(date, asked, time(answered)), expected, "{date} {answered}");
        }
    }
}
