//! HTTP below the handlers: listener, layers, bounded bodies, the client's address, and the list of routes.

mod address;
mod alarm;
pub mod body;
mod connection;
mod decode;
mod edge;
mod guard;
mod head;
pub mod limit;
pub mod metrics;
pub mod origin;
mod refuse;
mod route;
pub mod server;
pub mod told;
#[cfg(test)]
mod trial;

pub use crate::model::{IpNet, IpNetError};
pub use edge::{AnswerPanic, layers};
pub use refuse::{refuse, stray};
pub use route::{Access, Part, Route, Routes};
pub use server::{ServerOptions, Socket, serve};
