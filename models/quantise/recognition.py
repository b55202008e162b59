"""How well embeddings recognise, on lists laid out as CONTRIBUTING.md says (DOORWARD_DATA)."""

import csv
from dataclasses import dataclass

import numpy as np


@dataclass
class Lists:
    """The lists of a folder; pictures are named relative to it."""

    folder: object

    def rows(self, name):
        with open(self.folder / f"{name}.csv", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def pairs(self, name):
        return [(row["image1"], row["image2"], row["same"] == "1") for row in self.rows(name)]

    def people(self, name):
        return [(row["subject"], row["image"]) for row in self.rows(name)]

    def pictures(self):
        """Every picture that a list names, once."""
        found = {image for name in ("pairs_train", "pairs_test") for a, b, _ in self.pairs(name) for image in (a, b)}
        for name in ("gallery_1photo", "gallery_3photos", "probes_mated", "probes_nonmated"):
            found |= {image for _, image in self.people(name)}
        return sorted(found)


def pair_scores(embeddings, pairs):
    """(similarities, mated or not); a picture without a face is similar to none."""
    none = np.zeros_like(next(iter(embeddings.values())))
    scores = [float(embeddings.get(a, none) @ embeddings.get(b, none)) for a, b, _ in pairs]
    return np.array(scores), np.array([same for _, _, same in pairs])


def verification(embeddings, lists):
    """The share of `pairs_test` told right at the threshold that is best on `pairs_train`: (share, threshold)."""
    scores, same = pair_scores(embeddings, lists.pairs("pairs_train"))
    at = np.sort(scores)
    threshold = max((at[1:] + at[:-1]) / 2, key=lambda t: ((scores >= t) == same).mean())
    scores, same = pair_scores(embeddings, lists.pairs("pairs_test"))
    return float(((scores >= threshold) == same).mean()), float(threshold)


@dataclass
class Search:
    """An open-set search: the best similarity of each non-mated probe, and of each mated one whether it is the right subject's."""

    non_mated: np.ndarray
    mated: np.ndarray
    right: np.ndarray

    def at(self, threshold):
        """(false positives, false negatives) at a threshold."""
        return int((self.non_mated >= threshold).sum()), int((~self.right | (self.mated < threshold)).sum())

    def fnir_at_fpir(self, fpir):
        """(FNIR, threshold) where at most `fpir` of the non-mated probes reach the threshold."""
        allowed = int(fpir * len(self.non_mated))
        threshold = float(np.nextafter(np.sort(self.non_mated)[::-1][allowed], np.float32(2)))
        return self.at(threshold)[1] / len(self.mated), threshold


def search(embeddings, lists, gallery):
    """Searches `gallery` (a list's name) for all probes: templates are normalised means of a subject's embeddings."""
    templates = {}
    for subject, image in lists.people(gallery):
        if image in embeddings:
            templates.setdefault(subject, []).append(embeddings[image])
    subjects = np.array(list(templates))
    rows = np.stack([np.sum(templates[s], 0) for s in subjects])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def best(name):
        probes = [(s, embeddings[i]) for s, i in lists.people(name) if i in embeddings]
        scores = np.stack([e for _, e in probes]) @ rows.T
        return scores.max(1), subjects[scores.argmax(1)] == np.array([s for s, _ in probes])

    return Search(best("probes_nonmated")[0], *best("probes_mated"))


def one_to_one(embeddings, lists, threshold):
    """(false matches, non-mated pairs, false non-matches, mated pairs): FMR over all pairs of the non-mated people, FNMR over the
    mated pairs of both lists."""
    people = np.stack([embeddings[i] for _, i in lists.people("probes_nonmated") if i in embeddings])
    scores = people @ people.T
    reached = int((scores[np.triu_indices(len(people), 1)] >= threshold).sum())
    pairs, same = pair_scores(embeddings, lists.pairs("pairs_train") + lists.pairs("pairs_test"))
    return reached, len(people) * (len(people) - 1) // 2, int((pairs[same] < threshold).sum()), int(same.sum())
