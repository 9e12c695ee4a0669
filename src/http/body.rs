//! Request bodies: read within bounds of size, time and the memory that all requests share.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use hyper::body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::alarm::Alarm;
use super::decode;
use crate::trail::{self, Stage};

/// Bytes of bodies that all requests may hold together.
const BUDGET: usize = 64 << 20;
/// Bodies that are decompressed on blocking threads at once.
const DECODERS: usize = 2;
/// What a request takes beside its body from when that is read until it is let go, in bytes: the buffers of its connection,
/// and the state of its handling.
const OVERHEAD: usize = 28 << 10;
/// Least bytes that are set aside for a body of several pieces.
const LEAST_ROOM: usize = 4 << 10;

/// What a body may cost.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    /// Most bytes as they travel.
    pub wire: usize,
    /// Most bytes once decompressed.
    pub decoded: usize,
    /// Longest silence between two pieces.
    pub idle: Duration,
    /// Time in which no rate is asked for.
    pub grace: Duration,
    /// After that, the least bytes a second since the grace ended.
    pub slowest: u32,
    /// Longest time in all, whatever the rate.
    pub total: Duration,
    /// The memory it is taken from.
    pub budget: Budget,
}

impl BodyLimits {
    /// With the usual times (10 s of silence, 1 KiB/s after 10 s, 120 s in all) and the budget that all share.
    pub fn new(wire: usize, decoded: usize) -> Self {
        Self {
            wire,
            decoded,
            idle: Duration::from_secs(10),
            grace: Duration::from_secs(10),
            slowest: 1_024,
            total: Duration::from_secs(120),
            budget: Budget::shared(),
        }
    }

    /// Until when the next piece must have come, where so many bytes have.
    fn deadline(&self, started: Instant, heard: Instant, bytes: usize) -> Instant {
        let earned = Duration::from_secs_f64(bytes as f64 / f64::from(self.slowest.max(1)));
        (heard + self.idle).min(started + self.total).min(started + self.grace + earned)
    }
}

/// Memory for bodies: a number of bytes, given back when the last handle to a body is dropped. Clones are the same
/// budget.
#[derive(Clone, Debug)]
pub struct Budget {
    bytes: Arc<Semaphore>,
    decoders: Arc<Semaphore>,
}

impl Budget {
    /// One of its own.
    pub fn new(bytes: usize) -> Self {
        let bytes = Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)));
        Self { bytes, decoders: Arc::new(Semaphore::new(DECODERS)) }
    }

    /// The one of the whole process, 64 MiB.
    pub fn shared() -> Self {
        static SHARED: LazyLock<Budget> = LazyLock::new(|| Budget::new(BUDGET));
        SHARED.clone()
    }

    /// Bytes that are free now.
    pub fn free(&self) -> usize {
        self.bytes.available_permits()
    }

    pub(crate) fn decoders(&self) -> Arc<Semaphore> {
        self.decoders.clone()
    }
}

/// Why a body could not be had. Each protocol has its own words for these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More than the limit, as it travels or decompressed, or a compression beyond 1:100 past a MiB.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: usize,
    },
    /// It came too slowly.
    #[error("the body took too long to arrive")]
    Timeout,
    /// The client left, or its chunks were malformed.
    #[error("the body broke off")]
    Broken,
    /// Compressed in a way that is not read here.
    #[error("the body is compressed in a way that is not supported; use gzip, deflate or none")]
    UnsupportedEncoding,
    /// The compression is corrupt.
    #[error("the body's compression is corrupt")]
    BadEncoding,
    /// Other bodies take all the memory there is for them; to be tried again.
    #[error("the server is busy with other requests")]
    Busy,
}

impl BodyError {
    /// The status that fits where a protocol names no other.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Broken | Self::BadEncoding => StatusCode::BAD_REQUEST,
            Self::UnsupportedEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The whole body, decompressed. Where a signature covers the bytes as they travelled, use [`read_wire`] and then
/// [`decode`].
pub async fn read(headers: &HeaderMap, body: Body, limits: BodyLimits) -> Result<Bytes, BodyError> {
    let wire = read_wire(headers, body, &limits).await?;
    decode(headers, wire, &limits).await
}

/// The whole body exactly as it travelled. A body that comes in one piece is not copied; a length that the client
/// only claims costs no memory.
pub async fn read_wire(headers: &HeaderMap, body: Body, limits: &BodyLimits) -> Result<Bytes, BodyError> {
    trail::within(Stage::Body, gather(headers, body, limits)).await
}

async fn gather(headers: &HeaderMap, body: Body, limits: &BodyLimits) -> Result<Bytes, BodyError> {
    let limit = limits.wire;
    let claimed = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let claimed = claimed.unwrap_or(0).max(body.size_hint().lower());
    if claimed > limit as u64 {
        return Err(BodyError::TooLarge { limit });
    }
    let mut piled = Pile::new(usize::try_from(claimed).unwrap_or(0), &limits.budget)?;
    let mut body = body;
    let mut alarm = Alarm::default();
    let started = Instant::now();
    let mut heard = started;
    loop {
        let deadline = limits.deadline(started, heard, piled.len());
        let frame = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => alarm.poll(cx, deadline).map(|()| Err(BodyError::Timeout)),
        });
        let Some(frame) = frame.await? else { return Ok(piled.finish()) };
        let Ok(piece) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        if piece.len() > limit - piled.len() {
            return Err(BodyError::TooLarge { limit });
        }
        piled.add(piece)?;
        heard = Instant::now();
        if heard > limits.deadline(started, heard, piled.len()) {
            return Err(BodyError::Timeout);
        }
    }
}

