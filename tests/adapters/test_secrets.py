"""The parameter store adapter on moto, and its cache on a clock that the test moves."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from moto import mock_aws
from parley.adapters.aws import AwsCalls
from parley.adapters.secrets import (
    CACHE_SECONDS,
    VALUE_LIMIT_BYTES,
    ParameterStoreSecrets,
    ParameterStoreWriter,
    parameter_store_calls,
)
from parley.core.errors import Busy, Invalid, ProviderFailed

A = "1111-1111-1111"
B = "2222-2222-2222"


class MovableClock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def ssm(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("ssm")


@pytest.fixture
def secrets(ssm, clock) -> ParameterStoreSecrets:
    return ParameterStoreSecrets("/parley/dev", parameter_store_calls(), clock)


def put(ssm, path: str, value: str) -> None:
    ssm.put_parameter(Name=path, Value=value, Type="SecureString", Overwrite=True)


async def failure(secrets: ParameterStoreSecrets, account: str, name: str) -> ProviderFailed:
    with pytest.raises(ProviderFailed) as caught:
        await secrets.secret(account, name)
    return caught.value


async def test_a_secret_is_found_decrypted_under_prefix_and_account(ssm, secrets):
    put(ssm, f"/parley/dev/{A}/openai", "sk-a")
    put(ssm, f"/parley/dev/{B}/openai", "sk-b")
    assert await secrets.secret(A, "openai") == "sk-a"
    assert await secrets.secret(B, "openai") == "sk-b"


async def test_white_space_around_a_value_is_dropped(ssm, secrets):
    put(ssm, f"/parley/dev/{A}/openai", "sk-a\n")
    assert await secrets.secret(A, "openai") == "sk-a"


@pytest.mark.parametrize("name", ["absent", "not a name!", "openai:7"])
async def test_a_missing_secret_is_not_retried(ssm, secrets, name):
    put(ssm, f"/parley/dev/{A}/openai", "sk-a")
    failed = await failure(secrets, A, name)
    assert (failed.reason, failed.retryable) == ("secret_missing", False)
    assert "parley" not in failed.detail


async def test_a_missing_secret_is_looked_for_again(ssm, secrets):
    await failure(secrets, A, "openai")
    put(ssm, f"/parley/dev/{A}/openai", "sk-a")
    assert await secrets.secret(A, "openai") == "sk-a"


async def test_a_changed_secret_takes_effect_after_60_seconds(ssm, secrets, clock):
    put(ssm, f"/parley/dev/{A}/openai", "sk-old")
    await secrets.secret(A, "openai")
    put(ssm, f"/parley/dev/{A}/openai", "sk-new")
    clock.seconds += CACHE_SECONDS - 1
    assert await secrets.secret(A, "openai") == "sk-old"
    clock.seconds += 1
    assert await secrets.secret(A, "openai") == "sk-new"


async def test_values_that_may_not_be_used_any_more_are_dropped(ssm, secrets, clock):
    put(ssm, f"/parley/dev/{A}/openai", "sk-a")
    put(ssm, f"/parley/dev/{B}/openai", "sk-b")
    await secrets.secret(A, "openai")
    clock.seconds += CACHE_SECONDS
    await secrets.secret(B, "openai")
    assert "sk-a" not in repr(secrets.__dict__)


def refusing(error: Exception) -> AwsCalls:
    class Client:
        def get_parameter(self, **_: Any) -> dict[str, Any]:
            raise error

    return AwsCalls(Client, 1)


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AccessDeniedException", "Message": "role r"}}, "Get"),
        ClientError({"Error": {"Code": "ThrottlingException", "Message": "role r"}}, "Get"),
        ClientError({"Error": {"Code": "InvalidKeyId", "Message": "role r"}}, "Get"),
        NoCredentialsError(),
    ],
)
async def test_a_store_that_cannot_say_is_retried_and_not_quoted(clock, error):
    failed = await failure(ParameterStoreSecrets("/p", refusing(error), clock), A, "openai")
    assert (failed.reason, failed.retryable) == ("secret_unavailable", True)
    assert failed.detail == "the parameter store could not be read"


def test_no_client_is_made_before_the_first_call(clock, monkeypatch):
    monkeypatch.setattr("parley.adapters.secrets.Session", None)
    ParameterStoreSecrets("/p", parameter_store_calls(), clock)


@pytest.fixture
def writer(ssm) -> ParameterStoreWriter:
    return ParameterStoreWriter("/parley/dev/", parameter_store_calls())


async def test_a_secret_that_was_put_is_stored_encrypted_and_found(ssm, writer, secrets, clock):
    await writer.put_secret(A, "openai", "sk-old")
    await writer.put_secret(B, "openai", "sk-b")
    await writer.put_secret(A, "openai", "sk-new")

    assert await secrets.secret(A, "openai") == "sk-new"
    assert await secrets.secret(B, "openai") == "sk-b"
    stored = ssm.get_parameter(Name=f"/parley/dev/{A}/openai", WithDecryption=False)["Parameter"]
    assert stored["Type"] == "SecureString"
    assert stored["Value"] != "sk-new"


async def test_a_secret_that_was_deleted_is_gone(writer, secrets):
    await writer.put_secret(A, "openai", "sk-a")
    await writer.delete_secret(A, "openai")
    await writer.delete_secret(A, "openai")
    assert (await failure(secrets, A, "openai")).reason == "secret_missing"


@pytest.mark.parametrize("value", ["", "é" * (VALUE_LIMIT_BYTES // 2) + "x"])
async def test_a_value_that_cannot_be_stored_is_refused(writer, secrets, value):
    with pytest.raises(Invalid):
        await writer.put_secret(A, "openai", value)
    assert (await failure(secrets, A, "openai")).reason == "secret_missing"


async def test_two_writes_of_one_secret_at_once_are_a_reason_to_try_again():
    class Client:
        def put_parameter(self, **_: Any) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "TooManyUpdates", "Message": ""}}, "Put")

    with pytest.raises(Busy):
        await ParameterStoreWriter("/p", AwsCalls(Client, 1)).put_secret(A, "openai", "sk-a")


async def test_a_refused_value_is_not_quoted():
    class Client:
        def put_parameter(self, **asked: Any) -> dict[str, Any]:
            error = {"Code": "ValidationException", "Message": f"no good: {asked['Value']}"}
            raise ClientError({"Error": error}, "PutParameter")

    with pytest.raises(Invalid) as caught:
        await ParameterStoreWriter("/p", AwsCalls(Client, 1)).put_secret(A, "x", "sk-a")
    assert "sk-a" not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_a_store_that_refuses_for_another_reason_is_no_success():
    class Client:
        def put_parameter(self, **_: Any) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "PutParameter")

        def delete_parameter(self, **_: Any) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "DeleteParameter")

    writer = ParameterStoreWriter("/p", AwsCalls(Client, 1))
    with pytest.raises(ClientError):
        await writer.put_secret(A, "x", "sk-a")
    with pytest.raises(ClientError):
        await writer.delete_secret(A, "x")
