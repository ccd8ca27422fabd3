"""What a model was made of: what it opens, and nothing of who creates it."""

from __future__ import annotations

import linecache
import traceback

from sambench.adapters.loaded import watched


def test_a_stack_trace_under_way_is_no_file_of_the_models(tmp_path):
    """Torch formats one where it is seeded, and reads the lines of whoever called."""
    own = tmp_path / "table.txt"
    own.write_text("1")
    linecache.clearcache()
    with watched("somebody") as watch:
        traceback.format_stack()
        own.read_text()
        assert list(watch.loaded().files) == [str(own)]
