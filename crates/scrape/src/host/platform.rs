//! What the machine is and what it is made of: distribution, clock source, heat, power.

use std::collections::BTreeMap;

use super::text::Families;
use super::{PartError, Root, names, number, read, read_optional};

/// The distribution, from `/etc/os-release`.
pub(crate) fn distribution(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let Some(text) = read_optional(&root.etc("os-release"))? else { return Ok(()) };
    let fields: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.trim().split_once('='))
        .map(|(key, value)| (key, value.trim_matches(['"', '\''])))
        .collect();
    let keys = [
        ("build_id", "BUILD_ID"),
        ("id", "ID"),
        ("id_like", "ID_LIKE"),
        ("image_id", "IMAGE_ID"),
        ("image_version", "IMAGE_VERSION"),
        ("name", "NAME"),
        ("pretty_name", "PRETTY_NAME"),
        ("variant", "VARIANT"),
        ("variant_id", "VARIANT_ID"),
        ("version", "VERSION"),
        ("version_codename", "VERSION_CODENAME"),
        ("version_id", "VERSION_ID"),
    ];
    let labels = keys.map(|(label, key)| (label, fields.get(key).copied().unwrap_or("")));
    let help = "A metric with a constant '1' value, labelled by what /etc/os-release says.";
    out.family("node_os_info", "gauge", help);
    out.sample("node_os_info", &labels, 1.0);
    Ok(())
}

/// The clock that the kernel tells the time by.
pub(crate) fn clock_source(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let path = root.sys("devices/system/clocksource");
    for (file, metric, help) in [
        (
            "available_clocksource",
            "available",
            "Available clocksources read from '/sys/devices/system/clocksource'.",
        ),
        (
            "current_clocksource",
            "current",
            "Current clocksource read from '/sys/devices/system/clocksource'.",
        ),
    ] {
        let name = format!("node_time_clocksource_{metric}_info");
        let mut begun = false;
        for folder in names(&path) {
            let Some(device) = folder.strip_prefix("clocksource") else { continue };
            let text = read(&path.join(&folder).join(file)).unwrap_or_default();
            for source in text.split_whitespace() {
                if !std::mem::replace(&mut begun, true) {
                    out.family(&name, "gauge", help);
                }
                out.sample(&name, &[("clocksource", source), ("device", device)], 1.0);
            }
        }
    }
    Ok(())
}

/// Temperatures, and how hard cooling works.
pub(crate) fn heat(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let path = root.sys("class/thermal");
    let all = names(&path);
    let text = |device: &str, file: &str| {
        read(&path.join(device).join(file)).map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    for (prefix, file, name, help, divisor) in [
        ("thermal_zone", "temp", "node_thermal_zone_temp", "Zone temperature in Celsius", 1e3),
        (
            "cooling_device",
            "cur_state",
            "node_cooling_device_cur_state",
            "Current throttle state of the cooling device",
            1.0,
        ),
        (
            "cooling_device",
            "max_state",
            "node_cooling_device_max_state",
            "Maximum throttle state of the cooling device",
            1.0,
        ),
    ] {
        let label = if prefix == "thermal_zone" { "zone" } else { "name" };
        let values: Vec<(&str, String, f64)> = all
            .iter()
            .filter_map(|device| {
                let value = number(&path.join(device).join(file))?;
                Some((device.strip_prefix(prefix)?, text(device, "type"), value / divisor))
            })
            .collect();
        if values.is_empty() {
            continue;
        }
        out.family(name, "gauge", help);
        for (device, kind, value) in values {
            let mut labels = [("type", kind.as_str()), (label, device)];
            labels.sort_unstable();
            out.sample(name, &labels, value);
        }
    }
    Ok(())
}

/// Mains and batteries. The kernel counts in millionths.
pub(crate) fn power(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let path = root.sys("class/power_supply");
    let all = names(&path);
    for (file, metric, divisor) in [
        ("capacity", "capacity", 1.0),
        ("current_now", "current_ampere", 1e6),
        ("energy_now", "energy_watthour", 1e6),
        ("online", "online", 1.0),
        ("power_now", "power_watt", 1e6),
        ("voltage_now", "voltage_volt", 1e6),
    ] {
        let values: Vec<(&String, f64)> =
            all.iter().filter_map(|supply| Some((supply, number(&path.join(supply).join(file))?))).collect();
        if values.is_empty() {
            continue;
        }
        let name = format!("node_power_supply_{metric}");
        out.family(&name, "gauge", &format!("{file} value of /sys/class/power_supply/<power_supply>."));
        for (supply, value) in values {
            out.sample(&name, &[("power_supply", supply)], value / divisor);
        }
    }
    Ok(())
}
