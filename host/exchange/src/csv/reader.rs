use std::io::{self, Read};

use crate::types::MAX_COLUMNS;

/// The largest row.
const MAX_RECORD: usize = 16 << 20;
const BUFFER: usize = 256 << 10;

/// Whether a byte ends a field that isn't quoted.
const ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    ends[b',' as usize] = true;
    ends[b'\n' as usize] = true;
    ends[b'\r' as usize] = true;
    ends
};

/// Bytes that aren't CSV, or can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CsvError {
    #[error("it cannot be read to its end")]
    Read(#[from] io::Error),
    #[error("{place}: {reason}")]
    Form { place: Place, reason: String },
}

/// Where in a file, as a person counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Header,
    Row(u64),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header => f.write_str("the header line"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// One row, as text.
#[derive(Debug, Default)]
pub(crate) struct Record {
    bytes: Vec<u8>,
    fields: Vec<Span>,
}

/// Where in a row a field is.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    quoted: bool,
}

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CsvField<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) quoted: bool,
}

impl CsvField<'_> {
    pub(crate) fn is_null(&self) -> bool {
        self.bytes.is_empty() && !self.quoted
    }
}

impl Record {
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn get(&self, index: usize) -> CsvField<'_> {
        let Span { start, end, quoted } = self.fields[index];
        CsvField { bytes: &self.bytes[start..end], quoted }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
    }

    fn is_blank(&self) -> bool {
        self.fields.len() == 1 && self.get(0).is_null()
    }
}

/// Reads rows from bytes; lines may end with LF, CR LF or CR.
pub(crate) struct CsvReader<R> {
    input: R,
    buffer: Box<[u8]>,
    at: usize,
    len: usize,
    columns: Vec<String>,
    rows: u64,
}

impl<R: Read> CsvReader<R> {
    /// Reads the header.
    pub(crate) fn new(input: R) -> Result<Self, CsvError> {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        let mut reader = Self { input, buffer, at: 0, len: 0, columns: Vec::new(), rows: 0 };
        reader.skip_byte_order_mark()?;
        let mut header = Record::default();
        if !reader.record(&mut header, Place::Header)? {
            return Err(CsvError::Form { place: Place::Header, reason: "it is missing: the data is empty".to_owned() });
        }
        for index in 0..header.len() {
            let name = String::from_utf8(header.get(index).bytes.to_vec())
                .map_err(|_| CsvError::Form { place: Place::Header, reason: "it is not UTF-8".to_owned() })?;
            reader.columns.push(name);
        }
        Ok(reader)
    }

    /// The names of the columns.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How many rows were read.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Reads the next row; false at the end.
    ///
    /// A blank line is a row (of null) where there is one column, and nothing where there are several.
    pub(crate) fn read(&mut self, record: &mut Record) -> Result<bool, CsvError> {
        let place = Place::Row(self.rows + 1);
        loop {
            if !self.record(record, place)? {
                return Ok(false);
            }
            if self.columns.len() == 1 || !record.is_blank() {
                break;
            }
        }
        if record.len() != self.columns.len() {
            let reason = format!("it has {} fields, and the header has {}", record.len(), self.columns.len());
            return Err(CsvError::Form { place, reason });
        }
        self.rows += 1;
        Ok(true)
    }

    fn record(&mut self, record: &mut Record, place: Place) -> Result<bool, CsvError> {
        record.clear();
        if self.peek()?.is_none() {
            return Ok(false);
        }
        if self.plain_record(record) {
            return Ok(true);
        }
        record.clear();
        loop {
            let start = record.bytes.len();
            let quoted = self.peek()? == Some(b'"');
            if quoted {
                self.at += 1;
                self.quoted_field(record, place)?;
            } else {
                self.plain_field(record, place)?;
            }
            record.fields.push(Span { start, end: record.bytes.len(), quoted });
            if record.fields.len() > MAX_COLUMNS {
                return Err(CsvError::Form { place, reason: format!("it has more than {MAX_COLUMNS} fields") });
            }
            match self.peek()? {
                Some(b',') => self.at += 1,
                Some(b'\r') => {
                    self.at += 1;
                    if self.peek()? == Some(b'\n') {
                        self.at += 1;
                    }
                    return Ok(true);
                }
                Some(b'\n') => {
                    self.at += 1;
                    return Ok(true);
                }
                None => return Ok(true),
                Some(_) => {
                    let field = record.fields.len();
                    let reason = format!("field {field} goes on behind its closing quote; a quote inside is doubled");
                    return Err(CsvError::Form { place, reason });
                }
            }
        }
    }

    /// Takes a row that has no quoted field and lies in the buffer with its end, as nearly all do. False when this one doesn't.
    fn plain_record(&mut self, record: &mut Record) -> bool {
        let rest = &self.buffer[self.at..self.len];
        let mut start = 0;
        while rest.get(start) != Some(&b'"') && record.fields.len() < MAX_COLUMNS {
            let Some(len) = rest[start..].iter().position(|byte| ENDS[usize::from(*byte)]) else { return false };
            let end = start + len;
            record.fields.push(Span { start, end, quoted: false });
            start = end + 1;
            let taken = match (rest[end], rest.get(end + 1)) {
                (b',', _) => continue,
                (b'\n', _) => start,
                (_, Some(b'\n')) => start + 1,
                (_, Some(_)) => start,
                // Whether a line feed follows isn't known yet.
                (_, None) => return false,
            };
            record.bytes.extend_from_slice(&rest[..end]);
            self.at += taken;
            return true;
        }
        false
    }

