//! The provider's public keys, and what an ID token signed by one of them says (OpenID Connect Core 1.0, 3.1.3.7).

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use crate::model::Millis;

/// Most keys that are looked at.
const MOST: usize = 100;
/// Longest token, in bytes.
const LONGEST: usize = 64 << 10;
/// How far the provider's clock may be off, in seconds.
const LEEWAY: i64 = 60;
/// Those with a public key: with another kind, whoever knows the client's secret could sign.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The keys that may have signed.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(Vec<Jwk>);

/// What a token is held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    /// Who must have issued it.
    pub(super) issuer: &'a str,
    /// For whom it must be.
    pub(super) client: &'a str,
    /// What we gave along.
    pub(super) nonce: &'a str,
    /// Now.
    pub(super) now: Millis,
}

/// Why a token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Signed with a key that we do not know: newer ones may have it.
    #[error("its key is not known")]
    UnknownKey,
    /// Anything else.
    #[error("{0}")]
    Bad(String),
}

impl Keys {
    /// Those in a key set that can be used; others are passed over.
    pub(super) fn read(text: &[u8]) -> Result<Self, String> {
        let mut set: Map<String, Value> = serde_json::from_slice(text).map_err(|_| "the key set is no JSON object")?;
        let Some(Value::Array(keys)) = set.remove("keys") else { return Err("the key set has no keys".to_owned()) };
        let keys = keys.into_iter().take(MOST).filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let signs = |key: &Jwk| {
            key.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature)
                && !matches!(key.algorithm, AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_))
        };
        Ok(Self(keys.filter(signs).collect()))
    }

    /// The claims of a token.
    pub(super) fn verify(&self, token: &str, expected: &Expected<'_>) -> Result<Map<String, Value>, Fault> {
        let bad = |text: &str| Fault::Bad(text.to_owned());
        if token.len() > LONGEST {
            return Err(bad("it is too long"));
        }
        let header = decode_header(token).map_err(|error| Fault::Bad(error.to_string()))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(bad("it is signed in a way that is not accepted"));
        }
        let mut rules = Validation::new(header.alg);
        rules.set_issuer(&[expected.issuer]);
        rules.set_audience(&[expected.client]);
        rules.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
        // The library would look at the machine's clock.
        rules.validate_exp = false;
        let mut fault = Fault::UnknownKey;
        for key in self.of(header.kid.as_deref()) {
            let fits = key.common.key_algorithm.is_none_or(|own| own == header.alg.into());
            let Some(key) = DecodingKey::from_jwk(key).ok().filter(|_| fits) else { continue };
            match decode::<Map<String, Value>>(token, &key, &rules) {
                Ok(decoded) => return judge(decoded.claims, expected),
                Err(error) => fault = Fault::Bad(error.to_string()),
            }
        }
        Err(fault)
    }

    /// The keys that a token may mean: that of its id, and all where it names none.
    fn of(&self, id: Option<&str>) -> impl Iterator<Item = &Jwk> {
        self.0.iter().filter(move |key| id.is_none() || key.common.key_id.as_deref() == id)
    }
}

/// What the library does not look at.
fn judge(claims: Map<String, Value>, expected: &Expected<'_>) -> Result<Map<String, Value>, Fault> {
    let seconds = |name: &str| claims.get(name).and_then(Value::as_f64).map(|seconds| seconds as i64);
    let now = expected.now.seconds();
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|audience| audience.len() > 1);
    let party = claims.get("azp").and_then(Value::as_str);
    let nonce = claims.get("nonce").and_then(Value::as_str).unwrap_or_default();
    let problem = if seconds("exp").is_none_or(|at| at + LEEWAY <= now) {
        "it has expired"
    } else if seconds("nbf").is_some_and(|at| at - LEEWAY > now) || seconds("iat").is_some_and(|at| at - LEEWAY > now) {
        "it is of the future"
    } else if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        "its nonce is another"
    } else if party.map_or(several, |party| party != expected.client) {
        "it is meant for somebody else"
    } else if claims.get("sub").and_then(Value::as_str).is_none_or(|sub| sub.is_empty() || sub.len() > 255) {
        "it has no subject of 1 to 255 bytes"
    } else {
        return Ok(claims);
    };
    Err(Fault::Bad(problem.to_owned()))
}

#[cfg(test)]
mod tests;
