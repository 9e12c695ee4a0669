//! The backend for PostgreSQL. So far: how it is reached.

#[cfg_attr(not(test), expect(dead_code, reason = "what asks for it comes with the rest of the backend"))]
mod failure;
mod options;
#[cfg_attr(not(test), expect(dead_code, reason = "what asks for it comes with the rest of the backend"))]
mod pool;
mod target;
mod tls;

#[cfg(test)]
mod tests;

pub use options::PostgresOptions;
