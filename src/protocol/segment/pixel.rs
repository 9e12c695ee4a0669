//! Messages in the address of an image, for mail and pages without scripts.

use base64::Engine;
use serde_json::{Map, Value};

use super::key::LENIENT;

/// The message of Segment's `GET /v1/pixel/track?data=...`: JSON in base64, in either alphabet.
pub fn from_data(query: &str) -> Option<Vec<u8>> {
    let (_, data) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "data")?;
    // A plus that was not escaped has been read as a space.
    let data: String = data.chars().map(|c| if c == '-' || c == ' ' { '+' } else { c }).collect();
    LENIENT.decode(data.replace('_', "/")).ok()
}

/// The message of RudderStack's `GET /pixel/v1/track?...`: one member for each parameter, those behind a point in an
/// object of that name.
pub fn from_query(query: &str) -> Vec<u8> {
    let mut message = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = Value::from(value.into_owned());
        match name.split_once('.') {
            None => _ = message.insert(name.into_owned(), value),
            Some((object, member)) => within(&mut message, object, member, value),
        }
    }
    Value::Object(message).to_string().into_bytes()
}

/// Puts a member into an object, one or two levels down: no call has deeper ones that are kept.
fn within(message: &mut Map<String, Value>, object: &str, member: &str, value: Value) {
    let inside = message.entry(object).or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(inside) = inside else { return };
    match member.split_once('.') {
        Some((object, member)) if !object.is_empty() => {
            let deeper = inside.entry(object).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(deeper) = deeper {
                deeper.insert(member.to_owned(), value);
            }
        }
        Some(_) | None => _ = inside.insert(member.to_owned(), value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_a_message() {
        for (query, message) in [
            ("event=Opened&userId=u%201", r#"{"event":"Opened","userId":"u 1"}"#),
            ("properties.n=1&properties.n2=x", r#"{"properties":{"n":"1","n2":"x"}}"#),
            ("context.page.path=/a&context.locale=de", r#"{"context":{"page":{"path":"/a"},"locale":"de"}}"#),
            ("context=x&context.locale=de", r#"{"context":"x"}"#),
            ("a.b.c.d=1", r#"{"a":{"b":{"c.d":"1"}}}"#),
            ("", "{}"),
        ] {
            assert_eq!(String::from_utf8(from_query(query)).unwrap(), message, "{query}");
        }
    }

    #[test]
    fn base64_is_read_in_either_alphabet() {
        let plain = br#"{"event":"\u00ff\u00fe>>>???"}"#;
        let text = LENIENT.encode(plain);
        let other = text.replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned();
        for data in [text.as_str(), &other] {
            assert_eq!(from_data(&format!("a=b&data={data}")).as_deref(), Some(&plain[..]), "{data}");
        }
        assert_eq!((from_data("data=%%%"), from_data("datum=e30")), (None, None));
    }
}