    /// Takes a field up to its delimiter, which stays.
    fn plain_field(&mut self, record: &mut Record, place: Place) -> Result<(), CsvError> {
        while self.peek()?.is_some() {
            let rest = &self.buffer[self.at..self.len];
            let end = rest.iter().position(|byte| ENDS[usize::from(*byte)]);
            take(record, &rest[..end.unwrap_or(rest.len())], place)?;
            self.at += end.unwrap_or(rest.len());
            if end.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Takes a field up to its closing quote, and that.
    fn quoted_field(&mut self, record: &mut Record, place: Place) -> Result<(), CsvError> {
        while self.peek()?.is_some() {
            let rest = &self.buffer[self.at..self.len];
            let Some(end) = rest.iter().position(|byte| *byte == b'"') else {
                take(record, rest, place)?;
                self.at = self.len;
                continue;
            };
            take(record, &rest[..end], place)?;
            self.at += end + 1;
            if self.peek()? != Some(b'"') {
                return Ok(());
            }
            self.at += 1;
            record.bytes.push(b'"');
        }
        let reason = format!("the quote that opens field {} is never closed", record.fields.len() + 1);
        Err(CsvError::Form { place, reason })
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.at == self.len {
            self.at = 0;
            self.len = read_some(&mut self.input, &mut self.buffer)?;
        }
        Ok((self.at < self.len).then(|| self.buffer[self.at]))
    }

    fn skip_byte_order_mark(&mut self) -> io::Result<()> {
        while self.len < 3 {
            let more = read_some(&mut self.input, &mut self.buffer[self.len..])?;
            if more == 0 {
                break;
            }
            self.len += more;
        }
        if self.buffer[..self.len].starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
        }
        Ok(())
    }
}

fn read_some(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn take(record: &mut Record, bytes: &[u8], place: Place) -> Result<(), CsvError> {
    if record.bytes.len() + bytes.len() > MAX_RECORD {
        let reason = "it is larger than 16 MiB; is a quote never closed?".to_owned();
        return Err(CsvError::Form { place, reason });
    }
    record.bytes.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time: every place is a buffer's end.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    type Table = (Vec<String>, Vec<Vec<Option<String>>>);

    fn all(input: impl Read) -> Result<Table, CsvError> {
        let mut reader = CsvReader::new(input)?;
        let mut record = Record::default();
        let mut rows = Vec::new();
        while reader.read(&mut record)? {
            let fields = (0..record.len()).map(|index| record.get(index));
            rows.push(fields.map(|f| (!f.is_null()).then(|| String::from_utf8(f.bytes.to_vec()).unwrap())).collect());
        }
        Ok((reader.columns().to_vec(), rows))
    }

    #[test]
    fn rows_are_read_whatever_the_buffer_and_the_line_end() {
        let text = "\u{feff}a,\"b,\"\"x\"\"\",ü\r\n1,\"\",\r\n\"two\nlines\",, \n\n,,\r\"\",\"\",\"é\"";
        let some = |text: &str| Some(text.to_owned());
        let rows = vec![
            vec![some("1"), some(""), None],
            vec![some("two\nlines"), None, some(" ")],
            vec![None, None, None],
            vec![some(""), some(""), some("é")],
        ];
        let columns = vec!["a".to_owned(), "b,\"x\"".to_owned(), "ü".to_owned()];
        assert_eq!(all(text.as_bytes()).unwrap(), (columns.clone(), rows.clone()));
        assert_eq!(all(Dribble(text.as_bytes())).unwrap(), (columns, rows));
    }

    #[test]
    fn a_blank_line_is_a_null_of_a_single_column() {
        let (_, rows) = all("a\n1\n\n\"\"\n".as_bytes()).unwrap();
        assert_eq!(rows, [[Some("1".to_owned())], [None], [Some(String::new())]]);
    }

    #[test]
    fn a_bad_row_is_named() {
        let error = |text: &str| all(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error("a,b\n1,2\n1,2,3\n"), "row 2: it has 3 fields, and the header has 2");
        assert!(error("a,b\n1,\"2").starts_with("row 1: the quote that opens field 2 is never closed"));
        assert!(error("a,b\n\"1\"x,2\n").starts_with("row 1: field 1 goes on"));
        assert!(error("").starts_with("the header line: it is missing"));
        assert!(error(&",".repeat(MAX_COLUMNS)).contains("more than"));
    }

    #[test]
    fn an_endless_field_ends() {
        let endless = "a\n\"".as_bytes().chain(io::repeat(b'x'));
        assert!(all(endless).unwrap_err().to_string().contains("16 MiB"));
    }
}
