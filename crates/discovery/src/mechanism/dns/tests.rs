//! Against a name server that speaks over UDP and TCP.

use parking_lot::Mutex;
use simple_dns::rdata::{A, AAAA, CNAME, MX, NS, RData, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::testing::{check_targets, settings, shared};

type Zone = Arc<Mutex<BTreeMap<&'static str, Answered>>>;

#[derive(Clone)]
struct Answered {
    records: Vec<RData<'static>>,
    code: RCODE,
    /// Too long for a datagram.
    long: bool,
}

fn answered(records: Vec<RData<'static>>) -> Answered {
    Answered { records, code: RCODE::NoError, long: false }
}

fn name(name: &'static str) -> Name<'static> {
    Name::new_unchecked(name)
}

fn reply(zone: &Zone, query: &[u8], datagram: bool) -> Vec<u8> {
    let query = Packet::parse(query).unwrap();
    let asked = query.questions[0].qname.to_string();
    let mut packet = Packet::new_reply(query.id());
    packet.questions.push(query.questions[0].clone());
    let absent = Answered { records: Vec::new(), code: RCODE::NameError, long: false };
    let answer = zone.lock().get(asked.as_str()).cloned().unwrap_or(absent);
    *packet.rcode_mut() = answer.code;
    if answer.long && datagram {
        packet.set_flags(PacketFlag::TRUNCATION);
    } else {
        let record = |data| ResourceRecord::new(query.questions[0].qname.clone(), CLASS::IN, 60, data);
        packet.answers = answer.records.into_iter().map(record).collect();
    }
    packet.build_bytes_vec().unwrap()
}

/// Serves the zone; yields a source that asks there.
async fn serve(zone: &Zone, text: &str) -> (Source, tempfile::TempDir) {
    // A port that is free for both.
    let (listener, socket) = loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            break (listener, socket);
        }
    };
    let address = listener.local_addr().unwrap();
    let own = Arc::clone(zone);
    tokio::spawn(async move {
        let mut query = vec![0; 4_096];
        while let Ok((length, from)) = socket.recv_from(&mut query).await {
            socket.send_to(&reply(&own, &query[..length], true), from).await.unwrap();
        }
    });
    let own = Arc::clone(zone);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut query).await.unwrap();
            let reply = reply(&own, &query, false);
            stream.write_u16(u16::try_from(reply.len()).unwrap()).await.unwrap();
            stream.write_all(&reply).await.unwrap();
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("resolv.conf");
    tokio::fs::write(&path, "nameserver 127.0.0.1\nsearch corp.example\n").await.unwrap();
    let settings: Settings = settings(text);
    settings.check().unwrap();
    let mut source = Source::new(&settings, &shared(&[])).unwrap();
    let resolver = Arc::get_mut(&mut source.resolver).unwrap();
    (resolver.path, resolver.port) = (path, address.port());
    (source, directory)
}

#[tokio::test]
async fn services_are_found_along_the_search_path_and_over_tcp() {
    let srv = |target, port| RData::SRV(SRV { priority: 1, weight: 1, port, target: name(target) });
    let zone = Zone::default();
    let long = Answered { long: true, ..answered(vec![srv("c.example", 3)]) };
    zone.lock().extend([
        ("_web._tcp.corp.example", answered(vec![srv("a.example", 1), srv("b.example", 2)])),
        ("_long._tcp.example", long),
    ]);
    let text = "{names: [_web._tcp, _long._tcp.example., none.example]}";
    let (mut source, _directory) = serve(&zone, text).await;
    let groups = source.refresh().await.unwrap();
    assert_eq!(source.failure(), None);
    let sources: Vec<&str> = groups.iter().map(|group| group.source.as_str()).collect();
    assert_eq!(sources, ["_long._tcp.example.", "_web._tcp", "none.example"]);
    let want = "
__address__=c.example:3
__meta_dns_name=_long._tcp.example.
__meta_dns_srv_record_port=3
__meta_dns_srv_record_target=c.example.

__address__=a.example:1
__meta_dns_name=_web._tcp
__meta_dns_srv_record_port=1
__meta_dns_srv_record_target=a.example.

__address__=b.example:2
__meta_dns_name=_web._tcp
__meta_dns_srv_record_port=2
__meta_dns_srv_record_target=b.example.
";
    check_targets(&groups, want);
}

#[tokio::test]
async fn addresses_mail_and_name_servers_are_targets_with_the_port() {
    let zone = Zone::default();
    let records = vec![
        RData::CNAME(CNAME(name("other.example"))),
        RData::A(A { address: 0x0a00_0001 }),
        RData::AAAA(AAAA { address: 1 }),
        RData::MX(MX { preference: 1, exchange: name("mx.example") }),
        RData::NS(NS(name("ns.example"))),
    ];
    zone.lock().insert("x.example", answered(records));
    let want = "
__address__=10.0.0.1:9100
__meta_dns_name=x.example

__address__=[::1]:9100
__meta_dns_name=x.example

__address__=mx.example:9100
__meta_dns_mx_record_target=mx.example.
__meta_dns_name=x.example

__address__=ns.example:9100
__meta_dns_name=x.example
__meta_dns_ns_record_target=ns.example.
";
    for kind in ["a", "AAAA", "MX", "NS"] {
        let text = format!("{{names: [x.example], type: {kind}, port: 9100}}");
        let (mut source, _directory) = serve(&zone, &text).await;
        check_targets(&source.refresh().await.unwrap(), want);
    }
}

#[tokio::test]
async fn a_name_whose_servers_fail_keeps_its_targets_while_others_change() {
    let zone = Zone::default();
    let address = |address| answered(vec![RData::A(A { address })]);
    zone.lock().extend([("a.example", address(1)), ("b.example", address(2))]);
    let text = "{names: [a.example, b.example], type: A, port: 1}";
    let (mut source, _directory) = serve(&zone, text).await;
    source.refresh().await.unwrap();

    let failing = Answered { code: RCODE::ServerFailure, ..answered(Vec::new()) };
    zone.lock().extend([("a.example", failing), ("b.example", address(3))]);
    let groups = source.refresh().await.unwrap();
    check_targets(
        &groups,
        "__address__=0.0.0.1:1\n__meta_dns_name=a.example\n\n__address__=0.0.0.3:1\n__meta_dns_name=b.example",
    );
    let failure = source.failure().expect("a failure");
    assert!(failure.contains("cannot resolve \"a.example") && failure.contains("ServerFailure"), "{failure}");

    zone.lock().remove("a.example");
    let groups = source.refresh().await.unwrap();
    assert_eq!(source.failure(), None);
    check_targets(&groups, "__address__=0.0.0.3:1\n__meta_dns_name=b.example");
}

#[test]
fn sections_are_checked_as_prometheus_checks_them() {
    let check = |text: &str, want: &str| {
        let fault = settings::<Settings>(text).check().expect_err(text);
        assert_eq!(fault.message, want, "{text}");
    };
    check("{}", "DNS-SD config must contain at least one SRV record name");
    check("{names: [x], type: A}", "a port is required in DNS-SD configs for all record types except SRV");
    check("{names: [x], type: TXT}", "invalid DNS-SD records type TXT");
}
