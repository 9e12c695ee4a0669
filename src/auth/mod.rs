//! Proving who one is: ingest keys and signatures for SDKs, passwords and logins for people.

pub mod ingest_key;
pub mod login;
pub mod password;
pub mod seal;
pub mod signature;
pub mod token;
