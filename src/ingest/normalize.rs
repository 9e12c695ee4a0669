//! x
pub(super) fn draft(_: super::Request<'_>, _: &crate::model::Limits, _: crate::model::Millis) -> (crate::store::Draft, usize) { todo!() }
