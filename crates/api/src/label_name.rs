//! Names with any characters in places that allow only letters, digits and `_`: `U__` and what follows.
//!
//! Source: Prometheus' "value encoding" escaping: an underscore is doubled, any other character that is not
//! allowed becomes `_<hex of its code point>_`.

use std::borrow::Cow;

const PREFIX: &str = "U__";

/// The longest code point in hexadecimal.
const HEX_MAX: usize = 6;

/// The name that an escaped one stands for. A text that is not a sound escape stands for itself.
pub(crate) fn unescape(name: &str) -> Cow<'_, str> {
    match name.strip_prefix(PREFIX).and_then(decode) {
        Some(decoded) => Cow::Owned(decoded),
        None => Cow::Borrowed(name),
    }
}

fn decode(escaped: &str) -> Option<String> {
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('_') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('_') {
            out.push('_');
            rest = after;
            continue;
        }
        let (hex, after) = after.split_once('_')?;
        if hex.len() > HEX_MAX || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        out.push(char::from_u32(u32::from_str_radix(hex, 16).ok()?)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(escaped: &str, want: &str) {
        assert_eq!(unescape(escaped), want);
    }

    #[test]
    fn escaped_names_are_read() {
        check("job", "job");
        check("U__http_2e_status", "http.status");
        check("U__a__b", "a_b");
        check("U___1f600_", "\u{1f600}");
    }

    #[test]
    fn what_is_no_escape_stands_for_itself() {
        for text in ["U__a_b", "U___zz_", "U___d800_", "U___1234567_", "U_a", "U__a_"] {
            check(text, text);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "U__[a-f0-9_é]{0,20}") {
            let _ = unescape(&text);
        }
    }
}
