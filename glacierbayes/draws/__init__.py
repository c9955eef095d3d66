"""Draws as an ArviZ `DataTree`: built, opened, checked and viewed by glacier. Nothing here knows a sampler."""
