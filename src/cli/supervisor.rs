//! What a supervisor such as systemd hands over and is told: the socket, that the box serves, and that it lives.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, bail};
use listenfd::ListenFd;
use sd_notify::NotifyState;

use crate::ingest::Pulse;

/// Whoever has started this process, as far as it takes part in its life. Where nobody does, nothing is told.
#[derive(Debug)]
pub struct Supervisor {
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// Finds out what was handed over: also the listening socket, if there is one. It changes the environment, so no
    /// thread may have been started yet.
    pub fn meet() -> anyhow::Result<(Self, Option<TcpListener>)> {
        let mut handed = ListenFd::from_env();
        if handed.len() > 1 {
            bail!("{} sockets were handed over, and the box listens on one: leave one ListenStream=", handed.len());
        }
        let listener = handed.take_tcp_listener(0);
        let listener = listener.context("what was handed over is no TCP socket: ListenStream= wants ADDRESS:PORT")?;
        Ok((Self { watchdog: sd_notify::watchdog_enabled() }, listener))
    }

    /// From now on requests are answered.
    pub fn ready(&self, url: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(&format!("Serving at {url}"))]);
    }

    /// The end has begun.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("Stopping: requests in flight finish")]);
    }

    /// Feeds the watchdog, if there is one, as long as this is polled and the box lives. Never ends.
    pub async fn feed(&self, pulse: Pulse) {
        match self.watchdog {
            Some(limit) => feed(limit, || pulse.longest(), tell).await,
            None => std::future::pending().await,
        }
    }
}

/// A process lives while its threads take up tasks, and its writer is no longer than the limit at one thing. Whoever
/// polls this is shown to live by that.
async fn feed(limit: Duration, longest: impl Fn() -> Duration, tell: impl Fn(&[NotifyState<'_>])) {
    let mut fed = true;
    loop {
        tokio::time::sleep(limit / 3).await;
        // Comes back when a thread that answers requests has had time for it.
        let taken_up = tokio::spawn(std::future::ready(())).await;
        let longest = longest();
        if taken_up.is_ok() && longest < limit {
            if !fed {
                tell(&[NotifyState::Status("Serving, after a commit that took too long")]);
            }
            tell(&[NotifyState::Watchdog]);
            fed = true;
        } else if fed {
            tracing::error!(seconds = longest.as_secs(), "a commit does not end: the watchdog is fed no more");
            tell(&[NotifyState::Status("A commit does not end: the watchdog is fed no more")]);
            fed = false;
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the supervisor could not be told how the box is");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;

    use super::*;

    /// Short enough for a test, long enough for a machine that is busy with others.
    const LIMIT: Duration = Duration::from_millis(60);

    /// A feeder on a runtime of its own, whose only thread for tasks can be held up; counts meals.
    fn feeder(longest: impl Fn() -> Duration + Send + Sync + 'static) -> (tokio::runtime::Runtime, Arc<AtomicU64>) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let meals = Arc::new(AtomicU64::new(0));
        let counted = meals.clone();
        let count = move |states: &[NotifyState<'_>]| {
            let fed = states.iter().filter(|state| matches!(state, NotifyState::Watchdog)).count();
            counted.fetch_add(fed as u64, Ordering::SeqCst);
        };
        runtime.spawn(async move { feed(LIMIT, longest, count).await });
        (runtime, meals)
    }

    fn await_more(meals: &AtomicU64) {
        let before = meals.load(Ordering::SeqCst);
        for _ in 0..10_000 {
            if meals.load(Ordering::SeqCst) > before {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("no meal");
    }

    #[test]
    fn a_hung_runtime_is_not_fed() {
        let (runtime, meals) = feeder(|| Duration::ZERO);
        await_more(&meals);
        let (hung, is_hung) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        runtime.spawn(async move {
            hung.send(()).unwrap();
            _ = released.recv();
        });
        is_hung.recv().unwrap();
        let before = meals.load(Ordering::SeqCst);
        std::thread::sleep(3 * LIMIT);
        assert_eq!(meals.load(Ordering::SeqCst), before);
        drop(release);
        await_more(&meals);
    }

    #[test]
    fn a_hung_writer_is_not_fed() {
        let longest = Arc::new(AtomicU64::new(0));
        let shown = longest.clone();
        let (_runtime, meals) = feeder(move || Duration::from_millis(shown.load(Ordering::SeqCst)));
        await_more(&meals);
        longest.store(1_000, Ordering::SeqCst);
        // One meal may have been under way.
        std::thread::sleep(LIMIT);
        let before = meals.load(Ordering::SeqCst);
        std::thread::sleep(3 * LIMIT);
        assert_eq!(meals.load(Ordering::SeqCst), before);
        longest.store(0, Ordering::SeqCst);
        await_more(&meals);
    }
}
