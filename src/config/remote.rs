//! How verbs that ask a running server over HTTP reach it: from flags, else from the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

/// Where a server is asked where nobody says: a box on this machine with its settings as they come.
const USUAL_URL: &str = "http://127.0.0.1:3000";

/// The variables, which are no settings of the server.
pub(super) const VARIABLES: [&str; 3] = ["TALLYBOX_URL", "TALLYBOX_TOKEN", "TALLYBOX_TOKEN_FILE"];

/// A server and the token for its read API.
#[derive(Debug)]
pub struct Remote {
    /// The address of the box, with its base path.
    pub url: String,
    /// What is sent as the bearer token.
    pub token: SecretString,
}

impl Remote {
    /// From flags and this process's environment.
    ///
    /// # Errors
    /// A sentence, where there is no token or its file cannot be read.
    pub fn of_process(url: Option<&str>, token_file: Option<&Path>) -> Result<Self, String> {
        Self::find(url, token_file, |name| std::env::var_os(name))
    }

    fn find(
        url: Option<&str>,
        token_file: Option<&Path>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, String> {
        let [named_url, named_token, named_file] = VARIABLES;
        let text = |name: &str| match variable(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(Err(_)) => Err(format!("the variable {name} is not valid UTF-8")),
        };
        let url = match url {
            Some(url) => url.to_owned(),
            None => text(named_url)?.unwrap_or_else(|| USUAL_URL.to_owned()),
        };
        let file = match (token_file, text(named_token)?) {
            (Some(file), _) => file.to_owned(),
            (None, Some(token)) => return Ok(Self { url, token: token.into() }),
            (None, None) => text(named_file)?.map(PathBuf::from).ok_or_else(|| {
                format!("there is no token: make one with `tallybox token create`, and give it as {named_token} or in a file with --token-file")
            })?,
        };
        let token = std::fs::read_to_string(&file)
            .map_err(|error| format!("the token file {} cannot be read: {error}", file.display()))?;
        match token.trim() {
            "" => Err(format!("the token file {} is empty", file.display())),
            token => Ok(Self { url, token: token.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn flags_go_before_variables_and_a_token_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "tb_file\n").unwrap();
        let file = path.to_str().unwrap();
        let none: &[(&str, &str)] = &[];
        for (url, flag, variables, expected) in [
            (None, None, &[("TALLYBOX_TOKEN", "tb_a")][..], Ok((USUAL_URL, "tb_a"))),
            (None, None, &[("TALLYBOX_TOKEN", "tb_a"), ("TALLYBOX_URL", "http://b")], Ok(("http://b", "tb_a"))),
            (Some("http://c"), Some(&*path), &[("TALLYBOX_TOKEN", "tb_a")], Ok(("http://c", "tb_file"))),
            (None, None, &[("TALLYBOX_TOKEN", ""), ("TALLYBOX_TOKEN_FILE", file)], Ok((USUAL_URL, "tb_file"))),
            (None, None, none, Err("there is no token")),
            (None, Some(Path::new("/nowhere")), none, Err("cannot be read")),
            (None, Some(Path::new("/dev/null")), none, Err("is empty")),
        ] {
            let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into());
            match (Remote::find(url, flag, variable), expected) {
                (Ok(found), Ok(expected)) => assert_eq!((&*found.url, found.token.expose_secret()), expected),
                (Err(said), Err(expected)) => assert!(said.contains(expected), "{said}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
    }
}
