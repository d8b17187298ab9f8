//! List elements without a value (`- ` and nothing): each list of sections refuses them in words of its own.

use yaml::node::{Entry, Value};
use yaml::{Document, Error, Node};

/// List, section around it (empty: any), and the text.
const TEXTS: [(&str, &str, &str); 9] = [
    ("scrape_configs", "", "empty or null scrape config section"),
    ("relabel_configs", "scrape_configs", "empty or null target relabeling rule in scrape config"),
    ("metric_relabel_configs", "", "empty or null metric relabeling rule in scrape config"),
    ("alert_relabel_configs", "alerting", "empty or null alert relabeling rule"),
    ("relabel_configs", "alertmanagers", "empty or null Alertmanager target relabeling rule"),
    ("alert_relabel_configs", "alertmanagers", "empty or null Alertmanager alert relabeling rule"),
    ("remote_write", "", "empty or null remote write config section"),
    ("write_relabel_configs", "", "empty or null relabeling rule in remote write config"),
    ("remote_read", "", "empty or null remote read config section"),
];

/// Refuses the first element without a value in a list of sections.
pub(super) fn refuse(document: &Document) -> Result<(), Error> {
    let mut path = Vec::new();
    match find(&document.root, "", &mut path) {
        Some(text) => Err(document.fault(&path, text).with_remedy("remove the \"-\", or fill it in")),
        None => Ok(()),
    }
}

/// The text for the first such element below `node`, which stands under the key `section`; `path` then leads
/// to it.
fn find(node: &Node, section: &str, path: &mut Vec<String>) -> Option<&'static str> {
    match &node.value {
        Value::Scalar { .. } => None,
        Value::Sequence(items) => items.iter().enumerate().find_map(|(i, item)| {
            path.push(i.to_string());
            let found = find(item, section, path);
            if found.is_none() {
                path.pop();
            }
            found
        }),
        Value::Mapping(entries) => entries.iter().find_map(|entry| {
            path.push(entry.key.clone());
            let found = find_in(entry, section, path);
            if found.is_none() {
                path.pop();
            }
            found
        }),
    }
}

fn find_in(entry: &Entry, section: &str, path: &mut Vec<String>) -> Option<&'static str> {
    let text = TEXTS
        .iter()
        .find(|(list, around, _)| entry.key == *list && (around.is_empty() || *around == section));
    if let Some((_, _, text)) = text
        && let Some(i) = entry.value.items().iter().position(Node::is_null)
    {
        path.push(i.to_string());
        return Some(text);
    }
    find(&entry.value, &entry.key, path)
}
