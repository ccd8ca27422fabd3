"""Faults put into runs on purpose: processes killed at random, signals, models and disks that fail.

    python -m benchmarks.faults                      # 50 random kills and all else; an hour on two cores
    SAMBENCH_FAULTS=10 python -m benchmarks.faults --only kills

After each the same command runs to its end, and its folder is held against that of a run that nothing
disturbed. Linux only: processes are found by what /proc says of them.
"""