/// The body as its sender had it before compression: gzip (also of many members, found by its first bytes whatever the
/// headers say) and deflate are undone, everything else is handed back as it is. Large ones are decompressed on a
/// blocking thread.
pub async fn decode(headers: &HeaderMap, wire: Bytes, limits: &BodyLimits) -> Result<Bytes, BodyError> {
    decode::decode(headers, wire, limits).await
}

/// Bytes taken from a budget.
pub(crate) struct Charge {
    budget: Budget,
    permit: Option<OwnedSemaphorePermit>,
}

impl Charge {
    /// Nothing yet.
    pub(crate) fn new(budget: &Budget) -> Self {
        Self { budget: budget.clone(), permit: None }
    }

    /// Takes what is missing to `bytes`, and nothing if that is more than there is.
    pub(crate) fn cover(&mut self, bytes: usize) -> Result<(), BodyError> {
        let covered = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if bytes <= covered {
            return Ok(());
        }
        let missing = u32::try_from(bytes - covered).map_err(|_| BodyError::Busy)?;
        let more = self.budget.bytes.clone().try_acquire_many_owned(missing).map_err(|_| BodyError::Busy)?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }

    /// The same bytes, which give back what was taken for them when they are dropped.
    pub(crate) fn hold(self, bytes: Bytes) -> Bytes {
        let size = bytes.len();
        self.hold_as(bytes, size)
    }

    /// The same for bytes that take `size`; what was taken beyond that is given back now.
    fn hold_as(mut self, bytes: Bytes, size: usize) -> Bytes {
        let Some(permit) = self.permit.as_mut() else { return bytes };
        let spare = permit.num_permits().saturating_sub(size);
        drop(permit.split(spare));
        Bytes::from_owner(Held { bytes, _charge: self })
    }
}

struct Held {
    bytes: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The pieces of a body: the first is kept as it is, further ones are joined.
struct Pile {
    first: Bytes,
    joined: Vec<u8>,
    claimed: usize,
    charge: Charge,
}

impl Pile {
    fn new(claimed: usize, budget: &Budget) -> Result<Self, BodyError> {
        let mut charge = Charge::new(budget);
        charge.cover(OVERHEAD)?;
        Ok(Self { first: Bytes::new(), joined: Vec::new(), claimed, charge })
    }

    fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    fn add(&mut self, piece: Bytes) -> Result<(), BodyError> {
        let size = self.len() + piece.len();
        if self.len() == 0 {
            self.charge.cover(OVERHEAD + size)?;
            self.first = piece;
            return Ok(());
        }
        if self.joined.capacity() < size {
            // Half as much again as has come, and no more than what is claimed: a length is easily said.
            let room = (size + size / 2).max(LEAST_ROOM).min(self.claimed).max(size);
            self.charge.cover(OVERHEAD + room)?;
            self.joined.reserve_exact(room - self.joined.len());
        }
        self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        self.joined.extend_from_slice(&piece);
        Ok(())
    }

    fn finish(self) -> Bytes {
        let size = OVERHEAD + self.first.len() + self.joined.capacity();
        let bytes = if self.joined.is_empty() { self.first } else { Bytes::from(self.joined) };
        self.charge.hold_as(bytes, size)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::Frame;
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;

    /// A body whose pieces come through a channel.
    struct Fed(mpsc::UnboundedReceiver<Bytes>);

    impl hyper::body::Body for Fed {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
        }
    }

    fn limits(wire: usize) -> BodyLimits {
        BodyLimits { budget: Budget::new(1 << 20), ..BodyLimits::new(wire, wire) }
    }

    fn fed(pieces: &[Bytes]) -> (mpsc::UnboundedSender<Bytes>, Body) {
        let (sender, receiver) = mpsc::unbounded_channel();
        pieces.iter().for_each(|piece| sender.send(piece.clone()).unwrap());
        (sender, Body::new(Fed(receiver)))
    }

