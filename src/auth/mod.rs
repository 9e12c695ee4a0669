//! Proving who one is: ingest keys and signatures for SDKs, tokens for programs that read, passwords and logins for people.

pub mod api_token;
pub mod ingest_key;
pub mod login;
pub mod oidc;
pub mod password;
pub mod recovery;
pub mod seal;
mod secret_file;
pub mod session_token;
pub mod signature;
pub mod token;
pub mod totp;
