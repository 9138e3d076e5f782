"""Webhooks: who has sent an event, proved by its signature, and which rows it is about."""
