"""Throughput: how fast a model is, measured so that the number can be made again and argued with.

`job` says what one process measures, `worker` is that process, `scopes` are the stretches of work that can be
timed, `timing` times them, `statistics` makes numbers of the samples.
"""
