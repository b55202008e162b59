//! The stages a frame goes through, each alone: find the faces, align one, make its embedding.
//!
//! `cargo bench --bench stages`, on a photograph with one face; in the variants that this processor takes by itself and in float.
#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use doorward::config::{DetectorSettings, EngineChoice};
use doorward::domain::{Clock, FrameRef, SourceId, SystemClock};
use doorward::models::ModelStore;
use doorward::nn::Engine;
use doorward::{align, detect, embed};

fn stages(criterion: &mut Criterion) {
    let image = image::open("tests/pictures/portrait.jpg").expect("the picture is there").into_rgb8();
    for (name, choice) in [("auto", EngineChoice::Auto), ("f32", EngineChoice::F32)] {
        let models =
            ModelStore::embedded().expect("the models are embedded by default").computed_by(Engine::default(), choice);
        let mut detector = detect::build(&DetectorSettings::default(), &models).expect("the detector loads");
        let mut embedder = embed::build(None, &models).expect("the recogniser loads");
        let detection = detector.detect(&image).expect("the picture can be searched").remove(0);
        let at = FrameRef { source: SourceId::new("bench"), seq: 0, captured: SystemClock.now() };
        let face = align::align(&at, &image, &detection).expect("the face can be aligned");

        let mut group = criterion.benchmark_group(name);
        group.bench_function("detect", |bencher| bencher.iter(|| detector.detect(&image)));
        group.bench_function("align", |bencher| bencher.iter(|| align::align(&at, &image, &detection)));
        group.bench_function("embed", |bencher| bencher.iter(|| embedder.embed(&face.crop)));
        group.finish();
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
