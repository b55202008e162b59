//! Parses the command line, calls one command, turns an error into an exit code.

fn main() {}
