"""What an installed package brings with it, for a folder that holds nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import yaml

from flows import deployments, policy, surroundings

ROOT = Path(__file__).resolve().parents[1]
DESCRIBED = yaml.safe_load((ROOT / deployments.FILE).read_text())


def test_a_wheel_brings_all_that_runs_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    ours = {
        str(path.relative_to(ROOT))
        for folder in ("flows", "connectors", "warehouse")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".sql", ".yaml"}
    }
    assert {name for name in names if ".dist-info/" not in name} == ours | {"flows/prefect.yaml"}


def test_every_deployment_says_what_it_is_and_carries_our_tag() -> None:
    for deployment in DESCRIBED["deployments"]:
        assert deployment["description"]
        assert deployment["tags"] == [policy.TAG]
        assert deployment["work_pool"]["name"] == policy.WORK_POOL
        assert deployment["concurrency_limit"]["limit"] == 1
        beat = deployment["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]
        assert beat == str(surroundings.HEARTBEAT_SECONDS)


def test_the_deployments_bear_the_version_of_the_package() -> None:
    from importlib.metadata import version  # noqa: PLC0415

    assert {deployment["version"] for deployment in DESCRIBED["deployments"]} == {version("fillhouse")}
