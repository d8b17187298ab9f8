//! Columns, without lines around them: they can be read, cut and sorted.

/// Rows below a header; numbers stand to the right where `right` says so.
pub(crate) fn table(header: &[&str], right: &[bool], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(ToString::to_string).collect();
    let all = || std::iter::once(&header).chain(rows);
    let width = |column: usize| {
        let widths = all().filter_map(|row| row.get(column)).map(|text| text.chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut out = String::new();
    for row in all() {
        let mut line = String::new();
        for ((text, width), right) in row.iter().zip(&widths).zip(right) {
            let cell = if *right { format!("{text:>width$}") } else { format!("{text:<width$}") };
            line.push_str(&cell);
            line.push_str("  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_text() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["lönger".to_owned(), "20".to_owned()]];
        assert_eq!(
            table(&["NAME", "VALUE"], &[false, true], &rows),
            "NAME    VALUE\na           1\nlönger     20\n"
        );
    }
}
