//! How large, deep and many an input may be.

/// Bytes of a large file that may wait for the disk before they are brought there: a commit beside has to wait for them,
/// too.
pub const STRIDE: u64 = 1 << 20;

/// Bounds on what a client may send. Every one is a setting where an operator may want another figure.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest request body as it travels, in bytes.
    pub wire_bytes: usize,
    /// Largest request body once decompressed, in bytes.
    pub body_bytes: usize,
    /// Largest single event in bytes of JSON; a larger one is set aside.
    pub event_bytes: usize,
    /// Most events in a batch.
    pub batch_events: usize,
    /// Most members of an event's properties, at all depths together.
    pub props: usize,
    /// Deepest nesting of an event's properties.
    pub depth: usize,
    /// How much of an event that is set aside is kept, in bytes.
    pub set_aside_bytes: usize,
    /// How much may be kept of one to try it again, in bytes; of a larger one nothing is.
    pub again_bytes: usize,
    /// Most events that are kept aside for one app; the oldest make room.
    pub set_aside_events: u32,
    /// Longest event name in bytes; longer ones are cut with a mark.
    pub name_bytes: usize,
    /// Different event names an app may have before further ones count as "other".
    pub names: u32,
    /// Different groups of errors an app may have before further ones count as "other".
    pub error_groups: u32,
    /// Different sets of facts an app may have before further ones lose their rarest members.
    pub fact_sets: u32,
    /// Longest age of an event at its arrival, in milliseconds; an older one is set aside, as it would be forgotten at
    /// once and a repeat of it taken for new.
    pub age: i64,
    /// Longest user or session identifier in bytes; a longer user id is set aside as invalid.
    pub identifier_bytes: usize,
}

impl Default for Limits {
    /// The telemetry-kit SDK cannot split a batch that is refused, so its protocol asks for no less than 32 MB.
    fn default() -> Self {
        Self {
            wire_bytes: 32 << 20,
            body_bytes: 32 << 20,
            event_bytes: 64 << 10,
            batch_events: 1_000,
            props: 256,
            depth: 32,
            set_aside_bytes: 16 << 10,
            again_bytes: 128 << 10,
            set_aside_events: 1_000,
            name_bytes: 200,
            names: 1_000,
            error_groups: 2_000,
            fact_sets: 50_000,
            age: i64::MAX,
            identifier_bytes: 255,
        }
    }
}
