//! JSON whose writers are not trusted with its types: read in one pass, borrowed from the body. What adapters share of it;
//! what a protocol makes of a value that is not as it should be is its own.

mod leaf;
mod list;
mod object;

pub use leaf::Leaf;
pub use list::{List, NoList, bounded};
pub use object::{As, Filled, Found, Loose, Members, Name, Object, Reader, pass};
