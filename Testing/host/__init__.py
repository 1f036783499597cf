"""A stand-in for the application: the unchanged module, panel code and .ui files run offscreen under pytest.

Nothing here is needed by the product. `host.fixtures` has the fixture `slicer_host`, `host.driver` what it gives.
"""

from . import environment

environment.prepare()
