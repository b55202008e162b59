"""What a subject's reference should be made of, and a probe: measured on LFW View 1 by the open-set protocol.

    python -m venv .venv && .venv/bin/pip install numpy
    .venv/bin/python benches/recognition/references.py --doorward target/release/doorward --data lfw-dev

`--data` is a folder with `images/PERSON/*.jpg` and the lists gallery_1photo.csv, gallery_3photos.csv, probes_mated.csv,
probes_nonmated.csv (columns subject,image). The embeddings are doorward's own, of the face nearest the picture's centre, computed
once and kept in memory only. docs/recognition.md has the tables this prints, and what was chosen by them.

Two kinds of evidence, because the lists are small (one mated probe of 328 is 0.3 %):
- the lists, with the paired 95 % interval of the difference to the mean of plain embeddings: bootstrap over subjects and strangers;
- random galleries of at most 180 people, their other photos as mated probes, half of everybody else as strangers, the other half as
  cohort: the mean over the draws, and in how many of them a choice was better or worse than the mean of plain embeddings.
"""

import argparse
import csv
import json
import pathlib
import subprocess

import numpy as np

TARGETS = (0.01, 0.003)
BATCH = 500
COHORT_BEST = 100


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


class Faces:
    """The embeddings of every picture, of one view and of two, and the sample's quality."""

    def __init__(self, doorward, data, engine):
        self.pictures = sorted(str(p.relative_to(data)) for p in data.glob("images/*/*.jpg"))
        ask = lambda *command: self.answers(doorward, data, [*command, "--json"])
        with_engine = ("--engine", engine)
        single = ask("embed", *with_engine)
        self.single = {p: unit(np.array(face["embedding"])) for p, face in single.items()}
        mirrored = ask("embed", "--views", "mirrored", *with_engine)
        self.mirrored = {p: unit(np.array(face["embedding"])) for p, face in mirrored.items()}
        self.quality = {p: face["quality"] for p, face in ask("detect", *with_engine).items()}
        self.people = {}
        for picture in self.single:
            self.people.setdefault(picture.split("/")[1], []).append(picture)

    def answers(self, doorward, data, command):
        """The central face of each picture that has one."""
        found = {}
        for start in range(0, len(self.pictures), BATCH):
            pictures = self.pictures[start : start + BATCH]
            lines = subprocess.run([doorward, *command, *pictures], cwd=data, capture_output=True, text=True).stdout
            for answer in map(json.loads, lines.splitlines()):
                if answer["faces"]:
                    found[answer["image"]] = min(answer["faces"], key=off_centre)
        return found


def off_centre(face, centre=125):
    x, y, w, h = face["bbox"]
    return (x + w / 2 - centre) ** 2 + (y + h / 2 - centre) ** 2


class Choice:
    """How references and probes are made and compared; all by default as doorward does."""

    def __init__(self, name, rule="mean", weight=None, references="single", probes="single", normalise=None):
        self.name, self.rule, self.weight, self.normalise = name, rule, weight, normalise
        self.references, self.probes = references, probes

    def vectors(self, faces, photos):
        v = np.stack([getattr(faces, self.references)[p] for p in photos])
        if self.rule == "best":
            return v
        w = np.ones(len(v)) if self.weight is None else np.array([self.weight(faces.quality[p]) for p in photos])
        mean = unit((v * w[:, None]).sum(0))[None]
        return np.concatenate([v, mean]) if self.rule == "best-or-mean" else mean

    def search(self, faces, gallery, probes, cohort):
        """Similarity of each probe (row) to each subject (column)."""
        references = [self.vectors(faces, photos) for photos in gallery]
        probes = np.stack([unit(sum(getattr(faces, self.probes)[p] for p in photos)) for photos in probes])
        starts = np.cumsum([0, *(len(r) for r in references[:-1])])
        scores = np.maximum.reduceat(probes @ np.concatenate(references).T, starts, axis=1)
        return self.normalised(scores, np.stack([unit(r.mean(0)) for r in references]), probes, faces, cohort)

    def normalised(self, scores, references, probes, faces, cohort):
        """z: by each reference's scores with a cohort of strangers; t: by each probe's; s: the mean of both; as: by the best only."""
        if self.normalise is None:
            return scores
        if self.normalise == "gallery":
            others = np.where(np.eye(scores.shape[1], dtype=bool)[scores.argmax(1)], np.nan, scores)
            return (scores - np.nanmean(others, 1, keepdims=True)) / np.nanstd(others, 1, keepdims=True)
        cohort = np.stack([faces.single[p] for p in cohort])
        z, t = references @ cohort.T, probes @ cohort.T
        if self.normalise == "as":
            z, t = (-np.sort(-s, 1)[:, :COHORT_BEST] for s in (z, t))
        by_reference = (scores - z.mean(1)[None]) / z.std(1)[None]
        by_probe = (scores - t.mean(1)[:, None]) / t.std(1)[:, None]
        return {"z": by_reference, "t": by_probe}.get(self.normalise, (by_reference + by_probe) / 2)


