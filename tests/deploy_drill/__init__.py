"""From an empty account to a rollback and away again, by the steps of the README, on the strict stack."""
