//! Levels as they are given, and lines with their rank.

use std::sync::{Arc, Mutex};

use tracing::subscriber::with_default;

use super::*;

#[test]
fn levels_are_for_all_or_for_a_part() {
    let levels = |text: &str| text.parse::<Levels>().unwrap().0;
    let warn = || Targets::new().with_default(LevelFilter::WARN);
    assert_eq!(levels("warn"), warn());
    assert_eq!(levels("off"), Targets::new().with_default(LevelFilter::OFF));
    let parts = warn().with_target("autopipe_runtime", LevelFilter::TRACE);
    for text in
        ["autopipe_runtime=trace", "warn, autopipe_runtime = trace", "autopipe_runtime=trace,warn"]
    {
        assert_eq!(levels(text), parts, "{text}");
    }
}

#[test]
fn what_is_no_level_is_told_with_those_that_are() {
    for (text, part) in
        [("loud", "loud"), ("", ""), ("info,a=loud", "a=loud"), ("=info", "=info"), ("3", "3")]
    {
        assert_eq!(text.parse::<Levels>(), Err(UnknownLevel { part: part.to_owned() }));
    }
}

/// Lines that are kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[test]
fn only_lines_of_their_level_are_shown() {
    let kept = Kept::default();
    let writer = kept.clone();
    let levels: Levels = "warn,part=debug".parse().unwrap();
    with_default(subscriber(&levels, move || writer.clone()), || {
        tracing::info!("not this");
        tracing::warn!(step = 3, "this");
        tracing::debug!(target: "part", "and that");
        tracing::trace!(target: "part", "nor this");
    });
    let text = kept.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].ends_with("WARN autopipe::log::tests: this step=3"), "{text}");
    assert!(lines[1].ends_with("DEBUG part: and that"), "{text}");
}
