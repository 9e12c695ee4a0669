//! HMAC-SHA256 signatures over a request, in the two forms of telemetry-kit.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// What a request signs: `timestamp:body`, as the self-hosting guide has it, or `timestamp:nonce:body`, as the
/// published SDK does.
///
/// The two forms can be told apart only while a nonce cannot be the beginning of a body, nor the reverse: whoever
/// reads the nonce must insist on a UUID of 36 characters.
#[derive(Clone, Copy, Debug)]
pub struct SignedText<'a> {
    /// The header's text, unchanged.
    pub timestamp: &'a str,
    /// The header's text, unchanged; its presence selects the form.
    pub nonce: Option<&'a str>,
    /// The bytes as received, before any parsing.
    pub body: &'a [u8],
}

impl SignedText<'_> {
    /// The signature under a secret, whose text is the key as it stands: base64 or hex in it is not decoded.
    pub fn sign(&self, secret: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(self.timestamp.as_bytes());
        mac.update(b":");
        if let Some(nonce) = self.nonce {
            mac.update(nonce.as_bytes());
            mac.update(b":");
        }
        mac.update(self.body);
        mac.finalize().into_bytes().into()
    }

    /// Whether `claimed` is the signature under that secret, compared in constant time.
    pub fn verify(&self, secret: &[u8], claimed: &[u8; 32]) -> bool {
        self.sign(secret).ct_eq(claimed).into()
    }
}

/// A signature as sent: 64 hex digits of either case.
pub fn parse(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const SECRET: &str = "kIRV9eC/2+Dvqc4E9ubP9Cjzd0LG2/Dg0OVEfknKBPQ=";
    const NONCE: &str = "7f9c24e8-3b1a-4c55-9d0e-6a2f1b8c4d3e";
    const GUIDE: &str = "25ba6472510569655bcc549ed614dc5610444f30de58f08ac3334ddbd99e65b5";
    const WITH_NONCE: &str = "4e351186f4911660fbcee23fbec814d17f6b5d30ed10222970ee2a18f7164cb2";
    const WRONGLY_DECODED: &str = "5e6672510da9d318b53e8066326e1b03965a5dffd0d575ee8e70e8be6441f6b2";

    fn text(nonce: Option<&'static str>) -> SignedText<'static> {
        SignedText { timestamp: "1700000000", nonce, body: br#"{"events":[]}"# }
    }

    #[test]
    fn worked_values_of_both_forms_verify() {
        for (nonce, signature) in [(None, GUIDE), (Some(NONCE), WITH_NONCE)] {
            assert_eq!(hex::encode(text(nonce).sign(SECRET.as_bytes())), signature);
            for spelling in [signature.to_owned(), signature.to_uppercase()] {
                assert!(text(nonce).verify(SECRET.as_bytes(), &parse(&spelling).unwrap()), "{spelling}");
            }
        }
    }

    #[test]
    fn signature_of_another_form_body_time_or_secret_fails() {
        let guide = parse(GUIDE).unwrap();
        let with_nonce = parse(WITH_NONCE).unwrap();
        let secret = SECRET.as_bytes();
        assert!(!text(None).verify(secret, &with_nonce));
        assert!(!text(Some(NONCE)).verify(secret, &guide));
        assert!(!SignedText { body: br#"{"events":[] }"#, ..text(None) }.verify(secret, &guide));
        assert!(!SignedText { timestamp: "1700000001", ..text(None) }.verify(secret, &guide));
        assert!(!text(None).verify(b"another secret", &guide));
    }

    #[test]
    fn secret_is_used_as_text_and_never_decoded() {
        let decoded = STANDARD.decode(SECRET).unwrap();
        let wrong = parse(WRONGLY_DECODED).unwrap();
        assert!(text(Some(NONCE)).verify(&decoded, &wrong), "the worked value is of the decoded secret");
        assert!(!text(Some(NONCE)).verify(SECRET.as_bytes(), &wrong));
    }

    #[test]
    fn only_64_hex_digits_are_a_signature() {
        assert_eq!(parse(GUIDE), parse(&GUIDE.to_uppercase()));
        for text in ["", &GUIDE[1..], &format!("{GUIDE}0"), &GUIDE.replace('2', "g"), &format!(" {}", &GUIDE[1..])] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
