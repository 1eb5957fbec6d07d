"""What every model of the manifest shares: camelCase field names, no unknown field, descriptions for people."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A part of the manifest whose fields are all known: anything else is refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        # "4" is not a number to Kubernetes, so it is none here: what validates here must apply there.
        strict=True,
        allow_inf_nan=True,  # told apart in checks, with a sentence of its own
    )


class OpenModel(Model):
    """A part of a Kubernetes object of which only some fields are read here; the others are kept as written."""

    model_config = ConfigDict(extra="allow")
