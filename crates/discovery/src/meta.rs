//! Labels of a target under construction, and how names and addresses are written.

use std::fmt::Display;

use model::{Labels, LabelsBuilder};

use crate::group::ADDRESS_LABEL;

/// The label by which a target is told from others of its job.
pub(crate) const INSTANCE_LABEL: &str = "instance";

/// Collects labels whose names begin with one prefix (`__meta_consul_`).
#[derive(Debug, Clone)]
pub(crate) struct Meta {
    prefix: &'static str,
    builder: LabelsBuilder,
}

impl Meta {
    pub(crate) fn new(prefix: &'static str) -> Self {
        Self { prefix, builder: LabelsBuilder::new() }
    }

    /// Sets the target's address.
    pub(crate) fn address(&mut self, host: &str, port: impl Display) -> &mut Self {
        self.plain(ADDRESS_LABEL, host_port(host, port))
    }

    /// Sets a label whose name is given without the prefix. An empty value is none.
    pub(crate) fn set(&mut self, name: impl Display, value: impl Display) -> &mut Self {
        self.plain(&format!("{}{name}", self.prefix), value)
    }

    /// As [`Self::set`], if there is a value.
    pub(crate) fn set_some(&mut self, name: impl Display, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.set(name, value);
        }
        self
    }

    /// Sets a label by its whole name.
    pub(crate) fn plain(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.builder.set(name, &value.to_string());
        self
    }

    /// One label for each pair: the prefix, `name`, and the pair's name with `_` for what no label name may hold.
    pub(crate) fn set_each<N: AsRef<str>, V: Display>(
        &mut self,
        name: &str,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> &mut Self {
        for (key, value) in pairs {
            self.set(format_args!("{name}{}", sanitized(key.as_ref())), value);
        }
        self
    }

    /// A list as one text, with the separator before and behind each element, so that a regular expression need not
    /// care where an element stands. Nothing if there is no element.
    pub(crate) fn set_list<T: AsRef<str>>(&mut self, name: &str, separator: &str, items: &[T]) -> &mut Self {
        if !items.is_empty() {
            self.set(name, surrounded(separator, items));
        }
        self
    }

    /// Takes all labels of others, which win.
    pub(crate) fn merge(&mut self, others: &Labels) -> &mut Self {
        for (name, value) in others {
            self.builder.set(name, value);
        }
        self
    }

    pub(crate) fn build(&self) -> Labels {
        self.builder.build()
    }
}

/// `,a,b,`; for no elements `,,`.
pub(crate) fn surrounded<T: AsRef<str>>(separator: &str, items: &[T]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    format!("{separator}{}{separator}", items.join(separator))
}

/// A name in which `_` stands for every character that a label name may not hold.
pub(crate) fn sanitized(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// `host:port`, with brackets round an IPv6 address.
pub(crate) fn host_port(host: &str, port: impl Display) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_label_names_and_addresses_are_bracketed() {
        assert_eq!(sanitized("app.kubernetes.io/näme"), "app_kubernetes_io_n_me");
        assert_eq!(host_port("10.0.0.1", 80), "10.0.0.1:80");
        assert_eq!(host_port("2001:db8::1", 80), "[2001:db8::1]:80");
    }

    #[test]
    fn lists_are_surrounded_and_empty_values_are_none() {
        let mut meta = Meta::new("__meta_x_");
        meta.address("h", 1)
            .set("a", "")
            .set_list("tags", ",", &["one", "two"])
            .set_list("none", ",", &[""; 0]);
        meta.set_each("label_", [("a-b", "c")]).plain(INSTANCE_LABEL, "i");
        let labels = meta.build();
        let pairs: Vec<(&str, &str)> = labels.iter().collect();
        let want = [
            ("__address__", "h:1"),
            ("__meta_x_label_a_b", "c"),
            ("__meta_x_tags", ",one,two,"),
            ("instance", "i"),
        ];
        assert_eq!(pairs, want);
    }
}
