//! Lines over time, drawn with Braille dots: two by four a character.

use super::time_text;

/// A line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// What the legend says.
    pub(crate) name: String,
    /// Unix times in seconds, rising, and values.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Colours of lines, one after the other: those that can be told apart on dark and on light ground.
const COLORS: [u8; 6] = [36, 33, 35, 32, 34, 31];
/// More lines than this are not drawn; nobody could tell them apart.
pub(crate) const LINES_MAX: usize = 20;

/// How a graph is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Width of the whole in characters.
    pub(crate) width: usize,
    /// Height of the drawing in characters.
    pub(crate) height: usize,
    /// Whether the terminal shows colours.
    pub(crate) color: bool,
}

/// Draws lines between two times, with axes and a legend. Empty without a finite value.
pub(crate) fn draw(lines: &[Line], start: f64, end: f64, style: Style) -> String {
    let shown = &lines[..lines.len().min(LINES_MAX)];
    let values =
        || shown.iter().flat_map(|line| &line.points).map(|(_, value)| *value).filter(|v| v.is_finite());
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return String::new();
    }
    let (low, high) = if low == high { widen(low) } else { (low, high) };
    let labels = y_labels(low, high, style.height);
    let margin = labels.iter().map(String::len).max().unwrap_or(0);
    let mut canvas = Canvas::new(style.width.saturating_sub(margin + 2).max(10), style.height.max(2));
    for (number, line) in shown.iter().enumerate() {
        canvas.line(line, number, (start, end), (low, high));
    }
    let mut out = String::new();
    for (row, label) in labels.iter().enumerate() {
        let tick = if label.is_empty() { '│' } else { '┤' };
        out.push_str(&format!("{label:>margin$} {tick}{}\n", canvas.row(row, style.color)));
    }
    out.push_str(&x_axis(margin, canvas.width, start, end));
    for (number, line) in shown.iter().enumerate() {
        out.push_str(&legend(line, number, style.color));
    }
    if lines.len() > shown.len() {
        out.push_str(&format!("… and {} more series\n", lines.len() - shown.len()));
    }
    out
}

/// Room around a value that does not change.
fn widen(value: f64) -> (f64, f64) {
    let room = if value == 0.0 { 1.0 } else { value.abs() * 0.1 };
    (value - room, value + room)
}

/// A label for each row; only the first, the middle and the last have one.
fn y_labels(low: f64, high: f64, height: usize) -> Vec<String> {
    let last = height.max(2) - 1;
    let text = |row: usize| match row {
        0 => short(high),
        row if row == last => short(low),
        row if row == last / 2 => short(high - (high - low) * row as f64 / last as f64),
        _ => String::new(),
    };
    (0..=last).map(text).collect()
}

