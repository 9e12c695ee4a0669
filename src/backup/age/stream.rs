//! The rest of an encrypted file: chunks of 64 KiB, each sealed with its number and whether it is the last.

use std::io::{self, Read, Write};

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use zeroize::Zeroizing;

use super::header::{self, FileKey};
use super::{AgeError, Key, derive};

/// Bytes of a chunk, in plain.
const CHUNK: usize = 1 << 16;
/// What is behind each chunk.
const TAG: usize = 16;
/// The salt before the first.
const SALT: usize = 16;

/// Seals what it reads, as it is read.
pub struct Sealer<R> {
    from: R,
    chunks: Chunks,
    plain: Vec<u8>,
    ready: io::Cursor<Vec<u8>>,
    over: bool,
}

impl<R: Read> Sealer<R> {
    /// A new file for the owner of a key.
    pub fn new(to: &Key, from: R) -> Self {
        let mut file_key = FileKey::new([0; 16]);
        let mut salt = [0; SALT];
        let random = "the system has randomness";
        getrandom::fill(&mut *file_key).expect(random);
        getrandom::fill(&mut salt).expect(random);
        let mut head = header::write(to, &file_key);
        head.extend_from_slice(&salt);
        let chunks = Chunks::new(&file_key, &salt);
        Self { from, chunks, plain: Vec::with_capacity(CHUNK + 1), ready: io::Cursor::new(head), over: false }
    }

    /// Seals the next chunk. Whether one is the last shows only when nothing comes behind it.
    fn seal(&mut self) -> io::Result<()> {
        let want = CHUNK + 1 - self.plain.len();
        self.from.by_ref().take(want as u64).read_to_end(&mut self.plain)?;
        let mut chunk = std::mem::take(self.ready.get_mut());
        chunk.clear();
        let rest = self.plain.split_off(self.plain.len().min(CHUNK));
        self.over = rest.is_empty();
        chunk.extend_from_slice(&self.plain);
        let nonce = self.chunks.nonce(self.over);
        let sealed = self.chunks.cipher.seal_in_place_append_tag(nonce, Aad::empty(), &mut chunk);
        sealed.expect("64 KiB can be sealed");
        self.plain.clear();
        self.plain.extend_from_slice(&rest);
        self.ready = io::Cursor::new(chunk);
        Ok(())
    }
}

impl<R: Read> Read for Sealer<R> {
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.ready.read(part)?;
            if read > 0 || part.is_empty() || self.over {
                return Ok(read);
            }
            self.seal()?;
        }
    }
}

/// How long a file of so many bytes becomes.
pub fn sealed_bytes(plain: u64) -> u64 {
    // Version, recipient with its key, and proof: always as long.
    const HEADER: u64 = 22 + 54 + 44 + 48;
    HEADER + SALT as u64 + plain + plain.div_ceil(CHUNK as u64).max(1) * TAG as u64
}

/// Opens what is written to it, and writes that on. What it has written counts only once [`Opener::finish`] is done.
pub struct Opener<'a, W> {
    key: &'a Key,
    to: W,
    chunks: Option<Chunks>,
    waiting: Zeroizing<Vec<u8>>,
}

impl<'a, W: Write> Opener<'a, W> {
    /// Opens with a key.
    pub fn new(key: &'a Key, to: W) -> Self {
        Self { key, to, chunks: None, waiting: Zeroizing::new(Vec::new()) }
    }

    /// Opens the last chunk; where what was written on has gone.
    ///
    /// # Errors
    /// [`AgeError`] inside, and those of writing.
    pub fn finish(mut self) -> io::Result<W> {
        let mut chunks = self.chunks.take().ok_or(AgeError::Cut)?;
        let is_first = chunks.number == 0;
        let plain = chunks.open(&mut self.waiting, true).map_err(|_| AgeError::Cut)?;
        if plain.is_empty() && !is_first {
            return Err(AgeError::Damaged.into());
        }
        self.to.write_all(plain)?;
        self.to.flush()?;
        Ok(self.to)
    }

    /// Takes the header off, once all of it is there.
    fn begin(&mut self) -> io::Result<()> {
        let Some(length) = header::length(&self.waiting) else {
            return if self.waiting.len() > header::LONGEST { Err(AgeError::Damaged.into()) } else { Ok(()) };
        };
        if self.waiting.len() < length + SALT {
            return Ok(());
        }
        let file_key = header::read(&self.waiting[..length], self.key)?;
        self.chunks = Some(Chunks::new(&file_key, &self.waiting[length..length + SALT]));
        self.waiting.drain(..length + SALT);
        Ok(())
    }
}

impl<W: Write> Write for Opener<'_, W> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        // One chunk and a little at a time, whatever comes.
        let taken = &part[..part.len().min(CHUNK)];
        self.waiting.extend_from_slice(taken);
        if self.chunks.is_none() {
            self.begin()?;
        }
        // The last chunk is one that nothing comes behind.
        while let Some(chunks) = &mut self.chunks
            && self.waiting.len() > CHUNK + TAG
        {
            let rest = self.waiting.split_off(CHUNK + TAG);
            self.to.write_all(chunks.open(&mut self.waiting, false)?)?;
            *self.waiting = rest;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The chunks of one file, in their order.
struct Chunks {
    cipher: LessSafeKey,
    number: u64,
}

impl Chunks {
    fn new(file_key: &FileKey, salt: &[u8]) -> Self {
        Self { cipher: header::cipher(&derive(salt, &**file_key, "payload")), number: 0 }
    }

    fn open<'a>(&mut self, chunk: &'a mut [u8], last: bool) -> Result<&'a mut [u8], AgeError> {
        let nonce = self.nonce(last);
        self.cipher.open_in_place(nonce, Aad::empty(), chunk).map_err(|_| AgeError::Damaged)
    }

    /// Eleven bytes of number, and whether it is the last.
    fn nonce(&mut self, last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = u8::from(last);
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}