def yaw(quality):
    return max(np.cos(np.radians(quality["yaw_deg"])), 0.05)


PLAIN = Choice("mean of embeddings")
MIRROR = [Choice("mirrored, references and probes", references="mirrored", probes="mirrored"),
          Choice("mirrored, references only", references="mirrored"), Choice("mirrored, probes only", probes="mirrored")]
RULES = [Choice("best template", "best"), Choice("best template or mean", "best-or-mean"),
         Choice("weight: yaw", weight=yaw), Choice("weight: score x yaw", weight=lambda q: q["detector_score"] * yaw(q)),
         Choice("weight: sharpness", weight=lambda q: np.sqrt(q["sharpness"])), Choice("weight: size", weight=lambda q: q["size_px"]),
         Choice("weight: contrast", weight=lambda q: q["contrast"])]
COHORT = [Choice("normalised by gallery", normalise="gallery"), *(Choice(f"{n}-norm, cohort", normalise=n) for n in ("z", "t", "s", "as"))]


def trial(choice, faces, gallery, mated, nonmated, cohort=None):
    """Own similarity of each mated probe that its subject is best for, else -inf; best similarity of each stranger."""
    owner = np.array([k for k, _ in mated])
    scores = choice.search(faces, gallery, [photos for _, photos in mated], cohort)
    first = scores.argmax(1) == owner
    hits = np.where(first, scores[np.arange(len(owner)), owner], -np.inf)
    return hits, choice.search(faces, gallery, nonmated, cohort).max(1)


def fnir(hits, strangers, target):
    """At the least threshold with at most this FPIR."""
    allowed = int(target * len(strangers))
    return (hits <= np.sort(strangers)[::-1][allowed]).mean()


def on_lists(faces, data, name, choices):
    rows = lambda file: [r for r in csv.DictReader((data / file).open()) if r["image"] in faces.single]
    gallery = {}
    for row in rows(name):
        gallery.setdefault(row["subject"], []).append(row["image"])
    number = {subject: k for k, subject in enumerate(gallery)}
    mated = [(number[r["subject"]], [r["image"]]) for r in rows("probes_mated.csv")]
    nonmated = [[r["image"]] for r in rows("probes_nonmated.csv")]
    print(f"\n{name}: {len(gallery)} subjects, {len(mated)} mated probes, {len(nonmated)} strangers; FNIR at FPIR {TARGETS}")
    outcomes = [(c, *trial(c, faces, list(gallery.values()), mated, nonmated)) for c in choices]
    owners = np.array([k for k, _ in mated])
    for choice, hits, strangers in outcomes:
        text = f"{choice.name:34}"
        for target in TARGETS:
            low, high = paired(outcomes[0][1:], (hits, strangers), owners, target)
            text += f" | {100 * fnir(hits, strangers, target):5.2f} % ({(hits <= np.sort(strangers)[::-1][int(target * len(strangers))]).sum()})"
            text += f" difference {100 * low:+.2f} to {100 * high:+.2f}"
        print(text, flush=True)


