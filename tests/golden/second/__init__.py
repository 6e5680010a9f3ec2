"""A second reader of the repository format, made from docs/formats/ alone.

It shares no code with the engine. It exists to prove that the documentation is the format, and is written to be read:
it takes whole packs and whole index segments into memory where the engine would not.
"""
