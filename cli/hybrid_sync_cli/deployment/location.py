"""Which deployment a command means: a stack of an AWS account, or the one that runs on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import click
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
)

from hybrid_sync_cli.errors import CliError
from hybrid_sync_cli.stack import ACCESS, STACK_NAME, Stack

if TYPE_CHECKING:
    from botocore.session import Session

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_UNKNOWN = {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException"}
_DENIED = {"AccessDenied", "AccessDeniedException"}
_BUSY = {"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"}


class _Credentials(NamedTuple):
    """What a signature is made with."""

    access_key: str
    secret_key: str
    token: str | None = None


_HERE = _Credentials(ACCESS["AWS_ACCESS_KEY_ID"], ACCESS["AWS_SECRET_ACCESS_KEY"])


@dataclass(frozen=True)
class Location:
    """A stack's name, and how it is reached; `endpoint` is empty on AWS itself, `known` what `up` has found out."""

    stack: str
    region: str
    endpoint: str
    profile: str | None = None
    known: dict[str, str] | None = None

    @classmethod
    def chosen(cls) -> Location:
        """What --stack, --region and --profile say, else the stack on this machine; CliError where there is none."""
        context = click.get_current_context(silent=True)
        given: dict[str, Any] = context.find_root().params if context else {}
        if given.get("stack"):
            return cls.on_aws(given["stack"], given.get("region"), given.get("profile"))
        if alone := [f"--{name}" for name in ("region", "profile") if given.get(name)]:
            raise CliError(f"{' and '.join(alone)} choose where --stack is: give --stack NAME, or HYBRID_SYNC_STACK.")
        return cls.here(Stack.load())

    @classmethod
    def here(cls, stack: Stack) -> Location:
        """The stack on this machine."""
        return cls(STACK_NAME, stack.region, stack.aws_endpoint_url, known=stack.outputs)

    @classmethod
    def on_aws(cls, stack: str, region: str | None, profile: str | None) -> Location:
        """A stack of the account of the environment's credentials, or of a profile's."""
        from botocore.session import Session  # whoever asks the stack on this machine does without: 0.2 s of CPU

        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        address = urlsplit(endpoint)
        if endpoint and not (address.scheme in ("http", "https") and address.hostname):
            raise CliError("AWS_ENDPOINT_URL is no address: unset it for AWS itself, or begin it with https://.")
        with sentences(stack, region or "", profile):
            configured = Session(profile=profile).get_config_variable("region")
        found = region or os.environ.get("AWS_REGION") or configured
        if not found:
            raise CliError(f"No region is chosen for the stack {stack}: give --region, or set AWS_REGION.")
        return cls(stack, str(found), endpoint, profile)

    @property
    def is_local(self) -> bool:
        return self.known is not None

    @cached_property
    def session(self) -> Session:
        """The person's own; on this machine what the emulator takes for an account."""
        from botocore.session import Session

        session = Session(profile=self.profile)
        if self.is_local:
            session.set_credentials(ACCESS["AWS_ACCESS_KEY_ID"], ACCESS["AWS_SECRET_ACCESS_KEY"])
        return session

    def credentials(self) -> Any:
        """As they are now, refreshed where they can be; CliError where there are none or they have expired."""
        if self.is_local:
            return _HERE
        with sentences(self.stack, self.region, self.profile):
            found = self.session.get_credentials()
            if found is None:
                raise NoCredentialsError
            return found.get_frozen_credentials()


@contextmanager
def sentences(stack: str, region: str, profile: str | None) -> Iterator[None]:
    """Within, whatever botocore raises becomes one sentence with its remedy."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError):
        raise CliError(
            f"There are no AWS credentials to reach the stack {stack} with: set AWS_PROFILE or --profile, or log in"
            " with aws configure."
        ) from None
    except (ProfileNotFound, ConfigParseError):
        raise CliError(
            f"There is no usable AWS profile {profile or os.environ.get('AWS_PROFILE', '')}: choose one that"
            " `aws configure list-profiles` names."
        ) from None
    except SSOError:
        raise expired(profile) from None
    except ClientError as error:
        raise _refused(error.response.get("Error", {}), stack, region, profile) from None
    except BotoCoreError as error:
        raise CliError(
            f"AWS cannot be reached in {region} ({type(error).__name__}): check the region and your connection."
        ) from None


def expired(profile: str | None) -> CliError:
    of = f" --profile {profile}" if profile else ""
    return CliError(f"Your AWS session has expired: log in again, for instance with aws sso login{of}.")


def unknown_credentials() -> CliError:
    return CliError(
        "AWS does not know these credentials: check AWS_PROFILE or --profile, the access key, and this machine's clock."
    )


def _refused(error: dict[str, Any], stack: str, region: str, profile: str | None) -> CliError:
    """What CloudFormation's own answer means."""
    code = str(error.get("Code", "unknown"))
    if code == "ValidationError":
        return CliError(
            f"There is no stack {stack} in {region} of your account: check --stack, --region and --profile."
        )
    if code in _EXPIRED:
        return expired(profile)
    if code in _UNKNOWN:
        return unknown_credentials()
    if code in _DENIED:
        return CliError(
            f"You may not look up a stack {stack} in {region} (cloudformation:DescribeStacks): check --stack and"
            " --region, or ask for one of the policies in policies/."
        )
    if code in _BUSY:
        return CliError("CloudFormation is asked too often: try again in a minute.")
    return CliError(f"CloudFormation refused to describe the stack {stack} ({code}): try again.")
