"""What the tests of lib/Target share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from weights_module import Module


@pytest.fixture
def module(tmp_path: Path) -> Module:
    return Module(tmp_path)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(7)
