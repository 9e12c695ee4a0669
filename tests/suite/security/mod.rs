//! Attacks: what browsers are told, forged forms, stolen and planted logins, secrets that leave a trace, texts that would
//! be code.

mod canaries;
mod csrf;
mod headers;
pub mod payloads;
mod sessions;
mod tenants;
