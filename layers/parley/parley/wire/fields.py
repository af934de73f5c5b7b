"""What requests are made of: bodies and ids."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from parley.core.access import ID_PATTERN

ID = f"^{ID_PATTERN.pattern}$"
PathId = Annotated[str, Path(pattern=ID)]


class Body(BaseModel):
    """A JSON object of a request: unknown fields are ignored, types are not guessed."""

    model_config = ConfigDict(strict=True, alias_generator=to_camel, defer_build=True)
