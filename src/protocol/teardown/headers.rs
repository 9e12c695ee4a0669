//! The headers of a request, in the order in which they are missed (`teardown`, section 2).

use axum::http::HeaderMap;
use uuid::Uuid;

use super::fault::{Code, Fault};
use super::wire::Invalid;

/// The SDK that speaks this protocol.
const CLIENT: &str = "@teardown/react-native";

/// Longest id that an install may make for itself, in characters.
const DEVICE_ID: usize = 255;
/// Longest name or version of an SDK that is looked at, in bytes.
const SDK: usize = 255;

/// What the headers say, values trimmed. Nothing in it is proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    /// `td-org-id`.
    pub organization: Option<&'a str>,
    /// `td-project-id`.
    pub app: Option<&'a str>,
    /// `td-environment-slug`.
    pub environment: Option<&'a str>,
    /// `td-device-id`.
    pub device: Option<&'a str>,
    /// `td-session-id`.
    pub session: Option<&'a str>,
    /// `td-sdk-version`.
    pub sdk: Option<&'a str>,
    /// `td-api-key`, bare or after `Bearer`; without one, the bearer of `authorization`.
    pub key: Option<&'a str>,
}

impl<'a> Headers<'a> {
    /// Reads them. A blank value, or one that is no text, is as good as none.
    pub fn read(headers: &'a HeaderMap) -> Self {
        let value = |name: &str| {
            let text = headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
            text.map(str::trim).filter(|text| !text.is_empty())
        };
        let key = value("td-api-key").map(|key| bearer(key).unwrap_or(key));
        Self {
            organization: value("td-org-id"),
            app: value("td-project-id"),
            environment: value("td-environment-slug"),
            device: value("td-device-id"),
            session: value("td-session-id"),
            sdk: value("td-sdk-version"),
            key: key.or_else(|| value("authorization").and_then(bearer)).filter(|key| !key.is_empty()),
        }
    }

    /// `td-org-id` and `td-project-id`.
    pub fn tenant(&self) -> Result<(&'a str, &'a str), Fault> {
        let organization = required(self.organization, Code::MissingOrgId, "td-org-id")?;
        Ok((organization, required(self.app, Code::MissingProjectId, "td-project-id")?))
    }

    /// `td-environment-slug`.
    pub fn environment(&self) -> Result<&'a str, Fault> {
        required(self.environment, Code::MissingEnvironmentSlug, "td-environment-slug")
    }

    /// `td-device-id`, which identify cannot do without.
    pub fn device(&self) -> Result<&'a str, Fault> {
        required(self.device, Code::MissingDeviceId, "td-device-id")
    }

    /// `td-session-id` where it is a UUID: for identify it is a hint.
    pub fn session_hint(&self) -> Option<Uuid> {
        self.session.and_then(|text| Uuid::try_parse(text).ok())
    }

    /// Name and version of the SDK, split at the last `@`. The published client never says what it is (section 2).
    pub fn sdk(&self) -> (Option<&'a str>, Option<&'a str>) {
        match self.sdk {
            None => (Some(CLIENT), None),
            Some(text) if text.len() > SDK => (None, None),
            Some(text) => match text.rsplit_once('@') {
                None | Some(("", _)) => (Some(text), None),
                Some((name, version)) => (Some(name), Some(version)),
            },
        }
    }
}

/// Whether an install may call itself so.
///
/// # Errors
/// Where it is too long.
pub fn check_device(id: &str) -> Result<(), Invalid> {
    if id.chars().count() > DEVICE_ID {
        return Err(Invalid::header("td-device-id", &format!("must have at most {DEVICE_ID} characters")));
    }
    Ok(())
}

fn required<'a>(value: Option<&'a str>, code: Code, name: &str) -> Result<&'a str, Fault> {
    value.ok_or_else(|| Fault::Domain(code, format!("header {name} is required")))
}

/// What stands behind `Bearer`, in any case.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, rest) = value.split_at_checked("bearer".len())?;
    let inside = scheme.eq_ignore_ascii_case("bearer") && (rest.is_empty() || rest.starts_with(' '));
    inside.then(|| rest.trim())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap()))
            .collect()
    }

    #[test]
    fn key_is_bare_or_a_bearer() {
        for (pairs, key) in [
            (&[("td-api-key", "k")][..], Some("k")),
            (&[("td-api-key", " Bearer k ")], Some("k")),
            (&[("td-api-key", "bEARER   k")], Some("k")),
            (&[("td-api-key", "bearerk")], Some("bearerk")),
            (&[("td-api-key", "Bearer ")], None),
            (&[("td-api-key", "k"), ("authorization", "Bearer other")], Some("k")),
            (&[("td-api-key", " "), ("authorization", "bearer other")], Some("other")),
            (&[("authorization", "Basic other")], None),
            (&[], None),
        ] {
            assert_eq!(Headers::read(&map(pairs)).key, key, "{pairs:?}");
        }
    }

    #[test]
    fn sdk_is_split_at_the_last_at() {
        for (text, name, version) in [
            ("@teardown/sdk@0.0.2", Some("@teardown/sdk"), Some("0.0.2")),
            ("sdk@1", Some("sdk"), Some("1")),
            ("sdk", Some("sdk"), None),
            ("@sdk", Some("@sdk"), None),
            ("", Some(CLIENT), None),
        ] {
            assert_eq!(Headers::read(&map(&[("td-sdk-version", text)])).sdk(), (name, version), "{text}");
        }
    }

    #[test]
    fn blank_and_unreadable_values_are_missed() {
        let headers = map(&[("td-org-id", "  "), ("td-project-id", "p"), ("td-environment-slug", "ü")]);
        let headers = Headers::read(&headers);
        let Err(Fault::Domain(code, message)) = headers.tenant() else { panic!("{headers:?}") };
        assert_eq!((code, message.as_str()), (Code::MissingOrgId, "header td-org-id is required"));
        assert_eq!(headers.environment(), Ok("ü"));
        let raw = HeaderMap::from_iter([("td-device-id".parse().unwrap(), HeaderValue::from_bytes(b"\xff").unwrap())]);
        assert!(matches!(Headers::read(&raw).device(), Err(Fault::Domain(Code::MissingDeviceId, _))));
    }

    #[test]
    fn devices_names_are_bounded() {
        assert!(check_device(&"é".repeat(255)).is_ok());
        assert_eq!(check_device(&"é".repeat(256)).unwrap_err().property, "/td-device-id");
    }
}
