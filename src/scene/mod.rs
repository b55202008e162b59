//! What a frame shows before faces are looked for: whether there is light, and whether anything moves.
//!
//! A [`Glance`] is a picture of 32x24 grey cells, made from a few thousand pixels of the frame whatever its size. By it frames are passed
//! over that cannot show a face ([`Light`]: an infrared lamp that strobes leaves every other frame black), and those in which nothing
//! has changed while nobody is there ([`Attention`]).

mod attention;
mod glance;

pub use attention::Attention;
pub use glance::{Glance, Light};
