//! Labels: name/value pairs sorted by name, packed into one string.
//!
//! Why packed: a server holds millions of label sets; one allocation each, no pointers inside, compared and
//! hashed as one slice, and cut out of a batch without being rebuilt.
//!
//! Packed form: for each pair, in order of name bytes, `len(name) name len(value) value`, where a length in
//! bytes is written as one character: `char::from_u32(len)`, skipping the surrogates (so lengths below 128
//! take one byte, and the whole is valid UTF-8 that can be sliced safely). No name occurs twice; no value is
//! empty, because an empty value means that the label is absent. Longest name or value: [`LEN_MAX`].

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::METRIC_NAME;

/// The longest name or value in bytes that can be packed.
pub const LEN_MAX: usize = 0x10_FFFF - 0x800;

/// An owned, immutable, cheaply cloned label set.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

/// A borrowed label set in packed form.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LabelsRef<'a>(&'a str);

impl Labels {
    /// No labels at all.
    pub fn empty() -> Self {
        Self(Arc::from(""))
    }

    /// Labels from pairs in any order; a later pair with the same name wins, empty values are left out.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::new();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// The borrowed form.
    pub fn as_ref(&self) -> LabelsRef<'_> {
        LabelsRef(&self.0)
    }

    /// Pairs in order of name.
    pub fn iter(&self) -> Iter<'_> {
        self.as_ref().iter()
    }

    /// The value of a label; `None` if it is absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.as_ref().get(name)
    }

    /// The metric's name; empty if it has none.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// The packed form, for hashing and storing.
    pub fn packed(&self) -> &str {
        &self.0
    }

    /// A builder that starts from these labels.
    pub fn to_builder(&self) -> LabelsBuilder {
        let mut builder = LabelsBuilder::new();
        builder.reset_to(self.as_ref());
        builder
    }

    /// These labels without those for which `drop` says yes.
    pub fn without(&self, mut drop: impl FnMut(&str) -> bool) -> Self {
        let mut packed = String::with_capacity(self.0.len());
        for (name, value) in self.iter().filter(|(name, _)| !drop(name)) {
            pack(&mut packed, name, value);
        }
        Self(packed.into())
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl<'a> LabelsRef<'a> {
    /// Takes a packed form that this module made.
    ///
    /// Returns `None` if it is not one: lengths that do not fit, names out of order or twice, empty values.
    pub fn from_packed(packed: &'a str) -> Option<Self> {
        let mut rest = packed;
        let mut last_name: Option<&str> = None;
        while !rest.is_empty() {
            let (name, after) = take(rest)?;
            let (value, after) = take(after)?;
            if value.is_empty() || last_name.is_some_and(|last| last.as_bytes() >= name.as_bytes()) {
                return None;
            }
            last_name = Some(name);
            rest = after;
        }
        Some(Self(packed))
    }

    /// As [`Self::from_packed`], for bytes whose origin vouches for them (an arena of our own batch).
    /// A wrong form cannot break memory safety; iteration would end early.
    pub fn from_packed_trusted(packed: &'a str) -> Self {
        debug_assert!(Self::from_packed(packed).is_some(), "BUG: not packed labels: {packed:?}");
        Self(packed)
    }

    /// The packed form.
    pub fn packed(self) -> &'a str {
        self.0
    }

    /// Pairs in order of name.
    pub fn iter(self) -> Iter<'a> {
        Iter(self.0)
    }

    /// The packed forms of the pairs, each of which is a label set of one pair. One after the other they are the whole.
    pub fn packed_pairs(self) -> impl Iterator<Item = &'a str> {
        let mut pairs = self.iter();
        std::iter::from_fn(move || {
            let before = pairs.0;
            pairs.next()?;
            Some(&before[..before.len() - pairs.0.len()])
        })
    }

    /// The value of a label; `None` if it is absent.
    pub fn get(self, name: &str) -> Option<&'a str> {
        for (candidate, value) in self.iter() {
            match candidate.as_bytes().cmp(name.as_bytes()) {
                Ordering::Less => {}
                Ordering::Equal => return Some(value),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// An owned copy.
    pub fn to_labels(self) -> Labels {
        Labels(Arc::from(self.0))
    }
}

#[inline]
fn take(packed: &str) -> Option<(&str, &str)> {
    // Nearly all texts are short, and their length is one byte.
    if let Some(len @ ..0x80) = packed.as_bytes().first() {
        return packed.get(1..)?.split_at_checked(usize::from(*len));
    }
    take_long(packed)
}

#[cold]
fn take_long(packed: &str) -> Option<(&str, &str)> {
    let mut chars = packed.chars();
    let len = decode_len(chars.next()?);
    let rest = chars.as_str();
    // `split_at_checked` refuses a length past the end or inside a character.
    rest.split_at_checked(len)
}

fn encode_len(len: usize) -> char {
    let code = u32::try_from(len).unwrap_or(u32::MAX);
    let code = if code < 0xD800 { code } else { code.saturating_add(0x800) };
    char::from_u32(code).expect("callers keep names and values within LEN_MAX")
}

fn decode_len(c: char) -> usize {
    let code = c as usize;
    if code < 0xD800 { code } else { code - 0x800 }
}

/// Appends one pair to a packed form. The caller keeps the order of names and leaves out empty values.
/// A name or value beyond [`LEN_MAX`] is cut at a character boundary; limits refuse such labels long before.
pub fn pack(packed: &mut String, name: &str, value: &str) {
    for text in [name, value] {
        let text = &text[..text.floor_char_boundary(LEN_MAX)];
        packed.push(encode_len(text.len()));
        packed.push_str(text);
    }
}

/// Iterates over pairs in order of name.
#[derive(Debug, Clone)]
pub struct Iter<'a>(&'a str);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (name, after) = take(self.0)?;
        let (value, after) = take(after)?;
        self.0 = after;
        Some((name, value))
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<'a> Ord for LabelsRef<'a> {
    /// By the first differing name, then value; a prefix comes first. As Prometheus orders labels.
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right) = (self.0.as_bytes(), other.0.as_bytes());
        let differs_at = common_prefix(left, right);
        // A packed form says where it ends, so one that another begins with is a whole number of pairs shorter.
        if differs_at == left.len() || differs_at == right.len() {
            return left.len().cmp(&right.len());
        }
        // Texts before that place are equal and need not be looked at, only jumped over.
        let mut start = 0;
        loop {
            let text_start = start + char_len(left[start]);
            if differs_at < text_start {
                let text = |packed: &'a str| packed.get(start..).and_then(take).map_or("", |(text, _)| text);
                return text(self.0).cmp(text(other.0));
            }
            let len = if text_start == start + 1 {
                usize::from(left[start])
            } else {
                self.0.get(start..).and_then(|rest| rest.chars().next()).map_or(0, decode_len)
            };
            if differs_at < text_start + len {
                return left[differs_at].cmp(&right[differs_at]);
            }
            start = text_start + len;
        }
    }
}

