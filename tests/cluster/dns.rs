//! A name server that knows no name and says so at once: without one, every name that is not in /etc/hosts costs a host
//! the resolver's whole patience.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::{Context, Result};

/// Length of a message's header.
const HEADER: usize = 12;

/// Answers from a thread for as long as the process lives.
pub fn serve(address: Ipv4Addr) -> Result<()> {
    let socket = UdpSocket::bind((address, 53)).with_context(|| format!("no name server at {address}"))?;
    std::thread::spawn(move || {
        let mut message = [0_u8; 512];
        while let Ok((length, from)) = socket.recv_from(&mut message) {
            if let Some(answer) = message.get(..length).and_then(no_such_name) {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    Ok(())
}

/// The question again, with "no such name".
fn no_such_name(question: &[u8]) -> Option<Vec<u8>> {
    let mut at = HEADER;
    while let Some(length) = question.get(at).copied().filter(|length| *length > 0) {
        at += usize::from(length) + 1;
    }
    // The name's end, type and class.
    let end = at + 5;
    let mut answer = question.get(..end)?.to_vec();
    // An answer, recursion available, NXDOMAIN; of the counts only the question's is left.
    answer[2] = 0x80 | (answer[2] & 0x79);
    answer[3] = 0x83;
    answer[6..HEADER].fill(0);
    Some(answer)
}
