"""``sambench throughput``: what is to be measured, in which order, and what comes of it."""
