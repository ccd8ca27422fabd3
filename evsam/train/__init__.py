"""How EfficientViT-SAM is trained, and any model of SAM's structure: the recipe, without files or processes.

The paper's two phases (arXiv 2402.05008, section 3.2). First the image encoder learns to repeat a teacher's
embeddings (`distill`), then all parts learn from prompts (`finetune`). The authors published no code of the
first, and their code of the second differs from their paper: what differs is an option with two presets
(`recipe`).

Read ``recipe`` (every choice, named), ``sample`` (an image and its masks into the model's frame),
``prompts`` and ``clicks`` (what is asked), ``losses`` with ``points`` (what is learnt from), ``finetune``
(one step), ``distill``, then ``optimiser`` and ``average``. What reads files and runs for days is
`harness.train`.
"""
