//! How an SDK is pointed at the box: the lines to change, read out of a page of the documentation.

/// The heading under which a page says it.
const HEADING: &str = "## Lines to change";

/// Stands for events that do not say by which SDK they were sent.
const UNSAID: &str = "-";

/// What the pages about one protocol say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guide {
    /// The protocol.
    pub protocol: &'static str,
    /// Its SDKs, at least one, in the page's order.
    pub sdks: Vec<SdkGuide>,
}

/// What one SDK needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdkGuide {
    /// The SDK, as its users call it.
    pub title: String,
    /// How the SDK's name begins in its events; at least one.
    pub marks: Vec<SdkMark>,
    /// What to do, in order; one is [`GuidePart::Code`] at least.
    pub parts: Vec<GuidePart>,
}

/// By what events of an SDK are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SdkMark {
    /// The name of the SDK begins so.
    Prefix(String),
    /// They name no SDK.
    Unsaid,
}

/// A piece of what is said of an SDK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuidePart {
    /// A paragraph.
    Text(Vec<Span>),
    /// Lines to copy, without an end of line behind them.
    Code(String),
}

/// A piece of a paragraph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// Words.
    Plain(String),
    /// What is typed.
    Code(String),
}

/// Why a page is no guide.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuideError {
    /// The heading is missing, or nothing stands under it.
    #[error("there is no SDK under \"## Lines to change\"")]
    Nothing,
    /// A section that does not say how its events are known.
    #[error("{0}: there is no <!-- sdk: NAME -->")]
    NoMark(String),
    /// A section without lines to copy.
    #[error("{0}: there is no code")]
    NoCode(String),
    /// A block of code without an end.
    #[error("{0}: a block of code does not end")]
    Open(String),
    /// What a guide cannot show: lists, tables, deeper headings.
    #[error("{0}: only paragraphs and code can be shown, not {1:?}")]
    Unshown(String, String),
}

impl Guide {
    /// Reads the part of a page of Markdown that says which lines to change.
    pub fn parse(protocol: &'static str, page: &str) -> Result<Self, GuideError> {
        let mut lines = page.lines().skip_while(|line| line.trim_end() != HEADING).skip(1);
        let mut sdks: Vec<Section> = Vec::new();
        while let Some(line) = lines.next() {
            if line.starts_with("## ") || line.starts_with("# ") {
                break;
            }
            match (line.strip_prefix("### "), sdks.last_mut()) {
                (Some(title), _) => sdks.push(Section::new(title)),
                (None, Some(sdk)) => sdk.take(line, &mut lines)?,
                (None, None) => {} // what is said of all of them is for readers of the page
            }
        }
        let sdks = sdks.into_iter().map(Section::finish).collect::<Result<Vec<_>, _>>()?;
        if sdks.is_empty() { Err(GuideError::Nothing) } else { Ok(Self { protocol, sdks }) }
    }
}

/// A section while it is being read.
struct Section {
    sdk: SdkGuide,
    paragraph: String,
}

impl Section {
    fn new(title: &str) -> Self {
        let sdk = SdkGuide { title: title.trim().to_owned(), marks: Vec::new(), parts: Vec::new() };
        Self { sdk, paragraph: String::new() }
    }

    /// Takes a line, and of those that follow as many as belong to it.
    fn take<'a>(&mut self, line: &str, rest: &mut impl Iterator<Item = &'a str>) -> Result<(), GuideError> {
        let mark = line.trim().strip_prefix("<!-- sdk:").and_then(|rest| rest.strip_suffix("-->"));
        if let Some(names) = mark {
            self.end_paragraph();
            let mark = |name: &str| match name {
                UNSAID => SdkMark::Unsaid,
                name => SdkMark::Prefix(name.to_owned()),
            };
            self.sdk.marks.extend(names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(mark));
        } else if line.starts_with("```") {
            self.end_paragraph();
            let mut code = Vec::new();
            loop {
                match rest.next() {
                    None => return Err(GuideError::Open(self.sdk.title.clone())),
                    Some(line) if line.starts_with("```") => break,
                    Some(line) => code.push(line),
                }
            }
            self.sdk.parts.push(GuidePart::Code(code.join("\n")));
        } else if ["- ", "* ", "|", "#", ">", "<", "1. "].iter().any(|start| line.starts_with(start)) {
            return Err(GuideError::Unshown(self.sdk.title.clone(), line.to_owned()));
        } else if line.trim().is_empty() {
            self.end_paragraph();
        } else {
            self.paragraph.push_str(if self.paragraph.is_empty() { "" } else { " " });
            self.paragraph.push_str(line.trim());
        }
        Ok(())
    }

    fn end_paragraph(&mut self) {
        let paragraph = std::mem::take(&mut self.paragraph);
        if !paragraph.is_empty() {
            self.sdk.parts.push(GuidePart::Text(spans(&paragraph)));
        }
    }

    fn finish(mut self) -> Result<SdkGuide, GuideError> {
        self.end_paragraph();
        let title = self.sdk.title.clone();
        if !self.sdk.parts.iter().any(|part| matches!(part, GuidePart::Code(_))) {
            return Err(GuideError::NoCode(title));
        }
        if self.sdk.marks.is_empty() { Err(GuideError::NoMark(title)) } else { Ok(self.sdk) }
    }
}