/// How many bytes two slices have in common at their start.
fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    const WORD: usize = 8;
    let word = |bytes: &[u8; WORD]| u64::from_le_bytes(*bytes);
    let (left_words, _) = left.as_chunks::<WORD>();
    let (right_words, _) = right.as_chunks::<WORD>();
    for (at, (a, b)) in left_words.iter().zip(right_words).enumerate() {
        let difference = word(a) ^ word(b);
        if difference != 0 {
            return at * WORD + difference.trailing_zeros() as usize / 8;
        }
    }
    let done = left_words.len().min(right_words.len()) * WORD;
    done + left[done..].iter().zip(&right[done..]).take_while(|(a, b)| a == b).count()
}

/// Bytes of the character that begins with this byte.
fn char_len(first: u8) -> usize {
    match first {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

impl PartialOrd for LabelsRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_ref().cmp(&other.as_ref())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Borrow<str> for Labels {
    /// The packed form, so that maps keyed by `Labels` can be asked with a slice of a batch.
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LabelsRef<'_> {
    /// `{a="b", c="d"}` with `__name__` as an ordinary label, as Prometheus prints label sets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write_label_name(f, name)?;
            f.write_str("=")?;
            write_quoted(f, value)?;
        }
        f.write_str("}")
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Debug for LabelsRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_ref(), f)
    }
}

