//! Asking name servers as the machine's `resolv.conf` has them (RFC 1035; EDNS of RFC 6891; TCP for long answers).
//!
//! The file is read for each lookup, so that it may change. Answers are not kept: a lookup is made once in a refresh
//! interval.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE};
use stdx::rand::Random;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::fetch::Fault;
use crate::place::Shared;

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Names another file.
const RESOLV_CONF_VARIABLE: &str = "KYMO_RESOLV_CONF";
const PORT: u16 = 53;
/// How long one server may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// The longest answer that comes in one datagram.
const DATAGRAM_BYTES_MAX: u16 = 4_096;

/// What a server said of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Srv { target: String, port: u16 },
    Mx { target: String },
    Ns { target: String },
    Address(IpAddr),
}

/// Looks up records of one type.
pub(super) struct Resolver {
    pub(super) path: PathBuf,
    pub(super) port: u16,
    record: TYPE,
    random: Arc<dyn Random>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("record", &self.record).finish_non_exhaustive()
    }
}

/// What `resolv.conf` says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ResolvConf {
    /// Addresses, and ports where they are said.
    servers: Vec<(IpAddr, Option<u16>)>,
    search: Vec<String>,
    /// A name with as many dots is tried as it is before it is searched for.
    dots: usize,
}

impl ResolvConf {
    fn parse(text: &str) -> Self {
        let mut conf = Self { servers: Vec::new(), search: Vec::new(), dots: 1 };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => conf.servers.extend(words.next().and_then(server)),
                Some("domain") => conf.search = words.take(1).map(str::to_owned).collect(),
                Some("search") => conf.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    let dots = words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok()).next_back();
                    conf.dots = dots.unwrap_or(conf.dots);
                }
                _ => {}
            }
        }
        conf
    }

    /// The names to ask for, in order; the first that exists is it.
    fn names(&self, name: &str) -> Vec<String> {
        if let Some(rooted) = name.strip_suffix('.') {
            return vec![rooted.to_owned()];
        }
        let searched = self.search.iter().map(|domain| match domain.trim_matches('.') {
            "" => name.to_owned(),
            domain => format!("{name}.{domain}"),
        });
        let mut names: Vec<String> = searched.collect();
        let at = if name.matches('.').count() >= self.dots { 0 } else { names.len() };
        names.insert(at, name.to_owned());
        names
    }
}

/// `192.0.2.1`, or with a port, as the BSDs write it, `[192.0.2.1]:5353`. Addresses with a scope (`%eth0`) are not for us.
fn server(word: &str) -> Option<(IpAddr, Option<u16>)> {
    match word.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        Some((address, port)) => Some((address.parse().ok()?, Some(port.parse().ok()?))),
        None => Some((word.parse().ok()?, None)),
    }
}

impl Resolver {
    /// One that asks the machine's servers.
    pub(super) fn of_machine(kind: &str, shared: &Shared) -> Result<Self, Fault> {
        let record = match kind {
            "SRV" => TYPE::SRV,
            "A" => TYPE::A,
            "AAAA" => TYPE::AAAA,
            "MX" => TYPE::MX,
            "NS" => TYPE::NS,
            other => return Err(Fault::Other(format!("invalid DNS-SD records type {other}"))),
        };
        let random = Arc::clone(&shared.random);
        let path = shared.environment.get(RESOLV_CONF_VARIABLE).unwrap_or(RESOLV_CONF.to_owned());
        Ok(Self { path: path.into(), port: PORT, record, random })
    }

    /// The records of a name; none if all servers say that it does not exist.
    pub(super) async fn look_up(&self, name: &str) -> Result<Vec<Record>, Fault> {
        let text = tokio::fs::read_to_string(&self.path).await;
        let text =
            text.map_err(|error| Fault::Other(format!("cannot read {}: {error}", self.path.display())))?;
        let conf = ResolvConf::parse(&text);
        let mut failure = None;
        for name in conf.names(name) {
            match self.ask_any(&name, &conf.servers).await {
                Ok(Some(records)) => return Ok(records),
                Ok(None) => {}
                Err(fault) => failure = Some(fault),
            }
        }
        // If one of the names got no answer, it may be the one that exists.
        failure.map_or(Ok(Vec::new()), Err)
    }

    /// What the first server that knows says; `None`: the name does not exist.
    async fn ask_any(
        &self,
        name: &str,
        servers: &[(IpAddr, Option<u16>)],
    ) -> Result<Option<Vec<Record>>, Fault> {
        let mut reason = format!("{} names no server", self.path.display());
        for (address, port) in servers {
            let server = SocketAddr::new(*address, port.unwrap_or(self.port));
            match self.ask(name, server).await {
                Ok(answer) => return Ok(answer),
                Err(why) => reason = format!("{server}: {why}"),
            }
        }
        Err(Fault::Other(format!("cannot resolve {name:?}: {reason}")))
    }

