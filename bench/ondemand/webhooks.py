"""The same events as a sender tells them: signed as Standard Webhooks, to the webhook instead of the HTTP trigger."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from secrets import token_hex

from bench.ondemand.events import Caller, Event
from hybrid_sync.services.messages.senders import Rotated
from hybrid_sync.webhooks.signatures import Secret, Standard
from hybrid_sync_cli.deployment import Deployment

SOURCE = "clinic"


class Sender(Caller):
    """A sender of webhooks with a secret of its own."""

    def renew(self) -> None:
        """Take another secret: no worker has read it."""
        url = f"{self.stack.api_url}/v1/webhooks/{SOURCE}"
        asked = {"source": SOURCE, "url": url, "overlap_hours": 0}
        self._secret = Deployment.here(self.stack).ask("rotate-webhook-secret", asked, Rotated).secret

    def request(self, event: Event) -> tuple[str, str, dict[str, str]]:
        refs = [{"entity": "payments", "legacy_id": event.key}]
        body = json.dumps({"type": "payment.captured", "refs": refs})
        headers = Standard().sign(body.encode(), Secret(self._secret), f"msg_{token_hex(8)}", datetime.now(UTC))
        return f"/v1/webhooks/{SOURCE}", body, headers
