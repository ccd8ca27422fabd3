"""``python -m sambench.harness``, the command ``sambench``."""

from sambench.harness.cli import main

main()
