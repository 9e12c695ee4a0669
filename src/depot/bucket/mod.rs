//! A depot that is a bucket of S3-compatible storage: every request names the bucket in its path, is signed with the hash
//! of its body, and is tried again where the line or the storage fails.

mod answer;
mod exchange;
mod signature;

use std::fmt;
use std::io::{Read, Write};
use std::time::Duration;

use hyper::body::Bytes;
use sha2::{Digest, Sha256};

use self::exchange::{Answer, Call, Fault, Service};
use self::signature::Signed;
use super::{DepotError, Result, Stored};
use crate::clock::Clock;
use crate::config::StorageAccess;

/// What is sent at a time, and so kept in memory; what is longer goes in parts.
const PART: u64 = 16 << 20;
/// Most parts of a file.
const PARTS: u64 = 10_000;
/// Pauses before a request is tried again.
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(4)];
/// Most names that are listed.
const NAMES: usize = 1_000_000;

/// The bucket, and what all names in it begin with.
#[derive(Clone)]
pub(super) struct Bucket {
    service: Service,
    access: StorageAccess,
    bucket: String,
    prefix: String,
}

/// A request without its proof.
#[derive(Default)]
struct Ask<'a> {
    method: &'static str,
    name: Option<&'a str>,
    query: &'a [(&'a str, &'a str)],
    body: Bytes,
}

