//! A QR code as a picture that the server draws: one path, and nothing that the content security policy would refuse.

use qrcode::{Color, EcLevel, QrCode};

/// Light modules around the code, of which readers need four (ISO/IEC 18004).
const QUIET: usize = 4;

/// A square of dark modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Square {
    /// Modules on a side, the quiet zone included.
    pub side: usize,
    /// The dark modules, as the data of an SVG path.
    pub path: String,
}

/// The code of a text; `None` where the text is too long for any (some 2,300 bytes).
pub fn draw(text: &str) -> Option<Square> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let colors = code.to_colors();
    let mut path = String::new();
    for (y, row) in colors.chunks(width).enumerate() {
        let mut x = 0;
        while x < width {
            let run = row[x..].iter().take_while(|color| **color == Color::Dark).count();
            if run > 0 {
                path.push_str(&format!("M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET));
            }
            x += run + 1;
        }
    }
    Some(Square { side: width + 2 * QUIET, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corner_is_a_finder() {
        let square =
            draw("otpauth://totp/Tallybox:ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Tallybox").unwrap();
        assert!(square.path.starts_with("M4 4h7v1h-7z"), "{}", square.path);
        assert!((29..70).contains(&square.side), "{}", square.side);
        assert!(draw(&"x".repeat(5_000)).is_none());
    }
}
