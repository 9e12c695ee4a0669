//! x
use std::sync::Arc;
use tokio::sync::mpsc;
use super::{Counters, Submission};
use crate::{clock::Clock, model::Limits, store::Store};
/// The writer thread.
pub struct Writer;
impl Writer {
    pub(super) fn spawn(_: Arc<dyn Store>, _: Arc<Limits>, _: Clock, _: Arc<Counters>, _: mpsc::Receiver<Submission>) -> std::io::Result<Self> { todo!() }
}
