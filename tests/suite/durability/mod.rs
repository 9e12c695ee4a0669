//! What got a 2xx is on disk and counts once: through crashes, power cuts, full disks and restarts.

mod crash;
pub mod disk;
mod engine;
mod flood;
mod full;
mod identify;
mod ledger;
mod load;
mod memory;
mod migrations;
mod online;
mod oracle;
mod postgres;
mod power;
mod restarts;
mod rotten;
mod slow;
mod stop;
mod together;
