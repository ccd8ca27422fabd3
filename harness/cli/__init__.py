"""The command ``sambench``, one file a command."""

from sambench.harness.cli.app import main as main
