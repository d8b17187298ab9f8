//! The collector against a small made-up machine, and against the one the tests run on.

use super::*;
use stdx::clock::{ManualClock, SystemClock};

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("created");
    #[expect(clippy::disallowed_methods, reason = "a fixture needs no crash guarantee")]
    std::fs::write(path, text).expect("written");
}

fn machine() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temporary directory");
    let root = dir.path();
    write(
        root,
        "proc/stat",
        "cpu  300 0 50 1000 5 0 1 0 0 0\ncpu0 100 0 20 500 5 0 1 0 0 0\ncpu2 200 0 30 500 0 0 0 0 0 0\nintr 77 1 2\nctxt 99\nbtime 1700000000\nprocesses 12\nprocs_running 3\nprocs_blocked 1\n",
    );
    write(root, "proc/loadavg", "0.27 1.50 2.00 1/100 4242\n");
    write(root, "proc/meminfo", "MemTotal:  2048 kB\nActive(anon):  3 kB\nHugePages_Total:  7\n");
    write(root, "proc/sys/fs/file-nr", "100\t0\t9223372036854775807\n");
    write(root, "proc/mounts", "/dev/vda / ext4 rw 0 0\nproc /proc proc rw 0 0\n");
    write(root, "proc/net/sockstat", "sockets: used 150\nTCP: inuse 5 orphan 0 tw 0 alloc 6 mem 2\n");
    write(
        root,
        "proc/net/arp",
        "IP address HW type\n10.0.0.1 0x1 0x2 aa:bb * eth0\n10.0.0.2 0x1 0x2 aa:cc * eth0\n",
    );
    write(
        root,
        "proc/net/softnet_stat",
        "0000000a 1 2 0 0 0 0 0 0 3 4 0 0\n0000000b 0 0 0 0 0 0 0 0 0 0 0 5\n",
    );
    write(
        root,
        "proc/net/udp",
        "  sl  local rem st tx_queue:rx_queue\n 1: 0:1 0:0 07 00000010:00000002 00:0 0\n",
    );
    write(root, "proc/sys/net/netfilter/nf_conntrack_count", "7\n");
    write(root, "proc/sys/kernel/pid_max", "32768\n");
    write(
        root,
        "proc/schedstat",
        "version 15\ntimestamp 1\ncpu0 0 0 0 0 0 0 2000000000 500000000 9\ndomain0 3\n",
    );
    write(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "2400000\n");
    write(root, "sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
    write(root, "sys/class/thermal/thermal_zone0/temp", "41500\n");
    write(root, "sys/class/thermal/thermal_zone0/type", "acpitz\n");
    write(root, "sys/class/thermal/cooling_device1/cur_state", "2\n");
    write(root, "sys/class/power_supply/BAT0/voltage_now", "12000000\n");
    write(root, "etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nodd line\n");
    write(root, "proc/42/stat", "42 (odd) name)) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 100 1\n");
    dir
}

fn collected(root: &Path) -> String {
    let mut out = String::new();
    HostCollector::below(root, ManualClock::at(1_700_000_123_500)).collect(&mut out);
    out
}

#[track_caller]
fn check(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "{line:?} is missing in:\n{text}");
}

#[test]
fn values_carry_the_names_and_units_of_node_exporter() {
    let dir = machine();
    let text = collected(dir.path());
    check(&text, r#"node_cpu_seconds_total{cpu="0",mode="idle"} 5"#);
    check(&text, r#"node_cpu_seconds_total{cpu="2",mode="user"} 2"#);
    check(&text, "node_load1 0.27");
    check(&text, "node_memory_MemTotal_bytes 2.097152e+06");
    check(&text, "node_memory_Active_anon_bytes 3072");
    check(&text, "node_memory_HugePages_Total 7");
    check(&text, "node_boot_time_seconds 1.7e+09");
    check(&text, "node_intr_total 77");
    check(&text, "node_sockstat_TCP_inuse 5");
    check(&text, "node_sockstat_sockets_used 150");
    check(&text, r#"node_processes_state{state="S"} 1"#);
    check(&text, "node_processes_threads 9");
    check(&text, r#"node_filesystem_readonly{device="/dev/vda",fstype="ext4",mountpoint="/"} 0"#);
    check(&text, "node_time_seconds 1.7000001235e+09");
    check(&text, r#"node_arp_entries{device="eth0"} 2"#);
    check(&text, r#"node_softnet_processed_total{cpu="0"} 10"#);
    check(&text, r#"node_softnet_received_rps_total{cpu="0"} 3"#);
    check(&text, r#"node_softnet_dropped_total{cpu="5"} 0"#);
    check(&text, r#"node_udp_queues{ip="v4",queue="tx"} 16"#);
    check(&text, r#"node_udp_queues{ip="v4",queue="rx"} 2"#);
    check(&text, "node_nf_conntrack_entries 7");
    check(&text, "node_processes_max_processes 32768");
    check(&text, r#"node_schedstat_running_seconds_total{cpu="0"} 2"#);
    check(&text, r#"node_schedstat_waiting_seconds_total{cpu="0"} 0.5"#);
    check(&text, r#"node_cpu_scaling_frequency_hertz{cpu="0"} 2.4e+09"#);
    check(&text, r#"node_time_clocksource_current_info{clocksource="tsc",device="0"} 1"#);
    check(&text, r#"node_thermal_zone_temp{type="acpitz",zone="0"} 41.5"#);
    check(&text, r#"node_cooling_device_cur_state{name="1",type=""} 2"#);
    check(&text, r#"node_power_supply_voltage_volt{power_supply="BAT0"} 12"#);
    assert!(text.contains(r#"id="debian",id_like="""#) && text.contains(r#"version_id="12"} 1"#), "{text}");
    assert!(!text.contains(r#"fstype="proc""#));
}

#[test]
fn a_part_without_its_files_is_reported_and_harms_no_other() {
    let dir = machine();
    let text = collected(dir.path());
    check(&text, r#"node_scrape_collector_success{collector="pressure"} 0"#);
    check(&text, r#"node_scrape_collector_success{collector="cpu"} 1"#);
    write(dir.path(), "proc/loadavg", "not numbers");
    check(&collected(dir.path()), r#"node_scrape_collector_success{collector="loadavg"} 0"#);
}

#[test]
fn no_file_can_make_it_panic() {
    let dir = machine();
    let files =
        ["stat", "loadavg", "meminfo", "mounts", "diskstats", "vmstat", "net/dev", "net/netstat", "net/snmp"];
    for file in
        files.iter().chain(&["net/sockstat", "pressure/cpu", "42/stat", "sys/fs/file-nr", "net/snmp6"]).chain(
            &["net/arp", "net/softnet_stat", "net/udp", "schedstat", "sys/net/netfilter/nf_conntrack_count"],
        )
    {
        for garbage in ["", "\n\n", ":", "cpu", "a b c\nd", "1 2 3 4 5 6 7 8 9 10 11 12 13 14", "Icmp6 x\n6"]
        {
            write(dir.path(), &format!("proc/{file}"), garbage);
            assert!(collected(dir.path()).contains("node_time_seconds"));
        }
    }
}

#[test]
fn this_machine_shows_its_vital_signs() {
    let mut text = String::new();
    HostCollector::new(SystemClock::shared()).collect(&mut text);
    for name in
        ["node_cpu_seconds_total{", "node_memory_MemAvailable_bytes ", "node_uname_info{", "node_network_up{"]
    {
        assert!(text.contains(name), "{name} is missing in:\n{text}");
    }
    let mut families: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let count = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(families.len(), count, "a family must not be begun twice");
}