def paired(one, other, owners, target, draws=500):
    random = np.random.default_rng(3)
    members = [np.flatnonzero(owners == k) for k in np.unique(owners)]
    differences = []
    for _ in range(draws):
        probes = np.concatenate([members[k] for k in random.integers(len(members), size=len(members))])
        strangers = random.integers(len(one[1]), size=len(one[1]))
        differences.append(fnir(other[0][probes], other[1][strangers], target) - fnir(one[0][probes], one[1][strangers], target))
    return np.quantile(differences, [0.025, 0.975])


def on_random_galleries(faces, photos, choices, draws, of_probe=1, strangers_have=1):
    """Each choice against the first one, over galleries drawn at random. Strangers without so many photos are left out; where
    they have several, so have the mated probes, and each person is one probe of the first `of_probe` of them."""
    random = np.random.default_rng(11)
    names = sorted(faces.people)
    rates = {c.name: [] for c in choices}
    for _ in range(draws):
        eligible = [n for n in names if len(faces.people[n]) >= photos + strangers_have]
        enrolled = [eligible[k] for k in random.permutation(len(eligible))[:180]]
        gallery, mated = [], []
        for k, name in enumerate(enrolled):
            order = [faces.people[name][j] for j in random.permutation(len(faces.people[name]))]
            gallery.append(order[:photos])
            rest = order[photos:]
            mated += [(k, rest[:of_probe])] if strangers_have > 1 else [(k, [p]) for p in rest]
        others = [n for n in names if n not in set(enrolled) and len(faces.people[n]) >= strangers_have]
        others = [[faces.people[n][j] for j in random.permutation(len(faces.people[n]))[:of_probe]]
                  for n in (others[k] for k in random.permutation(len(others)))]
        # No choice for tracks needs a cohort: all of the others are strangers.
        half = len(others) // 2 if strangers_have == 1 else len(others)
        for choice in choices:
            outcome = trial(choice, faces, gallery, mated, others[:half], [photos[0] for photos in others[half:]])
            rates[choice.name].append([fnir(*outcome, target) for target in TARGETS])
    print(f"\nrandom galleries: {len(enrolled)} subjects, {photos} photos, probes of {of_probe}, {half} strangers, {draws} draws")
    base = np.array(rates[choices[0].name])
    for choice in choices:
        mine = np.array(rates[choice.name])
        text = f"{choice.name:34}"
        for k in range(len(TARGETS)):
            difference = mine[:, k] - base[:, k]
            text += f" | {100 * mine[:, k].mean():5.2f} % better {(difference < 0).sum():2} worse {(difference > 0).sum():2}"
        print(text, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--doorward", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--engine", default="int8", choices=["int8", "f32"])
    parser.add_argument("--draws", type=int, default=60)
    arguments = parser.parse_args()
    faces = Faces(arguments.doorward.resolve(), arguments.data, arguments.engine)
    print(f"{len(faces.pictures)} pictures, {len(faces.single)} with a face, {len(faces.people)} people")
    on_lists(faces, arguments.data, "gallery_1photo.csv", [PLAIN, *MIRROR, COHORT[0]])
    on_lists(faces, arguments.data, "gallery_3photos.csv", [PLAIN, *RULES, *MIRROR, COHORT[0]])
    for photos in (1, 2, 3):
        on_random_galleries(faces, photos, [PLAIN, *(RULES if photos > 1 else []), *MIRROR, *COHORT], arguments.draws)
    for photos in (1, 3):
        for of_probe in (1, 2):
            # The same people as strangers, whatever a probe is made of: those with two photos.
            on_random_galleries(faces, photos, [PLAIN], arguments.draws, of_probe, strangers_have=2)


if __name__ == "__main__":
    main()
