//! Work that goes on beside requests and commits.

mod eraser;

pub use eraser::Eraser;
