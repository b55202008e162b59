//! Sealing: ChaCha20-Poly1305 (RFC 8439) bound to the place a value stands at.

use chacha20poly1305::{
    ChaCha20Poly1305, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use zeroize::Zeroizing;

use super::GalleryError;

pub(super) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// How much longer a sealed value is than what is in it.
pub(super) const OVERHEAD_BYTES: usize = NONCE_BYTES + TAG_BYTES;

/// Which store a value belongs to.
pub(super) type StoreId = [u8; 16];

/// Where a sealed value stands; it opens nowhere else.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub schema: u32,
    pub store: &'a StoreId,
    pub table: &'a str,
    pub row: &'a [u8],
}

impl Place<'_> {
    fn associated_data(&self) -> Vec<u8> {
        let table = u8::try_from(self.table.len()).expect("table names are short constants");
        let mut data = Vec::with_capacity(21 + self.table.len() + self.row.len());
        data.extend_from_slice(&self.schema.to_le_bytes());
        data.extend_from_slice(self.store);
        data.push(table);
        data.extend_from_slice(self.table.as_bytes());
        data.extend_from_slice(self.row);
        data
    }
}

/// A 256-bit key, wiped when dropped.
pub(super) struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl Key {
    pub fn from_bytes(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(bytes)
    }

    pub fn random() -> Result<Self, GalleryError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(bytes.as_mut()).map_err(GalleryError::Random)?;
        Ok(Self(bytes))
    }

    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// nonce, ciphertext, tag.
    pub fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>, GalleryError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(GalleryError::Random)?;
        let payload = Payload { msg: plain, aad: &place.associated_data() };
        let sealed = ChaCha20Poly1305::new(&(*self.0).into())
            .encrypt(&Nonce::from(nonce), payload)
            .expect("records are far below the cipher's limit of 256 GiB");
        let mut value = nonce.to_vec();
        value.extend_from_slice(&sealed);
        Ok(value)
    }

    /// `None` when the value was not sealed with this key for this place, or was altered.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: &place.associated_data() };
        ChaCha20Poly1305::new(&(*self.0).into()).decrypt(&Nonce::from(*nonce), payload).ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STORE: StoreId = [1; 16];
    const HOME: Place<'static> = Place { schema: 1, store: &STORE, table: "subjects", row: b"row" };

    proptest! {
        #[test]
        fn what_was_sealed_opens_and_any_altered_bit_does_not(
            plain in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), bit in 0u8..8,
        ) {
            let key = Key::random().unwrap();
            let mut sealed = key.seal(HOME, &plain).unwrap();
            prop_assert_eq!(&**key.open(HOME, &sealed).unwrap(), &plain[..]);
            let at = at.index(sealed.len());
            sealed[at] ^= 1u8 << bit;
            prop_assert!(key.open(HOME, &sealed).is_none());
        }

        #[test]
        fn bytes_that_were_never_sealed_do_not_open(noise in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(Key::random().unwrap().open(HOME, &noise).is_none());
        }
    }

    #[test]
    fn a_value_opens_only_where_it_was_sealed() {
        let key = Key::random().unwrap();
        let sealed = key.seal(HOME, b"Ada").unwrap();
        let other_store = [2; 16];
        for elsewhere in [
            Place { schema: 2, ..HOME },
            Place { store: &other_store, ..HOME },
            Place { table: "templates", ..HOME },
            Place { row: b"other", ..HOME },
            // The boundary between table and row counts, too.
            Place { table: "subject", row: b"srow", ..HOME },
        ] {
            assert!(key.open(elsewhere, &sealed).is_none());
        }
        assert!(Key::random().unwrap().open(HOME, &sealed).is_none());
        assert!(key.open(HOME, &sealed).is_some());
    }
}