impl Bucket {
    pub(super) fn open(bucket: &str, prefix: &str, access: Option<&StorageAccess>) -> Result<Self> {
        let place = format!("s3://{bucket}");
        let Some(access) = access else {
            let said = "there are no keys to it: set s3_access_key and s3_secret_key".to_owned();
            return Err(DepotError::Refused { place, said });
        };
        let service = Service::read(&access.endpoint).map_err(|said| DepotError::Refused { place, said })?;
        Ok(Self { service, access: access.clone(), bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    pub(super) fn under(&self, segment: &str) -> Self {
        Self { prefix: self.key(segment), ..self.clone() }
    }

    pub(super) fn shown(&self, name: &str) -> String {
        format!("s3://{}/{}", self.bucket, self.key(name))
    }

    pub(super) fn put(&self, name: &str, from: &mut impl Read, about: u64) -> Result<()> {
        let part = part_size(about);
        let first = read_part(from, part)?;
        if (first.len() as u64) < part {
            self.ask(&Ask { method: "PUT", name: Some(name), body: first, ..Ask::default() }, None)?;
            return Ok(());
        }
        let begun = Ask { method: "POST", name: Some(name), query: &[("uploads", "")], ..Ask::default() };
        let begun = self.ask(&begun, None)?;
        let upload = answer::upload_id(&begun.body).ok_or_else(|| self.strange(name))?;
        let done = self.put_parts((name, &upload), first, from, part);
        if done.is_err() {
            // What is left of it is no file; the storage forgets it by its own rule where this does not arrive.
            let over = Ask { method: "DELETE", name: Some(name), query: &[("uploadId", &upload)], ..Ask::default() };
            _ = self.ask(&over, None);
        }
        done
    }

    pub(super) fn fetch(&self, name: &str, to: &mut impl Write) -> Result<()> {
        let mut counted = Counted { sink: to, bytes: 0 };
        self.ask(&Ask { method: "GET", name: Some(name), ..Ask::default() }, Some(&mut counted)).map(drop)
    }

    pub(super) fn list(&self, beginning: &str) -> Result<Vec<Stored>> {
        let (prefix, mut found) = (self.key(beginning), Vec::new());
        let cut = self.key("").len();
        let mut next: Option<String> = None;
        loop {
            let mut query = vec![("list-type", "2"), ("prefix", &*prefix), ("max-keys", "1000")];
            query.extend(next.as_deref().map(|token| ("continuation-token", token)));
            let answer = self.ask(&Ask { method: "GET", query: &query, ..Ask::default() }, None)?;
            let page = answer::page(&answer.body).ok_or_else(|| self.strange(beginning))?;
            let within = page.stored.into_iter().filter(|stored| stored.name.starts_with(&prefix));
            found.extend(within.map(|stored| Stored { name: stored.name[cut..].to_owned(), ..stored }));
            if found.len() > NAMES {
                return Err(DepotError::Unfit(format!("there are more than {NAMES} files in {self}")));
            }
            next = page.next;
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    pub(super) fn delete(&self, name: &str) -> Result<()> {
        match self.ask(&Ask { method: "DELETE", name: Some(name), ..Ask::default() }, None) {
            Err(DepotError::Missing(_)) => Ok(()),
            done => done.map(drop),
        }
    }

    fn put_parts(&self, (name, upload): (&str, &str), first: Bytes, from: &mut impl Read, part: u64) -> Result<()> {
        let (mut etags, mut body) = (Vec::new(), first);
        while !body.is_empty() || etags.is_empty() {
            let number = (etags.len() + 1).to_string();
            if etags.len() as u64 == PARTS {
                return Err(DepotError::Unfit(format!("{name} is longer than was said: it does not fit into {self}")));
            }
            let query = [("partNumber", &*number), ("uploadId", upload)];
            let answer = self.ask(&Ask { method: "PUT", name: Some(name), query: &query, body }, None)?;
            etags.push(answer.etag.ok_or_else(|| self.strange(name))?);
            body = read_part(from, part)?;
        }
        let query = [("uploadId", upload)];
        let body = answer::parts(&etags).into();
        let answer = self.ask(&Ask { method: "POST", name: Some(name), query: &query, body }, None)?;
        // The storage may have begun to answer before it has failed.
        match answer::refusal(&answer.body) {
            Some(refusal) => Err(self.refused(Some(name), answer.status, Some(refusal))),
            None => Ok(()),
        }
    }

    /// A name with the prefix before it; an empty one is the prefix with its slash.
    fn key(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) }
    }

    /// Asks, and again where that may help. What is half written is not asked for again.
    fn ask(&self, ask: &Ask<'_>, mut sink: Option<&mut Counted<'_>>) -> Result<Answer> {
        let sha256 = hex::encode(Sha256::digest(&ask.body));
        let mut pauses = PAUSES.iter();
        loop {
            let call = self.call(ask, &sha256);
            let asked = self.service.ask(&call, sink.as_deref_mut().map(|sink| sink as &mut dyn Write));
            let fault = match asked {
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(answer),
                Ok(answer) if answer.status < 500 && answer.status != 429 => {
                    return Err(self.refused(ask.name, answer.status, answer::refusal(&answer.body)));
                }
                Ok(answer) => {
                    let said = answer::refusal(&answer.body).map(|refusal| refusal.message).unwrap_or_default();
                    format!("it answers with {} {said}", answer.status)
                }
                Err(Fault::Sink(error)) => return Err(DepotError::Stream(error)),
                Err(Fault::Away(said)) => said,
            };
            match pauses.next() {
                Some(pause) if sink.as_ref().is_none_or(|sink| sink.bytes == 0) => std::thread::sleep(*pause),
                _ => return Err(DepotError::Away { place: self.to_string(), said: fault }),
            }
        }
    }

    fn call(&self, ask: &Ask<'_>, sha256: &str) -> Call {
        let name = ask.name.map(|name| format!("/{}", self.key(name))).unwrap_or_default();
        let path = signature::path(&format!("{}/{}{name}", self.service.base, self.bucket));
        let query = signature::query(ask.query);
        let host = &self.service.authority;
        let signed = Signed { method: ask.method, path: &path, query: &query, host, body: sha256 };
        let proof = signature::sign(&signed, &self.access, Clock::system().now());
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        Call {
            method: ask.method,
            target,
            date: proof.date,
            authorization: proof.authorization,
            sha256: sha256.to_owned(),
            body: ask.body.clone(),
        }
    }

    /// Why a request is of no use, with what to do.
    fn refused(&self, name: Option<&str>, status: u16, refusal: Option<answer::Refusal>) -> DepotError {
        let shown = || name.map_or_else(|| self.to_string(), |name| self.shown(name));
        let (code, message, region) = refusal
            .map_or((String::new(), String::new(), None), |refusal| (refusal.code, refusal.message, refusal.region));
        let said = match (&*code, status) {
            ("NoSuchKey", _) => return DepotError::Missing(shown()),
            ("", 404) if name.is_some() => return DepotError::Missing(shown()),
            ("NoSuchBucket", _) => "there is no such bucket: make it first, or correct its name".to_owned(),
            ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "NotSignedUp", _) => {
                "the keys are wrong: check s3_access_key and s3_secret_key".to_owned()
            }
            ("RequestTimeTooSkewed", _) => "the clock of this machine is wrong: set it, or let it be set".to_owned(),
            ("AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException", _)
            | (_, 301 | 307) => {
                let there = region.map(|region| format!("it is {region}")).unwrap_or(message);
                format!("the bucket is in another region than s3_region says: {there}")
            }
            ("AccessDenied", _) | (_, 401 | 403) => {
                let can = "reading, writing, listing and deleting there";
                format!("the key {} is not allowed this; it needs {can}. {message}", self.access.access_key)
            }
            _ => format!("{status} {code} {message}"),
        };
        DepotError::Refused { place: shown(), said: said.trim().to_owned() }
    }

    fn strange(&self, name: &str) -> DepotError {
        let said = "it does not answer as S3-compatible storage does; check s3_endpoint".to_owned();
        DepotError::Refused { place: self.shown(name), said }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({self})")
    }
}

/// Knows whether anything was written yet.
struct Counted<'a> {
    sink: &'a mut dyn Write,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        let written = self.sink.write(part)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.sink.flush()
    }
}

/// How long parts are so that a file of about this length fits with room to spare: all of one length, as some ask for.
fn part_size(about: u64) -> u64 {
    PART.max(about.div_ceil(PARTS * 9 / 10).next_multiple_of(1 << 20))
}

/// As much as a part holds, less only at the end.
fn read_part(from: &mut impl Read, part: u64) -> Result<Bytes> {
    let mut body = Vec::new();
    from.take(part).read_to_end(&mut body).map_err(DepotError::Stream)?;
    Ok(body.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_with_what_is_to_be_sent() {
        for (about, part) in [(0, 16 << 20), (100 << 30, 16 << 20), (1 << 40, 117 << 20)] {
            assert_eq!(part_size(about), part, "{about}");
            assert!(about.div_ceil(part_size(about)) <= PARTS);
        }
    }
}
