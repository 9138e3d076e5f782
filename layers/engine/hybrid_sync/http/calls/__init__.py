"""What each endpoint does: the request's model into a service's, the service's answer into the API's model."""
