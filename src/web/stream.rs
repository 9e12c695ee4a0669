//! Streams of server-sent events: an open page is told when there is something new to see. They are counted, few, and
//! end with their login, with the server and with their reader.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::auth::token;
use crate::clock::{Deadline, Stopwatch};
use crate::store::StoreError;

use super::state::WebState;

/// Most streams of the box.
const MOST: usize = 64;
/// Most streams of one login.
const MOST_OF_A_LOGIN: usize = 8;
/// Seconds after which a page that found no place may ask again.
const RETRY: &str = "30";

/// How often it is looked whether the server is about to stop.
const STEP: Duration = Duration::from_millis(100);
/// How often it is looked whether there is something new; more seldom where looking takes long, so that it takes a
/// twentieth of the time at the most, but never more seldom than every half minute.
const LOOK: Duration = Duration::from_millis(500);
const LOOK_TIMES: u32 = 20;
const LOOK_SELDOM: Duration = Duration::from_secs(30);
/// How long a reader hears nothing at the most.
const QUIET: Duration = Duration::from_secs(15);
/// How often it is looked whether the login still lasts.
const LOGIN: Duration = Duration::from_secs(5);
/// A stream ends after so long; its reader comes again. Readers that are gone without a word are found out by it.
const LIFE: Duration = Duration::from_secs(3_600);
/// Milliseconds after which a reader whose stream has ended comes again.
const AGAIN: u64 = 2_000;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Keeps nginx from holding a stream back.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The streams that are open, by a hash of their login's token. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Streams(Arc<Mutex<HashMap<[u8; 32], usize>>>);

/// The place of one stream, free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    streams: Streams,
    login: [u8; 32],
}

impl Streams {
    /// A place for a stream of that login; `None` where the login or the box has as many as it may.
    pub fn enter(&self, login_token: &str) -> Option<Place> {
        let login = token::hash(login_token);
        let mut open = self.0.lock();
        let own = open.get(&login).copied().unwrap_or(0);
        if own >= MOST_OF_A_LOGIN || open.values().sum::<usize>() >= MOST {
            return None;
        }
        open.insert(login, own + 1);
        Some(Place { streams: self.clone(), login })
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.0.lock().values().sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock();
        if let Some(own) = open.get_mut(&self.login) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.login);
            }
        }
    }
}

/// Answers with a stream that says `news` whenever `look` finds another mark than the last that this reader has heard
/// of, which browsers tell in `Last-Event-ID` when they come again. Marks are equal where the page would be.
pub fn news<F, L>(state: &WebState, login_token: &str, headers: &HeaderMap, look: F) -> Response
where
    F: Fn() -> L + Send + 'static,
    L: Future<Output = Result<u64, StoreError>> + Send + 'static,
{
    let Some(place) = state.streams.enter(login_token) else { return full() };
    let heard = headers.get(LAST_EVENT_ID).and_then(|id| u64::from_str_radix(id.to_str().ok()?, 16).ok());
    let news = News {
        state: state.clone(),
        _place: place,
        token: login_token.to_owned(),
        look,
        heard,
        begun: false,
        end: Deadline::after(LIFE),
        login: Deadline::after(LOGIN),
        next: Deadline::after(Duration::ZERO),
        quiet: Deadline::after(QUIET),
    };
    let body = stream::unfold(news, |mut news| async move {
        let words = news.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(words)), news))
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (X_ACCEL_BUFFERING, "no")];
    (headers, Body::from_stream(body)).into_response()
}

/// A mark as streams and pages write it.
pub fn mark_text(mark: u64) -> String {
    format!("{mark:016x}")
}

fn full() -> Response {
    let told = "Too many pages are kept current at once; this one goes on by asking every few seconds.\n";
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (RETRY_AFTER, RETRY)];
    (StatusCode::SERVICE_UNAVAILABLE, headers, told).into_response()
}

/// One stream.
struct News<F> {
    state: WebState,
    _place: Place,
    token: String,
    look: F,
    /// The last mark that the reader knows of.
    heard: Option<u64>,
    begun: bool,
    end: Deadline,
    login: Deadline,
    next: Deadline,
    quiet: Deadline,
}

impl<F, L> News<F>
where
    F: Fn() -> L,
    L: Future<Output = Result<u64, StoreError>>,
{
    /// What is said next, when it is time; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        if !self.begun {
            self.begun = true;
            return Some(format!("retry: {AGAIN}\n\n"));
        }
        loop {
            if (self.state.draining)() || self.end.passed() || !self.is_signed_in().await {
                return None;
            }
            let words = match self.mark().await {
                Some(mark) if self.heard != Some(mark) => {
                    self.heard = Some(mark);
                    let mark = mark_text(mark);
                    Some(format!("id: {mark}\nevent: news\ndata: {mark}\n\n"))
                }
                _ if self.quiet.passed() => Some(":\n\n".to_owned()),
                _ => None,
            };
            if words.is_some() {
                self.quiet = Deadline::after(QUIET);
                return words;
            }
            sleep(STEP).await;
        }
    }

    /// The mark of what there is now, when it is time to look. A database that cannot tell is asked again.
    async fn mark(&mut self) -> Option<u64> {
        if !self.next.passed() {
            return None;
        }
        let watch = Stopwatch::start();
        let mark = (self.look)().await;
        self.next = Deadline::after((watch.elapsed() * LOOK_TIMES).clamp(LOOK, LOOK_SELDOM));
        mark.inspect_err(|error| tracing::debug!(%error, "a live page hears nothing new")).ok()
    }

    /// Whether the login lasts, as far as is known.
    async fn is_signed_in(&mut self) -> bool {
        if !self.login.passed() {
            return true;
        }
        self.login = Deadline::after(LOGIN);
        !matches!(self.state.logins.find(&self.token).await, Ok(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_few_and_come_back() {
        let streams = Streams::default();
        let own: Vec<_> = (0..MOST_OF_A_LOGIN).map(|_| streams.enter("one").unwrap()).collect();
        assert!(streams.enter("one").is_none());
        let mut others: Vec<_> =
            (own.len()..MOST).map(|n| streams.enter(&format!("login {}", n / MOST_OF_A_LOGIN)).unwrap()).collect();
        assert_eq!(streams.count(), MOST);
        assert!(streams.enter("another").is_none());
        others.pop();
        let place = streams.enter("another").unwrap();
        assert!(streams.enter("yet another").is_none());
        drop((own, others, place));
        assert_eq!(streams.count(), 0);
        assert!(streams.0.lock().is_empty());
    }
}
