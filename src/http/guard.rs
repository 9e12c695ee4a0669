//! The stream between a socket and hyper: it hands on only heads that were judged, and holds the deadlines.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::alarm::Alarm;
use super::head::{self, Framing};
use super::refuse::Turned;

/// Most bytes that are read at once: one less than hyper's buffer has, which is doubled once it was filled.
const READ: usize = (8 << 10) - 1;

/// How long a connection may take for what, and how large a head may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// For the first byte of the first request, and for a head from its first byte to its last.
    pub(crate) header: Duration,
    /// Between requests.
    pub(crate) idle: Duration,
    /// Between requests until the reader is shown the end of input, to come back with the next head.
    pub(crate) rest: Duration,
    /// For a write that makes no progress.
    pub(crate) write_stall: Duration,
    /// Bytes of a head.
    pub(crate) head_bytes: usize,
}

/// Requests of one connection that are not answered yet, counted by [`Turn`]s.
#[derive(Debug, Default)]
pub(crate) struct InFlight(Mutex<Turns>);

#[derive(Debug, Default)]
struct Turns {
    open: usize,
    /// When the last one ended.
    rested: Option<Instant>,
    /// To be woken when the last one ends.
    waiting: Option<Waker>,
}

/// One request, from its call until its response is handed over or given up.
#[derive(Debug)]
pub(crate) struct Turn(Arc<InFlight>);

impl InFlight {
    /// Counts until the turn is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Turn {
        self.0.lock().open += 1;
        Turn(self.clone())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = self.0.0.lock();
        turns.open -= 1;
        if turns.open == 0 {
            turns.rested = Some(Instant::now());
            turns.waiting.take().into_iter().for_each(Waker::wake);
        }
    }
}

/// What the next unread byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Head,
    /// So many bytes of a body, never zero.
    Body(u64),
    /// A chunked body and what comes after it. hyper alone finds its end, so the connection ends with it.
    Rest,
}

/// A stream that shows its reader the end of input where it should stop: after a head that was turned away, or
/// when a deadline has passed.
pub(crate) struct Guard<S> {
    stream: S,
    bounds: Bounds,
    in_flight: Arc<InFlight>,
    next: Next,
    /// Read, and not yet handed on: first `approved` bytes that may be, then the start of a head.
    held: Vec<u8>,
    approved: usize,
    /// How much of what is held is known to have no end of a head.
    searched: usize,
    turned: Option<Turned>,
    /// Nothing more is read, though nothing was wrong.
    finished: bool,
    /// Nothing more is read by this reader.
    resting: bool,
    /// Whether a request has come already.
    used: bool,
    /// When the first byte of what is held came.
    head_since: Option<Instant>,
    /// When there was first nothing to read, or a stalled write went on.
    quiet_since: Option<Instant>,
    stalled_since: Option<Instant>,
    /// To be woken when a stalled write goes on.
    waiting: Option<Waker>,
    read_alarm: Alarm,
    write_alarm: Alarm,
}

impl<S> Guard<S> {
    /// Before the first byte.
    pub(crate) fn new(stream: S, bounds: Bounds, in_flight: Arc<InFlight>) -> Self {
        Self {
            stream,
            bounds,
            in_flight,
            next: Next::Head,
            held: Vec::new(),
            approved: 0,
            searched: 0,
            turned: None,
            finished: false,
            resting: false,
            used: false,
            head_since: None,
            quiet_since: None,
            stalled_since: None,
            waiting: None,
            read_alarm: Alarm::default(),
            write_alarm: Alarm::default(),
        }
    }

    /// The stream itself, why the connection was turned away if it was, and whether the client may still be sending.
    pub(crate) fn into_end(self) -> (S, Option<Turned>, bool) {
        let sending = self.turned.is_some() || self.next != Next::Head;
        (self.stream, self.turned, sending)
    }

    /// Whether the connection ends with a refusal.
    pub(crate) fn has_turned_away(&self) -> bool {
        self.turned.is_some()
    }

    /// Whether it was only for want of requests that its reader saw the end; the next may read on.
    pub(crate) fn goes_on(&mut self) -> bool {
        std::mem::take(&mut self.resting)
    }

    fn busy(&self) -> bool {
        self.stalled_since.is_some() || self.in_flight.0.lock().open > 0
    }

    fn turn_away(&mut self, turned: Turned) {
        self.turned = Some(turned);
        self.held = Vec::new();
    }

    /// Moves on by what follows a good head; returns how many of `available` bytes belong to its request.
    fn advance(&mut self, framing: Framing, available: usize) -> usize {
        self.used = true;
        self.head_since = None;
        match framing {
            Framing::Chunked => {
                self.next = Next::Rest;
                available
            }
            Framing::Sized(length) => {
                self.next = if length == 0 { Next::Head } else { Next::Body(length) };
                self.take_body(available)
            }
        }
    }

    /// How many of `available` bytes belong to the current body, counting them off.
    fn take_body(&mut self, available: usize) -> usize {
        match self.next {
            Next::Head => 0,
            Next::Rest => available,
            Next::Body(left) => {
                let taken = left.min(available as u64);
                self.next = if left == taken { Next::Head } else { Next::Body(left - taken) };
                usize::try_from(taken).unwrap_or(available)
            }
        }
    }

