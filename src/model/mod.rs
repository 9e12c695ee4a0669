//! The vocabulary: what the product speaks of, without any technology.

mod app;
mod cursor;
mod event;
mod identify;
mod ids;
mod limits;
mod origin;
mod policy;
mod query;
mod receipt;
mod report;
mod roster;
mod time;
mod version;

pub use app::*;
pub use cursor::*;
pub use event::*;
pub use identify::*;
pub use ids::*;
pub use limits::*;
pub use origin::*;
pub use policy::*;
pub use query::*;
pub use receipt::*;
pub use report::*;
pub use roster::*;
pub use time::*;
pub use version::*;
