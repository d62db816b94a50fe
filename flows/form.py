"""What the run form offers: the connections there are, and days; a value it does not know is refused there, not in the run."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from flows.blocks import known_names

NONE: list[ConnectionName] = []  # a form that offers many choices begins with none
DAY = r"^(19[7-9]\d|20\d\d)-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"

Day = Annotated[date, WithJsonSchema({"type": "string", "format": "date", "pattern": DAY})]
"""A day, as the form's calendar writes it."""


class ConnectionName(str):
    """The name of a connection; the form offers those that were there when the deployment was made."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take any text: a name that is unknown is the flow's to refuse, which knows what there is now."""
        return core_schema.str_schema()

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Offer a choice, where there is something to choose from."""
        names = known_names()
        return {"type": "string", "title": "Connection", **({"enum": names} if names else {})}
