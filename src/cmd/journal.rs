//! The log on standard error: for people with times and colours, for systemd's journal with priorities instead.

use std::{
    env, fmt,
    io::{self, Write},
};

use env_logger::{Builder, Env};
use log::{Level, LevelFilter};

use super::Failure;

/// Where the log goes.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    journal: bool,
}

impl Log {
    /// Starts it. `verbosity` is how often `-v` was given; `RUST_LOG` overrides it.
    pub fn start(verbosity: u8) -> Self {
        let level = match verbosity {
            0 => "warn,doorward=warn",
            1 => "warn,doorward=info",
            _ => "info,doorward=debug",
        };
        let log = Self { journal: is_journal(env::var("JOURNAL_STREAM").ok().as_deref()) };
        let mut builder = Builder::from_env(Env::default().default_filter_or(level));
        // They tell of addresses, in which secrets may be; whoever wants that names one of their modules in RUST_LOG.
        for talkative in ["ureq", "ureq_proto", "rustls"] {
            builder.filter_module(talkative, LevelFilter::Off);
        }
        if log.journal {
            // The journal knows the time, and the level from the priority.
            builder.format(|out, record| write_prefixed(out, priority(record.level()), record.args()));
        } else {
            builder.format_target(false);
        }
        builder.init();
        log
    }

    /// Says why a command failed.
    pub fn failure(self, failure: &Failure) {
        if self.journal {
            // Nobody is left to be told of a closed standard error.
            let _ = write_prefixed(&mut io::stderr().lock(), priority(Level::Error), failure);
        } else {
            eprintln!("doorward: {failure}");
        }
    }
}

/// Whether standard error is the journal's stream, which `JOURNAL_STREAM` names by device and inode: it may have been redirected
/// since the variable was set.
fn is_journal(named: Option<&str>) -> bool {
    named.is_some_and(|named| {
        rustix::fs::fstat(io::stderr()).is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
    })
}

/// The priority of syslog(3) for a level.
const fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Each line with its priority: a line is an entry.
fn write_prefixed(out: &mut impl Write, priority: u8, text: &impl fmt::Display) -> io::Result<()> {
    let text = text.to_string();
    text.lines().try_for_each(|line| writeln!(out, "<{priority}>{line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_carries_its_priority() {
        let mut out = Vec::new();
        write_prefixed(&mut out, priority(Level::Warn), &"one\ntwo").unwrap();
        assert_eq!(out, b"<4>one\n<4>two\n");
    }

    #[test]
    fn another_stream_is_not_the_journal() {
        assert!(!is_journal(None) && !is_journal(Some("")) && !is_journal(Some("0:0")));
    }
}
