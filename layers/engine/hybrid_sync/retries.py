"""What is tried again, how often and how much later: one table.

The clients and the queue take their numbers from here; the state machine's Retry and the template's queues say the same
in their own languages, and a test compares them.  What is not here is not tried again: a permanent error is the same
the next time.
"""

from __future__ import annotations

from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import AwayError, ThrottledError, TransientError


@dataclass(frozen=True)
class Retry:
    """One kind of attempt; a `first_delay` of zero is for whoever else repeats it to choose."""

    attempts: int
    first_delay: float = 0
    """Seconds between the first failure and the second attempt."""
    factor: float = 2
    longest_delay: float = 0
    """Zero where the attempts are too few to need a limit."""

    def delay(self, failed: int) -> float:
        """Seconds to wait after the `failed`-th failure."""
        grown = self.first_delay * self.factor ** max(failed - 1, 0)
        return min(grown, self.longest_delay) if self.longest_delay else grown


# The template's parameters Attempts and RetryDelaySeconds have these two as their defaults.
STEP = Retry(attempts=3, first_delay=20, factor=3, longest_delay=600)
"""A state of the machine whose function fails with one of STEP_ERRORS; any part of the delay, so that they spread."""
STEP_ERRORS = (
    TransientError.__name__,
    # Lambda's own failures, and a worker that is lost with its function's answer (Step Functions guide, "Error names").
    "Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException", "Lambda.ResourceNotReadyException", "Lambda.Unknown",
    "Runtime.ExitError", "Sandbox.Timedout", "States.Timeout",
)  # fmt: skip
THROTTLED = Retry(attempts=13, first_delay=5, longest_delay=120)
"""A state that finds Lambda, DynamoDB or a pooler used up, beside the attempts of STEP: a quarter of an hour."""
THROTTLED_ERRORS = (ThrottledError.__name__, "Lambda.TooManyRequestsException")
AWAY = Retry(attempts=721, first_delay=20, factor=1, longest_delay=600)
"""A state that finds a database away, beside the attempts of STEP: two to four hours, since any part of the delay is
waited.  Its breaker keeps all but one of those who come from trying."""
AWAY_ERRORS = (AwayError.__name__,)
AWAY_HOURS = "two to four hours"
RECORD = Retry(attempts=3, first_delay=20, longest_delay=43_200)
"""A message about failed records; SQS hides one for twelve hours at most.  After the last, a person is notified."""
CONTENDED_PAGE = Retry(attempts=3)
"""A page that a deadlock or a lock's time limit ends; it is repeated as a STEP, and in its last attempt the row that is
in the way costs itself."""
SCHEDULE = Retry(attempts=11)
"""EventBridge's start of a scheduled run, within an hour."""
SCHEDULED_RUN = Retry(attempts=4, first_delay=900, factor=4)
"""A scheduled run that failed for a cause that passes: 15 minutes, 1 hour and 4 hours after each end, in its window."""
AWS_CALL = Retry(attempts=4)
"""A request to AWS within a step, in botocore's standard mode; a STEP waits longer."""
UNSEEN_KEY = Retry(attempts=6, first_delay=0.1, longest_delay=1)
"""A look at legacy for a key that a request names and neither side has: the event came before its commit."""
CACHE_ROUND = Retry(attempts=7, first_delay=0.05, longest_delay=2)
"""What DynamoDB leaves unprocessed of a request for ids; any part of the delay.  Then the target is asked."""
