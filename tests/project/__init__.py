"""The README's commands, the scripts and the units, as a newcomer runs them."""
