"""Pinned names of runs: an edited default, field or canonical form renames finished runs, and shows here first."""

import hashlib
import json

import pytest

from ebreplicate.specs.spec import Recipe, Retrain, Search, Ticket, canonical, key

VGG = Search("vgg16", "cifar10")
LENET = Search("lenet300", "mnist")
EB = Ticket(VGG, 0.3, "eb")
SHORT = Recipe(epochs=6, batch_size=32, milestones=(4, 5), augment="none")
SMOKE = Search("preresnet20", "digits100", SHORT, seed=1, width=0.25, train_size=1000, test_size=200)
PINNED = {
    "vgg16-cifar10-s0-3355e60abf": VGG,
    "preresnet101-cifar100-s2-98862d4898": Search("preresnet101", "cifar100", seed=2),
    "vgg16-cifar10-s0-3002d4679a": Search("vgg16", "cifar10", Recipe(lr=0.01, milestones=(100,))),
    "vgg16-cifar10-s0-ec7bd5936a": Search("vgg16", "cifar10", precision="bf16"),
    "preresnet20w0.25-digits100-s1-a367179ba2": SMOKE,
    "vgg16-cifar10-s0-slimming-r0.3-eb-d02891c3eb": EB,
    "vgg16-cifar10-s0-slimming-r0.5-e20-9cb49369fd": Ticket(VGG, 0.5, 20),
    "vgg16-cifar10-s0-random-r0.7-best-62aae945e0": Ticket(VGG, 0.7, "best", "random"),
    "preresnet20w0.25-digits100-s1-slimming-r0.5-e6-d4b4d7756b": Ticket(SMOKE, 0.5, "final"),
    "vgg16-cifar10-s0-slimming-r0.3-eb-inherit-a8ff9deb29": Retrain(EB),
    "vgg16-cifar10-s0-slimming-r0.3-eb-inherit-continue-0be9727baf": Retrain(EB, schedule="continue"),
    "vgg16-cifar10-s0-slimming-r0.3-eb-reinit-fe24b84de4": Retrain(EB, init="reinit", seed=3),
    "preresnet20w0.25-digits100-s1-slimming-r0.5-e2-inherit-3d5983cab4": Retrain(
        Ticket(SMOKE, 0.5, 2), Recipe(epochs=3, milestones=(2,)), precision="bf16"
    ),
    "vgg16-cifar10-s0-crop-r0.5-crop-code-5a8c3442f0": Ticket(VGG, 0.5, "crop-code", "crop"),
    "vgg16-cifar10-s0-crop-r0.5-e0-dd0886441b": Ticket(VGG, 0.5, 0, "crop"),
    "vgg16-cifar10-s0-crop-leak-r0.5-crop-inherit-continue-1428f89792": Retrain(
        Ticket(VGG, 0.5, "crop", "crop-leak"), schedule="continue"
    ),
    "lenet300-mnist-s0-grasp-weights-r0.98-e0-c8e606b102": Ticket(LENET, 0.98, 0, "grasp-weights"),
    "lenet300-mnist-s0-crop-weights-r0.98-crop-code-inherit-continue-c6d452ec43": Retrain(
        Ticket(LENET, 0.98, "crop-code", "crop-weights"), schedule="continue"
    ),
}


@pytest.mark.parametrize("name", PINNED)
def test_key_is_the_pinned_one(name):
    assert key(PINNED[name]) == name


def test_key_is_the_hash_of_the_fields_that_are_not_at_their_default():
    recipe = {"augment": "none", "batch_size": 32, "epochs": 6, "milestones": [4, 5]}
    images = {"test_size": 200, "train_size": 1000}
    search = {"dataset": "digits100", "model": "preresnet20", "recipe": recipe, "seed": 1, **images, "width": 0.25}
    body = {"numerics": 1, "spec": search, "stage": "search"}
    text = json.dumps(body, separators=(",", ":"))
    assert canonical(SMOKE) == text
    assert key(SMOKE).endswith(hashlib.sha256(text.encode()).hexdigest()[:10])
