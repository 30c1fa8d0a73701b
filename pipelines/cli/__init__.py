"""The command line: ``universality``. Commands import what they need when they run."""
