"""The FUSE door: speaks pyfuse3, decides nothing about film."""
