"""What the tests share: the trained model of the repository, and its exported ONNX."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtale.exporter import export

MODELS = Path(__file__).resolve().parents[1] / "models"


@pytest.fixture(scope="session")
def stories() -> Path:
    """The folder of the trained stories260K model (llama2.c format)."""
    return MODELS / "stories260K"


@pytest.fixture(scope="session")
def stories_onnx(stories: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """stories260K, exported."""
    return export(stories / "stories260K.bin", tmp_path_factory.mktemp("stories") / "model.onnx")
