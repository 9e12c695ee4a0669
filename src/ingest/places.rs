//! In which country a request begins: looked up by its address in a database in memory, and nothing else is kept of the
//! address.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use maxminddb::{MaxMindDbError, Reader, path};

use crate::model::Country;

/// A database of addresses in MaxMind's format, or none: then no country is known.
#[derive(Clone, Default)]
pub struct Places(Option<Arc<Reader<Vec<u8>>>>);

impl Places {
    /// Reads a database that tells countries, such as GeoLite2-Country or DB-IP's Country Lite, into memory.
    pub fn read(file: &Path) -> Result<Self, MaxMindDbError> {
        Reader::open_readfile(file).map(|reader| Self(Some(Arc::new(reader))))
    }

    /// The country of an address, where the database has it.
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        // One that proxies write in the longer form is still a short one.
        let found = self.0.as_ref()?.lookup(address.to_canonical()).ok()?;
        Country::parse(found.decode_path::<&str>(&path!["country", "iso_code"]).ok()??)
    }
}
