"""Requests and answers of the services: messages only, so that a client imports no service and no driver."""
