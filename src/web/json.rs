//! JSON text made readable, exactly as it came: members in their order, numbers with all their digits.

use serde::de::IgnoredAny;

/// JSON with line breaks and two spaces a level, cut after `limit` bytes; what is not JSON is only cut.
pub fn pretty(json: &str, limit: usize) -> String {
    let text = match serde_json::from_str::<IgnoredAny>(json) {
        Ok(_) => indented(json, limit),
        Err(_) => json.to_owned(),
    };
    match text.char_indices().map(|(at, _)| at).take_while(|at| *at <= limit).last() {
        Some(end) if text.len() > limit => format!("{}\n… cut", &text[..end]),
        _ => text,
    }
}

/// Lays out valid JSON; stops soon after `limit` bytes.
fn indented(json: &str, limit: usize) -> String {
    let mut out = String::with_capacity(json.len().min(limit) * 3 / 2);
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut chars = json.chars().filter(|c| !c.is_ascii_control()).peekable();
    while let Some(c) = chars.next() {
        if out.len() > limit {
            break;
        }
        if in_text {
            out.push(c);
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            ' ' => {}
            '{' | '[' => {
                out.push(c);
                while chars.next_if_eq(&' ').is_some() {}
                if let Some(end) = chars.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_text = c == '"';
                out.push(c);
            }
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_changes_nothing_but_space() {
        for (json, shown) in [
            (r#"{"b":1,"a":[1,2]}"#, "{\n  \"b\": 1,\n  \"a\": [\n    1,\n    2\n  ]\n}"),
            (
                r#"{"big":18446744073709551615,"odd":1.50e308}"#,
                "{\n  \"big\": 18446744073709551615,\n  \"odd\": 1.50e308\n}",
            ),
            (r#"{ "empty" : { } , "none":[]}"#, "{\n  \"empty\": {},\n  \"none\": []\n}"),
            (r#"{"t":"a \"quoted\" {b}, [c]: \\"}"#, "{\n  \"t\": \"a \\\"quoted\\\" {b}, [c]: \\\\\"\n}"),
            ("[\n\t1]", "[\n  1\n]"),
            ("null", "null"),
            ("\"text\"", "\"text\""),
            ("not { json", "not { json"),
        ] {
            assert_eq!(pretty(json, 1_000), shown);
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        for (text, limit, shown) in
            [("ääää", 3, "ä\n… cut"), ("", 3, ""), ("abc", 3, "abc"), ("[1,2,3]", 4, "[\n  \n… cut")]
        {
            assert_eq!(pretty(text, limit), shown, "{text}");
        }
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert!(pretty(&deep, 500).len() < 800);
    }
}
