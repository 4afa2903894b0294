//! Which of several unix sockets is there.

use std::io::ErrorKind;

use tokio::net::UnixStream;

use crate::origin::Unknown;

use super::budget::{Budget, no_answer};
use super::plan::SocketQuestion;
use super::tcp;

/// The sockets that take connections, in order; when there is none, why: nothing when none is expected and none exists.
pub async fn open(question: &SocketQuestion, budget: Budget) -> Result<Vec<String>, Option<Unknown>> {
    let mut there = Vec::new();
    let mut refused = None;
    let mut absent = None;
    for socket in &question.sockets {
        match budget.within(UnixStream::connect(socket)).await {
            Ok(Ok(_)) => there.push(socket.clone()),
            Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {
                absent = absent.or_else(|| Some(Unknown::new(socket, "no such socket")));
            }
            Ok(Err(error)) if error.kind() == ErrorKind::PermissionDenied => {
                let unknown = Unknown::new(socket, "permission denied").with_remedy("run as root");
                refused = refused.or(Some(unknown));
            }
            Ok(Err(error)) => refused = refused.or_else(|| Some(Unknown::new(socket, tcp::plain(&error)))),
            Err(waited) => refused = refused.or_else(|| Some(Unknown::new(socket, no_answer(waited)))),
        }
    }
    match there.is_empty() {
        false => Ok(there),
        true => Err(refused.or(absent.filter(|_| question.expected))),
    }
}
