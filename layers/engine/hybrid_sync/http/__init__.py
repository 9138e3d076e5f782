"""The HTTP trigger: routes, and the service tokens that open them."""