/// A number in few characters: `1.5k`, `20M`, `0.003`.
pub(crate) fn short(value: f64) -> String {
    let magnitude = value.abs();
    let units = [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    if let Some((unit, name)) = units.into_iter().find(|(unit, _)| magnitude >= *unit) {
        return format!("{}{name}", digits(value / unit));
    }
    if magnitude != 0.0 && magnitude < 1e-3 { format!("{value:.1e}") } else { digits(value) }
}

/// Four digits that count, without zeros at the end.
fn digits(value: f64) -> String {
    let before = value.abs().max(1.0).log10().floor() as usize + 1;
    let text = format!("{value:.*}", 4_usize.saturating_sub(before));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn x_axis(margin: usize, width: usize, start: f64, end: f64) -> String {
    let format = if end - start > 86_400.0 { "%m-%d %H:%M" } else { "%H:%M:%S" };
    let (left, right) = (time_text(start, format), time_text(end, format));
    let gap = width.saturating_sub(left.len() + right.len()).max(1);
    format!("{:>margin$} └{}\n{:>margin$}  {left}{}{right}\n", "", "─".repeat(width), "", " ".repeat(gap))
}

fn legend(line: &Line, number: usize, color: bool) -> String {
    let last = line.points.last().map_or_else(|| "no value".to_owned(), |(_, value)| short(*value));
    format!("{} {}  {last}\n", paint("━━", number, color), line.name)
}

fn paint(text: &str, number: usize, color: bool) -> String {
    if color { format!("\x1b[{}m{text}\x1b[0m", COLORS[number % COLORS.len()]) } else { text.to_owned() }
}

/// Dots, and for each character the line that drew it last.
struct Canvas {
    width: usize,
    height: usize,
    cells: Vec<(u8, usize)>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, cells: vec![(0, 0); width * height] }
    }

    fn line(&mut self, line: &Line, number: usize, (start, end): (f64, f64), (low, high): (f64, f64)) {
        let (dots_x, dots_y) = ((self.width * 2 - 1) as f64, (self.height * 4 - 1) as f64);
        let span = if end > start { end - start } else { 1.0 };
        let place = |(time, value): (f64, f64)| {
            value.is_finite().then(|| {
                let x = ((time - start) / span * dots_x).round().clamp(0.0, dots_x);
                let y = ((high - value) / (high - low) * dots_y).round().clamp(0.0, dots_y);
                (x as i64, y as i64)
            })
        };
        let mut before = None;
        let gap =
            3.0 * line.points.windows(2).map(|pair| pair[1].0 - pair[0].0).fold(f64::INFINITY, f64::min);
        let mut last_time = f64::NEG_INFINITY;
        for point in &line.points {
            let here = place(*point);
            if let Some(to) = here {
                // Missing points leave a gap instead of a line that claims there were values.
                let from = before.filter(|_| point.0 - last_time < gap).unwrap_or(to);
                self.stroke(from, to, number);
            }
            (before, last_time) = (here, point.0);
        }
    }

    fn stroke(&mut self, (x0, y0): (i64, i64), (x1, y1): (i64, i64), number: usize) {
        let steps = (x1 - x0).abs().max((y1 - y0).abs()).max(1);
        for step in 0..=steps {
            let x = x0 + ((x1 - x0) * step + steps / 2) / steps;
            let y = y0 + ((y1 - y0) * step + steps / 2).div_euclid(steps);
            self.dot(x.unsigned_abs() as usize, y.unsigned_abs() as usize, number);
        }
    }

    fn dot(&mut self, x: usize, y: usize, number: usize) {
        // Braille counts its dots 1-2-3-7 down the left column and 4-5-6-8 down the right one.
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        let (column, row) = ((x / 2).min(self.width - 1), (y / 4).min(self.height - 1));
        let cell = &mut self.cells[row * self.width + column];
        *cell = (cell.0 | BITS[y % 4][x % 2], number);
    }

    fn row(&self, row: usize, color: bool) -> String {
        let cells = &self.cells[row * self.width..(row + 1) * self.width];
        let mut out = String::new();
        for (dots, number) in cells {
            match char::from_u32(0x2800 + u32::from(*dots)) {
                Some(character) if *dots != 0 => out.push_str(&paint(&character.to_string(), *number, color)),
                _ => out.push(' '),
            }
        }
        out.truncate(out.trim_end().len());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(width: usize, height: usize) -> Style {
        Style { width, height, color: false }
    }

    #[test]
    fn numbers_are_short() {
        for (value, want) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.25, "0.25"),
            (1234.0, "1.234k"),
            (20e6, "20M"),
            (-3.5, "-3.5"),
            (1e-7, "1.0e-7"),
            (99999.0, "100k"),
            (123.456, "123.5"),
        ] {
            assert_eq!(short(value), want);
        }
    }

    #[test]
    fn a_rising_line_goes_from_the_lower_left_to_the_upper_right() {
        let points = (0..10).map(|i| (f64::from(i), f64::from(i))).collect();
        let graph = draw(&[Line { name: "a".into(), points }], 0.0, 9.0, plain(24, 4));
        let rows: Vec<&str> = graph.lines().collect();
        assert!(
            rows[0].starts_with("9 ┤") && rows[0].ends_with('⠉')
                || rows[0].ends_with('⠋')
                || rows[0].ends_with('⠁'),
            "{graph}"
        );
        assert!(rows[3].starts_with("0 ┤"), "{graph}");
        assert!(rows[3].chars().nth(3).is_some_and(|c| c != ' '), "{graph}");
        assert!(graph.ends_with("━━ a  9\n"), "{graph}");
    }

    #[test]
    fn a_constant_line_and_no_line_are_fine() {
        let constant = Line { name: "a".into(), points: vec![(0.0, 5.0), (1.0, 5.0)] };
        assert!(draw(&[constant], 0.0, 1.0, plain(30, 3)).contains("5.5 ┤"));
        let nothing = Line { name: "a".into(), points: vec![(0.0, f64::NAN)] };
        assert_eq!(draw(&[nothing], 0.0, 1.0, plain(30, 3)), "");
        assert_eq!(draw(&[], 0.0, 0.0, plain(30, 3)), "");
    }

    #[test]
    fn many_lines_are_counted_rather_than_drawn() {
        let line = Line { name: "a".into(), points: vec![(0.0, 1.0)] };
        let graph = draw(&vec![line; LINES_MAX + 3], 0.0, 0.0, plain(30, 3));
        assert!(graph.ends_with("… and 3 more series\n"), "{graph}");
    }
}
