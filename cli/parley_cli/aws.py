"""What `bootstrap` and `doctor` ask of AWS: a stack's outputs, and errors as exit codes."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's name for it
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

from parley_cli.errors import NotAuthenticated, NotFound, Refused, Unreachable, Usage

NEEDED = ("ApiUrl", "SocketUrl", "TableName")
# Both halves of the root key of the local stack's emulator: no secret.
EMULATORS_KEY = "test"
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
NO_LOGIN = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId"})
NO_STACK = re.compile(r"does not exist")


@dataclass(frozen=True)
class Stack:
    """A deployed stack."""

    name: str
    outputs: Mapping[str, str]
    status: str


@contextmanager
def aws_errors() -> Iterator[None]:
    """Turn what boto3 raises into errors that have an exit code."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise NotAuthenticated(
            f"AWS: {error}. Log in as for every AWS tool, or name a profile with --profile; for a "
            "local stack go into Parley's directory, or set PARLEY_STACK"
        ) from None
    except NoRegionError:
        raise Usage("AWS: no region; set AWS_REGION or use --region") from None
    except ProfileNotFound as error:
        raise Usage(f"AWS: {error}; `aws configure list-profiles` lists those there are") from None
    except (ConnectionError, HTTPClientError) as error:
        raise Unreachable(f"AWS did not answer: {error}") from None
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in NO_LOGIN:
            raise NotAuthenticated(f"AWS: {error}. Log in to AWS again") from None
        raise Refused(f"AWS: {error}") from None
    except BotoCoreError as error:
        raise Refused(f"AWS: {error}") from None


def use_session(region: str, profile: str, local: Mapping[str, Any]) -> str:
    """Which region and profile all clients use; empty ones are left to AWS's own rules.

    It is said in the environment, for the layer's adapters make sessions of their own.
    `local` is what the file of a local stack says. Its emulator is used by whoever has no
    login of AWS: so nobody takes a real stack for the local one, or the other way round.
    Answers where the emulator is, if it is used.
    """
    with aws_errors():
        # boto3 knows the second name only, every other AWS tool the first one, too.
        if chosen := region or os.environ.get("AWS_REGION"):
            os.environ["AWS_DEFAULT_REGION"] = chosen
        if profile:
            for name in CREDENTIALS:  # they would be taken before the profile's
                os.environ.pop(name, None)
            os.environ["AWS_PROFILE"] = profile
        boto3.setup_default_session()
        endpoint = str(local.get("aws_endpoint") or "")
        if not endpoint or region or profile or logged_in():
            return ""
        os.environ |= {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": EMULATORS_KEY,
            "AWS_SECRET_ACCESS_KEY": EMULATORS_KEY,
            "AWS_DEFAULT_REGION": str(local.get("aws_region") or ""),
        }
        boto3.setup_default_session()
        return endpoint


def logged_in() -> bool:
    """True if AWS's own rules find credentials, good or not."""
    return boto3.Session().get_credentials() is not None


def client(service: str) -> Any:
    """A client of the chosen session."""
    with aws_errors():
        make: Any = boto3.client
        return make(service)


def read_stack(name: str) -> Stack:
    """The stack with its outputs; raises NotFound, Refused if it is no stack of Parley."""
    with aws_errors():
        formation = client("cloudformation")
        try:
            described = formation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            # CloudFormation has no code of its own for this: it is a ValidationError.
            if NO_STACK.search(str(error)):
                where = formation.meta.region_name
                raise NotFound(
                    f"there is no stack named {name!r} in {where}; --region names another region"
                ) from None
            raise
    outputs = {o["OutputKey"]: o["OutputValue"] for o in described.get("Outputs", [])}
    if missing := [needed for needed in NEEDED if needed not in outputs]:
        raise Refused(
            f"the stack {name!r} has no output {', '.join(missing)}: is it a stack of Parley, "
            f"completely deployed? (It is {described['StackStatus']}.)"
        )
    return Stack(name, outputs, described["StackStatus"])
