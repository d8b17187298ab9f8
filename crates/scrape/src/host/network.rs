//! Network interfaces, protocols and sockets.

use std::collections::BTreeMap;

use procfs::net::{DeviceStatus, InterfaceDeviceStatus};

use super::text::Families;
use super::{PartError, Root, parse, parse_error, read};

type Field = (&'static str, fn(&DeviceStatus) -> u64);

const DEVICE_FIELDS: [Field; 16] = [
    ("receive_bytes", |d| d.recv_bytes),
    ("receive_compressed", |d| d.recv_compressed),
    ("receive_drop", |d| d.recv_drop),
    ("receive_errs", |d| d.recv_errs),
    ("receive_fifo", |d| d.recv_fifo),
    ("receive_frame", |d| d.recv_frame),
    ("receive_multicast", |d| d.recv_multicast),
    ("receive_packets", |d| d.recv_packets),
    ("transmit_bytes", |d| d.sent_bytes),
    ("transmit_carrier", |d| d.sent_carrier),
    ("transmit_colls", |d| d.sent_colls),
    ("transmit_compressed", |d| d.sent_compressed),
    ("transmit_drop", |d| d.sent_drop),
    ("transmit_errs", |d| d.sent_errs),
    ("transmit_fifo", |d| d.sent_fifo),
    ("transmit_packets", |d| d.sent_packets),
];

/// Traffic of each interface.
pub(crate) fn devices(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let InterfaceDeviceStatus(all) = parse(&root.proc("net/dev"))?;
    let sorted: BTreeMap<&String, &DeviceStatus> = all.iter().collect();
    for (field, value) in DEVICE_FIELDS {
        let name = format!("node_network_{field}_total");
        out.family(&name, "counter", &format!("Network device statistic {field}."));
        for (device, status) in &sorted {
            out.sample(&name, &[("device", device)], value(status) as f64);
        }
    }
    Ok(())
}

/// State, speed and addresses of each interface, from `/sys/class/net`.
pub(crate) fn classes(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let path = root.sys("class/net");
    let entries =
        std::fs::read_dir(&path).map_err(|source| PartError::Read { path: path.clone(), source })?;
    let mut devices: Vec<String> = entries
        .flatten()
        .filter(|e| e.path().is_dir())
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    devices.sort();
    let text = |device: &str, file: &str| {
        read(&path.join(device).join(file)).ok().map(|text| text.trim().to_owned())
    };
    let number = |device: &str, file: &str| text(device, file)?.parse::<f64>().ok();
    out.family("node_network_up", "gauge", "Value is 1 if operstate is 'up', 0 otherwise.");
    for device in &devices {
        let up = text(device, "operstate").is_some_and(|state| state == "up");
        out.sample("node_network_up", &[("device", device)], f64::from(u8::from(up)));
    }
    out.family(
        "node_network_info",
        "gauge",
        "Non-numeric data from /sys/class/net/<iface>, value is always 1.",
    );
    for device in &devices {
        let part = |file| text(device, file).unwrap_or_default();
        let labels = [
            ("address", part("address")),
            ("broadcast", part("broadcast")),
            ("device", device.clone()),
            ("duplex", part("duplex")),
            ("ifalias", part("ifalias")),
            ("operstate", part("operstate")),
        ];
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        out.sample("node_network_info", &labels, 1.0);
    }
    // Speed is in Mbit/s and -1 where unknown.
    for (metric, kind, file, factor) in [
        ("carrier", "gauge", "carrier", 1.0),
        ("carrier_changes_total", "counter", "carrier_changes", 1.0),
        ("carrier_down_changes_total", "counter", "carrier_down_count", 1.0),
        ("carrier_up_changes_total", "counter", "carrier_up_count", 1.0),
        ("dormant", "gauge", "dormant", 1.0),
        ("iface_id", "gauge", "ifindex", 1.0),
        ("iface_link", "gauge", "iflink", 1.0),
        ("mtu_bytes", "gauge", "mtu", 1.0),
        ("speed_bytes", "gauge", "speed", 1e6 / 8.0),
        ("receive_nohandler_total", "counter", "statistics/rx_nohandler", 1.0),
        ("transmit_queue_length", "gauge", "tx_queue_len", 1.0),
    ] {
        let values: Vec<(&String, f64)> =
            devices.iter().filter_map(|device| Some((device, number(device, file)?))).collect();
        if values.is_empty() {
            continue;
        }
        let name = format!("node_network_{metric}");
        out.family(&name, kind, &format!("Network device property: {metric}"));
        for (device, value) in values {
            out.sample(&name, &[("device", device)], value * factor);
        }
    }
    Ok(())
}

/// The counters of `/proc/net/{netstat,snmp,snmp6}` that node_exporter shows by default.
const PROTOCOL_FIELDS: [&str; 42] = [
    "Icmp6_InErrors",
    "Icmp6_InMsgs",
    "Icmp6_OutMsgs",
    "Icmp_InErrors",
    "Icmp_InMsgs",
    "Icmp_OutMsgs",
    "Ip6_InOctets",
    "Ip6_OutOctets",
    "IpExt_InOctets",
    "IpExt_OutOctets",
    "Ip_Forwarding",
    "TcpExt_ListenDrops",
    "TcpExt_ListenOverflows",
    "TcpExt_SyncookiesFailed",
    "TcpExt_SyncookiesRecv",
    "TcpExt_SyncookiesSent",
    "TcpExt_TCPOFOQueue",
    "TcpExt_TCPRcvQDrop",
    "TcpExt_TCPSynRetrans",
    "TcpExt_TCPTimeouts",
    "Tcp_ActiveOpens",
    "Tcp_CurrEstab",
    "Tcp_InErrs",
    "Tcp_InSegs",
    "Tcp_OutRsts",
    "Tcp_OutSegs",
    "Tcp_PassiveOpens",
    "Tcp_RetransSegs",
    "Udp6_InDatagrams",
    "Udp6_InErrors",
    "Udp6_NoPorts",
    "Udp6_OutDatagrams",
    "Udp6_RcvbufErrors",
    "Udp6_SndbufErrors",
    "Udp_InDatagrams",
    "Udp_InErrors",
    "Udp_NoPorts",
    "Udp_OutDatagrams",
    "Udp_RcvbufErrors",
    "Udp_SndbufErrors",
    "UdpLite6_InErrors",
    "UdpLite_InErrors",
];

/// Protocol counters.
pub(crate) fn protocols(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let mut all = BTreeMap::new();
    for file in ["net/netstat", "net/snmp"] {
        let path = root.proc(file);
        let text = read(&path)?;
        let mut lines = text.lines();
        while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
            let (Some((protocol, names)), Some((_, values))) =
                (names.split_once(':'), values.split_once(':'))
            else {
                return Err(parse_error(&path, "expected pairs of lines with names and values"));
            };
            for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
                all.insert(format!("{protocol}_{name}"), value.to_owned());
            }
        }
    }
    // Machines without IPv6 have no such file.
    if let Ok(text) = read(&root.proc("net/snmp6")) {
        for (key, value) in text.lines().filter_map(|line| line.split_once(char::is_whitespace)) {
            if let Some(at) = key.find('6') {
                all.insert(format!("{}_{}", &key[..=at], &key[at + 1..]), value.trim().to_owned());
            }
        }
    }
    for field in PROTOCOL_FIELDS {
        if let Some(value) = all.get(field).and_then(|value| value.parse().ok()) {
            let help = format!("Statistic {}.", field.replace('_', ""));
            out.single(&format!("node_netstat_{field}"), "untyped", &help, value);
        }
    }
    Ok(())
}

/// Sockets in use, from `/proc/net/sockstat` and `sockstat6`.
pub(crate) fn sockets(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let mut text = read(&root.proc("net/sockstat"))?;
    if let Ok(six) = read(&root.proc("net/sockstat6")) {
        text.push_str(&six);
    }
    let page_bytes = procfs::page_size() as f64;
    for line in text.lines() {
        let Some((protocol, rest)) = line.split_once(':') else { continue };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        for pair in fields.chunks_exact(2) {
            let Ok(value) = pair[1].parse::<f64>() else { continue };
            let key = pair[0];
            let name = format!("node_sockstat_{protocol}_{key}");
            out.single(&name, "gauge", &format!("Number of {protocol} sockets in state {key}."), value);
            if key == "mem" {
                let help = format!("Number of {protocol} sockets in state mem_bytes.");
                out.single(&format!("{name}_bytes"), "gauge", &help, value * page_bytes);
            }
        }
    }
    Ok(())
}
