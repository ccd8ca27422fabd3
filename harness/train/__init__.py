"""Training as it runs for days: sources of data, their order, processes, checkpoints, metrics.

What is learnt and how is `evsam.train`. ``config`` reads what is asked for, ``sources`` the data, ``order``
says which sample comes when, ``loader`` makes batches, ``loop`` runs the steps, ``checkpoint`` keeps them.
"""
