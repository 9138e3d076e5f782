"""An operator's bad nights, played on a deployed stack; tests/drill spoils rows, tests/deploy_drill deploys."""
