"""What is alive of a sparse fully connected network, against cases counted by hand and a slow second implementation."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ebreplicate.pruning.compaction import compact
from ebreplicate.pruning.sizes import size_bytes


def mask(*rows):
    return torch.tensor(rows).bool()


def network(seed, density):
    """Masks of 12-9-7-3."""
    g = torch.Generator().manual_seed(seed)
    return [torch.rand(a, b, generator=g) < density for a, b in ((9, 12), (7, 9), (3, 7))]


def reachable(masks):
    """Neurons on some path from an input to an output, layer by layer: the fixed point, found by search."""
    forward, backward = [set(range(masks[0].shape[1]))], [set(range(masks[-1].shape[0]))]
    for m in masks:
        forward.append({o for o in range(m.shape[0]) if any(m[o, i] for i in forward[-1])})
    for m in reversed(masks):
        backward.insert(0, {i for i in range(m.shape[1]) if any(m[o, i] for o in backward[0])})
    inner = [a & b for a, b in zip(forward[:-1], backward[:-1], strict=True)]
    return [*inner, set(range(masks[-1].shape[0]))]


def test_dead_pixels_and_neurons_go_and_their_weights_with_them():
    first = mask([1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0])  # pixels 2 and 3 and neuron 1 have nothing
    last = mask([1, 1, 0], [0, 1, 0])  # neuron 2 leads nowhere; neuron 1's two connections come from nothing
    found = compact([first, last])
    assert found.sizes == [2, 1, 2]
    assert found.pixels.tolist() == [0, 1]
    assert found.nonzero == 3
    assert [m.tolist() for m in found.masks] == [[[True, True]], [[True], [False]]]


def test_one_pass_keeps_what_only_a_second_pass_finds():
    first = mask([1, 0], [0, 1])  # pixel 1 feeds neuron 1 alone,
    middle = mask([1, 0], [0, 1])  # which feeds neuron 1 of the next layer alone,
    last = mask([1, 0], [1, 0])  # which leads nowhere
    assert compact([first, middle, last]).sizes == [2, 2, 1, 2]
    assert compact([first, middle, last], until_stable=True).sizes == [1, 1, 1, 2]


@given(st.integers(0, 10_000), st.floats(0.05, 0.9))
def test_until_stable_is_what_lies_on_a_path(seed, density):
    masks = network(seed, density)
    stable, alive = compact(masks, until_stable=True), reachable(masks)
    assert stable.sizes == [len(layer) for layer in alive]
    assert stable.pixels.tolist() == sorted(alive[0])
    paths = zip(masks, alive[1:], alive[:-1], strict=True)
    assert stable.nonzero == sum(int(m[sorted(o)][:, sorted(i)].sum()) for m, o, i in paths)


@given(st.integers(0, 10_000), st.floats(0.05, 0.9))
def test_the_compact_network_computes_the_same(seed, density):
    """Without biases a dead neuron contributes nothing, so the smaller network has the same outputs."""
    masks = network(seed, density)
    weights = [m * torch.randn(m.shape, generator=torch.Generator().manual_seed(i)) for i, m in enumerate(masks)]
    x = torch.rand(5, 12, generator=torch.Generator().manual_seed(seed))
    small = compact(masks)

    def forward(x, layers):
        for w in layers[:-1]:
            x = (x @ w.T).relu()
        return x @ layers[-1].T

    # The weights of what stays, found by their positions: each layer's outputs are the next one's inputs.
    numbered = [torch.arange(1, m.numel() + 1).view(m.shape) * m for m in masks]
    kept = [numbered[0][:, small.pixels]]
    rows = [[], [], [0, 1, 2]]
    for i in range(2):
        alive = (numbered[i][:, small.pixels] if i == 0 else kept[i]).ne(0).any(1) & numbered[i + 1].ne(0).any(0)
        rows[i] = alive.nonzero().flatten().tolist()
        kept[i] = kept[i][rows[i]]
        kept.append(numbered[i + 1][:, rows[i]])
    assert [k.ne(0).tolist() for k in kept] == [m.tolist() for m in small.masks]
    columns = [small.pixels.tolist(), rows[0], rows[1]]
    cut = [w[r][:, c] for w, r, c in zip(weights, rows, columns, strict=True)]
    torch.testing.assert_close(forward(x[:, small.pixels], cut), forward(x, weights))


@pytest.mark.parametrize(
    ("sizes", "nonzero", "printed"),
    [
        ([245, 160, 55, 10], 48_550, 195_100),
        ([266, 88, 33, 10], 26_642, 107_092),
        ([97, 71, 33, 10], 9_560, 38_696),
        ([408, 100, 69, 10], 6_287, 31_914),
    ],
)
def test_sizes_are_those_of_rigls_table(sizes, nonzero, printed):
    """SBP, L0 and VIB are dense; RigL's non-zero weights are those that its printed sparsity, 0.870, leaves."""
    assert size_bytes(sizes, nonzero) == printed


def test_a_network_of_which_nothing_is_left():
    found = compact([torch.zeros(2, 3).bool(), torch.ones(2, 2).bool()], until_stable=True)
    assert found.sizes == [0, 0, 2]
    assert found.nonzero == 0