    async fn ask(&self, name: &str, server: SocketAddr) -> Result<Option<Vec<Record>>, String> {
        let late = |_| "no answer in time".to_owned();
        let id = u16::try_from(self.random.next_u64() >> 48).unwrap_or(0);
        let query = self.query(id, name, true)?;
        let mut answer = timeout(ANSWER_TIME_MAX, over_udp(server, id, &query)).await.map_err(late)??;
        let truncated = parse(&answer)?.has_flags(PacketFlag::TRUNCATION);
        if truncated {
            let query = self.query(id, name, false)?;
            answer = timeout(ANSWER_TIME_MAX, over_tcp(server, &query)).await.map_err(late)??;
        }
        let packet = parse(&answer)?;
        if packet.id() != id || packet.has_flags(PacketFlag::TRUNCATION) {
            return Err("an answer to something else, or cut off".to_owned());
        }
        match packet.rcode() {
            RCODE::NoError => {
                Ok(Some(packet.answers.iter().filter_map(|answer| record(&answer.rdata)).collect()))
            }
            RCODE::NameError => Ok(None),
            other => Err(format!("{other:?}")),
        }
    }

    fn query(&self, id: u16, name: &str, extended: bool) -> Result<Vec<u8>, String> {
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let name = Name::new(name).map_err(|error| format!("no name that can be asked for: {error}"))?;
        packet.questions.push(Question::new(name, self.record.into(), CLASS::IN.into(), false));
        if extended {
            let (opt_codes, version) = (Vec::new(), 0);
            *packet.opt_mut() = Some(OPT { opt_codes, udp_packet_size: DATAGRAM_BYTES_MAX, version });
        }
        packet.build_bytes_vec().map_err(|error| error.to_string())
    }
}

fn parse(answer: &[u8]) -> Result<Packet<'_>, String> {
    Packet::parse(answer).map_err(|error| format!("cannot understand the answer: {error}"))
}

/// What is asked for; other records (`CNAME`) may stand among them.
fn record(data: &RData<'_>) -> Option<Record> {
    // As written in zone files: with the dot of the root.
    let rooted = |name: &Name<'_>| format!("{name}.");
    Some(match data {
        RData::SRV(srv) => Record::Srv { target: rooted(&srv.target), port: srv.port },
        RData::MX(mx) => Record::Mx { target: rooted(&mx.exchange) },
        RData::NS(ns) => Record::Ns { target: rooted(&ns.0) },
        RData::A(a) => Record::Address(Ipv4Addr::from(a.address).into()),
        RData::AAAA(aaaa) => Record::Address(Ipv6Addr::from(aaaa.address).into()),
        _ => return None,
    })
}

async fn over_udp(server: SocketAddr, id: u16, query: &[u8]) -> Result<Vec<u8>, String> {
    let text = |error: std::io::Error| error.to_string();
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await.map_err(text)?;
    socket.connect(server).await.map_err(text)?;
    socket.send(query).await.map_err(text)?;
    let mut answer = vec![0; usize::from(DATAGRAM_BYTES_MAX)];
    loop {
        let length = socket.recv(&mut answer).await.map_err(text)?;
        // Whatever does not answer our question (someone guesses) is passed over.
        if answer[..length].starts_with(&id.to_be_bytes()) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &[u8]) -> Result<Vec<u8>, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(server).await.map_err(text)?;
    let length = u16::try_from(query.len()).map_err(|error| error.to_string())?;
    let message = [length.to_be_bytes().as_slice(), query].concat();
    stream.write_all(&message).await.map_err(text)?;
    let length = stream.read_u16().await.map_err(text)?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.map_err(text)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_says_servers_and_the_order_of_names() {
        let conf = ResolvConf::parse(
            "# comment\nnameserver 10.0.0.2\nnameserver 2001:db8::1\nnameserver fe80::1%eth0\n\
             nameserver [10.0.0.3]:5353\nnameserver [::1]:x\nsearch a.example b.example.\noptions rotate ndots:2\n",
        );
        let server = |address: &str, port| (address.parse::<IpAddr>().unwrap(), port);
        let want = [server("10.0.0.2", None), server("2001:db8::1", None), server("10.0.0.3", Some(5353))];
        assert_eq!(conf.servers, want);
        let check = |name: &str, want: &[&str]| assert_eq!(conf.names(name), want, "{name}");
        check("web", &["web.a.example", "web.b.example", "web"]);
        check("web.x", &["web.x.a.example", "web.x.b.example", "web.x"]);
        check("_web._tcp.x", &["_web._tcp.x", "_web._tcp.x.a.example", "_web._tcp.x.b.example"]);
        check("web.", &["web"]);
        assert_eq!(ResolvConf::parse("domain x.example\n").names("web"), ["web.x.example", "web"]);
    }
}
