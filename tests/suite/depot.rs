//! Where files are laid down: the same over a folder and over real S3-compatible storage, and what is told where it
//! cannot be.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;

use sha2::{Digest, Sha256};
use tallybox::config::{Place, StorageAccess};
use tallybox::depot::{Depot, DepotError, Laid, Stored};

use crate::harness::random::Random;
use crate::harness::storage::{BUCKET, Storage};

/// More than is sent at a time.
const LONG: usize = (33 << 20) + 7;

fn stored(name: &str, bytes: usize) -> Stored {
    Stored { name: name.to_owned(), bytes: bytes as u64 }
}

fn laid(bytes: &[u8]) -> Laid {
    Laid { bytes: bytes.len() as u64, sha256: hex::encode(Sha256::digest(bytes)) }
}

/// Gives so many bytes, and then fails.
struct Broken(usize);

impl Read for Broken {
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        let given = self.0.min(part.len());
        self.0 -= given;
        if given == 0 { Err(io::Error::other("the source is gone")) } else { Ok(given) }
    }
}

fn keeps_what_is_laid_down(depot: &Depot) {
    assert_eq!(depot.list("").unwrap(), []);
    let mut random = Random::seeded(7);
    let long: Vec<u8> = std::iter::repeat_with(|| random.next().to_le_bytes()).flatten().take(LONG).collect();
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fs::write(&from, &long).unwrap();
    assert_eq!(depot.put_file("one/long=1.bin", &from).unwrap(), laid(&long));
    assert_eq!(depot.put("one/empty", &mut io::empty(), 0).unwrap(), laid(b""));
    assert_eq!(depot.put("two/short", &mut &b"hello"[..], 5).unwrap(), laid(b"hello"));
    assert_eq!(depot.fetch_file("one/long=1.bin", &to).unwrap(), laid(&long));
    assert!(fs::read(&to).unwrap() == long, "another file came back");
    assert_eq!(depot.read("one/empty", 0).unwrap(), b"");
    assert_eq!(depot.read("two/short", 5).unwrap(), b"hello");
    assert!(matches!(depot.read("two/short", 4), Err(DepotError::Unfit(_))));

    // What dies half-way leaves nothing, and what was there stays.
    for (name, given) in [("two/short", 10), ("two/short", 20 << 20), ("two/other", 40 << 20)] {
        let failed = depot.put(name, &mut Broken(given), LONG as u64);
        assert!(matches!(failed, Err(DepotError::Stream(_))), "{failed:?}");
    }
    let all = [stored("one/empty", 0), stored("one/long=1.bin", LONG), stored("two/short", 5)];
    assert_eq!(depot.list("").unwrap(), all);
    assert_eq!(depot.list("one/").unwrap(), all[..2]);
    assert_eq!(depot.list("one/l").unwrap(), all[1..2]);
    let under = depot.under("two").unwrap();
    assert_eq!(under.list("").unwrap(), [stored("short", 5)]);
    assert_eq!(under.read("short", 5).unwrap(), b"hello");
    depot.put("two/short", &mut &b"bye"[..], 3).unwrap();
    assert_eq!(depot.read("two/short", 5).unwrap(), b"bye");
    for name in ["one/empty", "one/long=1.bin", "two/short", "two/short"] {
        depot.delete(name).unwrap();
    }
    assert_eq!(depot.list("").unwrap(), []);
    assert!(matches!(depot.read("two/short", 5), Err(DepotError::Missing(_))));
    assert!(matches!(depot.put("../out", &mut io::empty(), 0), Err(DepotError::Unfit(_))));
}

#[test]
fn a_folder_keeps_what_is_laid_down() {
    let dir = tempfile::tempdir().unwrap();
    keeps_what_is_laid_down(&Depot::folder(&dir.path().join("depot")));
}

#[test]
fn a_bucket_keeps_what_is_laid_down() {
    let storage = Storage::start();
    let access = storage.access();
    keeps_what_is_laid_down(&Depot::open(&Storage::place("boxes/a"), Some(&access)).unwrap());
    let whole = Depot::open(&Storage::place(""), Some(&access)).unwrap();
    whole.put("beside", &mut &b"x"[..], 1).unwrap();
    assert_eq!(fs::read(storage.files().join("beside")).unwrap(), b"x");
    let prefixed = Depot::open(&Storage::place("boxes"), Some(&access)).unwrap();
    assert_eq!(prefixed.list("").unwrap(), [], "it looks beside its prefix");
}

#[test]
fn a_bucket_of_many_files_is_listed_as_a_whole() {
    let storage = Storage::start();
    let folder = storage.files().join("many/deep");
    fs::create_dir_all(&folder).unwrap();
    (0..1_203).for_each(|number| fs::write(folder.join(format!("f{number:04}")), "").unwrap());
    let depot = Depot::open(&Storage::place("many"), Some(&storage.access())).unwrap();
    let listed = depot.list("deep/").unwrap();
    assert_eq!((listed.len(), &*listed[1_202].name), (1_203, "deep/f1202"));
}

#[test]
fn what_stands_in_the_way_is_told() {
    let storage = Storage::start();
    let access = storage.access();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let place = Storage::place("x");
    let other = Place::Bucket { bucket: "nowhere".to_owned(), prefix: String::new() };
    let wrong_secret = StorageAccess { secret_key: "guessed".into(), ..access.clone() };
    let wrong_key = StorageAccess { access_key: "SOMEBODY".to_owned(), ..access.clone() };
    let away = StorageAccess { endpoint: format!("http://{closed}"), ..access.clone() };
    for (place, access, said) in [
        (&place, None, "set s3_access_key and s3_secret_key"),
        (&place, Some(&wrong_secret), "check s3_access_key and s3_secret_key"),
        (&place, Some(&wrong_key), "s3_access_key"),
        (&other, Some(&access), "no such bucket"),
        (&place, Some(&away), "cannot be reached: no connection to"),
    ] {
        let list = || Depot::open(place, access)?.list("");
        let told = list().unwrap_err().to_string();
        assert!(told.contains(said) && told.starts_with("s3://"), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }
    assert_eq!(fs::read_dir(storage.files()).unwrap().count(), 0);
}

#[test]
fn a_storage_that_stumbles_is_asked_again_and_a_foreign_one_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let access = StorageAccess {
        endpoint: format!("http://{}", listener.local_addr().unwrap()),
        region: "auto".to_owned(),
        access_key: "key".to_owned(),
        secret_key: "secret".into(),
    };
    let list = format!("<ListBucketResult><Name>{BUCKET}</Name><IsTruncated>false</IsTruncated></ListBucketResult>");
    let answers = [("503 Slow Down", ""), ("200 OK", &*list), ("200 OK", "<html>"), ("301 Moved", "")];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                _ = stream.read(&mut [0; 4_096]).unwrap();
                let length = body.len();
                write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
                    .unwrap();
            }
        });
        let depot = Depot::open(&Storage::place(""), Some(&access)).unwrap();
        assert_eq!(depot.list("").unwrap(), []);
        for said in ["s3_endpoint", "s3_region"] {
            let told = depot.list("").unwrap_err().to_string();
            assert!(told.contains(said), "{told}");
        }
    });
}
