"""Properties, tried on drawn examples, on a machine of any speed: no example fails because it was drawn slowly."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

__all__ = ["given", "st"]

settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")
