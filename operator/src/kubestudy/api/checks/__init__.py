"""The checks of a manifest that look at more than one field. Pure: a spec in, problems out.

Each says what parts of the spec it needs (`registry`), and is skipped where one of them cannot be read. `rules` says
the same in CEL wherever CEL can, so that the API server refuses what is refused here.
"""
