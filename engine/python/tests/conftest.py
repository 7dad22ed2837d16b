"""Logs to read: the fixtures of the format, and one that the recorder makes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
FIXTURES = ROOT / "engine/log/tests/fixtures/v2"
PROGRAM = os.environ.get("MARKETPRISM_PROGRAM", str(ROOT / "target/debug/marketprism"))

Object = dict[str, Any]


def run(*arguments: str | Path, codes: tuple[int, ...] = (0,)) -> str:
    """Output of the program."""
    result = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert result.returncode in codes, result.stderr
    return result.stdout


def query(log: Path, *arguments: str, codes: tuple[int, ...] = (0,)) -> list[Object]:
    """Objects that `query` prints."""
    lines = run("query", log, "--json", *arguments, codes=codes).splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of all three venues, some seconds long."""
    folder = tmp_path_factory.mktemp("demo") / "log"
    # 1 is its verdict on the recorder, which a busy machine may disturb.
    run("demo", "--seconds", "3", "--rate", "3000", "--data-dir", folder, codes=(0, 1))
    return folder


@pytest.fixture
def damaged(demo: Path, tmp_path: Path) -> Path:
    """The demo's log with bits flipped in several places of its longest segment, so that records of every kind are lost."""
    folder = tmp_path / "damaged"
    shutil.copytree(demo, folder, ignore=shutil.ignore_patterns("LOCK"))
    segment = max(folder.glob("*.seg"), key=lambda path: path.stat().st_size)
    with segment.open("r+b") as file:
        for tenth in range(2, 10):
            file.seek(segment.stat().st_size * tenth // 10)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))
    return folder


def mapped_file(address: int) -> str:
    """The file that is mapped at an address of this process; empty where there is none."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, _, _, _, _, name = f"{line} ".split(" ", 5)
        start, end = (int(part, 16) for part in place.split("-"))
        if start <= address < end:
            return name.strip()
    return ""
