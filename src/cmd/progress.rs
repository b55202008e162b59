use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A progress bar on standard error for `len` pieces of work; silent for few, and where nobody looks.
pub(super) fn bar(len: usize, what: &'static str) -> ProgressBar {
    if len < 4 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len}, {eta} left")
        .expect("the template is valid")
        .progress_chars("=> ");
    let bar = ProgressBar::with_draw_target(Some(len as u64), ProgressDrawTarget::stderr());
    bar.set_style(style);
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A line on standard error that says what to do, and how many of `len` are done; hidden where nobody looks.
pub(super) fn line(len: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("[{pos}/{len}] {msg}").expect("the template is valid");
    ProgressBar::with_draw_target(Some(len as u64), ProgressDrawTarget::stderr()).with_style(style)
}
