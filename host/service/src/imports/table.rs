//! A file as rows of named cells: encodings, quotes and line numbers. Knows no column by name.
//!
//! The header tells the encoding, because headers are Russian: with a byte order mark, or when it reads as UTF-8, the
//! file is UTF-8, otherwise windows-1251. Invariant: a row that cannot be read costs that row only. A quote that is
//! opened and never closed would swallow the rows behind it, so such a row is refused and reading goes on at the next
//! line.

use std::borrow::Cow;

use crate::error::{Fields, Result, ServiceError};

/// One problem of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The line on which the row begins, from 1.
    pub(super) row: i64,
    /// Header of the column; empty when the row as a whole is wrong.
    pub(super) column: String,
    /// Stable code.
    pub(super) code: &'static str,
    /// What is wrong and what to do.
    pub(super) message: String,
}

/// A file that is being read.
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    utf8: bool,
    /// For each column of the file, the known column that it is.
    columns: Vec<Option<&'static str>>,
    reader: csv::Reader<&'a [u8]>,
    /// Where in `bytes` the reader began.
    base: usize,
    /// How far lines are counted, and how many line ends there were.
    counted: usize,
    line: i64,
}

/// A row of decoded cells.
pub(super) struct Row<'t> {
    /// The line on which it begins, from 1.
    pub(super) line: i64,
    cells: Vec<(&'static str, std::result::Result<Cow<'t, str>, Problem>)>,
}

impl Row<'_> {
    /// The text of a cell; none when the file has no such column or the cell does not decode.
    pub(super) fn get(&self, column: &str) -> Option<&str> {
        let (_, cell) = self.cells.iter().find(|(name, _)| *name == column)?;
        cell.as_ref().ok().map(AsRef::as_ref)
    }

    /// A problem for each cell that does not decode.
    pub(super) fn undecodable(&self) -> Vec<Problem> {
        self.cells.iter().filter_map(|(_, cell)| cell.as_ref().err().cloned()).collect()
    }
}

fn reader(bytes: &[u8]) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().delimiter(b';').has_headers(false).flexible(true).from_reader(bytes)
}