impl SdkMark {
    /// Whether an event that names this SDK, or none, is meant.
    pub fn is_of(&self, sdk: Option<&str>) -> bool {
        match (self, sdk) {
            (Self::Prefix(prefix), Some(name)) => name.starts_with(prefix.as_str()),
            (Self::Unsaid, None) => true,
            (Self::Prefix(_), None) | (Self::Unsaid, Some(_)) => false,
        }
    }
}

/// A paragraph cut at its backticks; of links their words are left.
fn spans(paragraph: &str) -> Vec<Span> {
    let pieces = paragraph.split('`').enumerate().filter(|(_, piece)| !piece.is_empty());
    pieces
        .map(|(at, piece)| if at % 2 == 1 { Span::Code(piece.to_owned()) } else { Span::Plain(without_links(piece)) })
        .collect()
}

fn without_links(text: &str) -> String {
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, label, after)) = link(rest) {
        left.push_str(before);
        left.push_str(label);
        rest = after;
    }
    left.push_str(rest);
    left
}

/// What stands before the first link, its label, and what stands behind it.
fn link(text: &str) -> Option<(&str, &str, &str)> {
    let (front, behind) = text.split_once("](")?;
    let (before, label) = front.rsplit_once('[')?;
    let (_, after) = behind.split_once(')')?;
    Some((before, label, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A protocol\n\nWords.\n\n## Lines to change\n\nFor all.\n\n### One, the first\n\nGive it [this](x.md) as `host`\nand more.\n\n\
                        ```js\n# no heading\n\nsend()\n```\n\n<!-- sdk: one/, uno -->\n### Two\n```\nx\n```\n<!-- sdk: - -->\n\n## What is kept\n\n### Not an SDK\n";

    #[test]
    fn a_page_is_read_up_to_the_next_heading_of_its_rank() {
        let guide = Guide::parse("Some", PAGE).unwrap();
        let plain = |text: &str| Span::Plain(text.to_owned());
        let one = SdkGuide {
            title: "One, the first".to_owned(),
            marks: vec![SdkMark::Prefix("one/".to_owned()), SdkMark::Prefix("uno".to_owned())],
            parts: vec![
                GuidePart::Text(vec![plain("Give it this as "), Span::Code("host".to_owned()), plain(" and more.")]),
                GuidePart::Code("# no heading\n\nsend()".to_owned()),
            ],
        };
        let two = SdkGuide {
            title: "Two".to_owned(),
            marks: vec![SdkMark::Unsaid],
            parts: vec![GuidePart::Code("x".to_owned())],
        };
        assert_eq!(guide, Guide { protocol: "Some", sdks: vec![one, two] });
    }

    #[test]
    fn what_cannot_be_shown_is_named() {
        let parse = |sections: &str| Guide::parse("Some", &format!("{HEADING}\n{sections}")).unwrap_err().to_string();
        for (sections, problem) in [
            ("words\n", "there is no SDK under \"## Lines to change\""),
            ("### A\n```\nx\n```\n", "A: there is no <!-- sdk: NAME -->"),
            ("### A\nwords\n<!-- sdk: a -->\n", "A: there is no code"),
            ("### A\n```\nx\n", "A: a block of code does not end"),
            ("### A\n- one\n", "A: only paragraphs and code can be shown, not \"- one\""),
            ("### A\n#### B\n", "A: only paragraphs and code can be shown, not \"#### B\""),
        ] {
            assert_eq!(parse(sections), problem);
        }
        assert_eq!(Guide::parse("Some", "# A page\n\n### One\n"), Err(GuideError::Nothing));
    }

    #[test]
    fn an_event_is_known_by_how_its_sdk_begins() {
        let prefix = SdkMark::Prefix("one/".to_owned());
        for (mark, sdk, expected) in [
            (&prefix, Some("one/1.2"), true),
            (&prefix, Some("two/one/"), false),
            (&prefix, None, false),
            (&SdkMark::Unsaid, None, true),
            (&SdkMark::Unsaid, Some("one/1.2"), false),
        ] {
            assert_eq!(mark.is_of(sdk), expected, "{mark:?} {sdk:?}");
        }
    }
}