    /// Looks for a whole head in what is held.
    fn examine(&mut self) {
        // Some clients send an empty line after a body.
        let blank = self.held.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.held.drain(..blank);
        let end = head::end_of(&self.held, self.searched.saturating_sub(blank));
        self.searched = self.held.len();
        if end.unwrap_or(self.held.len()) > self.bounds.head_bytes {
            return self.turn_away(head::too_large());
        }
        let Some(end) = end else { return };
        self.searched = 0;
        match head::check(&self.held[..end]) {
            Ok(framing) => self.approved = end + self.advance(framing, self.held.len() - end),
            Err(turned) => self.turn_away(turned),
        }
    }

    /// Takes in bytes that were just read into `buf` after its first `start`, and leaves there what may be handed on.
    fn take_in(&mut self, buf: &mut ReadBuf<'_>, start: usize) {
        let fresh = &buf.filled()[start..];
        let available = fresh.len();
        let mut good = 0;
        if self.held.is_empty() {
            good = match self.next {
                Next::Head => match head::end_of(fresh, 0).filter(|end| *end <= self.bounds.head_bytes) {
                    Some(end) if !matches!(fresh[0], b'\r' | b'\n') => match head::check(&fresh[..end]) {
                        Ok(framing) => end + self.advance(framing, available - end),
                        Err(turned) => {
                            self.turn_away(turned);
                            buf.set_filled(start);
                            return;
                        }
                    },
                    Some(_) | None => 0,
                },
                Next::Body(_) | Next::Rest => self.take_body(available),
            };
        }
        if good < available {
            self.held.extend_from_slice(&buf.filled()[start + good..]);
            buf.set_filled(start + good);
        }
    }

    /// Hands on what was approved.
    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.approved.min(buf.remaining());
        buf.put_slice(&self.held[..count]);
        self.held.drain(..count);
        self.approved -= count;
        if self.held.is_empty() {
            self.held = Vec::new();
        }
    }

    /// Called while the socket has nothing: whether a deadline for a head has passed, or `rest` without one.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, rest: Duration) -> Poll<()> {
        if self.next != Next::Head {
            return Poll::Pending;
        }
        if !self.held.is_empty() {
            let since = *self.head_since.get_or_insert_with(Instant::now);
            ready!(self.read_alarm.poll(cx, since + self.bounds.header));
            self.turn_away(head::too_slow());
            return Poll::Ready(());
        }
        let patience = if self.used { self.bounds.idle } else { self.bounds.header };
        let rest = rest.min(patience);
        if self.busy() {
            // hyper does not ask again by itself when it has answered, so the alarm has to make it.
            return self.read_alarm.poll(cx, Instant::now() + rest);
        }
        let quiet = *self.quiet_since.get_or_insert_with(Instant::now);
        let since = self.in_flight.0.lock().rested.map_or(quiet, |rested| rested.max(quiet));
        ready!(self.read_alarm.poll(cx, since + rest));
        self.finished = rest == patience;
        self.resting = !self.finished;
        Poll::Ready(())
    }

    /// The end of input, once no response is on its way: shown it before, hyper would give that response up.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.stalled_since.is_some() {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut turns = self.in_flight.0.lock();
        if turns.open > 0 {
            turns.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> Guard<S> {
    /// Waits for the first whole head, without a reader who would keep a buffer for it: whether one came before the end.
    /// Whoever reads then is given that head.
    pub(crate) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.approved == 0 {
            if self.turned.is_some() || self.finished {
                return Poll::Ready(Ok(false));
            }
            if self.held.len() > self.searched {
                self.examine();
                continue;
            }
            let mut space = [MaybeUninit::uninit(); READ];
            let mut fresh = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.stream).poll_read(cx, &mut fresh) {
                Poll::Ready(Ok(())) if fresh.filled().is_empty() => return Poll::Ready(Ok(false)),
                Poll::Ready(Ok(())) => self.held.extend_from_slice(fresh.filled()),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => ready!(self.poll_deadline(cx, Duration::MAX)),
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Reads from the socket, no more than [`READ`] at once.
    fn poll_stream(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() <= READ {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let mut space = [MaybeUninit::uninit(); READ];
        let mut part = ReadBuf::uninit(&mut space);
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        buf.put_slice(part.filled());
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let start = buf.filled().len();
        loop {
            if this.approved > 0 {
                this.hand_on(buf);
                return Poll::Ready(Ok(()));
            }
            if this.turned.is_some() || this.finished || this.resting {
                return this.poll_end(cx);
            }
            if this.held.len() > this.searched {
                this.examine();
                continue;
            }
            match this.poll_stream(cx, buf) {
                Poll::Ready(Ok(())) if buf.filled().len() == start => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => this.take_in(buf, start),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => ready!(this.poll_deadline(cx, this.bounds.rest)),
            }
            if buf.filled().len() > start {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Guard<S> {
    fn written<T>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            if self.stalled_since.take().is_some() {
                self.quiet_since = Some(Instant::now());
                self.waiting.take().into_iter().for_each(Waker::wake);
            }
            return progress;
        }
        let since = *self.stalled_since.get_or_insert_with(Instant::now);
        ready!(self.write_alarm.poll(cx, since + self.bounds.write_stall));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, progress)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Nothing: whoever owns the connection closes it, after the last word.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