/// How many lines end in these bytes: by LF, CR LF or CR.
fn line_ends(bytes: &[u8]) -> i64 {
    let ends = bytes
        .iter()
        .enumerate()
        .filter(|(place, byte)| **byte == b'\n' || (**byte == b'\r' && bytes.get(place + 1) != Some(&b'\n')))
        .count();
    i64::try_from(ends).unwrap_or(i64::MAX)
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

impl<'a> Table<'a> {
    /// Reads the header: every wanted column must be there once, except those in `optional`. Answers with a problem for
    /// each column that is not known.
    pub(super) fn open(
        bytes: &'a [u8],
        wanted: &'static [&'static str],
        optional: &[&str],
    ) -> Result<(Self, Vec<Problem>)> {
        let marked = bytes.strip_prefix(b"\xEF\xBB\xBF");
        let bytes = marked.unwrap_or(bytes);
        let mut reader = reader(bytes);
        let mut header = csv::ByteRecord::new();
        let has_header = reader.read_byte_record(&mut header).unwrap_or(false);
        if !has_header {
            return Err(ServiceError::invalid("/file", "is empty; the first line names the columns"));
        }
        let utf8 = marked.is_some() || header.iter().all(|cell| std::str::from_utf8(cell).is_ok());
        let names: Vec<String> = header
            .iter()
            .map(|cell| decode(cell, utf8).map_or_else(|_| "?".to_owned(), |text| text.trim().to_owned()))
            .collect();
        let mut fields = Fields::default();
        for column in wanted {
            match names.iter().filter(|name| name == column).count() {
                0 if optional.contains(column) => {}
                0 => fields.refuse(
                    "/file",
                    format!("column \"{column}\" is missing; write it in the first line, with `;` between columns"),
                ),
                1 => {}
                _ => fields.refuse("/file", format!("column \"{column}\" stands twice; keep one")),
            }
        }
        let columns: Vec<Option<&'static str>> =
            names.iter().map(|name| wanted.iter().copied().find(|column| name == column)).collect();
        let unknown: Vec<Problem> = names
            .iter()
            .zip(&columns)
            .filter(|(name, column)| column.is_none() && !name.is_empty())
            .map(|(name, _)| Problem {
                row: 1,
                column: name.chars().take(100).collect(),
                code: "unknown-column",
                message: format!("is not a column of this file and is left out; known are: {}", wanted.join(", ")),
            })
            .collect();
        // Without the wanted columns the unknown ones are what the caller needs to see.
        fields.finish().map_err(|error| match error {
            ServiceError::Invalid(mut errors) => {
                let message = |problem: &Problem| format!("column \"{}\" {}", problem.column, problem.message);
                errors.extend(
                    unknown
                        .iter()
                        .take(20)
                        .map(|problem| crate::error::FieldError { pointer: "/file".into(), message: message(problem) }),
                );
                ServiceError::Invalid(errors)
            }
            other => other,
        })?;
        Ok((Self { bytes, utf8, columns, reader, base: 0, counted: 0, line: 1 }, unknown))
    }

    /// The next row that is not empty, or why it cannot be read; none at the end of the file.
    pub(super) fn next_row(&mut self) -> Option<std::result::Result<Row<'static>, Problem>> {
        let mut record = csv::ByteRecord::new();
        loop {
            // Bytes in memory neither fail to be read nor to be UTF-8, and rows may differ in length.
            if !self.reader.read_byte_record(&mut record).unwrap_or(false) {
                return None;
            }
            let from = record.position().map_or(0, |position| usize::try_from(position.byte()).unwrap_or(0));
            let from = self.base + from;
            // The reader counts the line end of the row before to this one.
            let start = from + self.bytes[from..].iter().take_while(|byte| is_line_end(**byte)).count();
            self.line += line_ends(&self.bytes[self.counted..start]);
            self.counted = start;
            if let Some(place) = self.swallowed(&record) {
                let problem = Problem {
                    row: self.line,
                    column: self.columns.get(place).copied().flatten().unwrap_or_default().to_owned(),
                    code: "bad-quotes",
                    message: "a quote is opened and not closed on this line; close it, or write two quotes for one"
                        .into(),
                };
                let rest = &self.bytes[start..];
                let line_end = rest.iter().position(|byte| is_line_end(*byte)).unwrap_or(rest.len());
                self.base = start + line_end;
                self.reader = reader(&self.bytes[self.base..]);
                return Some(Err(problem));
            }
            if record.iter().all(|cell| cell.trim_ascii().is_empty()) {
                continue;
            }
            return Some(self.row(&record));
        }
    }

    /// The cell that runs over the end of its line where it should not: the row has not as many cells as the header, or
    /// the cell holds the separator too.
    fn swallowed(&self, record: &csv::ByteRecord) -> Option<usize> {
        let runs_over = |cell: &[u8]| cell.iter().any(|byte| is_line_end(*byte));
        let place = record.iter().position(runs_over)?;
        let fits = record.len() == self.columns.len();
        let separated = record.iter().any(|cell| runs_over(cell) && cell.contains(&b';'));
        if fits && !separated { None } else { Some(place) }
    }

    fn row(&self, record: &csv::ByteRecord) -> std::result::Result<Row<'static>, Problem> {
        if record.len() != self.columns.len() {
            return Err(Problem {
                row: self.line,
                column: String::new(),
                code: "wrong-cell-count",
                message: format!(
                    "the row has {} cells, the header {}; quote a cell that holds `;`",
                    record.len(),
                    self.columns.len()
                ),
            });
        }
        let cells = self
            .columns
            .iter()
            .zip(record)
            .filter_map(|(column, cell)| column.map(|column| (column, cell)))
            .map(|(column, cell)| {
                let text = decode(cell, self.utf8).map(|text| {
                    let text = if text.contains(['\r', '\n']) {
                        text.split(['\r', '\n']).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
                    } else {
                        text.into_owned()
                    };
                    Cow::Owned(text)
                });
                let problem =
                    |message| Problem { row: self.line, column: column.to_owned(), code: "bad-encoding", message };
                (column, text.map_err(problem))
            })
            .collect();
        Ok(Row { line: self.line, cells })
    }
}

/// The text of a cell, or what does not decode.
fn decode(cell: &[u8], utf8: bool) -> std::result::Result<Cow<'_, str>, String> {
    if utf8 {
        return std::str::from_utf8(cell).map(Cow::Borrowed).map_err(|error| {
            let place = error.valid_up_to();
            format!("byte 0x{:02X} is not UTF-8, as the header is; save the file in one encoding", cell[place])
        });
    }
    // The web's table gives this byte a control character; windows-1251 itself leaves it undefined.
    if cell.contains(&0x98) {
        return Err("byte 0x98 has no meaning in windows-1251; correct the text at its source".into());
    }
    Ok(encoding_rs::WINDOWS_1251.decode_without_bom_handling(cell).0)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
