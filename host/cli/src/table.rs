//! Tables of text.

use crate::console::{Channel, Tone};

/// A table: left-aligned columns, two spaces between them.
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one with these columns.
    pub(crate) fn new<const N: usize>(header: [&'static str; N]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// One more row. An empty cell is shown as a dash, so that columns can be counted by programs too.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let cells = cells.into_iter().map(|cell| if cell.is_empty() { "-".to_owned() } else { cell });
        self.rows.push(cells.collect());
    }

    /// Its lines. On a terminal the widest columns give way until the table fits; elsewhere nothing is cut.
    pub(crate) fn lines(&self, channel: Channel) -> Vec<String> {
        let mut widths: Vec<usize> = self.header.iter().map(|title| title.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if let Some(columns) = channel.width() {
            shrink(&mut widths, columns);
        }
        let titles: Vec<String> = self.header.iter().map(|title| (*title).to_owned()).collect();
        let mut lines = vec![channel.paint(Tone::Title, &line(&titles, &widths))];
        lines.extend(self.rows.iter().map(|row| line(row, &widths)));
        lines
    }
}

/// Below this a column says nothing.
const NARROWEST: usize = 8;

fn shrink(widths: &mut [usize], columns: usize) {
    let gaps = 2 * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > columns {
        let Some(widest) = widths.iter_mut().max().filter(|width| **width > NARROWEST) else { return };
        *widest -= 1;
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        if !line.is_empty() {
            line.push_str("  ");
        }
        let length = cell.chars().count();
        if length > *width {
            line.extend(cell.chars().take(width.saturating_sub(1)));
            line.push('…');
        } else {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - length));
        }
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["NAME", "WHY"]);
        table.row(["a".to_owned(), "x".repeat(100)]);
        table.row(["long-name".to_owned(), String::new()]);
        table
    }

    #[test]
    fn a_pipe_gets_everything() {
        let lines = table().lines(Channel::PLAIN);
        assert_eq!(lines[0], "NAME       WHY");
        assert_eq!(lines[1], format!("a          {}", "x".repeat(100)));
        assert_eq!(lines[2], "long-name  -");
    }

    #[test]
    fn a_terminal_gets_what_fits() {
        let lines = table().lines(Channel::TERMINAL);
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
        assert!(lines[1].ends_with('…'));
        assert!(lines[2].starts_with("long-name  "));
    }
}
