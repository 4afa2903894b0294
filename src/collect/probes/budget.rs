//! How long to wait: for one answer, and for all of them.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::facts::probe::DID_NOT_ANSWER;
use crate::origin::{Fact, Unknown};

/// The most that one answer is waited for: long for a healthy service, and it leaves time for a second question.
const EACH: Duration = Duration::from_secs(3);

/// Kept back from the deadline, so that what ran out of time can still be gathered.
const GATHER: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy)]
pub struct Budget {
    ends: Instant,
    each: Duration,
}

impl Budget {
    /// One that begins now.
    pub fn new(deadline: Duration) -> Budget {
        Budget { ends: Instant::now() + deadline, each: EACH.min(deadline.mul_f32(0.6)) }
    }

    /// How long one answer is waited for at most.
    pub fn patience(&self) -> Duration {
        self.each
    }

    /// When everything is over.
    pub fn ends(&self) -> Instant {
        self.ends
    }

    /// How long an answer to a question asked now is waited for.
    pub fn left(&self) -> Duration {
        let left = self.ends.saturating_duration_since(Instant::now());
        self.each.min(left.saturating_sub(GATHER))
    }

    /// The future's output, or how long it was waited for.
    pub async fn within<T>(&self, future: impl Future<Output = T>) -> Result<T, Duration> {
        let started = Instant::now();
        tokio::time::timeout(self.left(), future).await.map_err(|_| started.elapsed())
    }

    /// The future's output, unknown when it takes too long; `what` is what was asked.
    pub async fn answer<T>(&self, what: &str, future: impl Future<Output = Fact<T>>) -> Fact<T> {
        match self.within(future).await {
            Ok(answer) => answer,
            Err(waited) => Err(Unknown::new(what, no_answer(waited))),
        }
    }
}

/// What is said of a question whose turn never came.
pub const NOT_ASKED: &str = "was not asked before the time was over";

/// `did not answer in 3 s`; who got no time to answer is not said to be silent.
pub fn no_answer(waited: Duration) -> String {
    if waited < Duration::from_millis(10) {
        return NOT_ASKED.to_owned();
    }
    let text = format!("{:.1}", waited.as_secs_f64());
    format!("{DID_NOT_ANSWER} in {} s", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waited() {
        for (millis, expected) in [(3001, "3"), (2400, "2.4"), (340, "0.3"), (10_000, "10")] {
            assert_eq!(no_answer(Duration::from_millis(millis)), format!("did not answer in {expected} s"));
        }
        assert_eq!(no_answer(Duration::ZERO), NOT_ASKED);
    }
}
