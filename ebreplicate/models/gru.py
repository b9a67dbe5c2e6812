"""The character language model of RigL (Evci et al., ICML 2020, section 4.2 and appendix I): one gated recurrent unit.

Embedding 128, state 512, readout 256 and 128, logits over 256 bytes. Activation of the readout (ReLU) and initial
weights (those of torch.nn.GRU and torch.nn.Linear) are not printed.
"""

import math

import torch
from torch import Tensor, nn

from ebreplicate.catalog import SYMBOL
from ebreplicate.errors import UserError
from ebreplicate.models.common import Network, scaled

EMBEDDED, STATE, READOUT = 128, 512, (256, 128)


class CharacterGRU(Network):
    """The next byte's logits from the bytes so far.

    The state is carried from one call to the next, without its gradient, and starts at zero whenever training or
    evaluation begins (`train`, `eval`), or the number of streams changes. `input` and `recurrent` hold the weights of
    reset gate, update gate and candidate, one above the other, as torch.nn.GRU's weight_ih and weight_hh.
    """

    residual = False
    carries_state = True

    def __init__(self, num_classes: int, width: float):
        super().__init__()
        self.arguments = {"name": "gru", "num_classes": num_classes, "width": width, "shape": SYMBOL}
        embedded, size, first, second = (scaled(n, width) for n in (EMBEDDED, STATE, *READOUT))
        self.size = size
        self.embedding = nn.Embedding(num_classes, embedded)
        self.input, self.recurrent = nn.Linear(embedded, 3 * size), nn.Linear(size, 3 * size)
        self.readout = nn.Sequential(nn.Linear(size, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU())
        self.output = nn.Linear(second, num_classes)
        for value in (*self.input.parameters(), *self.recurrent.parameters()):
            nn.init.uniform_(value, -1 / math.sqrt(size), 1 / math.sqrt(size))
        self.state: Tensor | None = None

    def train(self, mode: bool = True) -> "CharacterGRU":
        """Begin training or evaluation, from the state zero."""
        self.state = None
        return super().train(mode)

    def next_state(self, gates: Tensor, candidate: Tensor, state: Tensor) -> Tensor:
        """The state (B, H) after an input, given its part of both gates, (B, 2 H), and of the candidate, (B, H)."""
        own_gates, own_candidate = self.recurrent(state).split([2 * self.size, self.size], 1)
        reset, update = torch.sigmoid(gates + own_gates).chunk(2, 1)
        return torch.lerp(torch.tanh(torch.addcmul(candidate, reset, own_candidate)), state, update)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B * T, num_classes) of the bytes after each of x, (B, T) or anything that flattens to it."""
        inputs = self.input(self.embedding(x.flatten(1).long()))
        state = self.state
        if state is None or len(state) != len(x):
            state = inputs.new_zeros(len(x), self.size)
        states = []
        gates_of, candidates = inputs.split([2 * self.size, self.size], 2)
        for gates, candidate in zip(gates_of.unbind(1), candidates.unbind(1), strict=True):
            state = self.next_state(gates, candidate, state)
            states.append(state)
        self.state = state.detach()
        logits: Tensor = self.output(self.readout(torch.stack(states, 1).flatten(0, 1)))
        return logits


def gru(num_classes: int, width: float = 1.0, channels: list[int] | None = None) -> CharacterGRU:
    """The character language model: 1.3 million parameters, of which 1.15 million are in the layers made sparse."""
    if channels is not None:
        raise UserError("channels: gru has no channel surgery (no batch norms); build it dense")
    return CharacterGRU(num_classes, width)
