"""The host's own tests use the host as panels do."""

from host.fixtures import slicer_host

__all__ = ["slicer_host"]
