"""Prefect's automations as code: what frees the run of a killed worker, and what tells a person that something is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ActionTypes, ChangeFlowRunState, SendNotification
from prefect.events.schemas.automations import EventTrigger, Posture

from flows import changes, surroundings
from flows.policy import STALE_AFTER, TAG

OURS = "fillhouse: "  # begins the names of our automations; what is called otherwise is left alone
NOTIFIED = "fillhouse"  # the name of a block that tells a person
MISSED_HEARTBEATS = 3
SILENT = "It gave no sign of life any more; nothing is lost, the next run goes on from there."
EACH = frozenset({"prefect.resource.id"})


@dataclass(frozen=True, slots=True)
class Alarm:
    """What a person is told of: the event, or the one that fails to come, and the words."""

    name: str
    trigger: EventTrigger
    subject: str
    body: str


def _when(event: str) -> EventTrigger:
    return EventTrigger(expect={event}, posture=Posture.Reactive, threshold=1)


ALARMS = (
    Alarm(
        "a connection needs a person",
        _when(changes.NEEDS_REAUTH),
        "{{ event.payload.connection }} needs you",
        "{{ event.payload.reason }}\n\nWhat to do: {{ event.payload.remedy }}",
    ),
    Alarm(
        "a connection is misconfigured",
        _when(changes.MISCONFIGURED),
        "{{ event.payload.connection }} is misconfigured",
        "{{ event.payload.reason }}\n\nWhat to do: {{ event.payload.remedy }}",
    ),
    Alarm(
        "a token expires",
        _when(changes.TOKEN_EXPIRES),
        "The token of {{ event.payload.connection }} expires on {{ event.payload.expires_on }}",
        "Make a new one, and store it with the connection.",
    ),
    Alarm(
        "a gap is older than a day",
        _when(changes.OLD_GAP),
        "{{ event.payload.connection }} has had gaps for more than a day",
        "{{ event.payload.gaps }}\n\nWhat to do: {{ event.payload.remedy }}",
    ),
    Alarm(
        "quarantine grows",
        _when(changes.QUARANTINED),
        "{{ event.payload.rows }} rows of {{ event.payload.connection }} are in quarantine",
        "They are in no table of fills until their rule is met. Look at them: fillhouse status",
    ),
    Alarm(
        "no sync succeeds",
        EventTrigger(
            after={changes.SYNCED},
            expect={changes.SYNCED},
            for_each=set(EACH),
            posture=Posture.Proactive,
            threshold=1,
            within=STALE_AFTER,
        ),
        "{{ event.resource.name }} has not been synced for an hour",
        "No sync of it has succeeded. See its last runs in Prefect's UI, and: fillhouse status",
    ),
)

LOST_RUN = Automation(
    name=f"{OURS}end the run of a killed worker",
    description="A run that gives no sign of life is ended, and what it held is free for the next.",
    trigger=EventTrigger(
        after={"prefect.flow-run.Running", "prefect.flow-run.heartbeat"},  # the first, should it die before it beats
        expect={"prefect.flow-run.*"},
        match_related={"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"},
        for_each=set(EACH),
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=MISSED_HEARTBEATS * surroundings.HEARTBEAT_SECONDS),
    ),
    actions=[ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=SILENT, force=False)],
)


def register(blocks: list[UUID]) -> None:
    """Make our automations, or bring them up to date; one that a person has switched off stays off.

    `blocks` tell a person of each alarm; without any there is nobody to tell, and only the lost runs are ended.
    """
    _bring_up_to_date(LOST_RUN)
    for alarm in ALARMS if blocks else ():
        actions: list[ActionTypes] = [
            SendNotification(block_document_id=block, subject=alarm.subject, body=alarm.body) for block in blocks
        ]
        _bring_up_to_date(Automation(name=OURS + alarm.name, trigger=alarm.trigger, actions=actions))


def _bring_up_to_date(wanted: Automation) -> None:
    with get_client(sync_client=True) as client:
        there = client.read_automations_by_name(name=wanted.name)
    if there:
        wanted.model_copy(update={"id": there[0].id, "enabled": there[0].enabled}).update()
    else:
        wanted.model_copy().create()


def notified() -> list[UUID]:
    """Find the blocks that tell a person: Slack, e-mail, a webhook; whatever of that kind is saved under our name."""
    with get_client(sync_client=True) as client:
        documents = client.read_block_documents(include_secrets=False)
    return sorted(
        document.id
        for document in documents
        if document.name == NOTIFIED and document.block_schema and "notify" in document.block_schema.capabilities
    )
