//! Lines of a file or of standard input, plain or zstd, within a bound of memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Longest line that is taken, bytes.
pub(super) const MAX_LINE_BYTES: usize = 16 << 20;

/// Bytes of one read.
const BUFFER_BYTES: usize = 1 << 18;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// One line without its end.
pub(super) enum Line<'a> {
    /// A line.
    Whole(&'a [u8]),
    /// The first bytes of a line that is longer than [`MAX_LINE_BYTES`]; the rest was skipped.
    TooLong(&'a [u8]),
}

/// Reads lines.
pub(super) struct Lines {
    input: BufReader<Box<dyn Read>>,
    line: Vec<u8>,
    is_first: bool,
}

impl Lines {
    /// Lines of a file.
    pub(super) fn open(path: &Path) -> io::Result<Lines> {
        Lines::new(open(path)?)
    }

    /// Lines of standard input.
    pub(super) fn standard_input() -> io::Result<Lines> {
        Lines::new(Box::new(io::stdin()))
    }

    fn new(input: Box<dyn Read>) -> io::Result<Lines> {
        let input = BufReader::with_capacity(BUFFER_BYTES, decompressed(input)?);
        Ok(Lines { input, line: Vec::new(), is_first: true })
    }

    /// Whether the next line has to be waited for: all that was read so far has been handed out.
    pub(super) fn would_wait(&self) -> bool {
        self.input.buffer().is_empty()
    }

    /// The next line.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let most = MAX_LINE_BYTES as u64 + 1;
        if self.input.by_ref().take(most).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        if std::mem::take(&mut self.is_first) && self.line.starts_with(b"\xef\xbb\xbf") {
            self.line.drain(..3);
        }
        if self.line.len() > MAX_LINE_BYTES && !self.line.ends_with(b"\n") {
            self.skip_line()?;
            return Ok(Some(Line::TooLong(&self.line)));
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        Ok(Some(Line::Whole(line.strip_suffix(b"\r").unwrap_or(line))))
    }

    /// Skips the rest of a line.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            let (used, is_end) = match buffer.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.input.consume(used);
            if is_end {
                return Ok(());
            }
        }
    }
}

/// A whole file, plain or zstd, of at most [`MAX_LINE_BYTES`].
pub(super) fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    decompressed(open(path)?)?.take(MAX_LINE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_LINE_BYTES {
        return Err(io::Error::other(format!("larger than {} MiB", MAX_LINE_BYTES >> 20)));
    }
    Ok(bytes)
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("it is a folder; name a file with one frame a line"));
    }
    Ok(Box::new(file))
}

/// The content, by the first bytes, whatever the name says.
fn decompressed(mut input: Box<dyn Read>) -> io::Result<Box<dyn Read>> {
    let mut magic = Vec::with_capacity(4);
    input.by_ref().take(4).read_to_end(&mut magic)?;
    let is_zstd = magic == ZSTD_MAGIC;
    let is_gzip = magic.starts_with(&GZIP_MAGIC);
    let whole = io::Cursor::new(magic).chain(input);
    if is_gzip {
        return Err(io::Error::other("it is gzip; decompress it first: zcat FILE | marketprism decode … -"));
    }
    if is_zstd { Ok(Box::new(zstd::Decoder::new(whole)?)) } else { Ok(Box::new(whole)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &'static [u8]) -> Vec<String> {
        let mut lines = Lines::new(Box::new(input)).unwrap();
        let mut all = vec![];
        while let Some(line) = lines.next().unwrap() {
            all.push(match line {
                Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                Line::TooLong(start) => format!("{} bytes and more", start.len()),
            });
        }
        all
    }

    #[test]
    fn ends_of_lines_are_of_all_kinds() {
        assert_eq!(all(b"\xef\xbb\xbfa\r\nb\n\nc"), ["a", "b", "", "c"]);
        assert!(all(b"").is_empty());
        assert_eq!(all(b"\n"), [""]);
    }

    #[test]
    fn what_follows_a_long_line_is_read() {
        let mut input = vec![b'x'; MAX_LINE_BYTES + 5];
        input.extend_from_slice(b"\nnext\n");
        let input: &'static [u8] = input.leak();
        assert_eq!(all(input), [format!("{} bytes and more", MAX_LINE_BYTES + 1), "next".into()]);
        let input = input.get(5..).unwrap();
        assert_eq!(all(input).iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE_BYTES, 4]);
    }

    #[test]
    fn gzip_is_named() {
        let error = Lines::new(Box::new(&b"\x1f\x8b\x08\x00\x00"[..])).err().unwrap();
        assert!(error.to_string().contains("zcat"), "{error}");
    }
}
