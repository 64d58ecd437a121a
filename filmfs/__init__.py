"""filmfs: a film production's archive that mounts as a drive."""

__version__ = "0.1.0"