/// A label name as PromQL writes it: bare where it can be, else quoted.
///
/// # Errors
/// As the writer.
pub fn write_label_name(out: &mut impl fmt::Write, name: &str) -> fmt::Result {
    if is_legacy_label_name(name) { out.write_str(name) } else { write_quoted(out, name) }
}

/// A string in double quotes with Go's escapes, as PromQL and Prometheus' texts write it.
///
/// # Errors
/// As the writer.
pub fn write_quoted(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\u{7}' => out.write_str("\\a")?,
            '\u{8}' => out.write_str("\\b")?,
            '\u{b}' => out.write_str("\\v")?,
            '\u{c}' => out.write_str("\\f")?,
            c if (c as u32) < 0x20 || c == '\u{7f}' => write!(out, "\\x{:02x}", c as u32)?,
            c if is_printable(c) => out.write_char(c)?,
            c if (c as u32) < 0x1_0000 => write!(out, "\\u{:04x}", c as u32)?,
            c => write!(out, "\\U{:08x}", c as u32)?,
        }
    }
    out.write_char('"')
}

/// Whether Go prints the character as it is: everything but controls, formats, private and unassigned code points,
/// and spaces other than " ".
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return true;
    }
    // The standard library has the table, but no way to it except through escaping; a mark that joins what stands
    // before it is escaped only at the start of a text.
    let mut buffer = [b'a'; 5];
    let length = 1 + c.encode_utf8(&mut buffer[1..]).len();
    std::str::from_utf8(&buffer[..length]).is_ok_and(|text| text.escape_debug().nth(1) == Some(c))
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`: a label name that needs no quotes.
pub fn is_legacy_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`: a metric name that needs no quotes.
pub fn is_legacy_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b':')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

/// Collects pairs in any order and packs them sorted. Reusable: [`Self::clear`] keeps the allocations.
#[derive(Debug, Default, Clone)]
pub struct LabelsBuilder {
    text: String,
    /// Name and value as ranges of `text`, sorted by name.
    pairs: Vec<Pair>,
}

#[derive(Debug, Clone, Copy)]
struct Pair {
    name_start: usize,
    name_end: usize,
    value_end: usize,
}

impl LabelsBuilder {
    /// Without labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all labels.
    pub fn clear(&mut self) {
        self.text.clear();
        self.pairs.clear();
    }

    /// Forgets all labels and takes those of `labels`.
    pub fn reset_to(&mut self, labels: LabelsRef<'_>) {
        self.clear();
        for (name, value) in labels.iter() {
            let pair = self.add_text(name, value);
            self.pairs.push(pair);
        }
    }

    fn add_text(&mut self, name: &str, value: &str) -> Pair {
        let name_start = self.text.len();
        self.text.push_str(name);
        let name_end = self.text.len();
        self.text.push_str(value);
        Pair { name_start, name_end, value_end: self.text.len() }
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.pairs.binary_search_by(|pair| self.text[pair.name_start..pair.name_end].cmp(name))
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        if value.is_empty() {
            return self.remove(name);
        }
        let found = self.find(name);
        let pair = self.add_text(name, value);
        match found {
            Ok(at) => self.pairs[at] = pair,
            Err(at) => self.pairs.insert(at, pair),
        }
        self
    }

