"""Detectors that make boxes for the suites prompted by them. One interface: `adapters.detectors.base`."""
