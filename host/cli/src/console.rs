//! Standard output and standard error: who reads them, and how to write for that reader.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::spinner::Spinner;

/// So many bytes of lines are gathered at the most.
const GATHERED: usize = 64 << 10;

/// How a piece of text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// A title.
    Title,
    /// Went well.
    Good,
    /// Somebody should look at it.
    Doubtful,
    /// Didn't go well.
    Bad,
    /// Beside the point.
    Quiet,
}

/// One of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channel {
    terminal: bool,
    colour: bool,
    width: Option<usize>,
}

impl Channel {
    /// A stream that is a file or a pipe.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { terminal: false, colour: false, width: None };
    /// A terminal without colours.
    #[cfg(test)]
    pub(crate) const TERMINAL: Self = Self { terminal: true, colour: false, width: Some(80) };

    fn of(stream: &(impl IsTerminal + std::os::fd::AsFd), colour_allowed: bool) -> Self {
        let terminal = stream.is_terminal();
        let width = terminal_size::terminal_size_of(stream).map(|(width, _)| usize::from(width.0));
        Self { terminal, colour: terminal && colour_allowed, width: width.filter(|_| terminal) }
    }

    /// Whether a person looks at it directly.
    pub(crate) fn is_terminal(self) -> bool {
        self.terminal
    }

    /// Whether it takes colours.
    pub(crate) fn has_colour(self) -> bool {
        self.colour
    }

    /// Columns; none where lines may have any length.
    pub(crate) fn width(self) -> Option<usize> {
        self.width
    }

    /// The text in its tone, where the stream takes colours.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Title => "1",
            Tone::Good => "32",
            Tone::Doubtful => "33",
            Tone::Bad => "31",
            Tone::Quiet => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Both streams.
pub(crate) struct Console {
    out: Channel,
    err: Channel,
    json: bool,
    spinner: Spinner,
    /// Lines that are written together with those that come at the same time.
    gathered: Option<Vec<u8>>,
    /// They couldn't be written, and nobody was told yet.
    failed: Option<io::Error>,
}

impl Console {
    /// Looks at what the streams are.
    pub(crate) fn open(json: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = !set("NO_COLOR") && !dumb;
        let err = Channel::of(&io::stderr(), colour);
        let spinner = if err.is_terminal() && !dumb && !json { Spinner::shown(colour) } else { Spinner::none() };
        Self { out: Channel::of(&io::stdout(), colour), err, json, spinner, gathered: None, failed: None }
    }

    /// What standard output is.
    pub(crate) fn out(&self) -> Channel {
        self.out
    }

    /// What standard error is.
    pub(crate) fn err(&self) -> Channel {
        self.err
    }

    /// Whether a program reads standard output.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// The line that moves while one waits.
    pub(crate) fn spinner(&self) -> Spinner {
        self.spinner.clone()
    }

    /// A line of the answer.
    ///
    /// # Errors
    /// Nobody reads it any more, or the disk is full.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        self.write(text, "\n")
    }

    /// A piece of a line that goes on.
    ///
    /// # Errors
    /// Nobody reads it any more, or the disk is full.
    pub(crate) fn piece(&mut self, text: &str) -> io::Result<()> {
        self.write(text, "")
    }

    /// From here to [`flush`](Self::flush), lines may be written together: by the thousand they are ten times as fast. On a
    /// terminal each is written at once.
    pub(crate) fn gather(&mut self) {
        if !self.out.terminal && self.gathered.is_none() {
            self.gathered = Some(Vec::new());
        }
    }

    /// Writes what was gathered.
    ///
    /// # Errors
    /// Nobody reads it any more, or the disk is full.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.write_gathered();
        self.gathered = None;
        self.failed.take().map_or(Ok(()), Err)
    }

    fn write_gathered(&mut self) {
        if let Some(gathered) = self.gathered.as_mut().filter(|gathered| !gathered.is_empty()) {
            let mut out = io::stdout().lock();
            let written = out.write_all(gathered).and_then(|()| out.flush());
            self.failed = self.failed.take().or(written.err());
            gathered.clear();
        }
    }

    fn write(&mut self, text: &str, end: &str) -> io::Result<()> {
        if let Some(gathered) = &mut self.gathered {
            gathered.extend_from_slice(text.as_bytes());
            gathered.extend_from_slice(end.as_bytes());
            if gathered.len() >= GATHERED {
                self.write_gathered();
            }
            return self.failed.take().map_or(Ok(()), Err);
        }
        let write = || {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.write_all(end.as_bytes())
        };
        // Only where both streams are the same terminal can the two be in each other's way.
        if self.out.terminal { self.spinner.suspend(write) } else { write() }
    }

    /// One JSON document on one line.
    ///
    /// # Errors
    /// Nobody reads it any more, or the disk is full.
    pub(crate) fn json_line<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        self.line(&serde_json::to_string(value)?)
    }

    /// A line beside the answer.
    ///
    /// A standard error that takes nothing isn't a reason to leave a container behind, so that is passed over.
    pub(crate) fn note(&mut self, text: &str) {
        // Where both streams go into one file, each line has its place.
        self.write_gathered();
        let write = || {
            let mut err = io::stderr().lock();
            let _ = err.write_all(text.as_bytes()).and_then(|()| err.write_all(b"\n"));
        };
        if self.err.terminal { self.spinner.suspend(write) } else { write() }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // What an error left behind.
        self.write_gathered();
    }
}

/// Text from elsewhere, safe for a terminal: colours stay, everything else that could move the cursor, change the title or
/// answer in the person's name is shown instead of done.
pub(crate) fn for_terminal(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_control() && c != '\t') {
        safe.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(length) = colour_sequence(rest) {
            safe.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        let control = rest.chars().next().unwrap_or_default();
        match control {
            // A progress bar writes itself again and again over one line.
            '\r' if rest.len() > 1 => safe.push('\n'),
            '\r' => {}
            '\0'..='\x1f' => {
                safe.push('^');
                safe.push(char::from(control as u8 + 0x40));
            }
            _ => safe.push('\u{fffd}'),
        }
        rest = &rest[control.len_utf8()..];
    }
    safe.push_str(rest);
    // Whatever colour it left on ends with its line.
    if safe.contains('\x1b') {
        safe.push_str("\x1b[0m");
    }
    safe
}

/// The length of a colour sequence at the beginning of the text: `ESC [ digits and semicolons m`.
fn colour_sequence(text: &str) -> Option<usize> {
    let body = text.strip_prefix("\x1b[")?;
    let end = body.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    body[end..].starts_with('m').then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_cannot_drive_the_terminal() {
        assert_eq!(for_terminal("plain\ttext é"), "plain\ttext é");
        assert_eq!(for_terminal("\x1b[31mred\x1b[0m"), "\x1b[31mred\x1b[0m\x1b[0m");
        assert_eq!(for_terminal("\x1b]0;title\x07"), "^[]0;title^G");
        assert_eq!(for_terminal("\x1b[2Jgone\x1b[6n"), "^[[2Jgone^[[6n");
        assert_eq!(for_terminal("\u{9b}2J"), "\u{fffd}2J");
        assert_eq!(for_terminal("50%\r100%\r"), "50%\n100%");
        assert_eq!(for_terminal("\x1b["), "^[[");
    }

    #[test]
    fn no_colours_where_none_are_wanted() {
        assert_eq!(Channel::PLAIN.paint(Tone::Bad, "x"), "x");
        assert_eq!(Channel { colour: true, ..Channel::TERMINAL }.paint(Tone::Bad, "x"), "\x1b[31mx\x1b[0m");
    }
}
