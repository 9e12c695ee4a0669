//! How verbs that take their time show how far they are.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error that counts in `unit`; `None` where that is no terminal, or one that cannot move its cursor.
pub fn bar(unit: &str) -> Option<ProgressBar> {
    let template = format!("{{msg:24}} [{{bar:30}}] {{human_pos}}/{{human_len}} {unit}, {{per_sec}}, {{eta}}");
    let style = ProgressStyle::with_template(&template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    (!bar.is_hidden()).then(|| bar.with_style(style))
}
