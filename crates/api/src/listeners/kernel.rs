//! Datagrams between the network and us: the system keeps those that were not read yet in a buffer, and drops what finds no room there.
//!
//! Source: udp(7), proc(5): the last column of `/proc/net/udp` is how many a socket has lost.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::Endpoint;
use crate::push::Protocol;

/// Room for a burst of some ten thousand small datagrams.
const BUFFER_BYTES: usize = 8 << 20;
/// How often the counts are read.
const INTERVAL: Duration = Duration::from_secs(1);
/// Sockets of IPv4 and IPv6.
const TABLES: [&str; 2] = ["/proc/self/net/udp", "/proc/self/net/udp6"];

/// Asks the system for a large buffer, and says so if it gives less.
pub(super) fn widen(socket: &UdpSocket, protocol: Protocol, bytes: Option<usize>) {
    let (socket, wanted) = (SockRef::from(socket), bytes.unwrap_or(BUFFER_BYTES));
    let set = socket.set_recv_buffer_size(wanted).and_then(|()| socket.recv_buffer_size());
    match set {
        // The system doubles what was asked for, and tells the double.
        Ok(got) if got / 2 < wanted && bytes.is_some() => tracing::warn!(
            %protocol, wanted, got = got / 2,
            "the system allows a smaller buffer for datagrams; raise net.core.rmem_max"
        ),
        Ok(got) => tracing::debug!(%protocol, got, "buffer for datagrams"),
        Err(error) => tracing::warn!(%error, %protocol, "the buffer for datagrams cannot be set"),
    }
}

/// How many datagrams a socket has lost.
#[derive(Debug)]
pub(super) struct Drops {
    inode: u64,
    seen: u64,
}

impl Drops {
    /// None are known yet.
    pub(super) fn of(socket: &UdpSocket) -> io::Result<Self> {
        let file = std::fs::File::from(socket.as_fd().try_clone_to_owned()?);
        let drops = Self { inode: file.metadata()?.ino(), seen: 0 };
        let tables = TABLES.map(|path| std::fs::read_to_string(path).unwrap_or_default());
        match tables.iter().find_map(|table| find(table, drops.inode)) {
            Some(_) => Ok(drops),
            None => Err(io::Error::other("/proc/net/udp does not have the socket")),
        }
    }

    /// How many more it has lost since this was last asked. The system's count is one of 32 bits, and begins again.
    fn more(&mut self, tables: &[String]) -> u64 {
        let Some(now) = tables.iter().find_map(|table| find(table, self.inode)) else { return 0 };
        let more = u64::from((now as u32).wrapping_sub(self.seen as u32));
        self.seen = now;
        more
    }
}

/// The last column of the line that has this inode in its tenth.
fn find(table: &str, inode: u64) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let is_it = columns.nth(9)?.parse() == Ok(inode);
        let drops = columns.last()?.parse().ok()?;
        is_it.then_some(drops)
    })
}

/// Counts what the system drops, until it is time to stop.
pub(super) async fn watch(mut drops: Drops, endpoint: Endpoint, stop: CancellationToken) {
    loop {
        let at_end = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(INTERVAL) => false,
        };
        let mut tables = Vec::with_capacity(TABLES.len());
        for path in TABLES {
            // Without IPv6 there is no table of it.
            tables.push(tokio::fs::read_to_string(path).await.unwrap_or_default());
        }
        match drops.more(&tables) {
            0 => {}
            more => endpoint.dropped("kernel_buffer_full", usize::try_from(more).unwrap_or(usize::MAX)),
        }
        if at_end {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
         1234: 0100007F:1FBD 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 48213 2 0000000000000000 17\n\
         1235: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 48214 2 0000000000000000 4294967295\n";

    #[test]
    fn the_count_of_a_socket_is_found_by_its_inode() {
        assert_eq!(find(TABLE, 48_213), Some(17));
        assert_eq!(find(TABLE, 48_214), Some(4_294_967_295));
        assert_eq!(find(TABLE, 1_234), None);
        assert_eq!(find("", 1), None);
    }

    #[test]
    fn only_what_is_new_is_counted_also_when_the_count_begins_again() {
        let mut drops = Drops { inode: 48_214, seen: 4_294_967_290 };
        assert_eq!(drops.more(&[String::new(), TABLE.to_owned()]), 5);
        assert_eq!(drops.more(&[TABLE.to_owned()]), 0);
        assert_eq!(drops.more(&[TABLE.replace("4294967295", "4")]), 5);
        assert_eq!(drops.more(&[]), 0, "the socket is gone");
    }

    #[tokio::test]
    async fn a_socket_of_ours_is_in_the_table_and_its_buffer_can_be_set() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        widen(&socket, Protocol::Statsd, Some(64 << 10));
        assert!(SockRef::from(&socket).recv_buffer_size().expect("known") >= 64 << 10);
        assert_eq!(Drops::of(&socket).expect("found").seen, 0);
    }
}