    fn claiming(length: usize) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_LENGTH, length.into())])
    }

    #[tokio::test]
    async fn single_piece_is_not_copied() {
        let bytes = Bytes::from(vec![7; 1_000]);
        let read = read(&HeaderMap::new(), Body::from(bytes.clone()), limits(1_000)).await.unwrap();
        assert_eq!(read.as_ptr(), bytes.as_ptr());
    }

    #[tokio::test]
    async fn pieces_are_joined_in_order_up_to_the_limit() {
        let pieces = ["ab", "", "c", "defg"].map(Bytes::from);
        for (limit, expected) in [(7, Ok("abcdefg".into())), (6, Err(BodyError::TooLarge { limit: 6 }))] {
            let (_, body) = fed(&pieces);
            assert_eq!(read(&HeaderMap::new(), body, limits(limit)).await, expected, "{limit}");
        }
    }

    #[tokio::test]
    async fn claimed_length_over_the_limit_is_refused_before_reading() {
        let (_never_ends, body) = fed(&[]);
        assert_eq!(read(&claiming(11), body, limits(10)).await, Err(BodyError::TooLarge { limit: 10 }));
        let whole = Body::from(vec![0; 11]);
        assert_eq!(read(&HeaderMap::new(), whole, limits(10)).await, Err(BodyError::TooLarge { limit: 10 }));
    }

    #[tokio::test]
    async fn endless_body_is_refused_at_the_limit_with_the_rest_unread() {
        let (sender, body) = fed(&vec![Bytes::from(vec![0; 1_000]); 100]);
        assert_eq!(read(&HeaderMap::new(), body, limits(10_000)).await, Err(BodyError::TooLarge { limit: 10_000 }));
        assert!(sender.send(Bytes::new()).is_err(), "the body is dropped");
    }

    #[test]
    fn lying_length_takes_neither_memory_nor_budget() {
        let budget = Budget::new(64 << 20);
        let mut pile = Pile::new(32 << 20, &budget).unwrap();
        pile.add(Bytes::from_static(b"a")).unwrap();
        pile.add(Bytes::from_static(b"b")).unwrap();
        assert!(pile.joined.capacity() <= LEAST_ROOM, "{}", pile.joined.capacity());
        assert_eq!(budget.free(), (64 << 20) - OVERHEAD - LEAST_ROOM);
        assert_eq!(pile.finish(), "ab");
        assert_eq!(budget.free(), 64 << 20);
    }

    #[tokio::test]
    async fn budget_is_held_until_the_last_handle_is_dropped() {
        let limits = limits(1 << 20);
        let first = read(&HeaderMap::new(), Body::from(vec![1; 700_000]), limits.clone()).await.unwrap();
        assert_eq!(limits.budget.free(), (1 << 20) - OVERHEAD - 700_000);
        let part = first.slice(5..6);
        let headers = HeaderMap::new();
        let again = || read(&headers, Body::from(vec![2; 700_000]), limits.clone());
        assert_eq!(again().await, Err(BodyError::Busy));
        drop(first);
        assert_eq!(again().await, Err(BodyError::Busy));
        drop(part);
        assert_eq!(again().await.map(|bytes| bytes.len()), Ok(700_000));
        assert_eq!(limits.budget.free(), 1 << 20);
    }

    #[tokio::test]
    async fn silence_and_trickling_end_in_a_timeout() {
        let short = Duration::from_millis(20);
        let silent = BodyLimits { idle: short, ..limits(100) };
        let (_sender, body) = fed(&[Bytes::from_static(b"a")]);
        assert_eq!(read(&claiming(2), body, silent).await, Err(BodyError::Timeout));
        for limits in [
            BodyLimits { grace: short, slowest: 1_000_000, ..limits(1 << 20) },
            BodyLimits { total: short, ..limits(1 << 20) },
        ] {
            let (sender, body) = fed(&[]);
            let headers = claiming(1 << 20);
            let mut reading = Box::pin(read(&headers, body, limits));
            let verdict = loop {
                // Far from silent, and far from fast enough.
                match timeout(Duration::from_millis(2), &mut reading).await {
                    Ok(verdict) => break verdict,
                    Err(_) => sender.send(Bytes::from_static(b"a")).unwrap(),
                }
            };
            assert_eq!(verdict, Err(BodyError::Timeout));
        }
    }

    #[tokio::test]
    async fn body_that_breaks_off_is_an_error() {
        let broken = broken_body();
        assert_eq!(read(&HeaderMap::new(), broken, limits(100)).await, Err(BodyError::Broken));
    }

    fn broken_body() -> Body {
        struct Broken;
        impl hyper::body::Body for Broken {
            type Data = Bytes;
            type Error = std::io::Error;

            fn poll_frame(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
                Poll::Ready(Some(Err(std::io::ErrorKind::UnexpectedEof.into())))
            }
        }
        Body::new(Broken)
    }
}
