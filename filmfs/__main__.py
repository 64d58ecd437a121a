"""`python -m filmfs` is `filmfs`."""

from filmfs.cli.main import main

main()
