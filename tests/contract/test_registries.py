"""What every registry promises: names that import, and a message that helps with one that is unknown."""

import pytest

from ebreplicate.catalog import DATASETS, METHODS, MODELS, SPARSIFIERS, Registry
from ebreplicate.errors import UserError

REGISTRIES = {
    "model": (MODELS, "vvgg16"),
    "method": (METHODS, "sliming"),
    "dataset": (DATASETS, "cifar1O"),
    "sparse method": (SPARSIFIERS, "riggl"),
}
NEAREST = {"model": "vgg16", "method": "slimming", "dataset": "cifar10", "sparse method": "rigl"}
pytestmark = pytest.mark.parametrize("kind", REGISTRIES)


def test_every_name_imports(kind):
    registry, _ = REGISTRIES[kind]
    assert all(callable(registry.load(name)) for name in registry)


@pytest.mark.parametrize("lookup", ["check", "load"])
def test_an_unknown_name_is_refused_with_the_nearest_and_all_known_ones(kind, lookup):
    registry, typo = REGISTRIES[kind]
    with pytest.raises(UserError) as caught:
        getattr(registry, lookup)(typo)
    message = str(caught.value)
    assert message.startswith(f"{kind}: unknown name {typo!r}; did you mean {NEAREST[kind]!r}?")
    assert message.endswith(", ".join(sorted({*registry, *registry.parts})))


def test_parts_can_be_asked_for_and_are_not_listed(kind):
    whole = Registry(kind, {"all": "ebreplicate.catalog:Registry"}, {"some": "ebreplicate.errors:UserError"})
    assert list(whole) == ["all"]
    assert whole.load(whole.check("some")) is UserError


def test_a_name_like_nothing_gets_no_guess(kind):
    registry, _ = REGISTRIES[kind]
    with pytest.raises(UserError, match=rf"^{kind}: unknown name 'qqq'; known: "):
        registry.check("qqq")
