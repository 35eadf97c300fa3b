//! The `tojson` of chat templates: JSON as Python writes it, with a blank after each comma and colon.

use std::io;

use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind};
use serde::Serialize as _;
use serde_json::ser::Formatter;

/// More blanks than any template asks for, and few enough to be written.
const MAX_INDENT: usize = 64;

/// The filter, with the options that Python's `json.dumps` has of it.
pub(super) fn tojson(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent = options.get::<Option<usize>>("indent")?;
    let separators = options.get::<Option<Vec<String>>>("separators")?;
    let sorted = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    if options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false) {
        let reason = "tojson writes characters as they are; leave ensure_ascii out";
        return Err(Error::new(ErrorKind::InvalidOperation, reason));
    }
    options.assert_all_used()?;
    if indent.is_some_and(|indent| indent > MAX_INDENT) {
        let reason = format!("tojson indents by at most {MAX_INDENT}");
        return Err(Error::new(ErrorKind::InvalidOperation, reason));
    }
    let (comma, colon) = match separators.as_deref() {
        None => (if indent.is_some() { "," } else { ", " }, ": "),
        Some([comma, colon]) => (comma.as_str(), colon.as_str()),
        Some(_) => {
            let reason = "the separators of tojson are two";
            return Err(Error::new(ErrorKind::InvalidOperation, reason));
        }
    };
    let bad = |error: serde_json::Error| {
        Error::new(ErrorKind::BadSerialization, "tojson cannot write this").with_source(error)
    };
    let mut json = serde_json::to_value(&value).map_err(bad)?;
    if sorted {
        json.sort_all_objects();
    }
    let mut written = Vec::new();
    let format = Python { comma, colon, indent, depth: 0, is_empty: true };
    json.serialize(&mut serde_json::Serializer::with_formatter(&mut written, format))
        .map_err(bad)?;
    String::from_utf8(written)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, "no UTF-8").with_source(error))
}

struct Python<'a> {
    comma: &'a str,
    colon: &'a str,
    /// Blanks by which what is within stands further right, on a line of its own.
    indent: Option<usize>,
    depth: usize,
    /// Whether nothing has been written into the innermost list or object.
    is_empty: bool,
}

impl Python<'_> {
    fn line<W: ?Sized + io::Write>(&self, writer: &mut W) -> io::Result<()> {
        match self.indent {
            Some(indent) => {
                writer.write_all(b"\n")?;
                writer.write_all(" ".repeat(indent * self.depth).as_bytes())
            }
            None => Ok(()),
        }
    }

    fn begin<W: ?Sized + io::Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.is_empty = true;
        writer.write_all(bracket)
    }

    fn item<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(self.comma.as_bytes())?;
        }
        self.is_empty = false;
        self.line(writer)
    }

    fn end<W: ?Sized + io::Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if !self.is_empty {
            self.line(writer)?;
        }
        self.is_empty = false;
        writer.write_all(bracket)
    }
}

impl Formatter for Python<'_> {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.item(writer, first)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.item(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(self.colon.as_bytes())
    }
}
