"""One table, drawn in several languages: Markdown, LaTeX, CSV; the page's HTML is in ``templates``."""
