"""AWS clients with bounded patience, and AWS's refusals turned into our errors."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore import __version__
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.session import Session

from hybrid_sync.errors import AwsThrottled, AwsUnavailable, ConfigurationMissing, PartMissing
from hybrid_sync.metering import METER, THROTTLED
from hybrid_sync.retries import AWS_CALL

Client = Any
"""botocore makes its clients at run time, so they have no static type."""

_WHO = f"hybrid-sync Botocore/{__version__}"
"""What every request says of its sender: botocore's own sentence is put together anew for each, a third of the CPU that
asking for an item takes."""

# A HEAD request is answered by a number.
_NOT_ALLOWED = {
    "403",
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
}
_NOT_THERE = {
    "404",
    "AWS.SimpleQueueService.NonExistentQueue",
    "NoSuchBucket",
    "NotFound",
    "NotFoundException",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
    "StateMachineDoesNotExist",
}


_CIPHERS = {"DecryptionFailure", "EncryptionFailure"}
"""What Secrets Manager says where a key fails it; others name KMS."""


def _of_a_key(code: str) -> bool:
    """Whether KMS refuses a key to the service that we asked, each of which spells that in its own way; a throttled one
    passes by itself."""
    return code in _CIPHERS or (code.upper().startswith("KMS") and "THROTTL" not in code.upper())


@functools.cache
def session() -> Session:
    """Where every client of this worker comes from; botocore alone, since boto3 would double the import."""
    made = Session()
    METER.watch(made)
    return made


def client(service: str, *, seconds: int = 15, attempts: int = AWS_CALL.attempts) -> Client:
    """A client that gives up within seconds: the caller has a retry of its own that waits longer."""
    patience = {"mode": "standard", "total_max_attempts": attempts}
    config = Config(connect_timeout=3, read_timeout=seconds, retries=patience, user_agent=_WHO)
    return session().create_client(service, config=config)


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Within, an AWS error becomes ConfigurationMissing (a person must act; PartMissing of what is gone) or
    AwsUnavailable (time heals).

    `what` names the resource in the sentence.  AWS's own text stays out: it can quote what was sent.
    """
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        if code in _NOT_ALLOWED:
            raise ConfigurationMissing(
                f"AWS refused access to {what} ({code}).",
                "Compare the function's policy with template.yaml; where a KMS key of your own encrypts it, that key's"
                " policy has to let the function use it, too.",
            ) from None
        if _of_a_key(code):
            raise ConfigurationMissing(
                f"AWS cannot use the key that encrypts {what} ({code}).",
                "Look at that key in KMS: it has to be there and enabled, and its policy has to let functions use it.",
            ) from None
        if code in _NOT_THERE:
            raise PartMissing(
                f"{what[0].upper()}{what[1:]}{PartMissing.mark}{code}).",
                "hybrid-sync repair makes tables, bucket and queues anew; whatever else is gone, make deploy.",
            ) from None
        kind = AwsThrottled if code in THROTTLED else AwsUnavailable
        raise kind(f"AWS failed on {what} ({code}).") from None
    except NoCredentialsError:
        raise ConfigurationMissing(
            f"There are no AWS credentials for {what}.", "Log in to AWS, or set AWS_PROFILE."
        ) from None
    except BotoCoreError as error:
        raise AwsUnavailable(f"AWS could not be reached for {what} ({type(error).__name__}).") from None
