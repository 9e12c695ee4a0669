//! Names of traces, as programs hand them on to each other (W3C Trace Context, <https://www.w3.org/TR/trace-context/>).

use std::fmt;

/// 32 lower-case hex digits, not all of them zero: all that is done on behalf of one action, by whichever programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(pub u128);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a caller says of the trace that its request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// Whether the caller keeps it.
    pub sampled: bool,
}

impl TraceParent {
    /// Reads a header `traceparent`, strictly: `None` where it is not to be believed. Of versions that are not known yet
    /// the part is read that all are to have in common.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let fits = |(at, byte): (usize, &u8)| match at {
            2 | 35 | 52 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        };
        let head = text.get(..55).filter(|head| head.iter().enumerate().all(fits))?;
        let head = std::str::from_utf8(head).ok()?;
        let more = &text[55..];
        match &head[..2] {
            "ff" => return None,
            "00" if !more.is_empty() => return None,
            _ if !(more.is_empty() || more[0] == b'-') => return None,
            _ => {}
        }
        let trace = u128::from_str_radix(&head[3..35], 16).ok().filter(|id| *id != 0)?;
        let parent = u64::from_str_radix(&head[36..52], 16).ok()?;
        let flags = u8::from_str_radix(&head[53..55], 16).ok()?;
        (parent != 0).then_some(Self { trace: TraceId(trace), sampled: flags & 1 == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_standard_allows_is_believed() {
        let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let good = format!("00-{trace}-{parent}-01");
        let id = TraceId(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        for (text, sampled) in [
            (good.clone(), true),
            (format!("00-{trace}-{parent}-00"), false),
            (format!("00-{trace}-{parent}-fe"), false),
            (format!("cc-{trace}-{parent}-03-what-comes-one-day"), true),
        ] {
            assert_eq!(TraceParent::parse(text.as_bytes()), Some(TraceParent { trace: id, sampled }), "{text}");
        }
        assert_eq!(id.to_string(), trace);
        for text in [
            String::new(),
            good.to_uppercase(),
            format!(" {good}"),
            format!("{good} "),
            format!("{good}-more"),
            format!("cc{}", &good[2..]) + "more",
            format!("ff{}", &good[2..]),
            format!("0x{}", &good[2..]),
            good.replace('-', "_"),
            good[..54].to_owned(),
            good.replace(trace, &"0".repeat(32)),
            good.replace(parent, &"0".repeat(16)),
            good.replace(trace, &"g".repeat(32)),
            good.replace("4bf9", "+bf9"),
            "é".repeat(28),
        ] {
            assert_eq!(TraceParent::parse(text.as_bytes()), None, "{text}");
        }
    }
}
