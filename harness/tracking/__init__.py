"""Results where people keep them: what a folder says, sent to a server once, beside the work.

What a folder has to say (`cells`, `trainings`) becomes entries (`content`); `push` sends what a tracker does
not have yet, and keeps account of it beside the results (`ledger`); while a command works, a process of its
own does so again and again (`live`). A tracker is one file and a line in `trackers`.
"""
