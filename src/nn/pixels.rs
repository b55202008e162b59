//! From the bytes of a picture to what a graph takes.

use super::qdq::Quantisation;

/// What each channel of a graph's input is made of: one byte of a pixel, and the value for every such byte.
///
/// A quantised graph that stands for its input with as many steps as a byte has takes the picture as it is: then no pixel is
/// converted at all.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelTable {
    channels: Vec<(usize, [f32; 256])>,
}

impl PixelTable {
    /// A table with a channel for each entry of `bytes`: which byte of a pixel it reads. `value(channel, byte)` is what it
    /// makes of it.
    ///
    /// # Panics
    /// When an entry of `bytes` is not below their number.
    pub fn new(bytes: &[usize], value: impl Fn(usize, u8) -> f32) -> PixelTable {
        assert!(bytes.iter().all(|&byte| byte < bytes.len()), "a pixel has one byte a channel");
        let channel =
            |(channel, &byte): (usize, &usize)| (byte, std::array::from_fn(|pixel| value(channel, pixel as u8)));
        PixelTable { channels: bytes.iter().enumerate().map(channel).collect() }
    }

    /// The number of channels.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Writes a picture as planes of values, a plane a channel.
    pub(super) fn fill(&self, picture: &[u8], planes: &mut [f32]) {
        let places = planes.len() / self.channels.len();
        for ((byte, values), plane) in self.channels.iter().zip(planes.chunks_exact_mut(places.max(1))) {
            for (value, pixel) in plane.iter_mut().zip(picture.chunks_exact(self.channels.len())) {
                *value = values[usize::from(pixel[*byte])];
            }
        }
    }

    /// The stored byte for every byte of a pixel, for a quantised input.
    pub(super) fn stored(&self, quantisation: &Quantisation) -> StoredPixels {
        let channel = |(channel, (byte, values)): (usize, &(usize, [f32; 256]))| {
            let mut stored = [0; 256];
            quantisation.store(values, channel, &mut stored);
            (*byte, stored)
        };
        StoredPixels { channels: self.channels.iter().enumerate().map(channel).collect() }
    }
}

/// A [`PixelTable`] for a quantised input.
pub(super) struct StoredPixels {
    channels: Vec<(usize, [u8; 256])>,
}

impl StoredPixels {
    /// The byte of a pixel that each channel reads, when every byte stands for itself and each is read once.
    pub(super) fn order(&self) -> Option<Vec<usize>> {
        let unchanged =
            self.channels.iter().all(|(_, stored)| stored.iter().enumerate().all(|(i, &s)| i == usize::from(s)));
        let order: Vec<usize> = self.channels.iter().map(|(byte, _)| *byte).collect();
        let once = (0..order.len()).all(|byte| order.contains(&byte));
        (unchanged && once).then_some(order)
    }

    /// Writes a picture as stored bytes, pixel by pixel.
    pub(super) fn fill(&self, picture: &[u8], bytes: &mut [u8]) {
        let channels = self.channels.len();
        for (to, from) in bytes.chunks_exact_mut(channels).zip(picture.chunks_exact(channels)) {
            for (to, (byte, stored)) in to.iter_mut().zip(&self.channels) {
                *to = stored[usize::from(from[*byte])];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUANTISATION: Quantisation = Quantisation { scale: 1.0 / 128.0, zero: 128, offset: Vec::new() };

    #[test]
    fn planes_take_their_byte_and_value() {
        let table = PixelTable::new(&[1, 0], |channel, byte| f32::from(byte) * if channel == 0 { 1.0 } else { -1.0 });
        let mut planes = [0.0; 4];
        table.fill(&[1, 2, 3, 4], &mut planes);
        assert_eq!(planes, [2.0, 4.0, -1.0, -3.0]);
    }

    #[test]
    fn bytes_that_stand_for_themselves_need_no_table() {
        let exact = PixelTable::new(&[2, 1, 0], |_, byte| (f32::from(byte) - 128.0) / 128.0);
        assert_eq!(exact.stored(&QUANTISATION).order(), Some(vec![2, 1, 0]));
        let shifted = PixelTable::new(&[0], |_, byte| (f32::from(byte) - 100.0) / 128.0);
        let stored = shifted.stored(&QUANTISATION);
        assert_eq!(stored.order(), None);
        let mut bytes = [0; 2];
        stored.fill(&[0, 255], &mut bytes);
        assert_eq!(bytes, [28, 255]);
    }
}
