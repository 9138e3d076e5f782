"""What people and programs may ask of a deployment; the HTTP trigger and the operator's command ask the same."""
