//! Ports for servers that tests start.
//!
//! A port that the system has just given away and taken back may be anybody's before the server has it: the system gives it to
//! the next who asks for any port, and to any outgoing connection, even to one that is made to that very port while the server
//! is down. Therefore ports are taken from below those that the system gives away, and each is reserved among all tests of the
//! machine for as long as this process lives.

use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Mutex;

/// Ports for tests, if the system gives none of them away.
const FIRST: u16 = 15_000;
const LAST: u16 = 29_999;

/// What keeps other processes from the ports of this one.
static RESERVED: Mutex<Vec<UnixDatagram>> = Mutex::new(Vec::new());

/// A port on which nobody listens, of TCP or UDP, and which no other test gets.
///
/// # Panics
/// If the machine has none.
pub fn free_port() -> u16 {
    let last = LAST.min(first_of_system().saturating_sub(1)).max(FIRST + 999);
    let count = u32::from(last - FIRST) + 1;
    let mut reserved = RESERVED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Processes that start at the same time begin at different ports.
    let begin = std::process::id().wrapping_mul(257);
    for step in 0..count {
        let at = begin.wrapping_add(reserved.len() as u32).wrapping_add(step) % count;
        let port = FIRST + u16::try_from(at).expect("below the count of ports");
        let Some(reservation) = reserve(port) else { continue };
        reserved.push(reservation);
        if is_free(port) {
            return port;
        }
    }
    panic!("all ports from {FIRST} to {last} are taken");
}

/// The first port that the system gives to outgoing connections, and to who asks for any.
fn first_of_system() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    range.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32_768)
}

/// A name that only one process of the machine can have, and only while it lives.
fn reserve(port: u16) -> Option<UnixDatagram> {
    let name = SocketAddr::from_abstract_name(format!("kymo-tests/port/{port}")).ok()?;
    UnixDatagram::bind_addr(&name).ok()
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice_or_by_the_system() {
        let threads: Vec<_> =
            (0..8).map(|_| std::thread::spawn(|| [free_port(), free_port(), free_port()])).collect();
        let ports: BTreeSet<u16> =
            threads.into_iter().flat_map(|ports| ports.join().expect("ports")).collect();
        assert_eq!(ports.len(), 24, "{ports:?}");
        assert!(ports.iter().all(|port| reserve(*port).is_none()), "another process would get one of them");
    }
}
