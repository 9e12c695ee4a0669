//! HTTP below the handlers: listener, layers, bounded bodies, the client's address, and the list of routes.

mod address;
pub mod body;
mod decode;
mod edge;
mod guard;
mod head;
pub mod limit;
pub mod origin;
mod refuse;
mod route;
pub mod server;

pub use address::{IpNet, IpNetError};
pub use edge::layers;
pub use refuse::refuse;
pub use route::{Access, Route, Routes};
pub use server::{ServerOptions, serve};
