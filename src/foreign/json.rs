//! JSON objects, one on each line or in one array, told apart without reading the whole text at once.

use std::io::BufRead;

use super::{ForeignError, ROW};

/// Objects of a text.
pub struct Objects<R> {
    text: R,
    line: u64,
}

impl<R: BufRead> Objects<R> {
    /// Nothing is read yet.
    pub fn new(text: R) -> Self {
        Self { text, line: 1 }
    }

    /// The next object as it stands, with the number of its first line; none behind the last.
    pub fn object(&mut self) -> Result<Option<(u64, String)>, ForeignError> {
        let mut scan = Scan::default();
        let mut object: Vec<u8> = Vec::new();
        let mut first = self.line;
        loop {
            let buffer = self.text.fill_buf()?;
            if buffer.is_empty() {
                if object.is_empty() {
                    return Ok(None);
                }
                return Err(ForeignError::At(first, "an object that is begun is never ended".to_owned()));
            }
            let (mut used, mut ended) = (0, false);
            for byte in buffer {
                used += 1;
                self.line += u64::from(*byte == b'\n');
                if object.is_empty() && *byte != b'{' {
                    // Between objects; an array is told apart into its elements.
                    if !byte.is_ascii_whitespace() && !b"[],\xef\xbb\xbf".contains(byte) {
                        return Err(ForeignError::At(self.line, "what is no JSON object stands here".to_owned()));
                    }
                    continue;
                }
                if object.is_empty() {
                    first = self.line;
                }
                object.push(*byte);
                if scan.ends(*byte) {
                    ended = true;
                    break;
                }
            }
            self.text.consume(used);
            if object.len() > ROW {
                return Err(ForeignError::At(first, format!("an object of more than {ROW} bytes")));
            }
            if ended {
                let text = String::from_utf8(object);
                return match text {
                    Ok(text) => Ok(Some((first, text))),
                    Err(_) => Err(ForeignError::At(first, "an object that is not UTF-8".to_owned())),
                };
            }
        }
    }
}

/// How far an object is.
#[derive(Default)]
struct Scan {
    depth: u32,
    inside: bool,
    escaped: bool,
}

impl Scan {
    /// Whether the object ends with this byte.
    fn ends(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.inside => self.escaped = true,
            b'"' => self.inside = !self.inside,
            b'{' if !self.inside => self.depth = self.depth.saturating_add(1),
            b'}' if !self.inside => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}
