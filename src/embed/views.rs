use super::{EmbedError, FaceEmbedder};
use crate::{
    config::Views,
    domain::{Embedding, FaceCrop, ModelId},
    nn::Profile,
};

/// Has `embedder` make its embeddings of these views.
pub fn in_views(embedder: Box<dyn FaceEmbedder>, views: Views) -> Box<dyn FaceEmbedder> {
    match views {
        Views::Single => embedder,
        Views::Mirrored => Box::new(Mirrored(embedder)),
    }
}

/// Adds a crop's embedding to that of its mirror image: what differs between the two halves of a face, by the light and by how
/// the head is held, cancels out. Takes twice the time.
struct Mirrored(Box<dyn FaceEmbedder>);

impl FaceEmbedder for Mirrored {
    fn model(&self) -> &ModelId {
        self.0.model()
    }

    fn embed(&mut self, crop: &FaceCrop) -> Result<Embedding, EmbedError> {
        sum(&self.0.embed(crop)?, &self.0.embed(&crop.mirrored())?)
    }

    fn engine_name(&self) -> &'static str {
        self.0.engine_name()
    }

    fn embed_profiled(&mut self, crop: &FaceCrop, profile: &mut Profile) -> Result<Embedding, EmbedError> {
        let first = self.0.embed_profiled(crop, profile)?;
        sum(&first, &self.0.embed_profiled(&crop.mirrored(), profile)?)
    }
}

/// Of unit vectors of one model: both weigh the same.
fn sum(one: &Embedding, other: &Embedding) -> Result<Embedding, EmbedError> {
    let values: Vec<f32> = one.values().iter().zip(other.values()).map(|(a, b)| a + b).collect();
    Ok(Embedding::new(one.model().clone(), &values)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::ModelStore;

    fn embedder(views: Views) -> Box<dyn FaceEmbedder> {
        in_views(super::super::build(None, &ModelStore::open("models".as_ref()).unwrap()).unwrap(), views)
    }

    fn face() -> FaceCrop {
        let crop = image::open("tests/golden/collins-aligned.png").unwrap().to_rgb8();
        FaceCrop::from_rgb(crop.into_raw()).unwrap()
    }

    #[test]
    fn a_face_and_its_mirror_image_have_one_embedding() {
        let (mut single, mut mirrored) = (embedder(Views::Single), embedder(Views::Mirrored));
        let (face, mirror) = (face(), face().mirrored());
        let both = mirrored.embed(&face).unwrap();
        assert!(both.similarity(&mirrored.embed(&mirror).unwrap()).unwrap().value() > 0.99999);
        let [one, other] = [&face, &mirror].map(|crop| single.embed(crop).unwrap());
        assert!(one.similarity(&other).unwrap().value() < 0.9999, "the views differ");
        // Of the middle of two directions: as far from the one as from the other, nearer than they are to each other.
        let [near, far] = [&one, &other].map(|view| both.similarity(view).unwrap().value());
        assert!((near - far).abs() < 1e-5 && near > one.similarity(&other).unwrap().value(), "{near} {far}");
        assert_eq!(both.model(), one.model());
    }
}
