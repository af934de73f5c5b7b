"""The secrets ports over the parameter store of Systems Manager."""

from boto3.session import Session
from botocore.exceptions import BotoCoreError, ClientError

from parley.adapters.aws import AwsCalls, client_config, error_code
from parley.core.errors import Busy, Invalid, ProviderFailed, Unavailable
from parley.core.remembered import Remembered
from parley.ports import Clock

CACHE_SECONDS = 60.0
VALUE_LIMIT_BYTES = 4096
MISSING = frozenset({"ParameterNotFound", "ParameterVersionNotFound", "ValidationException"})


class ParameterStoreSecrets:
    """Secrets of an account at `{prefix}/{account}/{name}`.

    A value is used for at most 60 s after it was read, so a changed or deleted
    secret takes effect within a minute.
    """

    def __init__(self, prefix: str, calls: AwsCalls, clock: Clock) -> None:
        self._prefix = prefix.rstrip("/")
        self._calls = calls
        self._remembered = Remembered[str, str](CACHE_SECONDS, clock.monotonic)

    async def secret(self, account: str, name: str) -> str:
        """The value, without white space around it.

        Raises ProviderFailed: `secret_missing` (not retryable) if it is not there,
        `secret_unavailable` (retryable) if the store cannot say.
        """
        path = f"{self._prefix}/{account}/{name}"
        if (known := self._remembered.get(path)) is not None:
            return known
        value = await self._fetch(path, name)
        self._remembered.put(path, value)
        return value

    async def _fetch(self, path: str, name: str) -> str:
        """Errors repeat none of AWS's words: those name roles, and a prompt's owner reads these."""
        try:
            answer = await self._calls.call("get_parameter", Name=path, WithDecryption=True)
        except ClientError as error:
            if error_code(error) in MISSING:
                detail = f"the account has no secret named {name!r}"
                raise ProviderFailed("secret_missing", detail, retryable=False) from None
            raise _unavailable() from error
        except (Busy, Unavailable, BotoCoreError) as error:
            raise _unavailable() from error
        value: str = answer["Parameter"]["Value"]
        return value.strip()


class ParameterStoreWriter:
    """`ports.SecretStore`: puts secrets where `ParameterStoreSecrets` finds them.

    Encrypted with the account's own key of the parameter store (KMS).
    """

    def __init__(self, prefix: str, calls: AwsCalls) -> None:
        self._prefix = prefix.rstrip("/")
        self._calls = calls

    async def put_secret(self, account: str, name: str, value: str) -> None:
        """Store or replace; raises Invalid for an empty value or one over 4 KB."""
        if not 0 < len(value.encode()) <= VALUE_LIMIT_BYTES:
            raise Invalid(f"a secret must have 1 to {VALUE_LIMIT_BYTES} bytes")
        try:
            await self._calls.call(
                "put_parameter",
                Name=f"{self._prefix}/{account}/{name}",
                Value=value,
                Type="SecureString",
                Overwrite=True,
            )
        except ClientError as error:
            # AWS may quote the value that it refuses, so its words end here.
            if error_code(error) == "ValidationException":
                raise Invalid("the parameter store refuses this name or value") from None
            raise

    async def delete_secret(self, account: str, name: str) -> None:
        try:
            await self._calls.call("delete_parameter", Name=f"{self._prefix}/{account}/{name}")
        except ClientError as error:
            if error_code(error) not in MISSING:
                raise


def _unavailable() -> ProviderFailed:
    detail = "the parameter store could not be read"
    return ProviderFailed("secret_unavailable", detail, retryable=True)


def parameter_store_calls(threads: int = 4) -> AwsCalls:
    """The parameter store of the function's region.

    A session of its own, because boto3's default one must not make two clients at once.
    """
    return AwsCalls(lambda: Session().client("ssm", config=client_config(threads)), threads)
