"""Several looks at one face: do k of n have to agree, or is the mean of their embeddings compared? Measured on LFW View 1.

    python -m venv .venv && .venv/bin/pip install numpy pillow
    .venv/bin/python benches/recognition/tracks.py --doorward target/release/doorward --data lfw-dev

There are no recordings of many people here, so that tracks are made of photos, in two ways that lie on both sides of a real track:
- frames: five times one photo, each moved, turned, blurred, lit and compressed anew: what goes wrong in the photo goes wrong in every look;
- photos: three different photos of a person: looks that have little in common.
Random galleries, as in references.py; strangers have as many looks. Each rule has a threshold of its own, at the same FPIR.
docs/recognition.md has the tables this prints.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import tempfile

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

TARGETS = (0.01, 0.003)
BATCH = 500
LOOKS = 5


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def embeddings(doorward, pictures):
    found = {}
    for start in range(0, len(pictures), BATCH):
        command = [doorward, "embed", "--json", *map(str, pictures[start : start + BATCH])]
        for line in subprocess.run(command, capture_output=True, text=True).stdout.splitlines():
            answer = json.loads(line)
            if answer["faces"]:
                face = min(answer["faces"], key=lambda f: abs(f["bbox"][0] + f["bbox"][2] / 2 - 125) + abs(f["bbox"][1] + f["bbox"][3] / 2 - 125))
                found[answer["image"]] = unit(np.array(face["embedding"]))
    return found


def frame(photo, random):
    """The photo as another frame of a camera would show it."""
    turned = photo.rotate(random.uniform(-4, 4), Image.Resampling.BILINEAR, translate=tuple(random.integers(-6, 7, 2)))
    size = int(250 * random.uniform(0.92, 1.06))
    picture = turned.resize((size, size), Image.Resampling.BILINEAR)
    picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(0, 1.3)))
    picture = ImageEnhance.Brightness(picture).enhance(random.uniform(0.75, 1.25))
    noisy = np.asarray(picture, dtype=np.float32) + random.normal(0, 4, (size, size, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


# A rule makes of the looks' similarities to each subject (looks x subjects), and of the looks themselves, one score a subject.
def agree(k):
    return lambda scores, looks, references: np.sort(scores, 0)[-k]


def mean(scores, looks, references):
    return references @ unit(looks.mean(0))


class Trial:
    """One rule on one gallery."""

    def __init__(self, rule, gallery, mated, strangers):
        self.strangers = np.array(sorted((rule(looks @ gallery.T, looks, gallery).max() for looks in strangers), reverse=True))
        self.hits = []
        for owner, looks in mated:
            scores = rule(looks @ gallery.T, looks, gallery)
            self.hits.append(scores[owner] if scores.argmax() == owner else -np.inf)
        self.hits = np.array(self.hits)

    def threshold(self, target):
        """The least with at most this FPIR."""
        return self.strangers[int(target * len(self.strangers))]

    def fnir(self, threshold):
        return (self.hits <= threshold).mean()

    def fpir(self, threshold):
        return (self.strangers > threshold).mean()


def compare(name, draw, rules, draws):
    random = np.random.default_rng(11)
    rates, fixed = collections.defaultdict(list), collections.defaultdict(list)
    for _ in range(draws):
        gallery, mated, strangers = draw(random)
        trials = {label: Trial(rule, gallery, mated, strangers) for label, rule in rules.items()}
        single = next(iter(trials.values()))
        for label, trial in trials.items():
            rates[label].append([trial.fnir(trial.threshold(target)) for target in TARGETS])
            # What a door does whose threshold was measured on single photos.
            fixed[label].append([(trial.fpir(t), trial.fnir(t)) for t in (single.threshold(target) for target in TARGETS)])
    print(f"\n{name}: {len(gallery)} subjects, {len(mated)} mated tracks, {len(strangers)} strangers' tracks, {draws} draws; FNIR at FPIR {TARGETS}")
    base = np.array(next(iter(rates.values())))
    for label, values in rates.items():
        values = np.array(values)
        text = f"{label:34}"
        for column in range(len(TARGETS)):
            difference = values[:, column] - base[:, column]
            text += f" | {100 * values[:, column].mean():5.2f} % better {(difference < 0).sum():2} worse {(difference > 0).sum():2}"
        print(text, flush=True)
    print("at the thresholds of one look: FPIR, FNIR")
    for label, values in fixed.items():
        means = 100 * np.array(values).mean(0)
        print(f"{label:34}" + "".join(f" | {fpir:5.2f} % {fnir:5.2f} %" for fpir, fnir in means), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--doorward", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--people", type=int, default=1600, help="strangers in the made-up frames")
    args = parser.parse_args()
    pictures = sorted(args.data.glob("images/*/*.jpg"))
    photos = embeddings(args.doorward, pictures)
    people = collections.defaultdict(list)
    for picture in pictures:
        if str(picture) in photos:
            people[picture.parent.name].append(str(picture))
    several = [name for name, own in people.items() if len(own) >= 3]
    single = [name for name, own in people.items() if len(own) < 3][: args.people]

    random = np.random.default_rng(5)
    frames = collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        made = {}
        for name in [*several, *single]:
            # Of who may be enrolled each photo is a probe; of strangers one.
            for number, picture in enumerate(people[name] if name in set(several) else people[name][:1]):
                photo = Image.open(picture).convert("RGB")
                for look in range(LOOKS):
                    path = pathlib.Path(scratch) / f"{len(made):06}.jpg"
                    frame(photo, random).save(path, quality=int(random.integers(60, 90)))
                    made[str(path)] = picture
        for path, embedding in embeddings(args.doorward, [pathlib.Path(p) for p in made]).items():
            frames[made[path]].append(embedding)
    frames = {picture: np.stack(looks) for picture, looks in frames.items() if len(looks) == LOOKS}
    print(f"{len(photos)} photos of {len(people)} people, {len(frames)} tracks of {LOOKS} frames")

    def of_frames(random):
        order = [several[k] for k in random.permutation(len(several))]
        gallery, mated = [], []
        for name in order[:100]:
            own = [people[name][k] for k in random.permutation(len(people[name]))]
            gallery.append(unit(np.mean([photos[p] for p in own[:1]], 0)))
            mated += [(len(gallery) - 1, frames[p]) for p in own[1:] if p in frames]
        strangers = [frames[people[name][0]] for name in [*order[100:], *single] if people[name][0] in frames]
        return np.stack(gallery), mated, strangers

    def of_photos(random):
        eligible = [name for name in several if len(people[name]) >= 4]
        enrolled = {eligible[k] for k in random.permutation(len(eligible))[:80]}
        gallery, mated = [], []
        for name in sorted(enrolled):
            own = [photos[people[name][k]] for k in random.permutation(len(people[name]))]
            gallery.append(own[0])
            mated.append((len(gallery) - 1, np.stack(own[1:4])))
        strangers = [np.stack([photos[p] for p in people[name][:3]]) for name in several if name not in enrolled]
        return np.stack(gallery), mated, strangers

    compare("frames", of_frames, {"one look": lambda s, l, r: s[0], "3 of 5 agree": agree(3), "2 of 5 agree": agree(2),
                                  "4 of 5 agree": agree(4), "mean of 5 embeddings": mean,
                                  "mean of the first 3": lambda s, l, r: mean(s, l[:3], r)}, args.draws)
    compare("photos", of_photos, {"one look": lambda s, l, r: s[0], "2 of 3 agree": agree(2), "1 of 3": agree(1), "3 of 3 agree": agree(3),
                                  "mean of 3 embeddings": mean}, args.draws)


if __name__ == "__main__":
    main()
