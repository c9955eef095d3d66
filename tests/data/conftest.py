"""The fixture `folder`: a small glacier directory that a test can edit."""

from pathlib import Path

import pytest

from .directories import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "RGI60-11.00001")
