"""What Prefect's server is to know of us: the pool, the types of blocks, the deployments of `prefect.yaml`, the alarms."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import Crashed

from flows import alerts, blocks, form
from flows.policy import WORK_POOL

FILE = "prefect.yaml"
RUNS_AT_ONCE = 4  # what more are started wait for one to end; those over one connection take turns anyway
LEFT = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


class NotDeployed(Exception):
    """Prefect did not take the deployments; the message is what it said."""


def register() -> None:
    """Tell the server all it is to know; telling it again changes nothing that a person has changed there."""
    make_pool()
    blocks.register()
    deploy()
    alerts.register(alerts.notified())


def make_pool() -> None:
    """Make the pool, and say how many runs it lets go at once."""
    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process", concurrency_limit=RUNS_AT_ONCE))
        except ObjectAlreadyExists:
            if client.read_work_pool(WORK_POOL).concurrency_limit is None:
                client.update_work_pool(WORK_POOL, WorkPoolUpdate(concurrency_limit=RUNS_AT_ONCE))


def deploy() -> None:
    """Have Prefect read `prefect.yaml`; the runs will work in the present folder, where `.env` is."""
    told = subprocess.run(  # noqa: S603  (Prefect's own command)
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(described_in())],
        env=os.environ | {"PWD": str(Path.cwd())},  # which prefect.yaml takes for the folder of the runs
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        lines = (told.stderr or told.stdout).strip().splitlines()
        raise NotDeployed(lines[-1] if lines else f"prefect deploy ended with {told.returncode}")
    offer(blocks.known_names())


def offer(names: Sequence[str]) -> None:
    """Offer these connections in the run forms."""
    with get_client(sync_client=True) as client:
        ours = client.read_deployments(work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[WORK_POOL])))
        for deployment in ours:
            schema = form.offering(dict(deployment.parameter_openapi_schema or {}), names)
            if schema is not None:
                client.update_deployment(deployment.id, DeploymentUpdate(parameter_openapi_schema=schema))


def described_in() -> Path:
    """Give the file that describes the deployments: an installed package brings a copy of its own."""
    installed = Path(str(files("flows"))) / FILE
    return installed if installed.exists() else installed.parents[1] / FILE


def end_left_runs(why: str) -> int:
    """End the runs of our pool that no worker carries on, and so give back what they hold; gives how many they were."""
    with get_client(sync_client=True) as client:
        left = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=LEFT))),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[WORK_POOL])),
        )
        for run in left:
            client.set_flow_run_state(run.id, Crashed(name="Stopped", message=why))
    return len(left)
