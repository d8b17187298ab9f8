//! What the kernel does with packets apart from interfaces: neighbours, tracked connections, the softirq queue,
//! queues of UDP sockets.

use std::collections::BTreeMap;

use super::text::Families;
use super::{PartError, Root, number, parse_error, read_optional};

/// How many neighbours each interface knows (ARP, `/proc/net/arp`).
pub(crate) fn neighbours(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let Some(text) = read_optional(&root.proc("net/arp"))? else { return Ok(()) };
    let mut entries: BTreeMap<&str, u64> = BTreeMap::new();
    for device in text.lines().skip(1).filter_map(|line| line.split_whitespace().last()) {
        *entries.entry(device).or_default() += 1;
    }
    if !entries.is_empty() {
        out.family("node_arp_entries", "gauge", "ARP entries by device");
        for (device, count) in entries {
            out.sample("node_arp_entries", &[("device", device)], count as f64);
        }
    }
    Ok(())
}

/// Connections that the firewall tracks, where it does.
pub(crate) fn tracked(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    for (file, name, help) in [
        (
            "nf_conntrack_count",
            "node_nf_conntrack_entries",
            "Number of currently allocated flow entries for connection tracking.",
        ),
        ("nf_conntrack_max", "node_nf_conntrack_entries_limit", "Maximum size of connection tracking table."),
    ] {
        if let Some(value) = number(&root.proc(&format!("sys/net/netfilter/{file}"))) {
            out.single(name, "gauge", help, value);
        }
    }
    Ok(())
}

/// A column of `/proc/net/softnet_stat`, counted from 0, as a metric with its help.
const SOFTNET_COLUMNS: [(usize, &str, &str); 5] = [
    (0, "processed", "Number of processed packets"),
    (1, "dropped", "Number of dropped packets"),
    (2, "times_squeezed", "Number of times processing packets ran out of quota"),
    (9, "received_rps", "Number of software received packets"),
    (10, "flow_limit_count", "Number of times processing packets hit flow limit"),
];

/// What each CPU did with packets that came in: a line a CPU, hexadecimal columns, more of them in newer kernels.
pub(crate) fn softirq(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let path = root.proc("net/softnet_stat");
    let Some(text) = read_optional(&path)? else { return Ok(()) };
    let mut rows: Vec<(String, Vec<u32>)> = Vec::new();
    for (line_number, line) in text.lines().enumerate() {
        let columns: Result<Vec<u32>, _> =
            line.split_whitespace().map(|column| u32::from_str_radix(column, 16)).collect();
        let columns = columns.map_err(|error| parse_error(&path, error))?;
        // The thirteenth column is the CPU; before there was one, offline CPUs could not be told apart.
        let cpu = columns.get(12).map_or_else(|| line_number.to_string(), ToString::to_string);
        rows.push((cpu, columns));
    }
    for (column, metric, help) in SOFTNET_COLUMNS {
        if !rows.iter().any(|(_, columns)| columns.len() > column) {
            continue;
        }
        let name = format!("node_softnet_{metric}_total");
        out.family(&name, "counter", help);
        for (cpu, columns) in &rows {
            if let Some(value) = columns.get(column) {
                out.sample(&name, &[("cpu", cpu)], f64::from(*value));
            }
        }
    }
    Ok(())
}

/// Bytes that wait in UDP sockets, to be sent and to be read.
pub(crate) fn udp_queues(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let mut sums = Vec::new();
    for (file, version) in [("net/udp", "v4"), ("net/udp6", "v6")] {
        let path = root.proc(file);
        let Some(text) = read_optional(&path)? else { continue };
        let (mut sent, mut received) = (0u64, 0u64);
        for line in text.lines().skip(1) {
            let Some((tx, rx)) = line.split_whitespace().nth(4).and_then(|queues| queues.split_once(':'))
            else {
                return Err(parse_error(&path, "expected tx_queue:rx_queue in the fifth column"));
            };
            let bytes = |text| u64::from_str_radix(text, 16).map_err(|error| parse_error(&path, error));
            sent = sent.saturating_add(bytes(tx)?);
            received = received.saturating_add(bytes(rx)?);
        }
        sums.push((version, [("tx", sent), ("rx", received)]));
    }
    if !sums.is_empty() {
        let help = "Number of allocated memory in the kernel for UDP datagrams in bytes.";
        out.family("node_udp_queues", "gauge", help);
        for (version, queues) in sums {
            for (queue, bytes) in queues {
                out.sample("node_udp_queues", &[("ip", version), ("queue", queue)], bytes as f64);
            }
        }
    }
    Ok(())
}