    /// Removes a label if it is there.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        if let Ok(at) = self.find(name) {
            self.pairs.remove(at);
        }
        self
    }

    /// Keeps the labels for which `keep` says yes.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        let text = &self.text;
        self.pairs
            .retain(|pair| keep(&text[pair.name_start..pair.name_end], &text[pair.name_end..pair.value_end]));
    }

    /// The value of a label; `None` if it is absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let pair = self.pairs[self.find(name).ok()?];
        Some(&self.text[pair.name_end..pair.value_end])
    }

    /// Pairs in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|pair| {
            (&self.text[pair.name_start..pair.name_end], &self.text[pair.name_end..pair.value_end])
        })
    }

    /// Whether no label is set.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Appends the packed form to `packed`.
    pub fn pack_into(&self, packed: &mut String) {
        for (name, value) in self.iter() {
            pack(packed, name, value);
        }
    }

    /// The labels.
    pub fn build(&self) -> Labels {
        let mut packed = String::with_capacity(self.text.len() + 2 * self.pairs.len());
        self.pack_into(&mut packed);
        Labels(packed.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_go_does_not_print_is_escaped() {
        let quoted = |text: &str| {
            let mut out = String::new();
            write_quoted(&mut out, text).expect("a String takes everything");
            out
        };
        assert_eq!(quoted("a\"\\\n\u{7f}'"), r#""a\"\\\n\x7f'""#);
        assert_eq!(quoted("é☺e\u{301}\u{fffd}😀"), "\"é☺e\u{301}\u{fffd}😀\"");
        assert_eq!(
            quoted("\u{a0}\u{200b}\u{feff}\u{e000}\u{10ffff}"),
            r#""\u00a0\u200b\ufeff\ue000\U0010ffff""#
        );
    }

    #[test]
    fn pairs_come_back_sorted_without_empty_values_and_the_last_of_a_name_wins() {
        let labels = Labels::from_pairs([("b", "2"), ("a", "old"), ("c", ""), ("a", "1")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_eq!((labels.get("a"), labels.get("aa"), labels.get("c")), (Some("1"), None, None));
        assert_eq!(labels.to_string(), r#"{a="1", b="2"}"#);
    }

    #[test]
    fn long_values_and_odd_characters_survive() {
        for len in [0, 1, 127, 128, 2047, 2048, 0xD7FF, 0xD800, 70_000] {
            let value = "é".repeat(len) + "x";
            let labels = Labels::from_pairs([("name with space", value.as_str()), ("z", "\u{10FFFF}")]);
            assert_eq!(labels.get("name with space"), Some(value.as_str()));
            assert_eq!(labels.get("z"), Some("\u{10FFFF}"));
            assert!(LabelsRef::from_packed(labels.packed()).is_some());
        }
    }

    #[test]
    fn order_is_by_pairs_not_by_packed_bytes() {
        let sorted = [
            Labels::empty(),
            Labels::from_pairs([("a", "1")]),
            Labels::from_pairs([("a", "1"), ("b", "1")]),
            Labels::from_pairs([("a", "10")]),
            Labels::from_pairs([("a", "2")]),
            Labels::from_pairs([("aa", "1")]),
        ];
        assert!(sorted.is_sorted());
    }

    #[test]
    fn text_that_is_not_a_packed_form_is_refused() {
        for bad in
            ["\u{1}a\u{1}", "\u{5}ab", "\u{1}b\u{1}x\u{1}a\u{1}x", "\u{1}a\u{1}x\u{1}a\u{1}y", "\u{1}a\u{0}"]
        {
            assert!(LabelsRef::from_packed(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn quoting_follows_go() {
        let labels = Labels::from_pairs([("a", "q\"b\\n\n\u{1}"), ("ä", "v")]);
        assert_eq!(labels.to_string(), r#"{a="q\"b\\n\n\x01", "ä"="v"}"#);
    }

    proptest! {
        #[test]
        fn any_pairs_round_trip(pairs in proptest::collection::btree_map(".{0,8}", ".{1,40}", 0..12)) {
            let labels = Labels::from_pairs(&pairs);
            let back: Vec<(String, String)> = labels.iter().map(|(n, v)| (n.into(), v.into())).collect();
            prop_assert_eq!(back, pairs.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(LabelsRef::from_packed(labels.packed()).map(LabelsRef::to_labels), Some(labels));
        }

        #[test]
        fn order_is_that_of_pairs(
            left in proptest::collection::vec(("[abé]{1,3}", "([ab]{1,12}|[é中]{1,3}|a{120,140})"), 0..5),
            right in proptest::collection::vec(("[abé]{1,3}", "([ab]{1,12}|[é中]{1,3}|a{120,140})"), 0..5),
        ) {
            let (left, right) = (Labels::from_pairs(left), Labels::from_pairs(right));
            prop_assert_eq!(left.cmp(&right), left.iter().cmp(right.iter()), "{} {}", left, right);
            let longer = Labels::from_pairs(left.iter().chain([("é中", "z")]));
            prop_assert!(left <= longer);
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            if let Some(labels) = LabelsRef::from_packed(&text) {
                prop_assert_eq!(labels.packed(), text.as_str());
            }
            prop_assert!(Iter(&text).count() <= text.len());
        }
    }
}
