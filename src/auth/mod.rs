//! Proving who one is: ingest keys and signatures for SDKs, passwords and logins for people.

pub mod ingest_key;
pub mod login;
pub mod password;
pub mod seal;
mod secret_file;
pub mod session_token;
pub mod signature;
pub mod token;
