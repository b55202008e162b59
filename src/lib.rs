//! doorward: face recognition at the door, on the board beside it.
//!
//! # The rooms
//! One package, one binary; the crate is divided into rooms, each knowing only those before it
//! (`tests/layering.rs` keeps the order):
//!
//! | room | concept |
//! |---|---|
//! | [`domain`] | the types that travel; no threads, no files, no tract |
//! | [`config`] | the TOML file, read in two steps: syntax, then meaning |
//! | [`nn`] | tract: graphs and own operators; knows tensors, no faces |
//! | [`models`] | the catalogue: which file does what, its hash, licence, preprocessing, operating points |
//! | [`capture`] | frame sources: replay, HTTP, a child's output, a camera |
//! | [`scene`] | what a frame shows before faces are looked for: light, motion |
//! | [`detect`] | where the faces are |
//! | [`align`] | the 112x112 crop a recogniser wants, and how good the sample is |
//! | [`track`] | faces joined over frames |
//! | [`pad`] | whether a face is a bona fide presentation or an attack |
//! | [`embed`] | a crop to a unit-norm embedding |
//! | [`gallery`] | subjects, templates, the sealed store, immutable snapshots |
//! | [`identify`] | one-to-many search over a snapshot |
//! | [`decide`] | pure policy: grant, or deny with a reason |
//! | [`emit`] | where events go |
//! | [`pipeline`] | the threads, and what flows between them |
//! | [`enrol`], [`eval`], [`mod@bench`] | other compositions of the same stages |
//! | [`cmd`] | one file a subcommand |
//!
//! # The way of a frame
//! ```text
//! capture --(latest-frame slot)--> see --(rendezvous)--> recognise --(bounded 64)--> emit
//!                                  light, motion         presentation attacks
//!                                  detect                embed
//!                                  align                 identify
//!                                  quality               decide
//!                                  track
//! ```
//! The slot is the one lossy edge: a newer frame replaces an unread one. Nothing after it is ever
//! dropped; pressure reaches the slot, so that what is decided on is always fresh.
#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod align;
pub mod bench;
pub mod capture;
pub mod cmd;
pub mod config;
pub mod decide;
pub mod detect;
pub mod domain;
pub mod embed;
pub mod emit;
pub mod enrol;
pub mod eval;
pub mod gallery;
pub mod identify;
pub mod models;
pub mod nn;
pub mod pad;
pub mod pipeline;
pub mod scene;
pub mod track;
