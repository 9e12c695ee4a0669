//! The vocabulary: what the product speaks of, without any technology.

mod app;
mod cursor;
mod dimension;
mod event;
mod identify;
mod ids;
mod known_version;
mod limits;
mod metric;
mod origin;
mod policy;
mod query;
mod receipt;
mod report;
mod roster;
mod time;
mod version;
mod version_check;

pub use app::*;
pub use cursor::*;
pub use dimension::*;
pub use event::*;
pub use identify::*;
pub use ids::*;
pub use known_version::*;
pub use limits::*;
pub use metric::*;
pub use origin::*;
pub use policy::*;
pub use query::*;
pub use receipt::*;
pub use report::*;
pub use roster::*;
pub use time::*;
pub use version::*;
pub use version_check::*;
