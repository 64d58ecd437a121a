"""The FUSE door: speaks pyfuse3, decides nothing about film.

The extension must be loaded before pyfuse3, which the modules here import.
"""

from filmfs.mount import native as native
