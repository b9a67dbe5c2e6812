"""The loop that everything is compared with: what a careful person writes from the PyTorch tutorials.

A DataLoader with PIL transforms and one worker, fp32, NCHW, torch's default SGD, `.item()` twice a step, and masks that
leave the network physically dense. It has no part of this library but the network's definition and first weights.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from ebreplicate.data.arrays import Data
from ebreplicate.models.common import ChannelSelection


class AuthorsSelection(nn.Module):
    """The authors' channel_selection: indexes of ones and zeros, looked up on the host and copied at every call."""

    first = False
    """What the networks of this library ask for (`normalised`): it selects after batch norm."""

    def __init__(self, features: int):
        super().__init__()
        self.indexes = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        """Copy the selected channels of x (B, features, H, W), also where all of them are."""
        selected = np.squeeze(np.argwhere(self.indexes.data.cpu().numpy()))
        return x[:, torch.from_numpy(np.atleast_1d(selected)).to(x.device), :, :]


def select_like_authors(model: nn.Module) -> nn.Module:
    """Give `model` the authors' channel selection in place of this library's."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, ChannelSelection):
                setattr(module, name, AuthorsSelection(child.features))
    return model


class Pictures(Dataset):
    """Training images as PIL sees them, transformed one by one."""

    def __init__(self, data: Data):
        self.images = data.train.images.permute(0, 2, 3, 1).numpy()
        self.labels = data.train.labels.tolist()
        steps = [transforms.RandomCrop(data.train.images.shape[-1], padding=4), transforms.RandomHorizontalFlip()]
        self.transform = transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(data.mean, data.std)])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[i])), self.labels[i]


class Plain:
    """Network slimming's training, plainly: SGD with momentum, weight decay and the L1 subgradient on batch norms."""

    def __init__(self, model: nn.Module, data: Data, batch_size: int, device: torch.device, workers: int = 1):
        self.model, self.device = model.to(device), device
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
        self.loader = DataLoader(
            Pictures(data),
            batch_size,
            shuffle=True,
            num_workers=workers,
            pin_memory=device.type == "cuda",
            persistent_workers=workers > 0,
        )

    def step(self, x: Tensor, y: Tensor) -> tuple[float, int]:
        """One optimiser step; loss and number of correct images."""
        self.optimizer.zero_grad()
        output = self.model(x)
        loss = self.criterion(output, y)
        loss.backward()
        for m in self.model.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.weight.grad.add_(1e-4 * torch.sign(m.weight.data))
        self.optimizer.step()
        return loss.item(), (output.argmax(1) == y).sum().item()

    def epoch(self) -> float:
        """Train an epoch; mean loss over images."""
        self.model.train()
        total = 0.0
        for x, y in self.loader:
            loss, _ = self.step(x.to(self.device), y.to(self.device))
            total += loss * len(y)
        return total / len(self.loader.dataset)  # type: ignore[arg-type]
