"""The executors, by name; here nothing is imported, for a command line that only lists them."""

from __future__ import annotations

EXECUTORS = {
    "inline": "this process alone, the fastest for one device",
    "processes": "processes of this machine, each with a device of its own or a share of the cores",
    "torchrun": "the processes that torchrun starts, on one machine or several",
    "ray": "actors on a Ray cluster, or on a local one",
}
"""Name to who works."""

ALONE, SEVERAL = "inline", "processes"
"""What is taken for one worker and for several, where nothing is said."""
PASSIVE = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
"""Threads of OpenMP that wait sleep, not spin: where processes have more threads than there are cores, those
that spin hold up the others (to a fifth of the speed, measured with two by two threads on two cores)."""
