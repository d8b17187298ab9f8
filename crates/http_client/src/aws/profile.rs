//! AWS' files of profiles: `~/.aws/credentials` and `~/.aws/config`.

use std::collections::BTreeMap;

/// Keys and values of one section.
pub(crate) type Profile = BTreeMap<String, String>;

/// The profile of this name; values of `credentials` win over those of `config`.
pub(crate) fn read(credentials: &str, config: &str, name: &str) -> Option<Profile> {
    let in_config = if name == "default" { "default".to_owned() } else { format!("profile {name}") };
    let found = (section(config, &in_config), section(credentials, name));
    match found {
        (None, None) => None,
        (config, credentials) => {
            let mut profile = config.unwrap_or_default();
            profile.extend(credentials.unwrap_or_default());
            Some(profile)
        }
    }
}

fn section(text: &str, name: &str) -> Option<Profile> {
    let mut found: Option<Profile> = None;
    let mut inside = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(header) = trimmed.strip_prefix('[') {
            let header = header.split(']').next().unwrap_or("");
            inside = header.split_whitespace().collect::<Vec<_>>().join(" ") == name;
            if inside {
                found.get_or_insert_default();
            }
            continue;
        }
        // Indented lines belong to a nested setting.
        let nested = line.starts_with([' ', '\t']);
        if !inside || nested || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let (Some(profile), Some((key, value))) = (&mut found, trimmed.split_once('=')) {
            profile.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn both_files_make_one_profile() {
        let credentials = "[default]\naws_access_key_id = A\n# no\n[team]\naws_access_key_id=B\n";
        let config = "[default]\nregion = eu-1\ns3 =\n  region = no\n[profile team]\nregion=eu-2\naws_access_key_id=C\n";
        let value = |name: &str, key: &str| read(credentials, config, name).and_then(|p| p.get(key).cloned());
        assert_eq!(value("default", "region").as_deref(), Some("eu-1"));
        assert_eq!(value("default", "aws_access_key_id").as_deref(), Some("A"));
        assert_eq!(value("team", "region").as_deref(), Some("eu-2"));
        assert_eq!(value("team", "aws_access_key_id").as_deref(), Some("B"));
        assert_eq!(read(credentials, config, "nobody"), None);
    }
}
