//! HTTP below the handlers: listener, layers, bounded bodies, the client's address, and the list of routes.

pub mod body;
pub mod limit;
pub mod origin;
mod route;
pub mod server;

pub use route::{Access, Route, Routes};
