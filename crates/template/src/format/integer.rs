//! Integers: bases, signs, least digits, characters.

use super::{Flags, text};
use crate::text::Text;

pub(super) fn knows(verb: char) -> bool {
    matches!(verb, 'v' | 'd' | 'b' | 'o' | 'O' | 'x' | 'X' | 'c' | 'q' | 'U')
}

pub(super) fn show(out: &mut Text, value: i64, flags: Flags, verb: char) {
    let magnitude = value.unsigned_abs();
    let digits = match verb {
        'c' => return text::pad(out, &rune(value).to_string(), flags),
        'q' => return text::pad(out, &text::quote_as(&rune(value).to_string(), '\'', flags.plus), flags),
        'U' => return text::pad(out, &unicode(value, flags), flags),
        'b' => format!("{magnitude:b}"),
        'o' | 'O' => format!("{magnitude:o}"),
        'x' => format!("{magnitude:x}"),
        'X' => format!("{magnitude:X}"),
        _ => magnitude.to_string(),
    };
    let prefix = match verb {
        'O' => "0o",
        'b' if flags.sharp => "0b",
        'o' if flags.sharp && !digits.starts_with('0') => "0",
        'x' if flags.sharp => "0x",
        'X' if flags.sharp => "0X",
        _ => "",
    };
    let sign = sign(value < 0, flags);
    let least = match flags.precision {
        Some(0) if value == 0 => return text::pad(out, "", Flags { zero: false, ..flags }),
        Some(precision) => precision,
        // Zeros go between sign and digits.
        None if flags.zero && !flags.minus => {
            flags.width.unwrap_or(0).saturating_sub(usize::from(!sign.is_empty()))
        }
        None => 0,
    };
    let zeros = least.saturating_sub(digits.len());
    let length = sign.len() + prefix.len() + zeros + digits.len();
    let missing = flags.width.unwrap_or(0).saturating_sub(length);
    if !flags.minus {
        out.fill(' ', missing);
    }
    out.push_str(sign);
    out.push_str(prefix);
    out.fill('0', zeros);
    out.push_str(&digits);
    if flags.minus {
        out.fill(' ', missing);
    }
}

pub(super) fn sign(negative: bool, flags: Flags) -> &'static str {
    match () {
        () if negative => "-",
        () if flags.plus => "+",
        () if flags.space => " ",
        () => "",
    }
}

fn rune(value: i64) -> char {
    u32::try_from(value).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn unicode(value: i64, flags: Flags) -> String {
    let digits = flags.precision.unwrap_or(0).clamp(4, 64);
    let mut text = format!("U+{:0digits$X}", value as u64);
    if flags.sharp && text::is_print(rune(value)) {
        text.push_str(&format!(" '{}'", rune(value)));
    }
    text
}
